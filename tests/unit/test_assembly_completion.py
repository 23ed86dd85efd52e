"""When a call is over, rule by rule."""

from __future__ import annotations

from asterisk_connector.assembly.completion import CompletionRules, Habit, Progress, Verdict
from asterisk_connector.records import CdrRow, CelEvent, Record
from tests.kit.captures import load
from tests.kit.sequence import rows

SECOND = 1_000_000
NOW = 2_000_000_000 * SECOND
RULES = CompletionRules(settle=2.0, cdr_settle=60.0, idle=600.0)
CALL = """
0.0 100 start 101@from-internal
0.0 100 app Dial PJSIP/101,8
0.0 101 start
1.0 101 answer
3.0 100 hang 16 self ANSWER
3.0 101 hang 16 100
3.0 101 retire
"""


def follow(records: list[CelEvent] | list[Record], habit: Habit | None = None) -> Progress:
    progress = Progress(RULES, habit)
    for record in records:
        progress.observe(record, NOW)
    return progress


def after(progress: Progress, seconds: float) -> Verdict:
    return progress.verdict(NOW + int(seconds * SECOND))


def test_a_call_is_over_when_its_channels_and_linkedids_are_and_late_rows_had_time() -> None:
    progress = follow(rows(CALL))
    early = after(progress, 1.9)
    assert (early.ended, early.look_again) == (False, NOW + 2 * SECOND)
    assert after(progress, 2.0) == Verdict(True, True, "channels and linkedids ended", None)


def test_a_call_is_open_while_one_channel_lives() -> None:
    progress = follow(rows(CALL)[:-3])
    assert not after(progress, 599).ended
    assert after(progress, 600) == Verdict(True, False, "idle", None)


def test_the_end_of_a_linkedid_is_not_the_end_of_a_call() -> None:
    records = load("22.10", "s47_pickup_directed", "stock")
    assert records is not None
    events = [r for r in records if isinstance(r, CelEvent)]
    taker = [r for r in events if r.linkedid.endswith(".1509")]
    assert taker[-1].type == "LINKEDID_END"
    assert not after(follow(taker), 599).ended


def test_hangups_do_where_channel_ends_are_not_enabled() -> None:
    progress = follow(rows(CALL, without=("CHAN_END",)))
    assert after(progress, 2.0).complete


def test_linkedids_do_in_the_long_run_where_no_end_of_a_channel_is_enabled() -> None:
    progress = follow(rows(CALL, without=("CHAN_END", "HANGUP")))
    assert not after(progress, 599).ended
    assert after(progress, 600).complete


def test_a_missing_linkedid_end_costs_patience_but_not_the_call() -> None:
    progress = follow(rows(CALL, without=("LINKEDID_END",)))
    assert not after(progress, 2.0).ended
    assert after(progress, 20.0).complete


def test_patience_ends_when_linkedid_ends_are_never_written() -> None:
    habit = Habit()
    for _ in range(3):
        assert after(follow(rows(CALL, without=("LINKEDID_END",)), habit), 20.0).complete
    assert after(follow(rows(CALL, without=("LINKEDID_END",)), habit), 2.0).complete


def test_a_restart_of_asterisk_closes_what_was_open_before_it() -> None:
    events = rows(CALL)[:4]
    progress = follow(events)
    progress.restarted(events[-1].at + SECOND)
    assert after(progress, 2.0) == Verdict(True, False, "asterisk restarted", None)


def test_a_restart_does_not_touch_calls_that_began_after_it() -> None:
    events = rows(CALL)[:4]
    progress = follow(events)
    progress.restarted(events[0].at - SECOND)
    assert not after(progress, 2.0).ended


def test_a_call_of_cdr_rows_alone_waits_for_their_batch() -> None:
    progress = Progress(RULES)
    progress.observe(CdrRow(uniqueid="1.1", linkedid="1.1", disposition="ANSWERED"), NOW)
    assert after(progress, 59).look_again == NOW + 60 * SECOND
    assert after(progress, 60).complete


def test_a_late_row_starts_the_wait_again() -> None:
    progress = follow(rows(CALL))
    progress.observe(CdrRow(uniqueid="1.1"), NOW + SECOND)
    assert after(progress, 2.0).look_again == NOW + 3 * SECOND


def test_an_unknown_event_of_an_ended_channel_opens_nothing() -> None:
    events = rows(CALL)
    late = CelEvent(type="FROM_THE_FUTURE", at=events[-1].at, uniqueid=events[0].uniqueid, linkedid=events[0].linkedid)
    assert after(follow([*events, late]), 2.0).complete


def test_a_transferred_call_is_open_until_its_last_channel_ends() -> None:
    records = load("22.10", "s25_attended_refer_by_callee", "stock")
    assert records is not None
    progress = Progress(RULES)
    verdicts = []
    for record in records:
        progress.observe(record, NOW)
        verdicts.append(after(progress, 5.0).ended)
    assert verdicts.index(True) == len(records) - 1

"""What assembly makes of rows that are cut, missing, partial or of another kind."""

from __future__ import annotations

import pytest

from asterisk_connector.assembly.assemble import AssemblyRules, assemble
from asterisk_connector.assembly.channels import age
from asterisk_connector.assembly.connect import connect
from asterisk_connector.assembly.interpret import fact
from asterisk_connector.call import Call, decode, document, encode
from asterisk_connector.plan import Plan
from asterisk_connector.records import CdrRow, CelEvent, RecordingFile
from tests.kit.sequence import EPOCH, rows

TALK = """
0.0 100 start 101@from-internal
0.0 100 app Dial PJSIP/101,8
0.0 101 start
1.0 101 answer
1.0 100 answer
1.0 101 enter B1
1.0 100 enter B1
3.0 100 exit B1
3.0 101 exit B1
3.0 100 hang 16 self ANSWER
3.0 101 hang 16 100
3.0 101 retire
"""


def cdr(**values: object) -> CdrRow:
    known: dict[str, object] = {
        "uniqueid": "1795290000.0",
        "linkedid": "1795290000.0",
        "start": EPOCH * 1_000_000,
        "end": (EPOCH + 3) * 1_000_000,
        "duration": 3.0,
        "billsec": 2.0,
        "disposition": "ANSWERED",
        "src": "100",
        "dst": "101",
        "dcontext": "from-internal",
        "channel": "PJSIP/100-00000000",
        "dstchannel": "PJSIP/101-00000001",
        "last_app": "Dial",
        "last_data": "PJSIP/101,8",
        "sequence": 0,
    }
    return CdrRow(**{**known, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("extra", "key", "value"),
    [
        ('{"bridge_id":"b1","bridge_technology":"simple_bridge"}', "bridge_id", "b1"),
        ('{"bridge_id":"b1","bridge_tech', "bridge_id", "b1"),
        ('{"bridge_id":"cut of', "bridge_id", ""),
        ('{"hangupcause":16,"hangupsource":""}', "hangupcause", "16"),
        ('{"hangupcause":16', "hangupcause", ""),
        ('{"hangupcause": 16, "x": 1}', "hangupcause", "16"),
        ('{"extra":"say \\"hello\\", all"}', "extra", 'say "hello", all'),
        ('{"extra":"ends in \\\\"}', "extra", "ends in \\"),
        ('{"extra":"\\u00e9t\\u00e9"}', "extra", "été"),
        ("not json", "extra", ""),
        ("", "extra", ""),
    ],
)
def test_values_are_saved_from_whole_and_cut_extra(extra: str, key: str, value: str) -> None:
    assert fact(extra, key) == value


def test_ids_sort_by_epoch_then_counter_whatever_the_system_is_called() -> None:
    ids = ["1795290000.10", "1795290000.9", "pbx-1-1795289999.99", "weird", "1795290001.1"]
    assert sorted(ids, key=age) == ["pbx-1-1795289999.99", "1795290000.9", "1795290000.10", "1795290001.1", "weird"]


def test_a_running_call_tells_only_what_cannot_change_any_more() -> None:
    events = rows(TALK)
    ringing = assemble(events[:3], as_of=events[2].at + 5_000_000)
    assert (ringing.complete, ringing.outcome, ringing.ended_by, ringing.ended_at) == (False, None, None, None)
    talking = assemble(events[:7], as_of=events[6].at + 5_000_000)
    assert (talking.outcome, talking.answered_by, talking.talk_seconds) == ("answered", "101", 5.0)
    assert (talking.complete, talking.disposition) == (False, "ANSWERED")


def test_a_call_closed_without_its_end_says_why() -> None:
    call = assemble(rows(TALK)[:7], incomplete="asterisk restarted")
    assert (call.complete, call.evidence.incomplete, call.ended_at) == (False, "asterisk restarted", None)
    assert (call.outcome, call.ended_by) == ("answered", "system")


def test_unknown_types_are_counted_and_otherwise_ignored() -> None:
    events = rows(TALK)
    alien = CelEvent(type="FROM_THE_FUTURE", at=events[3].at, uniqueid=events[0].uniqueid, linkedid=events[0].linkedid)
    call = assemble([*events[:4], alien, *events[4:]])
    assert call.evidence.rows["FROM_THE_FUTURE"] == 1
    assert call.talk == assemble(events).talk


def test_a_call_whose_beginning_was_not_seen_says_so() -> None:
    call = assemble(rows(TALK)[5:])
    assert "CHAN_START" in call.evidence.missing
    assert call.talk_seconds == 2.0


def test_the_last_row_of_a_call_alone_is_a_call() -> None:
    call = assemble(rows(TALK)[-1:])
    assert call.linkedids == ("1795290000.0",)
    assert call.complete


def test_no_records_are_no_call() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        assemble([])


def test_a_caller_without_a_number_has_none() -> None:
    call = assemble(
        rows(TALK.replace("100 start 101@from-internal", "trunka start 101@from-trunka").replace("100", "trunka"))
    )
    assert call.caller.number is None
    assert call.trunk.inbound == "trunka"


def test_clocks_that_are_set_back_make_no_negative_time() -> None:
    events = rows(TALK)
    late = [e if i < 7 else _earlier(e, 3600) for i, e in enumerate(events)]
    call = assemble(late)
    assert all(t.seconds >= 0 for t in call.talk)
    assert call.outcome == "answered"


def test_the_thread_holds_what_the_call_api_wants() -> None:
    call = assemble([*rows(TALK), cdr()])
    kinds = [event.event for event in call.thread]
    assert kinds[0] in ("CDR", "CHAN_START")
    assert set(kinds) == {"CDR", "CHAN_START", "ANSWER", "BRIDGE_ENTER", "BRIDGE_EXIT", "HANGUP", "LINKEDID_END"}
    assert [e.at for e in call.thread] == sorted(e.at for e in call.thread)


def test_a_call_survives_our_own_state_and_has_a_document() -> None:
    call = assemble(rows(TALK), AssemblyRules(host="pbx-01"))
    assert decode(encode(call)) == call
    told = document(call)
    assert (told["host"], told["outcome"], told["talk"][0]["seconds"]) == ("pbx-01", "answered", 2.0)


def test_cdr_rows_bring_what_only_they_know() -> None:
    row = cdr(did="5551000", recording_file="out-101.wav", account_code="sales", user_field="vip")
    call = assemble([*rows(TALK), row, row])
    assert (call.did, call.account_code, call.user_field) == ("5551000", "sales", "vip")
    assert [(r.path, r.linked_by) for r in call.recordings] == [("out-101.wav", "cdr")]
    assert call.evidence.rows["CDR"] == 1


def test_recordings_of_a_source_belong_to_their_call() -> None:
    events = rows(TALK)
    file = RecordingFile(path="/r/a.wav", size=4000, uniqueid=events[0].uniqueid, format="wav", duration=2.0)
    groups = connect([*events, file, RecordingFile(path="/r/stray.wav", size=1)])
    assert len(groups) == 1
    call = assemble(groups[0])
    assert [(r.path, r.size, r.leg) for r in call.recordings] == [("/r/a.wav", 4000, events[0].uniqueid)]


def told_by_cdr(*records: CdrRow) -> Call:
    groups = connect(records)
    assert len(groups) == 1
    return assemble(groups[0])


def test_cdr_rows_alone_are_a_call_without_transfers() -> None:
    call = told_by_cdr(cdr())
    assert (call.caller.number, call.dialled, call.outcome, call.final_party) == ("100", "101", "answered", "101")
    assert (call.transfers, call.disposition, call.complete) == (None, "ANSWERED", True)
    assert call.evidence.missing == ("cel",)


def test_an_unanswered_row_and_the_dial_plans_own_row_are_one_missed_call() -> None:
    rung = cdr(disposition="NO ANSWER", billsec=0.0)
    after = cdr(disposition="FAILED", billsec=0.0, duration=0.0, dstchannel="", last_app="Hangup", sequence=1)
    call = told_by_cdr(after, rung)
    assert (call.outcome, call.answered_by, call.disposition) == ("no_answer", None, "NO ANSWER")


def test_an_abandoned_queue_is_not_answered_though_its_rows_have_billsec() -> None:
    base = {"dst": "600", "last_app": "Queue", "last_data": "sales,tT", "disposition": "NO ANSWER", "billsec": 3.0}
    call = told_by_cdr(cdr(**base), cdr(**base, dstchannel="PJSIP/102-00000002", sequence=1))
    assert call.queue is not None
    assert (call.outcome, call.queue.name, call.queue.result) == ("abandoned", "sales", "abandoned")
    assert [a.agent for a in call.queue.attempts] == ["101", "102"]


def test_a_menu_that_answered_is_nobody() -> None:
    call = told_by_cdr(cdr(dst="t", dcontext="ivr-main", dstchannel="", last_app="Hangup", last_data=""))
    assert (call.outcome, call.answered_by) == ("ivr_only", None)


def test_a_failed_trunk_before_a_good_one_is_one_answered_call() -> None:
    dial = {"dst": "95145559999", "dstchannel": "PJSIP/acme-00000001", "last_data": "PJSIP/5145559999@acme,20"}
    first = cdr(**dial, disposition="CONGESTION", billsec=0.0)
    second = cdr(**{**dial, "dstchannel": "PJSIP/bolt-00000002", "last_data": "PJSIP/5145559999@bolt,20"}, sequence=1)
    call = told_by_cdr(first, second)
    assert (call.outcome, call.final_party, call.trunk.outbound) == ("answered", "95145559999", "bolt")


def test_a_plan_is_part_of_what_is_told() -> None:
    events = rows(TALK.replace("101 start", "acme start").replace("101 ", "acme ").replace("PJSIP/101", "PJSIP/acme"))
    plain, known = assemble(events), assemble(events, AssemblyRules(Plan(trunks=("^acme$",))))
    assert plain.trunk.outbound is None
    assert known.trunk.outbound == "acme"


def _earlier(event: CelEvent, seconds: int) -> CelEvent:
    from msgspec.structs import replace

    return replace(event, at=event.at - seconds * 1_000_000)

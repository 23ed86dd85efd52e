"""Notices are counted once, and what is mended complains no more."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from asterisk_connector import notices as n
from asterisk_connector.telemetry.histogram import Histogram
from asterisk_connector.telemetry.tally import ERRORS, LASTING, Complaint, Tally
from tests.kit.clock import FakeClock

SOURCE = "cel_csv:/var/log/asterisk/cel-custom/Master.csv"
TABLE = "cdr_table:asterisk.cdr"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tally(clock: FakeClock) -> Tally:
    return Tally(clock)


def completed(outcome: str = "answered", **changes: Any) -> n.CallCompleted:
    facts: dict[str, Any] = {
        "call_id": "1.1",
        "revision": 1,
        "linkedids": ("1.1",),
        "uniqueids": ("1.1",),
        "direction": "inbound",
        "outcome": outcome,
        "caller": "+14165550123",
        "called": "201",
        "answered_by": "",
        "started_at": 0,
        "seconds": 1.0,
        "talk_seconds": None,
        "recordings": 0,
        "sinks": ("call_api",),
        "complete": True,
        "reason": "ended",
    }
    return n.CallCompleted(**(facts | changes))


def standing(tally: Tally, clock: FakeClock) -> dict[str, Complaint]:
    return {about: each for about, each in tally.read().complaints.items() if each.stands(clock.now())}


def test_rows_of_each_source_are_counted_with_when_and_how_new(tally: Tally, clock: FakeClock) -> None:
    for notice in (
        n.SourceOpened(SOURCE),
        n.RowsRead(SOURCE, 10, 1, 500),
        n.RowsRead(SOURCE, 5, 0, 400),
        n.RowsRead(TABLE, 7, 0, None),
        n.FileRotated(SOURCE, "Master.csv"),
        n.SourceFailed(TABLE, "away", "", 1.0),
    ):
        tally.hear(notice)
    told = tally.read().sources
    assert (told[SOURCE].rows, told[SOURCE].set_aside, told[SOURCE].rotations) == (15, 1, 1)
    assert (told[SOURCE].newest, told[SOURCE].last_read_at) == (500, clock.now())
    assert (told[TABLE].rows, told[TABLE].errors, told[TABLE].newest) == (7, 1, None)


def test_calls_are_counted_by_direction_and_outcome(tally: Tally) -> None:
    tally.hear(n.CallOpened("1.1"))
    tally.hear(completed())
    tally.hear(completed())
    tally.hear(completed("", complete=False, direction=""))
    calls = tally.read().calls
    assert calls.opened == 1
    assert calls.completed == {("inbound", "answered"): 2, ("unknown", "unknown"): 1}
    assert calls.incomplete == 1


def test_a_sinks_answers_are_told_apart(tally: Tally) -> None:
    tally.hear(n.Delivered("call_api", "1.1", 1, "complete", 0.4, 1))
    tally.hear(n.DeliveryDeferred("call_api", "1.2", 1, "503", 2.0))
    tally.hear(n.DeliveryBuried("call_api", "1.3", 1, "400 bad number", expired=False))
    tally.hear(n.DeliveryBuried("call_api", "1.4", 1, "given up after 48 h: 503", expired=True))
    sink = tally.read().sinks["call_api"]
    assert (sink.delivered, sink.deferred, sink.refused, sink.expired) == (1, 1, 1, 1)
    assert (sink.latency.count, sink.latency.sum) == (1, 0.4)


def test_events_read_are_journalled_filtered_or_refused(tally: Tally) -> None:
    for notice in (
        n.AmiConnected("pbx:5038", "22.10.0", ""),
        n.EventsJournalled(100, 60, 40),
        n.EventsPublished("events", 50, 0.2),
        n.EventsDropped("journal", 7, "the journal is full"),
        n.EventsDropped("cel_ami:pbx:5038", 2, "too fast"),
        n.EventRefused("events", "Hangup", 2_000_000, "too large"),
        n.AmiLost("pbx:5038", "closed", 60.0, 1.0),
        n.AmiConnected("pbx:5038", "22.10.0", ""),
        n.AmiGap(1_000_000, 3_500_000, "closed", False),
    ):
        tally.hear(notice)
    events = tally.read().events
    assert (events.read, events.journalled, events.filtered, events.delivered) == (100, 60, 40, 50)
    assert events.dropped == {"journal": 7, "cel_ami": 2}
    assert (events.refused, events.sessions, events.gaps, events.gap_seconds) == (1, 2, 1, 2.5)
    assert events.latency.count == 50


BROKEN_AND_MENDED = [
    ("sink call_api", "remote", n.SinkDown("call_api", "503", 1.0), n.SinkUp("call_api", 5.0)),
    ("sink call_api", "configuration", n.SinkMisconfigured("call_api", "401", "api.key"), n.SinkUp("call_api", 5.0)),
    ("sink calls_file", "host", n.SinkDown("calls_file", "full", 1.0), n.SinkUp("calls_file", 5.0)),
    ("state", "host", n.StoreBlocked("full", "df"), n.StoreUnblocked(1.0)),
    ("journal", "host", n.StoreBlocked("full", "df", "journal"), n.StoreUnblocked(1.0, "journal")),
    ("session", "remote", n.AmiLost("p", "gone", 1.0, 1.0), n.AmiConnected("p", "", "")),
    ("session", "configuration", n.AmiUnavailable("p", "refused", "secret", 1.0), n.AmiConnected("p", "", "")),
    ("publishing", "remote", n.PublishingPaused("t", "no broker", "", 1.0), n.PublishingResumed("t", 1.0)),
    ("publishing", "configuration", n.PublishingPaused("t", "no topic", "make it", 1.0), n.PublishingResumed("t", 1.0)),
    ("configuration", "configuration", n.ConfigRefused(("api.key: missing",)), n.ConfigReloaded(())),
    (f"watch {SOURCE}", "host", n.WatchRefused(SOURCE, "no watches", "sysctl"), n.SourceOpened(SOURCE)),
    (f"zone {TABLE}", "configuration", n.ZoneDoubtful(TABLE, "UTC", "EST", "zone"), n.SourceOpened(TABLE)),
    ("control socket", "host", n.ControlUnavailable("c.sock", "denied", "ls", 1.0), n.ControlOpened("c.sock")),
    ("http", "host", n.HttpUnavailable("127.0.0.1:8000", "in use", 1.0), n.HttpListening("127.0.0.1:8000")),
    ("cel-unseen", "configuration", n.CelUnseen("none", "enable it"), n.AmiConnected("p", "", "")),
]


@pytest.mark.parametrize(("about", "fault", "broken", "mended"), BROKEN_AND_MENDED)
def test_a_complaint_names_who_is_at_fault_and_ends_when_it_is_mended(
    tally: Tally, clock: FakeClock, about: str, fault: str, broken: n.Notice, mended: n.Notice
) -> None:
    tally.hear(broken)
    assert standing(tally, clock)[about].fault == fault
    tally.hear(mended)
    assert standing(tally, clock) == {}


def test_what_nobody_ever_mends_is_over_after_a_while(tally: Tally, clock: FakeClock) -> None:
    tally.hear(n.WorkerFailed("assembler", "KeyError: 1", 1.0, KeyError(1)))
    tally.hear(n.EnrichmentFailed("1.1", "numbers", "KeyError"))
    tally.hear(n.EventsDropped("memory", 5, "memory was full"))
    tally.hear(n.ClockStepped(3600.0))
    assert {each.fault for each in standing(tally, clock).values()} == {"bug", "host"}
    clock.advance(LASTING + 10)
    assert standing(tally, clock) == {}
    assert tally.read().worker_failures == {"assembler": 1}


def test_what_comes_back_soon_goes_on_with_its_beginning_and_count(tally: Tally, clock: FakeClock) -> None:
    began = clock.now()
    for _ in range(3):
        tally.hear(n.SinkDown("call_api", "503", 1.0))
        clock.advance(10)
        tally.hear(n.SinkUp("call_api", 10.0))
    tally.hear(n.SinkDown("call_api", "timed out", 1.0))
    again = standing(tally, clock)["sink call_api"]
    assert (again.since, again.count, again.text) == (began, 4, "timed out")
    tally.hear(n.SinkUp("call_api", 1.0))
    clock.advance(3600)
    tally.hear(n.SinkDown("call_api", "503", 1.0))
    assert (standing(tally, clock)["sink call_api"].since, standing(tally, clock)["sink call_api"].count) == (
        clock.now(),
        1,
    )


def test_each_failed_probe_of_an_outage_is_counted_and_the_last_reason_kept(tally: Tally, clock: FakeClock) -> None:
    tally.hear(n.SinkDown("call_api", "503", 1.0))
    tally.hear(n.DeliveryDeferred("call_api", "1.1", 1, "connection refused", 2.0))
    assert standing(tally, clock)["sink call_api"].text == "connection refused"
    assert standing(tally, clock)["sink call_api"].count == 2


def test_one_deferred_delivery_is_no_outage(tally: Tally, clock: FakeClock) -> None:
    tally.hear(n.DeliveryDeferred("call_api", "1.1", 1, "423", 2.0))
    assert standing(tally, clock) == {}


def test_errors_are_kept_by_cause_newest_first_and_bounded(tally: Tally, clock: FakeClock) -> None:
    for number in range(ERRORS + 5):
        clock.advance(1)
        tally.hear(n.SourceFailed(f"cdr_table:{number}.cdr", "away", "look at it", 1.0))
    clock.advance(1)
    tally.hear(n.SourceFailed("cdr_table:7.cdr", "away", "look at it", 1.0))
    errors = tally.read().errors
    assert len(errors) == ERRORS
    first = errors[0]
    assert (first.part, first.hint, first.times, first.at) == ("source cdr_table:7.cdr", "look at it", 2, clock.now())
    assert first.text.startswith("cannot read cdr_table:7.cdr: away")
    assert not first.text.endswith("look at it")


def test_what_is_no_error_is_not_kept_as_one(tally: Tally) -> None:
    for notice in (
        n.SourceOpened(SOURCE),
        n.FileTruncated(SOURCE, "Master.csv", 0),
        n.SinkUp("call_api", 1.0),
        completed(),
    ):
        tally.hear(notice)
    assert tally.read().errors == []


def test_a_refused_configuration_is_remembered_until_one_is_taken(tally: Tally) -> None:
    tally.hear(n.ConfigRefused(("api.key: missing",)))
    assert (tally.read().config_in_force, tally.read().refused) == (False, ("api.key: missing",))
    tally.hear(n.ConfigReloaded(()))
    assert (tally.read().config_in_force, tally.read().refused) == (True, ())


def test_a_part_that_was_made_anew_has_nothing_to_complain(tally: Tally, clock: FakeClock) -> None:
    tally.hear(n.SinkMisconfigured("call_api", "401", "api.key"))
    tally.hear(n.AmiUnavailable("p", "refused", "secret", 1.0))
    tally.hear(n.PublishingPaused("t", "no topic", "make it", 1.0))
    tally.hear(n.ConfigReloaded(("call_api", "manager")))
    assert standing(tally, clock) == {}
    assert not tally.read().events.publishing_paused


def test_what_was_read_does_not_change_afterwards(tally: Tally) -> None:
    tally.hear(n.Delivered("call_api", "1.1", 1, "complete", 0.4, 1))
    before = tally.read()
    tally.hear(n.Delivered("call_api", "1.2", 1, "complete", 0.4, 1))
    assert before.sinks["call_api"].delivered == before.sinks["call_api"].latency.count == 1


def test_many_threads_lose_no_count(tally: Tally) -> None:
    def tell() -> None:
        for _ in range(2000):
            tally.hear(n.RowsRead(SOURCE, 1, 0, None))

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.read().sources[SOURCE].rows == 8000


def test_a_histogram_puts_each_value_under_its_bound() -> None:
    histogram = Histogram((1.0, 10.0))
    for value in (0.5, 1.0, 5.0, 60.0):
        histogram.observe(value)
    histogram.observe(2.0, times=3)
    assert histogram.counts == [2, 4, 1]
    assert (histogram.count, histogram.sum) == (7, 72.5)
    assert Histogram((1.0,)).quantile(0.5) is None
    assert (histogram.quantile(0.5), histogram.quantile(0.99)) == (2.0, 60.0)

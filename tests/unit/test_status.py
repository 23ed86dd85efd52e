"""The status says what is wrong now and whose fault it is, and what is explained does not make the agent ill."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from asterisk_connector import notices as n
from asterisk_connector.snapshot import SinkNow, Snapshot
from asterisk_connector.sources.base import Extent
from asterisk_connector.telemetry.report import Process, status
from asterisk_connector.telemetry.status import Status, decode, encode
from asterisk_connector.telemetry.tally import Tally
from tests.kit.clock import FakeClock
from tests.kit.facts import FILE, NOW, PROCESS, SECOND, call, counts, state, well
from tests.kit.status_page import PAGE, SCHEMA, page, schema

VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text()))
UP = (n.SourceOpened(FILE), n.RowsRead(FILE, 10, 0, NOW - 5 * SECOND), n.AmiConnected("pbx:5038", "22.10.0", ""))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def tally(clock: FakeClock) -> Tally:
    """Of an agent that has looked at everything."""
    made = Tally(clock)
    for notice in UP:
        made.hear(notice)
    return made


def told(tally: Tally, snapshot: Snapshot, clock: FakeClock, process: Process = PROCESS) -> Status:
    """The document, which keeps to its schema and survives its own encoding."""
    made = status(process, snapshot, tally.read(), clock.now())
    body = encode(made)
    VALIDATOR.validate(json.loads(body))
    assert decode(body) == made
    return made


def test_an_agent_that_is_well_is_ready_and_has_no_problem(tally: Tally, clock: FakeClock) -> None:
    made = told(tally, well(), clock)
    assert (made.service.state, made.service.alive, made.service.healthy, made.service.ready) == (
        "ready",
        True,
        True,
        True,
    )
    assert made.problems == ()
    assert made.service.uptime == 3600.0
    assert made.service.sentence == (
        "Ready: 1 source, 3 open calls, 0 deliveries owed (call_api up), manager session up, 7 events waiting for Kafka"
    )


def test_instants_durations_and_sizes_are_written_as_documented(tally: Tally, clock: FakeClock) -> None:
    body: dict[str, Any] = json.loads(encode(told(tally, well(), clock)))
    assert body["at"] == "2027-01-15T08:00:00Z"
    assert body["events"]["journal"] == {"events": 7, "bytes": 8192, "oldest": "2027-01-15T07:59:59Z"}
    assert body["sources"][0]["newest_at"] == "2027-01-15T07:59:55Z"
    assert (body["version"], body["state"]["free_bytes"]) == (1, 1 << 30)


@pytest.mark.parametrize(
    ("broken", "snapshot", "part", "fault", "severity"),
    [
        (n.SinkDown("call_api", "503", 1.0), well(sink="down"), "sink call_api", "remote", "warning"),
        (n.SinkMisconfigured("call_api", "401", "key"), well(sink="paused"), "sink call_api", "configuration", "error"),
        (n.AmiLost("pbx:5038", "closed", 1.0, 1.0), well(session=False), "manager session", "remote", "error"),
        (n.StoreBlocked("no space", "df"), well(on_disk=state(blocked=True)), "state", "host", "error"),
        (n.PublishingPaused("t", "no broker", "", 1.0), well(), "publishing", "remote", "warning"),
        (n.PublishingPaused("t", "no topic", "make it", 1.0), well(), "publishing", "configuration", "error"),
        (n.StoreBlocked("no space", "df", "journal"), well(journal_blocked=True), "journal", "host", "error"),
        (
            n.SourceFailed(FILE, "denied", "", 1.0),
            well(source=Extent(caught_up_at=1)),
            f"source {FILE}",
            "host",
            "error",
        ),
        (n.WatchRefused(FILE, "no watches", "sysctl"), well(), f"source {FILE}", "host", "warning"),
    ],
)
def test_what_is_wrong_is_told_with_whose_fault_it_is(
    tally: Tally, clock: FakeClock, broken: n.Notice, snapshot: Snapshot, part: str, fault: str, severity: str
) -> None:
    clock.advance(1)
    tally.hear(broken)
    made = told(tally, snapshot, clock)
    (problem,) = made.problems
    assert (problem.part, problem.fault, problem.severity, problem.since) == (part, fault, severity, made.at)
    assert made.service.healthy == (severity == "warning")
    assert made.service.ready == (part == f"source {FILE}" and severity == "warning")
    assert (f"; {part}: " in made.service.sentence) == (severity == "error")


def test_a_part_that_is_well_again_has_no_problem_even_if_nobody_said_so(tally: Tally, clock: FakeClock) -> None:
    for notice in (n.SinkDown("call_api", "503", 1.0), n.AmiLost("p", "gone", 1.0, 1.0), n.StoreBlocked("full", "df")):
        tally.hear(notice)
    assert told(tally, well(), clock).problems == ()


def test_a_part_that_is_down_is_a_problem_even_if_nobody_said_why(tally: Tally, clock: FakeClock) -> None:
    made = told(tally, well(sink="down", session=False, on_disk=state(blocked=True), journal_blocked=True), clock)
    assert {(problem.part, problem.text) for problem in made.problems} == {
        ("sink call_api", "it takes no calls"),
        ("manager session", "there is no session yet"),
        ("state", "it cannot be written"),
        ("journal", "it cannot be written"),
    }
    assert made.service.state == "blocked"


def test_a_sink_that_is_down_through_this_host_is_no_explained_outage(tally: Tally, clock: FakeClock) -> None:
    tally.hear(n.SinkDown("calls_file", "no space left", 1.0))
    made = told(tally, well()._replace(sinks=(SinkNow("calls_file", "down", 0),)), clock)
    assert (made.problems[0].fault, made.problems[0].severity, made.service.healthy) == ("host", "error", False)


def test_errors_come_before_warnings(tally: Tally, clock: FakeClock) -> None:
    tally.hear(n.SinkDown("call_api", "503", 1.0))
    made = told(tally, well(sink="down", on_disk=state(unaccounted=2)), clock)
    assert [problem.severity for problem in made.problems] == ["error", "warning"]
    assert (made.problems[0].fault, made.calls.unaccounted) == ("bug", 2)


def test_a_stuck_part_is_not_alive(tally: Tally, clock: FakeClock) -> None:
    made = told(tally, well(stuck=("assembler",)), clock)
    assert (made.service.alive, made.service.healthy, made.problems[0].part) == (False, False, "assembler")


def test_dead_letters_are_a_hint_that_keeps_nobody_from_being_ready(tally: Tally, clock: FakeClock) -> None:
    made = told(tally, well(on_disk=state(counts(dead=1))), clock)
    assert made.service.ready
    assert made.problems[0].text == "1 dead letter: refused, or not taken in time"
    assert "1 dead letter" in made.service.sentence


def test_nothing_is_ready_before_every_source_and_the_session_were_looked_at(clock: FakeClock) -> None:
    fresh = Tally(clock)
    assert told(fresh, well(), clock).service.state == "starting"
    for notice in UP[:2]:
        fresh.hear(notice)
    waiting = told(fresh, well(session=False), clock)
    assert (waiting.service.state, waiting.service.healthy) == ("starting", False)
    fresh.hear(n.AmiUnavailable("pbx:5038", "refused", "", 1.0))
    assert told(fresh, well(session=False), clock).service.state == "degraded"


def test_an_opened_source_is_waited_for_until_it_was_read_once(clock: FakeClock) -> None:
    tally = Tally(clock)
    tally.hear(n.SourceOpened(FILE))
    (source,) = told(tally, well(source=Extent(), session=None), clock).sources
    assert (source.state, source.reason) == ("waiting", "not looked at yet")
    (source,) = told(tally, well(source=Extent(0, 0, True, NOW), session=None), clock).sources
    assert source.state == "reading"


def test_a_source_that_fails_each_time_it_is_read_is_failing_all_the_time(clock: FakeClock) -> None:
    """It opens well, fails at the first read, waits, and opens well again."""
    tally = Tally(clock)
    for _ in range(3):
        tally.hear(n.SourceOpened(FILE))
        tally.hear(n.SourceFailed(FILE, "table is gone", "", 1.0))
        clock.advance(1)
    tally.hear(n.SourceOpened(FILE))
    (source,) = told(tally, well(source=Extent(caught_up_at=NOW - SECOND), session=None), clock).sources
    assert (source.state, source.reason, source.errors) == ("failing", "table is gone", 3)
    tally.hear(n.RowsRead(FILE, 1, 0, None))
    (source,) = told(tally, well(session=None), clock).sources
    assert (source.state, source.reason) == ("reading", "")


def test_a_file_that_does_not_exist_yet_is_waited_for_and_that_is_healthy(tally: Tally, clock: FakeClock) -> None:
    made = told(tally, well(source=Extent(0, 0, True, NOW, "/tmp/Master.csv")), clock)
    assert (made.sources[0].state, made.sources[0].reason) == ("waiting", "/tmp/Master.csv does not exist yet")
    assert made.service.ready


@pytest.mark.parametrize(
    ("extent", "lag"),
    [
        (Extent(0, 0, True, NOW - 3600 * SECOND), 0.0),
        (Extent(0, 500, False, NOW - 60 * SECOND), 5.0),
        (Extent(0, 500, False, NOW - 2 * SECOND), 2.0),
        (Extent(0, 500, False, None), 5.0),
    ],
)
def test_lag_is_counted_from_the_newest_row_or_the_last_time_nothing_waited(
    tally: Tally, clock: FakeClock, extent: Extent, lag: float
) -> None:
    assert told(tally, well(source=extent), clock).sources[0].lag_seconds == lag


def test_a_quiet_night_is_no_lag_and_an_unknown_one_is_null(clock: FakeClock) -> None:
    tally = Tally(clock)
    assert told(tally, well(source=Extent(0, 10, False, None)), clock).sources[0].lag_seconds is None
    tally.hear(n.SourceFailed(FILE, "denied", "", 1.0))
    clock.advance(30)
    waiting = Extent(None, None, True, NOW - SECOND)
    assert told(tally, well(source=waiting), clock).sources[0].lag_seconds == 31.0


def test_what_is_owed_is_told_with_the_age_of_the_oldest(tally: Tally, clock: FakeClock) -> None:
    for latency in (0.1, 0.2, 9.0):
        tally.hear(n.Delivered("call_api", "1.1", 1, "complete", latency, 1))
    (sink,) = told(tally, well(on_disk=state(counts(pending=5, oldest=NOW - 90 * SECOND))), clock).sinks
    assert (sink.pending, sink.oldest_unsent, sink.delivered, sink.in_flight) == (5, 90.0, 3, 2)
    assert (sink.latency.p50, sink.latency.p99) == (0.2, 9.0)


def test_a_sink_that_is_owed_calls_but_no_longer_configured_is_told(tally: Tally, clock: FakeClock) -> None:
    snapshot = well(on_disk=state(counts(pending=5)))._replace(sinks=())
    made = told(tally, snapshot, clock)
    assert (made.sinks[0].name, made.sinks[0].state, made.sinks[0].fault) == ("call_api", "paused", "configuration")
    assert not made.service.healthy


def test_recent_calls_are_masked(tally: Tally, clock: FakeClock) -> None:
    made = told(tally, well(on_disk=state(recent=(call(2), call(1, delivered=False)))), clock)
    assert [(c.caller, c.called, c.duration, c.delivered) for c in made.recent_calls] == [
        ("+1416•••••23", "201", 90.0, True),
        ("+1416•••••23", "201", 90.0, False),
    ]
    assert b"+14165550123" not in encode(made)


def test_a_refused_configuration_is_told_with_what_is_wrong_in_it(tally: Tally, clock: FakeClock) -> None:
    tally.hear(n.ConfigRefused(("api.key: missing",)))
    made = told(tally, well(), clock)
    assert made.service.config_problems == ("api.key: missing",)
    assert (made.problems[0].part, made.service.ready) == ("configuration", True)


def test_where_nobody_runs_the_state_alone_is_told(clock: FakeClock) -> None:
    process = msgspec.structs.replace(PROCESS, phase="down", pid=None, started_at=None)
    made = told(Tally(clock), Snapshot(state=state(counts(pending=5))), clock, process)
    assert (made.service.state, made.service.alive, made.service.ready) == ("down", False, False)
    assert (made.calls.open, made.service.pid, made.events) == (3, None, None)
    told_of = Snapshot(sinks=(SinkNow("call_api", "down", 0),), state=state(counts(pending=5)))
    assert told(Tally(clock), told_of, clock, process).problems == ()


def test_schema_and_page_are_made_from_the_types() -> None:
    assert SCHEMA.read_text() == schema(), "docs/status.schema.json is stale: make docs"
    assert PAGE.read_text() == page(), "docs/status.md is stale: make docs"

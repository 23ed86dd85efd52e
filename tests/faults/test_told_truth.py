"""What status and metrics say agrees with what the other sides counted: after outages, kills and a retry by hand."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from asterisk_connector.control import client
from asterisk_connector.control.questions import Retry
from asterisk_connector.telemetry.status import EventsStatus, Status
from tests.faults.test_agent_events import HANGUP, in_order, settings
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import Answer, CallApi, Received, take
from tests.kit.fake_ami import FakeAmi
from tests.kit.mock_kafka import MockKafka
from tests.kit.numbered_events import NAMES, TOPIC, event
from tests.kit.told import metrics_of, status_of
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

UNWANTED = {55, 62}
"""Calls the API does not want."""


class Pbx:
    """Writes numbered calls, the next ones each time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls = 0
        self.rows = 0

    def make(self, calls: int) -> None:
        rows = [row for number in range(self.calls, self.calls + calls) for _, row in NumberedCall(number).rows()]
        with self.path.open("ab") as file:
            file.write(b"".join(row + b"\n" for row in rows))
        self.calls += calls
        self.rows += len(rows)

    def rotate(self) -> None:
        self.path.rename(self.path.with_suffix(".csv.1"))


@pytest.fixture
def api() -> Iterator[CallApi]:
    with CallApi() as api:
        yield api


@pytest.fixture
def pbx(tmp_path: Path) -> Pbx:
    return Pbx(tmp_path / "Master.csv")


@pytest.fixture
def agent(tmp_path: Path, api: CallApi, pbx: Pbx) -> Iterator[AgentProcess]:
    agent = AgentProcess(
        tmp_path,
        {
            "start_at": "beginning",
            "api": {"url": api.url, "timeout": "2s"},
            "sources": {"cel_csv": [{"path": str(pbx.path)}]},
            "calls": {"settle": "100ms"},
        },
    )
    yield agent
    agent.kill()


def wait_told(agent: AgentProcess, true: Callable[[Status], bool]) -> Status:
    """The first status of which that is true."""

    last: list[Status] = []

    def look() -> bool:
        last[:] = [status_of(agent)]
        return true(last[0])

    until(look, 20, "what is waited for in the status")
    return last[0]


def wait_events(agent: AgentProcess, true: Callable[[EventsStatus], bool]) -> EventsStatus:
    """The same of what it says of events."""
    told = wait_told(agent, lambda told: told.events is not None and true(told.events)).events
    assert told is not None
    return told


def unwanted(request: Received) -> Answer:
    names = {NumberedCall(number).linkedid for number in UNWANTED}
    return Answer(400, body=b"bad call") if request.call["linkedid"] in names else take(request)


def taken(api: CallApi) -> int:
    """Deliveries the API took, repetitions too."""
    return sum(api.accepted.values())


def agree(told: Status, metrics: dict[str, float]) -> None:
    """Both are of the same moment: nothing happens while they are asked."""
    (sink,), (source,) = told.sinks, told.sources
    assert metrics["sink_delivered_total"] == metrics["sink_delivery_seconds_count"] == sink.delivered
    assert (metrics["sink_pending"], metrics["sink_dead_letters"]) == (sink.pending, sink.dead)
    assert (metrics["sink_refused_total"], metrics["sink_up"]) == (sink.refused, sink.state == "up")
    assert (metrics["source_rows_total"], metrics["source_bytes_total"]) == (source.rows, source.bytes)
    assert (
        (metrics["source_lag_bytes"], metrics["source_lag_seconds"]) == (0, 0) == (source.lag_bytes, source.lag_seconds)
    )
    assert metrics.get("calls_completed_total", 0) == told.calls.completed
    assert metrics["calls_opened_total"] == told.calls.opened
    assert metrics["calls_unaccounted"] == told.calls.unaccounted == 0
    assert (metrics["healthy"], metrics["ready"]) == (told.service.healthy, told.service.ready)


@pytest.mark.slow
def test_calls_are_told_as_the_api_counted_them_through_outage_kill_and_retry(
    agent: AgentProcess, api: CallApi, pbx: Pbx
) -> None:
    pbx.make(40)
    agent.start()
    told = wait_told(agent, lambda told: told.sinks[0].delivered == 40)
    assert len(api.calls) == taken(api) == 40
    assert told.calls.by_outcome == {"answered": 40}
    assert (told.sources[0].rows, told.sources[0].bytes) == (pbx.rows, pbx.path.stat().st_size)
    told = wait_told(agent, lambda told: told.sinks[0].pending == 0 and len(told.recent_calls) == 20)
    assert told.service.ready
    assert [(call.delivered, call.complete) for call in told.recent_calls] == [(True, True)] * 20
    agree(told, metrics_of(agent))

    api.script = lambda _: Answer(503)
    pbx.rotate()
    pbx.make(20)
    told = wait_told(agent, lambda told: told.sinks[0].pending == 20 and told.sinks[0].state == "down")
    assert (told.service.state, told.service.healthy, told.service.ready) == ("degraded", True, False)
    (problem,) = told.problems
    assert (problem.part, problem.fault, problem.severity) == ("sink call_api", "remote", "warning")
    assert "503" in problem.text
    assert told.sinks[0].delivered == 40
    assert told.sources[0].rotations <= 1
    agent.kill()

    pbx.make(10)
    agent.start()
    told = wait_told(agent, lambda told: told.sinks[0].pending == 30)
    assert (told.calls.opened, told.calls.completed) == (10, 10)
    assert (told.sinks[0].delivered, told.calls.unaccounted) == (0, 0)
    assert (told.sinks[0].oldest_unsent or 0) > 0
    before = taken(api)

    api.script = unwanted
    told = wait_told(agent, lambda told: told.service.ready and told.sinks[0].pending == 0)
    assert (told.sinks[0].delivered, told.sinks[0].refused, told.sinks[0].dead) == (28, 2, 2)
    assert taken(api) - before == 28
    assert len(api.calls) == pbx.calls - len(UNWANTED)
    assert [problem.text for problem in told.problems] == ["2 dead letters: refused, or not taken in time"]
    assert sum(not call.delivered for call in told.recent_calls) == 2
    agree(told, metrics_of(agent))

    api.script = take
    list(client.ask(agent.home / "control.sock", Retry(), agent.state))
    told = wait_told(agent, lambda told: told.sinks[0].delivered == 30 and told.sinks[0].dead == 0)
    assert len(api.calls) == pbx.calls
    assert told.problems == ()
    agree(told, metrics_of(agent))
    assert {error.part for error in told.recent_errors} == {"sink call_api"}


def test_a_call_that_is_lost_by_a_bug_shows_in_the_running_agent_and_after_a_restart(
    agent: AgentProcess, api: CallApi, pbx: Pbx
) -> None:
    api.script = lambda _: Answer(503)
    pbx.make(5)
    agent.start()
    wait_told(agent, lambda told: told.sinks[0].pending == 5)
    with closing(sqlite3.connect(agent.state / "calls.db", isolation_level=None)) as state:
        state.execute("DELETE FROM delivery WHERE id = (SELECT max(id) FROM delivery)")
    told = wait_told(agent, lambda told: told.calls.unaccounted == 1)
    assert (told.problems[0].fault, told.problems[0].severity) == ("bug", "error")
    assert not told.service.healthy
    assert metrics_of(agent)["calls_unaccounted"] == 1
    agent.kill()
    agent.start()
    assert wait_told(agent, lambda told: told.calls.unaccounted is not None).calls.unaccounted == 1


def test_a_wrong_key_is_our_configurations_fault_and_ends_with_a_right_one(
    agent: AgentProcess, api: CallApi, pbx: Pbx
) -> None:
    api.script = lambda _: Answer(401)
    pbx.make(1)
    agent.start()
    told = wait_told(agent, lambda told: told.sinks[0].state == "paused" and told.sinks[0].pending == 1)
    assert (told.problems[0].fault, told.problems[0].hint != "") == ("configuration", True)
    assert not told.service.healthy
    api.script = take
    (agent.home / "api.key").write_text("sk_" + "b" * 32 + "\n")
    agent.signal(signal.SIGHUP)
    told = wait_told(agent, lambda told: told.service.ready and told.sinks[0].pending == 0)
    assert told.problems == ()


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    kafka = MockKafka()
    kafka.create(TOPIC, 4)
    yield kafka
    kafka.close()


def test_events_are_told_as_kafka_counted_them_through_outage_kill_and_gap(
    tmp_path: Path, ami: FakeAmi, kafka: MockKafka
) -> None:
    agent = AgentProcess(tmp_path, settings(ami, kafka, events={"filters": [HANGUP]}))
    agent.start()
    until(lambda: ami.sessions, 10, "a session")

    def say(first: int, last: int) -> int:
        """Says these events; how many of them pass the filter."""
        ami.say(b"".join(event(number) for number in range(first, last)))
        return sum(NAMES[number % len(NAMES)] != "Hangup" for number in range(first, last))

    passed = say(0, 300)
    assert 0 < passed < 300
    told = wait_events(agent, lambda told: (told.read, told.delivered) == (300, passed))
    assert (told.read, told.filtered, told.journalled) == (300, 300 - passed, passed)
    assert status_of(agent).service.ready
    assert len(kafka.consume(TOPIC, passed)) == passed

    kafka.down()
    waiting = say(300, 600)
    wait_events(agent, lambda told: told.publishing == "paused")
    wait_events(agent, lambda told: told.journal is not None and told.journal.events == waiting)
    service = status_of(agent).service
    assert (service.healthy, service.ready) == (True, False)
    agent.kill()
    ami.drop()
    agent.start()
    until(lambda: ami.sessions, 10, "a session")
    kafka.up()
    told = wait_events(agent, lambda told: told.delivered == waiting + 1)  # with one of our own, which tells of the gap
    messages = kafka.consume(TOPIC, passed + waiting + 1, 30)
    assert len(messages) == passed + waiting + 1
    assert in_order(messages)
    assert (told.gaps, told.journalled, told.read) == (1, 1, 0)
    assert (told.gap_seconds or 0) > 0

    ami.drop()
    wait_events(agent, lambda told: told.reconnects == 1 and told.gaps == 2 and told.delivered == waiting + 2)
    assert wait_told(agent, lambda told: told.service.ready).problems == ()
    metrics = metrics_of(agent)
    assert (metrics["events_reconnects_total"], metrics["events_gaps_total"]) == (1, 2)
    assert metrics["events_delivered_total"] == metrics["events_delivery_seconds_count"] == waiting + 2
    assert metrics["events_session_up"] == metrics["events_publishing_up"] == 1
    agent.kill()

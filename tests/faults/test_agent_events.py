"""AMI events through the agent as a process: killed, stopped, reloaded, with Kafka, Asterisk or the disk away.

Failure modes by their numbers; Kafka is librdkafka's mock cluster, Asterisk a scripted manager.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_agent_kill import fill
from tests.kit.agent_process import AgentProcess
from tests.kit.fake_ami import FakeAmi
from tests.kit.mock_kafka import PRODUCE, Message, MockKafka
from tests.kit.numbered_events import TOPIC, event, journalled, numbers, order_per_key
from tests.kit.wait import until

STOPPED_WITHIN = 10.0
HANGUP = "eventfilter(action(exclude),name(Hangup)) ="


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    kafka = MockKafka()
    kafka.create(TOPIC, 4)
    yield kafka
    kafka.close()


def settings(ami: FakeAmi, kafka: MockKafka, /, **more: Any) -> dict[str, Any]:
    """Events alone; `more` goes into its sections."""
    sections: dict[str, dict[str, Any]] = {
        "ami": {"host": "127.0.0.1", "port": ami.port, "user": "agent", "secret": "secret"},
        "events": {"connection": "main", "topic": TOPIC, "key": "linkedid"},
    }
    connection = {"brokers": kafka.brokers.split(","), "reconnect_backoff_max_ms": 500}
    sections["kafka"] = {"connections": {"main": {**connection, **more.pop("connection", {})}}}
    for name, section in more.items():
        sections[name] = {**sections.get(name, {}), **section}
    return sections


Start = Callable[..., AgentProcess]


@pytest.fixture
def start(ami: FakeAmi, kafka: MockKafka, tmp_path: Path) -> Iterator[Start]:
    running: list[AgentProcess] = []

    def start(**more: Any) -> AgentProcess:
        agent = AgentProcess(tmp_path, settings(ami, kafka, **more))
        running.append(agent)
        agent.start()
        until(lambda: ami.sessions, 10, "a session")
        return agent

    yield start
    kafka.up()
    for agent in running:
        if agent.running:
            agent.kill()


def say(ami: FakeAmi, first: int, last: int) -> None:
    for n in range(first, last, 100):
        ami.say(b"".join(event(k) for k in range(n, min(n + 100, last))))


def waits_in(agent: AgentProcess, *wanted: int) -> None:
    """Returns once these events wait in the journal, and no other ones."""
    path = agent.state / "ami.db"
    until(lambda: journalled(path) == set(range(*wanted)), 20, f"events {wanted} in the journal, and no other")


def in_order(messages: list[Message]) -> bool:
    return all(order == sorted(order) for order in order_per_key(messages).values())


def test_27_killed_again_and_again_while_kafka_is_away_every_event_arrives_once_in_order(
    ami: FakeAmi, kafka: MockKafka, start: Start
) -> None:
    agent = start()
    say(ami, 0, 500)
    kafka.consume(TOPIC, 500)
    waits_in(agent, 0)
    kafka.down()
    for last in (1500, 2500, 3500):
        say(ami, last - 1000, last)
        waits_in(agent, 500, last)
        agent.kill()
        ami.drop()
        agent.start()
        until(lambda: ami.sessions, 10, "a session")
    kafka.up()
    messages = kafka.consume(TOPIC, 3503, 60)
    assert sorted(numbers(messages)) == list(range(3500))
    assert in_order(messages)
    gaps = [json.loads(m.value)["Reason"] for m in messages if b"ConnectorGap" in m.value]
    assert gaps == ["the agent was not running"] * 3


def test_27_killed_in_the_middle_of_a_burst_nothing_that_was_journalled_is_lost(
    ami: FakeAmi, kafka: MockKafka, start: Start
) -> None:
    agent = start()
    waiting: set[int] = set()
    for first in (0, 5000, 10_000):
        say(ami, first, first + 5000)
        agent.kill()
        ami.drop()
        waiting |= journalled(agent.state / "ami.db")
        agent.start()
        until(lambda: ami.sessions, 10, "a session")
    say(ami, 15_000, 15_001)
    until(lambda: 15_000 in numbers(kafka.consume(TOPIC, 1)), 30, "the last event in Kafka")
    messages = kafka.consume(TOPIC, 1)
    found = set(numbers(messages))
    assert waiting <= found
    assert in_order(messages)
    for first in (0, 5000, 10_000):
        part = sorted(n for n in found if first <= n < first + 5000)
        assert part == list(range(first, first + len(part))), "a hole in what was read"


def kafka_is_away(ami: FakeAmi, kafka: MockKafka) -> None:
    kafka.down()


def kafka_hangs(ami: FakeAmi, kafka: MockKafka) -> None:
    kafka.slow(60_000)


def asterisk_is_silent(ami: FakeAmi, kafka: MockKafka) -> None:
    ami.mute = True


@pytest.mark.parametrize("trouble", [kafka_is_away, kafka_hangs, asterisk_is_silent])
def test_24_a_stop_is_short_and_keeps_what_was_read(
    ami: FakeAmi, kafka: MockKafka, start: Start, trouble: Callable[[FakeAmi, MockKafka], None]
) -> None:
    agent = start()
    say(ami, 0, 100)
    kafka.consume(TOPIC, 100)
    waits_in(agent, 0)
    trouble(ami, kafka)
    say(ami, 100, 3000)
    if trouble is asterisk_is_silent:
        kafka.consume(TOPIC, 3000)
    else:
        waits_in(agent, 100, 3000)
    began = time.monotonic()
    assert agent.stop(STOPPED_WITHIN + 5) == 0
    assert time.monotonic() - began < STOPPED_WITHIN
    ami.mute = False
    kafka.up()
    kafka.slow(0)
    agent.start()
    assert set(numbers(kafka.consume(TOPIC, 3000, 60))) == set(range(3000))


def test_a_reload_changes_the_filters_and_what_was_read_before_is_kept(
    ami: FakeAmi, kafka: MockKafka, start: Start
) -> None:
    agent = start()
    kafka.down()
    say(ami, 0, 70)
    waits_in(agent, 70)
    agent.configure(settings(ami, kafka, events={"filters": [HANGUP]}))
    agent.signal(signal.SIGHUP)
    agent.wait_said("restarted: manager")
    until(lambda: len(ami.logins) == 2, 10, "a new session")
    say(ami, 70, 140)
    kafka.up()
    messages = kafka.consume(TOPIC, 130)
    assert sorted(numbers(messages)) == [n for n in range(140) if n < 70 or b"Event: Hangup" not in event(n)]


def test_a_reload_while_the_topic_is_still_asked_for_sends_nothing_twice(
    ami: FakeAmi, kafka: MockKafka, start: Start
) -> None:
    kafka.down()
    agent = start()
    say(ami, 0, 70)
    waits_in(agent, 70)
    agent.configure(settings(ami, kafka, events={"filters": [HANGUP]}))
    agent.signal(signal.SIGHUP)
    agent.wait_said("restarted: manager")
    kafka.up()
    kafka.consume(TOPIC, 70)
    until(lambda: not journalled(agent.state / "ami.db"), 20, "an empty journal")
    assert sorted(numbers(kafka.consume(TOPIC, 70))) == list(range(70))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"filters": [HANGUP, "eventfilter(nmae(Hangup)) ="]}, "nmae"),
        ({"filters": ["eventfilter = XX[X"]}, "XX[X"),
        ({"connection": "another"}, "another"),
        ({"format": "xml"}, "xml"),
    ],
    ids=["filter", "expression", "connection", "format"],
)
def test_33_a_wrong_setting_at_a_reload_is_told_with_its_line_and_the_old_ones_stay(
    ami: FakeAmi, kafka: MockKafka, start: Start, wrong: dict[str, Any], said: str
) -> None:
    agent = start(events={"filters": [HANGUP]})
    agent.configure(settings(ami, kafka, events=wrong))
    agent.signal(signal.SIGHUP)
    agent.wait_said("new configuration refused, the old one stays")
    refusal = next(line for line in agent.said.splitlines() if "refused, the old one stays" in line)
    assert f"{agent.config}:" in refusal
    assert said in refusal
    say(ami, 0, 70)
    messages = kafka.consume(TOPIC, 60)
    assert sorted(numbers(messages)) == [n for n in range(70) if b"Event: Hangup" not in event(n)]
    assert len(ami.logins) == 1


def test_06_a_wrong_secret_is_told_with_what_to_compare_and_tried_once_in_half_a_minute(
    ami: FakeAmi, kafka: MockKafka, tmp_path: Path
) -> None:
    ami.secret = "another"
    agent = AgentProcess(tmp_path, settings(ami, kafka))
    agent.start()
    agent.wait_said("Authentication failed")
    assert "compare user, secret, permit and deny with manager.conf" in agent.said
    assert ami.accepted == 1
    ami.secret = "secret"
    agent.configure(settings(ami, kafka, ami={"ping_interval": "20s"}))
    agent.signal(signal.SIGHUP)  # whoever mended the account need not wait for the next try
    until(lambda: ami.sessions, 10, "a session")
    assert agent.stop() == 0


def test_07_a_stream_in_reads_of_one_byte_is_published_whole(ami: FakeAmi, kafka: MockKafka, start: Start) -> None:
    start()
    for byte in event(0).replace(b"Fill: ", "Fill: é€😀".encode()) + event(1):
        ami.say(bytes([byte]))
    values = [json.loads(m.value) for m in kafka.consume(TOPIC, 2)]
    assert sorted((value["Number"], value["Fill"]) for value in values) == [("0", "é€😀"), ("1", "")]


def test_03_a_half_open_connection_is_left_and_its_time_published_as_a_gap(
    ami: FakeAmi, kafka: MockKafka, start: Start
) -> None:
    agent = start(ami={"ping_interval": "1s", "ping_timeout": "1s", "login_timeout": "1s"})
    say(ami, 0, 10)
    ami.mute = True
    agent.wait_said("did not answer a ping")
    ami.mute = False
    until(lambda: len(ami.logins) == 2, 10, "a new session")
    say(ami, 10, 20)
    messages = kafka.consume(TOPIC, 21)
    assert sorted(numbers(messages)) == list(range(20))
    (gap,) = [json.loads(m.value) for m in messages if b"ConnectorGap" in m.value]
    assert "ping" in gap["Reason"]
    assert gap["Restarted"] == "no"


def test_22_a_full_producer_queue_loses_nothing(ami: FakeAmi, kafka: MockKafka, start: Start) -> None:
    kafka.slow(50)
    start(connection={"queue_max_messages": 20})
    say(ami, 0, 1000)
    messages = kafka.consume(TOPIC, 1000, 60)
    assert sorted(numbers(messages)) == list(range(1000))
    assert in_order(messages)


def test_32_a_fatal_producer_error_is_told_and_survived(ami: FakeAmi, kafka: MockKafka, start: Start) -> None:
    agent = start()
    say(ami, 0, 500)
    kafka.consume(TOPIC, 500)
    kafka.fail(PRODUCE, 45)  # OUT_OF_ORDER_SEQUENCE_NUMBER: fatal for an idempotent producer
    say(ami, 500, 1500)
    messages = kafka.consume(TOPIC, 1500, 60)
    assert set(numbers(messages)) == set(range(1500))
    assert in_order(messages)
    agent.wait_said("takes events again")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """The state on a file system of three megabytes."""
    disk = tmp_path / "state"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.root
def test_28_on_a_full_disk_the_session_stays_and_everything_arrives_when_it_is_freed(
    disk: Path, ami: FakeAmi, kafka: MockKafka, start: Start
) -> None:
    agent = start()
    kafka.down()
    fill(disk / "somebody-elses-file")
    say(ami, 0, 5000)
    agent.wait_said("state cannot be written", 20)
    assert ami.sessions == len(ami.logins) == 1
    (disk / "somebody-elses-file").unlink()
    kafka.up()
    messages = kafka.consume(TOPIC, 5000, 60)
    assert sorted(numbers(messages)) == list(range(5000))
    assert in_order(messages)
    agent.wait_said("state can be written again")
    assert "were dropped" not in agent.said


def test_37_after_an_upgrade_of_asterisk_its_new_version_is_in_the_headers(
    ami: FakeAmi, kafka: MockKafka, start: Start
) -> None:
    start()
    say(ami, 0, 7)
    kafka.consume(TOPIC, 7)
    ami.version, ami.startup = "22.11.0", ("2026-11-22", "03:00:00")
    ami.drop()
    until(lambda: ami.sessions, 10, "a new session")
    say(ami, 7, 14)
    versions = {
        numbers([m])[0]: dict(m.headers)["asterisk_version"] for m in kafka.consume(TOPIC, 15) if b'"Number"' in m.value
    }
    assert [versions[n] for n in range(14)] == [b"22.10.1"] * 7 + [b"22.11.0"] * 7

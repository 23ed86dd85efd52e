"""What Kafka and this host do to the relay (failure modes by their numbers; Kafka is librdkafka's mock cluster)."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from asterisk_connector.notices import (
    AmiLost,
    EventRefused,
    EventsDropped,
    KafkaSaid,
    PublishingPaused,
    PublishingResumed,
    StoreBlocked,
    StoreUnblocked,
)
from asterisk_connector.relay.encode import Encoder
from tests.benchmarks.figure import Process
from tests.kit.fake_ami import FakeAmi
from tests.kit.mock_kafka import METADATA, PRODUCE, Message, MockKafka
from tests.kit.numbered_events import NAMES, TOPIC, event, journalled, numbers, order_per_key
from tests.kit.relay import Relay
from tests.kit.wait import until


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    kafka = MockKafka()
    yield kafka
    kafka.close()


Start = Callable[..., Relay]


@pytest.fixture
def start(ami: FakeAmi, kafka: MockKafka, tmp_path: Path) -> Iterator[Start]:
    running: list[Relay] = []

    def start(**options: Any) -> Relay:
        relay = Relay(ami.port, kafka.brokers, tmp_path / "ami.db", **options)
        running.append(relay)
        until(lambda: relay.session.connected, what="a session")
        return relay

    yield start
    kafka.up()
    for relay in running:
        relay.stop()


def test_21_and_26_records_arrive_once_in_order_per_key_with_the_modules_headers(
    ami: FakeAmi, kafka: MockKafka, start: Start
) -> None:
    relay = start()
    for n in range(0, 3000, 100):
        ami.say(b"".join(event(k) for k in range(n, n + 100)))
    messages = kafka.consume(TOPIC, 3000)
    assert sorted(numbers(messages)) == list(range(3000))
    for key, order in order_per_key(messages).items():
        assert order == sorted(order), key
    names = ["entity_id", "system_name", "asterisk_version", "event_type", "event_category", "format", "timestamp"]
    assert [name for name, _ in messages[0].headers] == [*names, "hostname"]
    until(lambda: relay.journal.owed == 0, what="an empty journal")


def test_19_20_25_29_and_43_an_outage_costs_disk_and_nothing_else(ami: FakeAmi, kafka: MockKafka, start: Start) -> None:
    relay = start(encoder=Encoder(key="linkedid"), window=500, properties={"message.timeout.ms": 1000})
    ami.say(event(0))
    until(lambda: relay.published == 1)
    kafka.down()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for n in range(1, 20_001, 500):
        ami.say(b"".join(event(k, 300) for k in range(n, n + 500)))
    until(lambda: relay.journal.owed >= 19_000, 30, "events in the journal")
    until(lambda: relay.told(PublishingPaused), 20, "the outage being told")
    assert relay.publisher.in_flight <= 600
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert not relay.told(AmiLost)
    kafka.up()
    messages = kafka.consume(TOPIC, 20_001, 60)
    assert sorted(numbers(messages)) == list(range(20_001))
    for key, order in order_per_key(messages).items():
        assert order == sorted(order), key
    until(lambda: relay.told(PublishingResumed))
    causes = [(notice.facility, notice.text[:20]) for notice in relay.told(KafkaSaid)]
    assert len(causes) <= 12
    assert len(relay.told(PublishingPaused)) <= 3


def test_22_a_full_producer_queue_loses_nothing(ami: FakeAmi, kafka: MockKafka, start: Start) -> None:
    kafka.slow(50)
    start(properties={"queue.buffering.max.messages": 20})
    ami.say(b"".join(event(n) for n in range(1000)))
    assert sorted(numbers(kafka.consume(TOPIC, 1000, 60))) == list(range(1000))


def test_23_delivery_reports_come_while_nothing_happens(ami: FakeAmi, kafka: MockKafka, start: Start) -> None:
    relay = start()
    ami.say(b"".join(event(n) for n in range(10)))
    until(lambda: relay.published == 10)
    until(lambda: relay.journal.owed == 0, what="an empty journal")


def test_24_a_stop_in_a_burst_leaves_every_event_in_kafka_or_in_the_journal(
    ami: FakeAmi, kafka: MockKafka, tmp_path: Path
) -> None:
    kafka.slow(300)
    relay = Relay(ami.port, kafka.brokers, tmp_path / "ami.db")
    until(lambda: relay.session.connected)
    ami.say(b"".join(event(n) for n in range(2000)))
    until(lambda: relay.journal.owed >= 2000, what="the burst in the journal")
    relay.stop()
    kafka.slow(0)
    again = Relay(ami.port, kafka.brokers, tmp_path / "ami.db")
    messages = kafka.consume(TOPIC, 2000, 60)
    assert set(numbers(messages)) == set(range(2000))
    again.stop()


def test_27_killed_with_a_backlog_nothing_that_was_journalled_is_lost(
    ami: FakeAmi, kafka: MockKafka, tmp_path: Path
) -> None:
    path = tmp_path / "ami.db"
    kafka.create(TOPIC, 4)
    command = [sys.executable, "-m", "tests.kit.relay", str(ami.port), kafka.brokers, TOPIC, str(path)]
    environment = {**os.environ, "PYTHONPATH": "agent:."}
    sent = 0
    for round_ in range(3):
        process = subprocess.Popen(command, env=environment)
        until(lambda logins=round_ + 1: ami.sessions and len(ami.logins) == logins, 20, "a session")
        if round_ == 1:
            kafka.down()
        for _ in range(20):
            ami.say(b"".join(event(n) for n in range(sent, sent + 100)))
            sent += 100
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        ami.drop()
    waiting = journalled(path)
    kafka.up()
    relay = Relay(ami.port, kafka.brokers, path)
    until(lambda: relay.session.connected)
    ami.say(event(sent))
    until(lambda: relay.journal.owed == 0 and relay.published > 0, 60, "an empty journal")
    messages = kafka.consume(TOPIC, 1)
    found = set(numbers(messages))
    assert waiting <= found
    assert sent in found
    gaps = [json.loads(m.value) for m in messages if m.key == b"ConnectorGap"]
    assert len(gaps) >= 3
    for key, order in order_per_key(messages).items():
        assert order == sorted(order), key
    for start in (0, 2000, 4000):
        part = sorted(n for n in found if start <= n < start + 2000)
        assert part == list(range(start, start + len(part))), "a hole in what was journalled"
    relay.stop()


class Outage(NamedTuple):
    """What an outage cost: events said, never read because nobody listened, kept when Kafka came back; then the
    journal's and the relay's size in MB, and the seconds until Kafka had everything."""

    said: int
    unread: int
    kept: int
    journal: float
    memory: float
    caught_up: float


def outage_with_a_kill(
    ami: FakeAmi, brokers: str, path: Path, seconds: int, up: Callable[[], None], read: Callable[[], list[Message]]
) -> Outage:
    """Kafka is down for `seconds` at 2,000 events/s, the relay is killed in the middle and started again at once."""
    rate = 2000
    command = [sys.executable, "-m", "tests.kit.relay", str(ami.port), brokers, TOPIC, str(path)]
    environment = {**os.environ, "PYTHONPATH": "agent:."}
    sent, began, killed = 0, time.monotonic(), False
    at_kill: set[int] = set()
    process = subprocess.Popen(command, env=environment)
    try:
        until(lambda: ami.sessions, 20, "a session")
        while sent < rate * seconds:
            due = min(int((time.monotonic() - began) * rate), rate * seconds) - sent
            if due and ami.sessions:
                ami.say(b"".join(event(n, 60) for n in range(sent, sent + due)))
            sent += due
            if not killed and sent > rate * seconds // 2:
                killed = True
                process.kill()
                process.wait()
                ami.drop()
                at_kill = journalled(path)
                process = subprocess.Popen(command, env=environment)
            time.sleep(0.005)
        assert at_kill
        kept, journal, memory = len(journalled(path)), path.stat().st_size / 1e6, Process(process.pid).memory()
        up()
        back = time.monotonic()
        until(lambda: _is_empty(path), 300, "an empty journal")
        caught_up = time.monotonic() - back
    finally:
        process.kill()
        process.wait()
    found = order_per_key(read())
    arrived = sorted(n for order in found.values() for n in order)
    assert at_kill <= set(arrived)
    holes = [(before, after) for before, after in itertools.pairwise(arrived) if after != before + 1]
    assert len(holes) <= 1, "only the time between kill and new session is missing"
    assert (arrived[0], arrived[-1]) == (0, sent - 1)
    for key, order in found.items():
        assert order == sorted(order), key
    return Outage(sent, sent - len(arrived), kept, journal, memory, caught_up)


def _is_empty(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute("SELECT 1 FROM pack LIMIT 1").fetchone() is None


@pytest.mark.slow
def test_25_27_and_f43_an_outage_at_2000_events_a_second_with_a_kill_in_the_middle_loses_nothing(
    ami: FakeAmi, kafka: MockKafka, tmp_path: Path
) -> None:
    kafka.create(TOPIC, 4)
    kafka.down()
    path = tmp_path / "ami.db"
    outage_with_a_kill(ami, kafka.brokers, path, 15, kafka.up, lambda: kafka.consume(TOPIC, 20_000))


def test_31_a_record_that_is_too_large_is_refused_and_its_neighbours_go_on(
    ami: FakeAmi, kafka: MockKafka, start: Start
) -> None:
    relay = start(properties={"message.max.bytes": 2000})
    ami.say(event(0) + event(1, size=5000) + event(2))
    assert sorted(numbers(kafka.consume(TOPIC, 2))) == [0, 2]
    refused = relay.told(EventRefused)
    assert [(notice.type, notice.topic) for notice in refused] == [(NAMES[1], TOPIC)]
    until(lambda: relay.journal.refused() and relay.journal.owed == 0)
    assert b'"Number":"1"' in relay.journal.refused()[0][3]


def test_31_a_record_the_broker_finds_too_large_is_refused_alone(ami: FakeAmi, kafka: MockKafka, start: Start) -> None:
    relay = start(properties={"batch.num.messages": 1, "max.in.flight": 1})
    kafka.fail(PRODUCE, 10)
    ami.say(event(0))
    until(lambda: relay.told(EventRefused))
    ami.say(event(1) + event(2))
    assert sorted(numbers(kafka.consume(TOPIC, 2))) == [1, 2]


@pytest.mark.parametrize(
    ("error", "advice"), [(29, "allow this user"), (3, "create the topic")], ids=["denied", "missing"]
)
def test_31_wrong_rights_or_topic_pause_everything_and_say_what_to_do(
    ami: FakeAmi, kafka: MockKafka, start: Start, error: int, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asterisk_connector.kafka import Trouble
    from asterisk_connector.relay import publisher

    monkeypatch.setitem(publisher._PAUSES, Trouble.OPERATOR, 0.5)
    kafka.create(TOPIC, 2)
    kafka.break_topic(TOPIC, error)
    relay = start(properties={"topic.metadata.propagation.max.ms": 500, "topic.metadata.refresh.interval.ms": 1000})
    ami.say(b"".join(event(n) for n in range(100)))
    until(lambda: relay.told(PublishingPaused), 20)
    assert advice in relay.told(PublishingPaused)[0].hint
    until(lambda: relay.journal.owed == 100, what="events in the journal")
    kafka.break_topic(TOPIC, 0)
    messages = kafka.consume(TOPIC, 100, 60)
    assert set(numbers(messages)) == set(range(100))
    assert not relay.told(EventRefused)


def test_32_a_fatal_error_gets_a_new_producer_and_everything_sent_again(
    ami: FakeAmi, kafka: MockKafka, start: Start
) -> None:
    relay = start(encoder=Encoder(key="linkedid"))
    ami.say(b"".join(event(n) for n in range(500)))
    until(lambda: relay.published == 500)
    kafka.fail(PRODUCE, 45)  # OUT_OF_ORDER_SEQUENCE_NUMBER: fatal for an idempotent producer
    ami.say(b"".join(event(n) for n in range(500, 1500)))
    messages = kafka.consume(TOPIC, 1500, 60)
    assert set(numbers(messages)) == set(range(1500))
    assert relay.told(PublishingPaused)
    for key, order in order_per_key(messages).items():
        assert order == sorted(order), key


def test_28_on_a_full_disk_reading_goes_on_and_everything_is_kept_when_it_is_freed(
    ami: FakeAmi, kafka: MockKafka, start: Start
) -> None:
    kafka.down()
    relay = start()
    database = relay.journal._writer
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    ceiling = database.execute(f"PRAGMA max_page_count = {pages + 20}").fetchone()[0]
    assert ceiling < 1000
    for n in range(0, 5000, 100):
        ami.say(b"".join(event(k, 200) for k in range(n, n + 100)))
    until(lambda: relay.told(StoreBlocked), what="the full disk being told")
    assert relay.session.connected
    database.execute("PRAGMA max_page_count = 4294967294")
    until(lambda: relay.told(StoreUnblocked), what="the freed disk being told")
    kafka.up()
    assert set(numbers(kafka.consume(TOPIC, 5000, 60))) == set(range(5000))
    assert not relay.told(EventsDropped)


def test_f44_a_kafka_that_hangs_discards_nothing(ami: FakeAmi, kafka: MockKafka, start: Start) -> None:
    relay = start(properties={"request.timeout.ms": 300, "socket.timeout.ms": 1000})
    ami.say(event(0))
    until(lambda: relay.published == 1)
    kafka.slow(5000)
    ami.say(b"".join(event(n) for n in range(1, 200)))
    until(lambda: relay.journal.owed >= 199)
    kafka.slow(0)
    messages = kafka.consume(TOPIC, 200, 60)
    assert set(numbers(messages)) == set(range(200))


def test_a_broken_metadata_answer_is_an_outage_not_an_end(ami: FakeAmi, kafka: MockKafka, start: Start) -> None:
    kafka.fail(METADATA, 5, 5, 5)
    start()
    ami.say(b"".join(event(n) for n in range(50)))
    assert sorted(numbers(kafka.consume(TOPIC, 50))) == list(range(50))

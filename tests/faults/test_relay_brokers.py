"""What brokers of a real Apache Kafka do to events: one of three dies, one hangs while it is sent to."""

from __future__ import annotations

import contextlib
import itertools
import threading
from pathlib import Path
from typing import Any

import pytest

from asterisk_connector.notices import KafkaSaid
from asterisk_connector.relay.encode import Encoder
from tests.kit.agent_process import AgentProcess
from tests.kit.fake_ami import FakeAmi
from tests.kit.kafka import Kafka
from tests.kit.mock_kafka import Message
from tests.kit.numbered_events import TOPIC, event, journalled, numbers, order_per_key
from tests.kit.relay import Relay
from tests.kit.wait import until


def consumed(kafka: Kafka, topic: str, at_least: int) -> list[Message]:
    return [
        Message(record.partition(), record.offset(), record.key(), record.value(), record.headers())
        for record in kafka.consume(topic, at_least, 60)
    ]


class Flow:
    """Numbered events, 2,000 a second while there is a session, from construction to `finish`."""

    def __init__(self, ami: FakeAmi) -> None:
        self._ami = ami
        self._ended = threading.Event()
        self.said = 0
        self._thread = threading.Thread(target=self._say, daemon=True)
        self._thread.start()

    def _say(self) -> None:
        while not self._ended.wait(0.01):
            if self._ami.sessions:
                first, self.said = self.said, self.said + 20
                with contextlib.suppress(OSError):  # whoever listened was killed just now
                    self._ami.say(b"".join(event(n) for n in range(first, first + 20)))

    def go_on(self, events: int) -> None:
        """Returns when so many more have been said."""
        wanted = self.said + events
        until(lambda: self.said >= wanted, 30, f"{events} more events")

    def finish(self) -> int:
        self._ended.set()
        self._thread.join()
        return self.said


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_20_27_and_29_a_broker_of_three_dies_and_then_the_agent_and_nothing_read_is_lost(
    kafka3: Kafka, ami: FakeAmi, tmp_path: Path
) -> None:
    kafka3.create_topic(TOPIC, 6)
    settings: dict[str, Any] = {
        "ami": {"port": ami.port, "user": "agent", "secret": "secret"},
        "kafka": {"connections": {"main": {"brokers": kafka3.client()["bootstrap.servers"].split(",")}}},
        "events": {"connection": "main", "topic": TOPIC, "key": "linkedid"},
    }
    path = tmp_path / "state" / "ami.db"
    with AgentProcess(tmp_path, settings) as agent:
        flow = Flow(ami)
        flow.go_on(2000)
        kafka3.brokers[0].kill()
        flow.go_on(1000)
        agent.kill()
        waiting = journalled(path)
        agent.start()
        flow.go_on(4000)
        kafka3.brokers[0].start()
        flow.go_on(2000)
        said = flow.finish()
        until(lambda: not journalled(path), 90, f"an empty journal\n{agent.said}")
    found = order_per_key(consumed(kafka3, TOPIC, 1))
    arrived = sorted(n for order in found.values() for n in order)
    assert waiting <= set(arrived)
    assert (arrived[0], arrived[-1]) == (0, said - 1)
    holes = [(before, after) for before, after in itertools.pairwise(arrived) if after != before + 1]
    assert len(holes) <= 1, "only what nobody had read when the agent was killed is missing"
    assert all(order == sorted(order) for order in found.values())


def test_26_what_is_sent_again_because_a_broker_hangs_is_there_once_and_in_order(
    kafka: Kafka, ami: FakeAmi, tmp_path: Path
) -> None:
    topic = "a-broker-hangs"
    kafka.create_topic(topic, 4)
    impatient = {"request.timeout.ms": 500, "socket.timeout.ms": 1000}
    relay = Relay(
        ami.port,
        "",
        tmp_path / "ami.db",
        topic=topic,
        properties=kafka.client() | impatient,
        encoder=Encoder(key="linkedid"),
    )
    until(lambda: relay.session.connected)
    flow = Flow(ami)
    try:
        for _ in range(3):
            flow.go_on(1000)
            kafka.brokers[0].freeze()
            flow.go_on(4000)  # two seconds: what is under way is given up and sent again
            kafka.brokers[0].thaw()
        said = flow.finish()
        until(lambda: relay.journal.owed == 0, 60, "an empty journal")
    finally:
        kafka.brokers[0].thaw()
        relay.stop()
    assert "REQTMOUT" in {notice.facility for notice in relay.told(KafkaSaid)}
    messages = consumed(kafka, topic, said)
    assert sorted(numbers(messages)) == list(range(said))
    assert all(order == sorted(order) for order in order_per_key(messages).values())

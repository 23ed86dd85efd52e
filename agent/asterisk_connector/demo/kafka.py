"""A Kafka broker inside this process, librdkafka's mock cluster on loopback, and a consumer that keeps what arrives.

The cluster speaks Kafka's protocol to any client; it lives as long as the client that was made with
`test.mock.num.brokers`. Topics come into being when somebody asks for them, with four partitions.
"""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

_ASKING = 10.0
_QUIET = {"log_level": 0}


class Arrived(NamedTuple):
    """A record as a consumer sees it."""

    key: bytes
    value: bytes


class Kafka:
    """The cluster with one topic, from construction to `finish`; `records` grows from `start` on."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.records: list[Arrived] = []
        """What arrived, each partition in its order."""
        self._cluster = Producer({"test.mock.num.brokers": 1, **_QUIET})
        found = self._cluster.list_topics(topic, timeout=_ASKING)
        self.brokers = [f"{broker.host}:{broker.port}" for broker in found.brokers.values()]
        self._partitions = [TopicPartition(topic, number, 0) for number in found.topics[topic].partitions]
        settings = {"bootstrap.servers": ",".join(self.brokers), "group.id": "demo", "enable.auto.commit": False}
        self._consumer: Any = Consumer({**settings, "fetch.wait.max.ms": 100, **_QUIET})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._consume, name="demo-kafka", daemon=True)

    def start(self) -> None:
        self._consumer.assign(self._partitions)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Reads what the cluster still holds, until nothing came for `seconds`; and closes."""
        # First the thread ends: another call waits, without end, for a consumer that is in `consume` (measured, 2.16).
        self._stop.set()
        self._thread.join()
        held = self._held()
        deadline = time.monotonic() + seconds
        while (held is None or len(self.records) < held) and time.monotonic() < deadline:
            if self._take():
                deadline = time.monotonic() + seconds
        self._consumer.close()

    def _held(self) -> int | None:
        """How many records the cluster has taken; None where it does not answer."""
        try:
            return sum(int(self._consumer.get_watermark_offsets(p, timeout=_ASKING)[1]) for p in self._partitions)
        except KafkaException:
            return None

    def _consume(self) -> None:
        while not self._stop.is_set():
            self._take()

    def _take(self) -> int:
        came = [m for m in self._consumer.consume(1000, timeout=0.2) if m.error() is None]
        self.records += [Arrived(message.key(), message.value()) for message in came]
        return len(came)

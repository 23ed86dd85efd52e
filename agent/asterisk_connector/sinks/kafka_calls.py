"""Call documents to a Kafka topic: one record per revision, key = call id, so that a call's revisions stay in order.

- Delivered means acknowledged by all in-sync replicas (`acks=all`, idempotent); `deliver` waits for exactly that.
- librdkafka gives a record up after `timeout`; delivery offers it again. A record that was taken all the same is there
  twice, equal in key and `idempotency_key`.
- Headers: `idempotency_key`, `revision`, `phase`, `host`, `schema`. Value: the call document as JSON.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from asterisk_connector.call import SCHEMA_VERSION, decode, document
from asterisk_connector.clock import Clock
from asterisk_connector.errors import Misconfigured
from asterisk_connector.kafka import Trouble, hint, open_producer, trouble
from asterisk_connector.notices import Notify
from asterisk_connector.sinks.base import Deferred, Delivered, Item, Outcome, Paused, Refused

_POLL = 0.05
_GRACE = 5.0


class KafkaCalls:
    """The sink. `properties` are librdkafka's; `timeout` is in seconds."""

    def __init__(
        self,
        topic: str,
        properties: Mapping[str, Any],
        connection: str,
        *,
        clock: Clock,
        notify: Notify,
        timeout: float = 20.0,
        name: str = "kafka_calls",
        make_producer: Callable[..., Any] = open_producer,
    ) -> None:
        self.name = name
        self._topic = topic
        self._timeout = timeout
        linger = float(properties.get("linger.ms", properties.get("queue.buffering.max.ms", 5)))
        self._properties = {**properties, "message.timeout.ms": int(max(timeout * 1000, linger + 1))}
        self._connection = connection
        self._clock = clock
        self._notify = notify
        self._make_producer = make_producer
        self._producer: Any = None
        self._lock = threading.Lock()
        self._wrong: Any = None

    def deliver(self, item: Item) -> Outcome:
        try:
            value = msgspec.json.encode(document(decode(item.body)))
        except (msgspec.DecodeError, ValueError, OverflowError, OSError) as error:
            return Refused(f"the stored call cannot be put into words: {error}")
        try:
            producer = self._open()
        except Misconfigured as error:
            return Paused(str(error), error.hint)
        from confluent_kafka import KafkaException

        waiting = _Waiting()
        try:
            producer.produce(
                self._topic, value, item.call_id.encode(), headers=_headers(item), on_delivery=waiting.reported
            )
            deadline = self._clock.monotonic() + self._timeout + _GRACE
            while not waiting.done.is_set() and self._clock.monotonic() < deadline:
                producer.poll(_POLL)
        except BufferError:
            return Deferred("librdkafka's queue is full", after=1.0, outage=True)
        except KafkaException as error:
            return self._judge(error.args[0], value)
        if not waiting.done.is_set():
            return Deferred(f"no acknowledgement within {self._timeout:g} s", outage=True)
        return Delivered() if waiting.error is None else self._judge(waiting.error, value)

    def close(self) -> None:
        with self._lock:
            self._producer = None

    def _open(self) -> Any:
        with self._lock:
            if self._producer is None:
                self._wrong = None
                self._producer = self._make_producer(
                    self._properties, self._connection, clock=self._clock, notify=self._notify, on_error=self._on_error
                )
            return self._producer

    def _on_error(self, error: Any) -> None:
        if trouble(error) is Trouble.OPERATOR:
            self._wrong = error

    def _judge(self, error: Any, value: bytes) -> Outcome:
        kind = trouble(error)
        if kind is Trouble.RECORD:
            return Refused(error.str(), request=value.decode(), answer=error.name())
        if kind is Trouble.OUTAGE and self._wrong is not None:
            # Wrong credentials and certificates show as a record that times out; librdkafka told the cause apart.
            error, kind = self._wrong, Trouble.OPERATOR
        if kind in (Trouble.PRODUCER, Trouble.OPERATOR):
            self.close()  # librdkafka remembers what it was refused for minutes; a new producer asks again
        if kind is Trouble.OPERATOR:
            return Paused(f"{self._topic}: {error.str()}", hint(error, self._topic))
        return Deferred(error.str(), outage=True)


class _Waiting:
    """One delivery report to come."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.error: Any = None

    def reported(self, error: Any, _message: Any) -> None:
        self.error = error
        self.done.set()


def _headers(item: Item) -> list[tuple[str, bytes]]:
    return [
        ("idempotency_key", item.idempotency_key.encode()),
        ("revision", b"%d" % item.revision),
        ("phase", item.phase.encode()),
        ("host", item.host.encode()),
        ("schema", b"%d" % SCHEMA_VERSION),
    ]

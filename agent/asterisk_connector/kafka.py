"""Kafka as the rooms see it: a producer that stays quiet, and whose trouble an error is.

- librdkafka's own log goes to `Notify` instead of stderr, one notice per cause and half minute: while a broker is away
  it writes a line every 50 ms (measured).
- confluent-kafka is imported only when a producer is made; a host without Kafka does not pay for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from asterisk_connector.clock import Clock
from asterisk_connector.errors import Misconfigured
from asterisk_connector.notices import KafkaSaid, Notify

_TELL_AGAIN = 30.0
_VARYING = re.compile(r"\d+")

_POISON = frozenset({"MSG_SIZE_TOO_LARGE", "INVALID_MSG", "INVALID_MSG_SIZE", "INVALID_RECORD", "_BAD_MSG"})
_OPERATOR = frozenset(
    {
        *(
            "TOPIC_AUTHORIZATION_FAILED",
            "CLUSTER_AUTHORIZATION_FAILED",
            "SASL_AUTHENTICATION_FAILED",
            "_AUTHENTICATION",
        ),
        *("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "TOPIC_EXCEPTION", "INVALID_REQUIRED_ACKS"),
        *("POLICY_VIOLATION", "UNSUPPORTED_SASL_MECHANISM", "ILLEGAL_SASL_STATE", "SECURITY_DISABLED", "_SSL"),
    }
)


class Trouble(Enum):
    """Whose trouble a Kafka error is (law 6)."""

    RECORD = "this record will never be taken"
    OPERATOR = "topic, rights or certificates are wrong"
    OUTAGE = "it may work later"
    PRODUCER = "this producer is finished; a new one may work"


def trouble(error: Any) -> Trouble:
    """Sorts a `confluent_kafka.KafkaError`."""
    name = error.name()
    if error.fatal() or name == "_FATAL":
        return Trouble.PRODUCER
    if name in _POISON:
        return Trouble.RECORD
    return Trouble.OPERATOR if name in _OPERATOR else Trouble.OUTAGE


def hint(error: Any, topic: str) -> str:
    """What the operator can do about an OPERATOR error."""
    name = error.name()
    if "TOPIC" in name and "AUTHORIZATION" not in name:
        return f"create the topic: kafka-topics.sh --create --topic {topic} --partitions 4"
    if "AUTHORIZATION" in name:
        return f"allow this user WRITE and DESCRIBE on the topic {topic}, and IDEMPOTENT_WRITE on the cluster"
    return "compare sasl, ssl and security_protocol of this connection with the broker's"


def open_producer(
    properties: Mapping[str, Any],
    connection: str,
    *,
    clock: Clock,
    notify: Notify,
    on_error: Callable[[Any], None] = lambda _: None,
) -> Any:
    """A `confluent_kafka.Producer`; it does not connect yet. Raises Misconfigured for properties librdkafka refuses."""
    from confluent_kafka import KafkaException, Producer

    try:
        return Producer({**properties, "error_cb": on_error}, logger=_Log(connection, clock=clock, notify=notify))
    except (KafkaException, TypeError, ValueError) as error:
        said = error.args[0].str() if error.args and hasattr(error.args[0], "str") else str(error)
        raise Misconfigured(
            f"kafka.connections.{connection}: {said}", "see docs/configuration.md, section kafka"
        ) from None


def check_topic(producer: Any, topic: str, timeout: float = 5.0) -> str | None:
    """None when the topic can be seen, else what is wrong, in one sentence. A cluster that is away is not wrong."""
    from confluent_kafka import KafkaException

    try:
        found = producer.list_topics(topic, timeout=timeout).topics.get(topic)
    except KafkaException as error:
        return str(error.args[0].str()) if trouble(error.args[0]) is Trouble.OPERATOR else None
    if found is None or found.error is None:
        return None
    return f"topic {topic}: {found.error.str()}; {hint(found.error, topic)}"


class _Log:
    """Stands where librdkafka wants a `logging.Logger`."""

    def __init__(self, connection: str, *, clock: Clock, notify: Notify) -> None:
        self._connection = connection
        self._clock = clock
        self._notify = notify
        self._told: dict[str, float] = {}

    def log(self, level: int, _form: str, facility: str, _client: str, text: str) -> None:
        now = self._clock.monotonic()
        cause = facility + _VARYING.sub("", text)
        if now - self._told.get(cause, -_TELL_AGAIN) < _TELL_AGAIN:
            return
        if len(self._told) > 64:
            self._told.clear()
        self._told[cause] = now
        self._notify(KafkaSaid(self._connection, level, facility, text))

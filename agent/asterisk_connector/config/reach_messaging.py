"""Whether the manager lets us in and Kafka knows our topics. Nothing is published; the login is one Asterisk logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from asterisk_connector.config.finding import Finding
from asterisk_connector.config.model import Settings

_WITHIN = 10.0


def ami(settings: Settings) -> Iterator[Finding]:
    """Logs in once, asks who is there, logs off."""
    if settings.ami is None:
        return
    from asterisk_connector.ami.session import Item, Opened, Session
    from asterisk_connector.clock import SystemClock
    from asterisk_connector.config import publishing
    from asterisk_connector.notices import AmiUnavailable, Notice

    items: list[Item] = []
    notices: list[Notice] = []
    clock = SystemClock()
    session = Session(publishing.ami_session(settings.ami), items.extend, clock=clock, notify=notices.append)
    deadline = clock.monotonic() + _WITHIN
    while not items and not notices and clock.monotonic() < deadline:
        session.round()
    session.close()
    opened = next((item for item in items if isinstance(item, Opened)), None)
    failed = next((notice for notice in notices if isinstance(notice, AmiUnavailable)), None)
    if opened is not None:
        known = opened.answers
        if known.entity_id is None or known.version is None:
            said = f"{opened.peer} lets us in but does not say who it is"
            yield Finding("warning", "ami", said, "give the account `write = reporting` in manager.conf")
        else:
            yield Finding("ok", "ami", f"{opened.peer} is Asterisk {known.version}, entity {known.entity_id}")
    elif failed is not None:
        yield Finding(
            "error", "ami", f"{failed.peer}: {failed.reason}", failed.hint or "is Asterisk running, is the port right?"
        )
    else:
        address = f"{settings.ami.host}:{settings.ami.port or 5038}"
        yield Finding("error", "ami", f"{address} took the connection but did not answer within {_WITHIN:g} s")


def kafka(settings: Settings) -> Iterator[Finding]:
    """Asks each used connection for its topic."""
    used = []
    if settings.events is not None and settings.events.enabled:
        used.append(("events", settings.events.connection, settings.events.topic))
    if settings.calls.kafka is not None:
        used.append(("calls.kafka", settings.calls.kafka.connection, settings.calls.kafka.topic))
    for path, name, topic in used:
        if name in settings.kafka.connections:
            yield _topic(settings, path, name, topic)


def _topic(settings: Settings, path: str, name: str, topic: str) -> Finding:
    from confluent_kafka import KafkaError, KafkaException

    from asterisk_connector.clock import SystemClock
    from asterisk_connector.config import publishing
    from asterisk_connector.errors import Misconfigured
    from asterisk_connector.kafka import Trouble, hint, open_producer, trouble
    from asterisk_connector.notices import ignore

    connection = settings.kafka.connections[name]
    where = f"kafka.connections.{name}"
    told: list[Any] = []
    try:
        producer = open_producer(
            publishing.kafka_properties(connection), name, clock=SystemClock(), notify=ignore, on_error=told.append
        )
    except Misconfigured as error:
        return Finding("error", where, str(error).removeprefix(f"{where}: "), error.hint)
    try:
        # Of all topics: asking for one by name would make it, where brokers create topics by themselves.
        found = producer.list_topics(timeout=_WITHIN).topics.get(topic)
    except KafkaException as error:
        producer.poll(0)
        cause = next((one for one in told if trouble(one) is Trouble.OPERATOR), error.args[0])
        advice = hint(cause, topic) if trouble(cause) is Trouble.OPERATOR else "check brokers, port and firewall"
        return Finding("error", where, f"{', '.join(connection.brokers)}: {cause.str()}", advice)
    wrong = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART) if found is None else found.error
    if wrong is not None:
        return Finding("error", f"{path}.topic", f"`{topic}`: {wrong.str()}", hint(wrong, topic))
    return Finding("ok", f"{path}.topic", f"`{topic}` on {name} has {len(found.partitions)} partitions")

"""Settings of AMI and Kafka as their rooms want them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from asterisk_connector.ami.connection import Tls
from asterisk_connector.ami.handshake import Account
from asterisk_connector.ami.session import Settings as SessionSettings
from asterisk_connector.config.messaging import Ami, Events, KafkaConnection
from asterisk_connector.config.model import Settings
from asterisk_connector.errors import Misconfigured
from asterisk_connector.relay.encode import Encoder, Format
from asterisk_connector.relay.filters import Filter, parse_line, structured
from asterisk_connector.relay.identity import Facts
from asterisk_connector.relay.journal import Limits
from asterisk_connector.relay.relay import Settings as RelaySettings


def ami_session(ami: Ami, *, hide_own_login: bool = False) -> SessionSettings:
    """`ami`."""
    tls = ami.tls
    return SessionSettings(
        host=ami.host,
        port=ami.port or (5038 if tls is None else 5039),
        account=Account(user=ami.user, secret=ami.secret.reveal(), md5=ami.login == "md5", events=ami.events),
        tls=None if tls is None else Tls(ca_file=tls.ca_file, server_name=tls.server_name, fingerprint=tls.fingerprint),
        connect_timeout=ami.connect_timeout,
        login_timeout=ami.login_timeout,
        ping_interval=ami.ping_interval,
        ping_timeout=ami.ping_timeout,
        hide_own_login=hide_own_login,
    )


def event_filters(events: Events) -> list[Filter]:
    """`events.filters`. Raises BadFilter."""
    return [parse_line(one) if isinstance(one, str) else structured(**asdict(one)) for one in events.filters]


def event_encoder(events: Events, form: Format | None = None) -> Encoder:
    """The form of records; `form` instead of the configured one."""
    return Encoder(form or events.format, events.key, events.duplicate_keys, events.invalid_utf8)


def relay(settings: Settings) -> RelaySettings:
    """`events`, with its connection and its identity. Raises Misconfigured where one of both is missing."""
    events, connections = settings.events, settings.kafka.connections
    if events is None or events.connection not in connections:
        raise Misconfigured("events: there is nothing to publish to", "write `events` and its kafka connection")
    journal = events.journal
    return RelaySettings(
        topic=events.topic,
        connection=events.connection,
        properties=kafka_properties(connections[events.connection]),
        encoder=event_encoder(events),
        filters=event_filters(events),
        gaps=events.gaps,
        limits=Limits(max_size=journal.max_size, max_age=journal.max_age),
        configured=Facts(events.entity_id, events.system_name or None),
        ami_host=settings.ami.host if settings.ami is not None else "",
    )


def kafka_properties(connection: KafkaConnection) -> dict[str, Any]:
    """One of `kafka.connections` in librdkafka's names; what `librdkafka` says goes last and wins."""
    properties: dict[str, Any] = {
        "bootstrap.servers": ",".join(connection.brokers),
        "client.id": connection.client_id,
        "security.protocol": connection.security_protocol,
        "acks": connection.acks,
        "enable.idempotence": connection.idempotence,
        "compression.codec": connection.compression,
        "linger.ms": connection.linger_ms,
        "batch.num.messages": connection.batch_num_messages,
        "batch.size": connection.batch_size,
        "message.max.bytes": connection.message_max_bytes,
        "request.timeout.ms": connection.request_timeout_ms,
        "message.timeout.ms": connection.message_timeout_ms,
        "retries": connection.retries,
        "queue.buffering.max.messages": connection.queue_max_messages,
        "queue.buffering.max.kbytes": connection.queue_max_kbytes,
        "reconnect.backoff.ms": connection.reconnect_backoff_ms,
        "reconnect.backoff.max.ms": max(connection.reconnect_backoff_ms, connection.reconnect_backoff_max_ms),
        "socket.timeout.ms": connection.socket_timeout_ms,
        "compression.level": connection.compression_level,
    }
    if connection.debug:
        properties["debug"] = connection.debug
    if connection.sasl is not None:
        properties |= {
            "sasl.mechanisms": connection.sasl.mechanism,
            "sasl.username": connection.sasl.username,
            "sasl.password": connection.sasl.password.reveal(),
        }
    ssl = connection.ssl
    files = {"ssl.ca.location": ssl.ca, "ssl.certificate.location": ssl.cert, "ssl.key.location": ssl.key}
    properties |= {name: str(path) for name, path in files.items() if path is not None}
    if ssl.key_password is not None:
        properties["ssl.key.password"] = ssl.key_password.reveal()
    return properties | dict(connection.librdkafka)

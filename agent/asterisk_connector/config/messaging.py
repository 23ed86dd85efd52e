"""Settings of AMI and Kafka: the session, the connections, and what is published.

- Properties of a connection carry the names of Asterisk's kafka.conf where they mean the same (res_kafka), so that a
  known file can be read beside ours; our defaults differ where safety asks for it (`acks`, `idempotence`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from asterisk_connector.config.kinds import Duration, Port, Positive, Signed, Size
from asterisk_connector.config.secret import Secret
from asterisk_connector.config.shape import Doc


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiTls:
    """TLS to Asterisk; the certificate is always verified, by a chain and its name or by its fingerprint."""

    ca_file: Annotated[
        Path | None, Doc("Certificates to trust.", default="the system's", example="/etc/ssl/certs/pbx-ca.pem")
    ] = None
    server_name: Annotated[str, Doc("Name the certificate must carry.", default="the host", example="pbx.example")] = ""
    fingerprint: Annotated[
        str, Doc("SHA-256 of the certificate, instead of a chain and a name.", example='"9f:86:d0:…"')
    ] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ami:
    """The manager session (manager.conf), shared by `events` and `sources.cel_ami`."""

    host: Annotated[str, Doc("Asterisk's address.", example="127.0.0.1")] = "127.0.0.1"
    port: Annotated[Port | None, Doc("Manager port.", default="5038, with TLS 5039", example="5038")] = None
    user: Annotated[str, Doc("Account of manager.conf.", example="asterisk-connector")]
    secret: Annotated[Secret, Doc("Its secret.", example="/etc/asterisk-connector/ami.secret")]
    login: Annotated[Literal["md5", "plain"], Doc("How the secret is proven.", example="plain")] = "md5"
    events: Annotated[str, Doc("Event mask asked for: `on`, or classes.", example='"call,cel,user"')] = "on"
    tls: Annotated[AmiTls | None, Doc("TLS to Asterisk; absent: none.")] = None
    connect_timeout: Annotated[Duration, Doc("Until a connection must stand.")] = 10.0
    login_timeout: Annotated[Duration, Doc("Until greeting and login must be done; a booting Asterisk is slow.")] = 60.0
    ping_interval: Annotated[Duration, Doc("Silence after which Asterisk is asked whether it is there.")] = 15.0
    ping_timeout: Annotated[Duration, Doc("Silence after a ping that counts as a lost session.")] = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sasl:
    """How we prove ourselves to Kafka."""

    mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], Doc("sasl.mechanisms.", example="SCRAM-SHA-512")
    ]
    username: Annotated[str, Doc("sasl.username.", example="asterisk")]
    password: Annotated[Secret, Doc("sasl.password.", example="/etc/asterisk-connector/kafka.password")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssl:
    """Certificates of a connection with `ssl` or `sasl_ssl`."""

    ca: Annotated[
        Path | None, Doc("ssl.ca.location.", default="the system's", example="/etc/ssl/certs/kafka-ca.pem")
    ] = None
    cert: Annotated[Path | None, Doc("ssl.certificate.location.", example="/etc/ssl/certs/agent.pem")] = None
    key: Annotated[Path | None, Doc("ssl.key.location.", example="/etc/ssl/private/agent.key")] = None
    key_password: Annotated[Secret | None, Doc("ssl.key.password.", example="/etc/asterisk-connector/key.pass")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConnection:
    """One Kafka cluster, by a name of your choice."""

    brokers: Annotated[
        tuple[str, ...], Doc("host:port of some brokers (bootstrap.servers).", example="[kafka1:9092, kafka2:9092]")
    ]
    client_id: Annotated[str, Doc("client.id.")] = "asterisk"
    security_protocol: Annotated[
        Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"], Doc("security.protocol.", example="sasl_ssl")
    ] = "plaintext"
    sasl: Annotated[Sasl | None, Doc("SASL, with `sasl_plaintext` and `sasl_ssl`.")] = None
    ssl: Annotated[Ssl, Doc("Certificates, with `ssl` and `sasl_ssl`.")] = Ssl()
    acks: Annotated[Literal["all", "-1", "1", "0"], Doc("acks; less than all may lose what was sent.")] = "all"
    idempotence: Annotated[bool, Doc("enable.idempotence; needs `acks: all`.")] = True
    compression: Annotated[
        Literal["none", "gzip", "snappy", "lz4", "zstd"], Doc("compression.codec.", example="zstd")
    ] = "none"
    compression_level: Annotated[Signed, Doc("compression.level; -1: the codec's own.", example="-1")] = -1
    linger_ms: Annotated[int, Doc("linger.ms, milliseconds.")] = 5
    batch_num_messages: Annotated[Positive, Doc("batch.num.messages.")] = 10_000
    batch_size: Annotated[Positive, Doc("batch.size, bytes.")] = 1_000_000
    message_max_bytes: Annotated[Positive, Doc("message.max.bytes, bytes, at least 1000.")] = 1_000_000
    request_timeout_ms: Annotated[Positive, Doc("request.timeout.ms, milliseconds.")] = 5_000
    message_timeout_ms: Annotated[int, Doc("message.timeout.ms, milliseconds; 0: no end.")] = 300_000
    retries: Annotated[int, Doc("retries.")] = 2_147_483_647
    queue_max_messages: Annotated[Positive, Doc("queue.buffering.max.messages.")] = 100_000
    queue_max_kbytes: Annotated[Positive, Doc("queue.buffering.max.kbytes, KiB of memory.")] = 65_536
    reconnect_backoff_ms: Annotated[int, Doc("reconnect.backoff.ms, milliseconds.")] = 100
    reconnect_backoff_max_ms: Annotated[int, Doc("reconnect.backoff.max.ms, milliseconds.")] = 10_000
    socket_timeout_ms: Annotated[Positive, Doc("socket.timeout.ms, milliseconds.")] = 10_000
    debug: Annotated[str, Doc("librdkafka debug contexts.", example='"broker,topic"')] = ""
    librdkafka: Annotated[
        Mapping[str, str],
        Doc("Any other librdkafka property, handed through.", example="{socket.keepalive.enable: true}"),
    ] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kafka:
    """Kafka clusters."""

    connections: Annotated[Mapping[str, KafkaConnection], Doc("Connections by name.")] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """One filter in structured form; the same as an advanced `eventfilter(…)` line."""

    action: Annotated[Literal["include", "exclude"], Doc("What becomes of an event that fits.")] = "include"
    name: Annotated[str, Doc("Exact event name.", example="Newchannel")] = ""
    header: Annotated[str, Doc("Exact header name; absent: the whole event.", example="Channel")] = ""
    method: Annotated[
        Literal["none", "regex", "exact", "starts_with", "ends_with", "contains"],
        Doc("How `match` is compared.", example="starts_with"),
    ] = "none"
    match: Annotated[str, Doc("The text or POSIX regular expression compared.", example="Local/")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """Events wait here on disk until Kafka has acknowledged them."""

    max_size: Annotated[Size, Doc("The oldest events are dropped, counted and told beyond this.")] = 1 << 30
    max_age: Annotated[Duration, Doc("Events older than this are dropped, counted and told.")] = 172800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """AMI events to Kafka, byte for byte what the module app_ami_kafka sends."""

    enabled: Annotated[bool, Doc("Whether events are published.")] = True
    connection: Annotated[str, Doc("Name under `kafka.connections`.", example="main")]
    topic: Annotated[str, Doc("Topic; it must exist.", example="asterisk_ami")]
    format: Annotated[Literal["json", "ami"], Doc("Form of the record's value.", example="ami")] = "json"
    filters: Annotated[
        tuple[str | EventFilter, ...],
        Doc(
            "Which events: `eventfilter` lines as in ami_kafka.conf, or the structured form.",
            example='["eventfilter = !Channel: Local/", "eventfilter(name(VarSet),action(exclude)) ="]',
        ),
    ] = ()
    key: Annotated[
        Literal["event", "linkedid", "uniqueid", "channel", "none"],
        Doc("What is a record's key; `event` is the module's.", example="linkedid"),
    ] = "event"
    duplicate_keys: Annotated[
        Literal["last", "list"], Doc("JSON: repeated headers keep the last (the module's) or all.", example="list")
    ] = "last"
    invalid_utf8: Annotated[
        Literal["drop", "replace", "latin1"],
        Doc("JSON: lines that are not UTF-8 are left out (the module's way), shown with �, or read as Latin-1."),
    ] = "drop"
    gaps: Annotated[bool, Doc("Publish a ConnectorGap record for each time without a session.")] = True
    hide_own_login: Annotated[bool, Doc("Leave out events about our own manager session.")] = False
    entity_id: Annotated[str, Doc("Entity id sent.", default="asked from Asterisk", example='"52:54:00:ab:cd:ef"')] = ""
    system_name: Annotated[str, Doc("System name sent.", default="asked from Asterisk", example="pbx-01")] = ""
    journal: Annotated[Journal, Doc("Where events wait.")] = Journal()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsTopic:
    """Call documents to a Kafka topic; key is the call id."""

    connection: Annotated[str, Doc("Name under `kafka.connections`.", example="main")]
    topic: Annotated[str, Doc("Topic; it must exist.", example="calls")]

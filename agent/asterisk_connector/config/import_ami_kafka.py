"""ami_kafka.conf and kafka.conf (app_ami_kafka, res_kafka) into our configuration.

Pure: texts in, YAML and remarks out. Values the module would have put right are put right here; what had no effect
there, or means something else here, is remarked. A filter the module would refuse raises BadFilter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

from asterisk_connector.config import conf_lines
from asterisk_connector.config.conf_lines import Conf, Line
from asterisk_connector.errors import Misconfigured
from asterisk_connector.relay.filters import Filters, parse

_NO_WORDS = {"no", "false", "n", "f", "0", "off"}
_CONSUMER = {
    *("group_id", "auto_offset_reset", "enable_auto_commit", "auto_commit_interval_ms", "session_timeout_ms"),
    "max_poll_interval_ms",
}


class Import(NamedTuple):
    """Our configuration, and what is worth knowing about the way there, one sentence each."""

    yaml: str
    remarks: list[str]


class _Number(NamedTuple):
    """How the module reads one number: ours, its default, its least, and what it takes below that."""

    key: str
    default: int
    least: int
    instead: int


_NUMBERS = {
    "message_max_bytes": _Number("message_max_bytes", 1_000_000, 1000, 1000),
    "request_timeout_ms": _Number("request_timeout_ms", 5000, 1, 5000),
    "linger_ms": _Number("linger_ms", 5, 0, 5),
    "batch_num_messages": _Number("batch_num_messages", 10_000, 1, 10_000),
    "batch_size": _Number("batch_size", 1_000_000, 1, 1_000_000),
    "queue_buffering_max_messages": _Number("queue_max_messages", 100_000, 1, 100_000),
    "queue_buffering_max_kbytes": _Number("queue_max_kbytes", 1_048_576, 1, 1_048_576),
    "retries": _Number("retries", 2_147_483_647, 0, 2_147_483_647),
    "reconnect_backoff_ms": _Number("reconnect_backoff_ms", 100, 0, 100),
    "reconnect_backoff_max_ms": _Number("reconnect_backoff_max_ms", 10_000, 0, 10_000),
    "socket_timeout_ms": _Number("socket_timeout_ms", 10_000, 1000, 1000),
    "compression_level": _Number("compression_level", -1, -(1 << 31), -1),
}
_TEXTS: dict[str, tuple[str, ...]] = {
    "client_id": ("client_id",),
    "debug": ("debug",),
    "compression_codec": ("compression",),
    "security_protocol": ("security_protocol",),
    "sasl_mechanisms": ("sasl", "mechanism"),
    "sasl_username": ("sasl", "username"),
    "sasl_password": ("sasl", "password"),
    "ssl_ca_location": ("ssl", "ca"),
    "ssl_certificate_location": ("ssl", "cert"),
    "ssl_key_location": ("ssl", "key"),
}


def import_ami_kafka(ami_kafka_conf: str, kafka_conf: str) -> Import:
    """Raises Misconfigured where the module would not have loaded for another reason than an unknown option."""
    ami = conf_lines.read(ami_kafka_conf, "ami_kafka.conf")
    kafka = conf_lines.read(kafka_conf, "kafka.conf")
    remarks = [*ami.remarks, *kafka.remarks]
    events = _events(ami, remarks)
    connections = {
        name: _connection(kafka, section, remarks)
        for section, name in kafka.sections.items()
        if any(line.name.lower() == "type" and line.value.lower() == "connection" for line in kafka.of(section))
    }
    name = next((known for known in connections if known.lower() == events["connection"].lower()), None)
    if name is None:
        known = ", ".join(connections) or "none"
        raise Misconfigured(
            f"ami_kafka.conf: there is no connection `{events['connection']}` in kafka.conf (known: {known})",
            "the module would not have loaded; name the connection under [kafka]",
        )
    events["connection"] = name
    remarks.append(
        "the agent logs in over AMI: create the account asterisk-connector in manager.conf (read = all, "
        "write = reporting, writetimeout = 5000) and write its secret into /etc/asterisk-connector/ami.secret"
    )
    if any("password" in connection.get("sasl", {}) for connection in connections.values()):
        remarks.append("the configuration holds passwords: keep it from others (chmod 640), or use `password_file`")
    ours = {
        "ami": {"host": "127.0.0.1", "user": "asterisk-connector", "secret_file": "/etc/asterisk-connector/ami.secret"},
        "kafka": {"connections": connections},
        "events": events,
    }
    return Import(as_yaml(ours, "ami_kafka.conf and kafka.conf"), remarks)


def as_yaml(ours: dict[str, Any], origin: str) -> str:
    """A configuration in words, in the order given."""
    text = yaml.safe_dump(ours, sort_keys=False, allow_unicode=True, width=120)
    return f"# Taken from {origin}. Say `asterisk-connector check` before it goes into service.\n{text}"


def _events(conf: Conf, remarks: list[str]) -> dict[str, Any]:
    events: dict[str, Any] = {"enabled": True, "connection": "", "topic": "asterisk_ami", "format": "json"}
    filters: list[str] = []
    for line in conf.lines:
        key = line.name.lower()
        if line.section == "general" and key == "enabled":
            events["enabled"] = line.value.lower() not in _NO_WORDS
        elif line.section == "general" and key == "format":
            if line.value.lower() not in ("json", "ami"):
                raise Misconfigured(f"ami_kafka.conf:{line.number}: `{line.value}` is no format", "json or ami")
            events["format"] = line.value.lower()
        elif line.section == "general" and key.startswith("eventfilter"):
            written = f"{line.name} = {line.value}"
            Filters([parse(line.name, line.value, f"{written} (ami_kafka.conf:{line.number})")])
            filters.append(written.replace(";", "\\;"))
        elif line.section == "kafka" and key in ("connection", "topic"):
            events[key] = line.value
        else:
            remarks.append(_unknown("ami_kafka.conf", line) + "; with it the module would not have loaded")
    if not events["topic"]:
        events["topic"] = "asterisk_ami"
        remarks.append("ami_kafka.conf: an empty topic dropped every event; asterisk_ami is written")
    if filters:
        events["filters"] = filters
    return events


def _connection(conf: Conf, section: str, remarks: list[str]) -> dict[str, Any]:
    ours: dict[str, Any] = {"brokers": ["localhost:9092"]}
    acks = "all"
    for line in conf.of(section):
        key = line.name.lower()
        where = f"kafka.conf:{line.number}: {line.name}"
        if key == "brokers":
            ours["brokers"] = [broker.strip() for broker in line.value.split(",") if broker.strip()]
        elif key in _NUMBERS:
            _put_number(ours, _NUMBERS[key], line, where, remarks)
        elif key in _TEXTS:
            if line.value:
                _put(ours, _TEXTS[key], line.value)
        elif key == "acks":
            acks = line.value if line.value in ("0", "1") else "all"
        elif key == "message_timeout_ms":
            remarks.append(f"{where}: not taken over; an event waits in the journal until Kafka has it")
        elif key == "enable_idempotence":
            if line.value.lower() in _NO_WORDS:
                remarks.append(f"{where}: not taken over; without it order and single delivery are lost on retries")
        elif key in _CONSUMER:
            remarks.append(f"{where}: had no effect, it is a consumer's")
        elif key != "type":
            remarks.append(_unknown("kafka.conf", line))
    if acks != "all":
        remarks.append(f"kafka.conf: [{conf.sections[section]}] acks = {acks} is not taken over; it may lose events")
    _put_right(ours, conf.sections[section], remarks)
    return ours


def _put_right(ours: dict[str, Any], name: str, remarks: list[str]) -> None:
    """Combinations in which a block has no effect."""
    protocol = ours.get("security_protocol", "plaintext").lower()
    if protocol not in ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl"):
        raise Misconfigured(
            f"kafka.conf: [{name}] security_protocol `{protocol}` is unknown", "plaintext, ssl, sasl_ssl …"
        )
    ours["security_protocol"] = protocol
    if "compression" in ours:
        ours["compression"] = ours["compression"].lower()
    for block, used in (("sasl", protocol.startswith("sasl")), ("ssl", protocol.endswith("ssl"))):
        if block in ours and not used:
            del ours[block]
            remarks.append(f"kafka.conf: [{name}] {block}_* had no effect with security_protocol = {protocol}")
    least = ours.get("reconnect_backoff_ms", 100)
    if ours.get("reconnect_backoff_max_ms", 10_000) < least:
        ours["reconnect_backoff_max_ms"] = least


def _put_number(ours: dict[str, Any], number: _Number, line: Line, where: str, remarks: list[str]) -> None:
    try:
        value = int(line.value)
    except ValueError:
        remarks.append(f"{where}: `{line.value}` is no number; the default {number.default} stands")
        return
    if value < number.least:
        remarks.append(f"{where}: {value} became {number.instead} in the module, so it does here")
        value = number.instead
    ours[number.key] = value


def _put(ours: dict[str, Any], path: tuple[str, ...], value: str) -> None:
    *blocks, name = path
    for block in blocks:
        ours = ours.setdefault(block, {})
    ours[name] = value


def _unknown(file: str, line: Line) -> str:
    return f"{file}:{line.number}: [{line.section}] {line.name}: unknown"

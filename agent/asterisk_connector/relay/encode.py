"""One AMI event as one Kafka record: key, value and headers byte for byte as the module app_ami_kafka makes them.

- `body` is always the exact text Asterisk wrote, from `Event: ` to its empty line; key, type and category come from its
  first two lines, whatever later lines pretend.
- The defaults are the module's. `key`, `duplicate_keys` and `invalid_utf8` go beyond it and are off.
- Pure.

Source: app_ami_kafka and res_kafka, compared byte for byte over 613 events on Asterisk 22.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

import msgspec

from asterisk_connector.records import Micros

Format = Literal["json", "ami"]
Key = Literal["event", "linkedid", "uniqueid", "channel", "none"]
DuplicateKeys = Literal["last", "list"]
InvalidUtf8 = Literal["drop", "replace", "latin1"]

_KEY_HEADERS = {
    "linkedid": re.compile(rb"\r\n[A-Za-z]*Linked[iI][dD]: ([^\r\n]+)"),
    "uniqueid": re.compile(rb"\r\n[A-Za-z]*[uU]nique[iI][dD]: ([^\r\n]+)"),
    "channel": re.compile(rb"\r\n[A-Za-z]*Channel: ([^\r\n]+)"),
}
_ESCAPES = re.compile(rb"\\(?:u00([01][0-9a-f])|.)", re.DOTALL)
_NO_CLASSES = (b"all", b"<none>")
_dump = msgspec.json.Encoder().encode


class Identity(NamedTuple):
    """Who an event comes from. `system_name` empty: Asterisk has none."""

    entity_id: str
    system_name: str
    asterisk_version: str
    hostname: str


class Record(NamedTuple):
    """A Kafka record without what its neighbours share. `at` is when the event was read."""

    at: Micros
    key: bytes | None
    type: bytes
    category: bytes
    value: bytes


class Sent(Protocol):
    """What a record's headers are made of."""

    @property
    def at(self) -> Micros: ...
    @property
    def type(self) -> bytes: ...
    @property
    def category(self) -> bytes: ...


class Encoder:
    """Makes records in one format. Each choice is documented in docs/configuration.md under `events`."""

    def __init__(
        self,
        format: Format = "json",
        key: Key = "event",
        duplicate_keys: DuplicateKeys = "last",
        invalid_utf8: InvalidUtf8 = "drop",
    ) -> None:
        self.format = format
        self._key = key
        self._lists = duplicate_keys == "list"
        self._decode: Callable[[bytes], str] | None = {
            "drop": None,
            "replace": lambda raw: raw.decode(errors="replace"),
            "latin1": _decode_latin1,
        }[invalid_utf8]

    def encode(self, body: bytes, at: Micros, identity: Identity) -> Record:
        """The record of one event."""
        end = body.index(b"\r\n")
        name = body[7:end]
        second = body.find(b"\r\n", end + 2)
        category = _category(body[end + 2 : second])
        value = self._json(name, body, identity) if self.format == "json" else _ami_prefix(identity) + body
        return Record(at, self._record_key(name, body), name, category, value)

    def headers(self, record: Sent, identity: Identity) -> list[tuple[str, bytes]]:
        """The record's eight headers, seven where Asterisk has no system name, in the module's order."""
        first, last = _shared_headers(identity, self.format)
        return [
            *first,
            ("event_type", record.type),
            ("event_category", record.category),
            last[0],
            ("timestamp", b"%d" % (record.at // 1_000_000)),
            last[1],
        ]

    def _record_key(self, name: bytes, body: bytes) -> bytes | None:
        """Events that lack the wanted header keep the module's key, so that each type stays in order."""
        if self._key == "event":
            return name
        if self._key == "none":
            return None
        found = _KEY_HEADERS[self._key].search(body)
        return found[1] if found else name

    def _json(self, name: bytes, body: bytes, identity: Identity) -> bytes:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            pairs = self._decode_pairs(body)
            shown = self._text(name)
        else:
            pairs = [line.split(": ", 1) for line in _lines(text) if ": " in line]
            shown = name.decode()
        fields: dict[str, str | list[str]] = {} if shown is None else {"Event": shown}
        fields["EntityID"] = identity.entity_id
        if identity.system_name:
            fields["SystemName"] = identity.system_name
        fields.update(_with_lists(pairs) if self._lists else dict(pairs))
        value = _dump(fields)
        return _ESCAPES.sub(_upper_escape, value) if b"\\u00" in value else value

    def _decode_pairs(self, body: bytes) -> list[list[str]]:
        pairs = []
        for line in body.splitlines():
            raw_key, separator, raw_value = line.partition(b": ")
            if separator:
                key, value = self._text(raw_key), self._text(raw_value)
                if key is not None and value is not None:
                    pairs.append([key, value])
        return pairs

    def _text(self, raw: bytes) -> str | None:
        """Text of a key or value; None where it is not UTF-8 and the module would leave the field out."""
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return None if self._decode is None else self._decode(raw)


def _decode_latin1(raw: bytes) -> str:
    return raw.decode("latin-1")


def _lines(text: str) -> list[str]:
    """Broken at every run of CR and LF, and nowhere else (`str.splitlines` knows more line ends than Asterisk)."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _with_lists(pairs: list[list[str]]) -> dict[str, str | list[str]]:
    fields: dict[str, str | list[str]] = {}
    for key, value in pairs:
        before = fields.get(key)
        if before is None:
            fields[key] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            fields[key] = [before, value]
    return fields


def _upper_escape(match: re.Match[bytes]) -> bytes:
    """`\\u001b` as the module's JSON library writes it, `\\u001B`; every other escape as it is."""
    code: bytes | None = match[1]
    return b"\\u00" + code.upper() if code else match[0]


@lru_cache(maxsize=1024)
def _category(privilege_line: bytes) -> bytes:
    """`Privilege: call,all` → `call`; the classes come in Asterisk's own order."""
    classes = privilege_line.removeprefix(b"Privilege: ").split(b",")
    return b",".join(c for c in classes if c not in _NO_CLASSES)


@lru_cache(maxsize=16)
def _ami_prefix(identity: Identity) -> bytes:
    system_name = f"SystemName: {identity.system_name}\r\n" if identity.system_name else ""
    return f"EntityID: {identity.entity_id}\r\n{system_name}".encode()


@lru_cache(maxsize=16)
def _shared_headers(identity: Identity, format: str) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    first = [("entity_id", identity.entity_id.encode())]
    if identity.system_name:
        first.append(("system_name", identity.system_name.encode()))
    first.append(("asterisk_version", identity.asterisk_version.encode()))
    return first, [("format", format.encode()), ("hostname", identity.hostname.encode())]

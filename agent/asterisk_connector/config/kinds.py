"""Kinds of single values: how one is read from text, written back, described and typed in the JSON schema.

- A value is decoded from its text by the kind its setting declares, never by what YAML guesses: `country: NO` is Norway
  and `0042` stays four digits.
- `parse(show(value)) == value`; `parse` raises ValueError with what is wrong, without repeating the setting's name.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from asterisk_connector.config.secret import Secret

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)
_SIZE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE_UNITS |= {"kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)


@dataclass(frozen=True)
class Kind:
    """One kind of value. `what` completes "expected …"; `example` shows how it is written."""

    what: str
    example: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": ["string", "number"]}, hash=False)
    secret: bool = False


def _bool(text: str) -> bool:
    word = text.lower()
    if word in {"true", "yes", "on"}:
        return True
    if word in {"false", "no", "off"}:
        return False
    raise ValueError


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
            raise ValueError
        number = int(text)
        if number < low or (high is not None and number > high):
            raise ValueError
        return number

    return parse


def _ratio(text: str) -> float:
    if not re.fullmatch(r"\d{1,15}(\.\d+)?", text, re.ASCII):
        raise ValueError
    return float(text)


def parse_duration(text: str) -> float:
    """Seconds of `500ms`, `10m`, `1h30m`, `48h`, or of a bare number of seconds."""
    text = text.strip()
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text, re.ASCII):
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", "") or len(text) > 64:
        raise ValueError
    # Rounded so that 300ms is 0.3 and not 0.30000000000000004.
    return round(sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts), 6)


def show_duration(seconds: float) -> str:
    """The shortest exact writing: `48h`, `90s`, `250ms`."""
    for unit in ("d", "h", "m", "s"):
        size = _DURATION_UNITS[unit]
        if seconds >= size and seconds % size == 0 and (unit != "d" or seconds >= 7 * size):
            return f"{int(seconds // size)}{unit}"
    return "0s" if seconds == 0 else f"{round(seconds * 1000, 3):.15g}ms"


def parse_size(text: str) -> int:
    """Bytes of `1GiB`, `64 MiB`, `10MB` or a bare number."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or len(text) > 32:
        raise ValueError
    number, unit = match.groups()
    if unit and unit not in _SIZE_UNITS:
        raise ValueError
    return int(float(number) * _SIZE_UNITS[unit or "B"])


def show_size(size: int) -> str:
    """The shortest exact writing in binary units."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}"
    return f"{size}B"


def _path(text: str) -> Path:
    if not text.startswith("/") or "\0" in text:
        raise ValueError("it does not start with /")
    return Path(text)


def _zone(text: str) -> str:
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such zone in the time zone database") from None
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


def _url(text: str) -> str:
    match = re.fullmatch(r"https?://([^\s/?#]+)\S*", text)
    if match is None:
        raise ValueError
    if "@" in match[1]:
        raise ValueError("no user or password may stand in it")
    return text


StartAtValue = Literal["now", "beginning"] | timedelta


def _start_at(text: str) -> StartAtValue:
    if text == "now":
        return "now"
    if text == "beginning":
        return "beginning"
    return timedelta(seconds=parse_duration(text))


def _show_start_at(value: StartAtValue) -> str:
    return show_duration(value.total_seconds()) if isinstance(value, timedelta) else value


class Endpoint(NamedTuple):
    """An address of this host and a port of it; `[::1]:8000` for IPv6."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this host itself can reach it."""
        return ip_address(self.address).is_loopback


ListenValue = Literal["off"] | Endpoint
Network = IPv4Network | IPv6Network


def _listen(text: str) -> ListenValue:
    if text.lower() in {"off", "no", "false"}:
        return "off"
    match = re.fullmatch(r"(\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<four>[^:\[\]]+)):(?P<port>\d{1,5})", text, re.ASCII)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError
    address = ip_address(match["six"] or {"localhost": "127.0.0.1"}.get(match["four"], match["four"]))
    return Endpoint(str(address), int(match["port"]))


def _character(text: str) -> str:
    text = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(text) != 1 or text in "\r\n\0":
        raise ValueError
    return text


def _country(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2}", text, re.ASCII):
        raise ValueError
    return text.upper()


def choice(values: tuple[str, ...]) -> Kind:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in values:
            raise ValueError
        return text

    return Kind("one of " + ", ".join(values), values[0], parse, schema={"enum": list(values)})


TEXT = Kind("a text", "text", str, schema={"type": ["string", "number", "boolean"]})
BOOL = Kind("true or false", "true", _bool, lambda on: "true" if on else "false", {"type": "boolean"})
WHOLE = Kind("a whole number, 0 or more", "10", _whole(0), schema={"type": "integer", "minimum": 0})
RATIO = Kind("a number, 0 or more", "0.5", _ratio, lambda n: f"{n:g}", {"type": "number", "minimum": 0})
PATH = Kind("an absolute path", "/var/log/asterisk/cel-custom/Master.csv", _path, schema={"type": "string"})
SECRET = Kind("a secret", "", Secret, repr, {"type": "string"}, secret=True)

BY_TYPE: Mapping[type, Kind] = {str: TEXT, bool: BOOL, int: WHOLE, float: RATIO, Path: PATH, Secret: SECRET}
"""The kind of a setting declared with a bare type."""

Duration = Annotated[float, Kind("a duration", "10m", parse_duration, show_duration)]
"""Seconds."""
Size = Annotated[int, Kind("a size", "1GiB", parse_size, show_size)]
"""Bytes."""
Positive = Annotated[int, Kind("a whole number, 1 or more", "4", _whole(1), schema={"type": "integer", "minimum": 1})]
Signed = Annotated[int, Kind("a whole number", "-1", _whole(-(10**12)), schema={"type": "integer"})]
Port = Annotated[
    int, Kind("a port", "3306", _whole(1, 65535), schema={"type": "integer", "minimum": 1, "maximum": 65535})
]
Zone = Annotated[str, Kind("a time zone name", "America/Toronto", _zone, schema={"type": "string"})]
Pattern = Annotated[str, Kind("a regular expression", "^trunk-", _pattern, schema={"type": "string"})]
HttpUrl = Annotated[
    str, Kind("an http or https address", "https://proxy.example:3128", _url, schema={"type": "string"})
]
StartAt = Annotated[StartAtValue, Kind("now, beginning, or a duration back from now", "6h", _start_at, _show_start_at)]
Listen = Annotated[
    ListenValue,
    Kind("an IP address and a port, or off", "127.0.0.1:8000", _listen, schema={"type": ["string", "boolean"]}),
]
IpNetwork = Annotated[
    Network,
    Kind("an IP network or address", "10.0.0.0/8", partial(ip_network, strict=False), schema={"type": "string"}),
]
Character = Annotated[
    str, Kind("one character", '";"', _character, lambda c: "\\t" if c == "\t" else c, {"type": "string"})
]
Country = Annotated[
    str, Kind("a country code of two letters", "CA", _country, schema={"type": "string", "pattern": "^[A-Za-z]{2}$"})
]

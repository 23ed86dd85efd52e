"""What the name of a recording says: uniqueids, instants, numbers. Pure.

- Forms: FreePBX `type-dst-from-YYYYMMDD-HHMMSS-uniqueid`, queues `uniqueid` or `q-…-uniqueid`, one-touch
  `auto-epoch-caller-peer` (Asterisk `bridge_builtin_features.c`), ConfBridge `confbridge-room-epoch`
  (`app_confbridge.c`), and the operator's own patterns (call semantics §6.3).
- A name is data: it is searched for these forms and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

from asterisk_connector.records import Micros

SECOND: Micros = 1_000_000

_ID = re.compile(r"(?<![\d.])\d{9,11}\.\d{1,10}(?!\d)")
_EPOCH = re.compile(r"(?<![\d.])1\d{9}(?![\d.])")
_LOCAL = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)[-_.T ]?([01]\d|2[0-3])([-_.:]?)([0-5]\d)\6([0-5]\d)(?!\d)"
)
_TOKEN = re.compile(r"[^-_ @,;()\[\]{}]+")
_MARK = re.compile(r"[-_ ]")
_ONE_TOUCH = re.compile(r"^[^-]+-1\d{9}-(?P<one>[^-]+)-(?P<other>[^-]+)$")
_CONFERENCE = re.compile(r"^confbridge-(?P<room>.+)-1\d{9}$")
_TIMES = ("%Y%m%d%H%M%S", "%Y%m%d-%H%M%S", "%Y%m%d_%H%M%S", "%Y-%m-%d-%H-%M-%S", "%Y-%m-%d_%H-%M-%S", "%Y%m%dT%H%M%S")


@dataclass(frozen=True, slots=True)
class NameRules:
    """`patterns`: regular expressions with the group `uniqueid`, or `extension` and `time`; `zone`: of local times."""

    patterns: tuple[str, ...] = ()
    zone: tzinfo = UTC


class Name(NamedTuple):
    """What a name says. `ids` are uniqueids without a system name; `given` is the one an operator's pattern found.
    `at` are instants, `numbers` everything that may be an extension, a number or a room."""

    stem: str
    ids: tuple[str, ...] = ()
    given: str = ""
    at: tuple[Micros, ...] = ()
    numbers: frozenset[str] = frozenset()
    one_touch: tuple[str, str] | None = None
    room: str = ""

    def candidates(self) -> tuple[str, ...]:
        """Uniqueids this may be a recording of, with and without a system name before them."""
        found = [self.given] if self.given else []
        for bare in self.ids:
            found.append(bare)
            end = self.stem.find(bare)
            if self.stem[:end].endswith("-"):
                begins = [0, *(mark.end() for mark in _MARK.finditer(self.stem, 0, end - 1))]
                found.extend(self.stem[begin:end] + bare for begin in begins[-4:])
        return tuple(found)

    def has(self, uniqueid: str) -> bool:
        """Whether the name holds this uniqueid, whole."""
        at = self.stem.find(uniqueid) if uniqueid else -1
        if at < 0:
            return False
        after = self.stem[at + len(uniqueid) : at + len(uniqueid) + 1]
        before = self.stem[at - 1 : at]
        return not after.isdigit() and not (before.isdigit() or before == ".")


@lru_cache(maxsize=4096)
def read_name(path: str, rules: NameRules) -> Name:
    """Reads a file name, with its directories for the operator's patterns."""
    name = PurePosixPath(path).name
    stem = name.rpartition(".")[0] or name
    at = [int(epoch[0]) * SECOND for epoch in _EPOCH.finditer(stem)]
    at += [instant for found in _LOCAL.finditer(stem) if (instant := _local(found, rules.zone)) is not None]
    numbers = set(_TOKEN.findall(_LOCAL.sub(" ", stem)))
    given = ""
    for pattern in rules.patterns:
        found = re.search(pattern, name) or re.search(pattern, path)
        if found is None:
            continue
        groups = found.groupdict()
        given = given or groups.get("uniqueid") or ""
        if groups.get("extension") and groups.get("time"):
            numbers.add(groups["extension"])
            instant = _written(groups["time"], rules.zone)
            at += [] if instant is None else [instant]
    touched, room = _ONE_TOUCH.match(stem), _CONFERENCE.match(stem)
    return Name(
        stem,
        tuple(dict.fromkeys(_ID.findall(stem))),
        given,
        tuple(at),
        frozenset(numbers),
        (touched["one"], touched["other"]) if touched else None,
        room["room"] if room else "",
    )


def _local(found: re.Match[str], zone: tzinfo) -> Micros | None:
    year, month, day, hour, minute, second = (int(found[n]) for n in (1, 3, 4, 5, 7, 8))
    try:
        return round(datetime(year, month, day, hour, minute, second, tzinfo=zone).timestamp()) * SECOND
    except (ValueError, OverflowError, OSError):
        return None


def _written(text: str, zone: tzinfo) -> Micros | None:
    if text.isascii() and text.isdigit() and len(text) == 10:
        return int(text) * SECOND
    for form in _TIMES:
        try:
            return round(datetime.strptime(text, form).replace(tzinfo=zone).timestamp()) * SECOND
        except (ValueError, OverflowError, OSError):
            continue
    return None

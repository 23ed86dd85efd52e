"""Times as tables hold them, and the instants they mean.

- A table's time is first read in its own frame (`Stamp.local`: microseconds since 1970 as if the text were UTC); only
  then a zone makes an instant of it. What looks for new rows works in that frame and needs no zone.
- A uniqueid starts with the epoch second its channel was created in (`main/channel.c`), in UTC: nothing of a channel is
  earlier. That decides which of two equal local hours is meant on the night the clocks go back, and tells when a
  zone is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from asterisk_connector.records import Micros

SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1)
"""The origin of a table's own frame."""
_EPOCH_DAY = _EPOCH.toordinal()
_QUARTER = 900 * SECOND
_SLACK = 2 * SECOND
"""A uniqueid's second and a time column may be rounded apart (MySQL rounds fractions, MariaDB cuts them)."""
_EARLY_IN_CALL = 600 * SECOND
_FARTHEST_ZONE = 14 * 3600 * SECOND
_SAMPLES_FOR_OFFSET = 10
_Y2K = 946_684_800


class Stamp(NamedTuple):
    """A time as it was written. `local` in microseconds of its own frame, `digits` of its fraction, `offset` from UTC
    in microseconds where the text named one (then it is an instant already)."""

    local: int
    digits: int
    offset: int | None = None


_days: dict[str, int | None] = {}


def parse(text: str) -> Stamp | None:
    """Reads `2026-11-21 19:30:56[.272192][+02[:00]]` (also with `T` or `/`, cel_tds) or an epoch `1795289456[.27]`.

    None for what is no time: empty, zero dates (`0000-00-00 …`), infinity, and texts of another form.
    """
    try:
        if len(text) < 19 or text[4] not in "-/":
            return _epoch(text)
        day = _day(text[:10])
        if day is None or text[13] != ":" or text[16] != ":":
            return None
        hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
        if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second <= 60):
            return None
        local = (day + hour * 3600 + minute * 60 + second) * SECOND
        return Stamp(local, 0) if len(text) == 19 else _with_rest(local, text[19:])
    except ValueError:
        return None


def _day(text: str) -> int | None:
    if text not in _days:
        if len(_days) > 4096:
            _days.clear()
        try:
            _days[text] = (date(int(text[:4]), int(text[5:7]), int(text[8:10])).toordinal() - _EPOCH_DAY) * 86_400
        except ValueError:
            _days[text] = None
    return _days[text]


def _with_rest(local: int, rest: str) -> Stamp | None:
    digits = 0
    if rest[0] == ".":
        end = 1
        while end < len(rest) and rest[end].isdigit():
            end += 1
        fraction, rest = rest[1:end][:6], rest[end:]
        digits = len(fraction)
        local += int(fraction.ljust(6, "0")) if fraction else 0
    rest = rest.strip()
    if not rest:
        return Stamp(local, digits)
    if rest == "Z":
        return Stamp(local, digits, 0)
    if rest[0] not in "+-":
        return None
    hours, minutes = int(rest[1:3]), int(rest[3:].lstrip(":")[:2] or 0)
    offset = (hours * 3600 + minutes * 60) * SECOND
    return Stamp(local, digits, -offset if rest[0] == "-" else offset)


def _epoch(text: str) -> Stamp | None:
    whole, _, fraction = text.partition(".")
    if not whole.isdigit() or int(whole) < _Y2K:
        return None
    fraction = fraction[:6]
    return Stamp(int(whole) * SECOND + (int(fraction.ljust(6, "0")) if fraction else 0), len(fraction), 0)


def local_text(second: int) -> str:
    """`2026-11-21 19:30:56` for a second of a table's own frame."""
    return (_EPOCH + timedelta(seconds=second)).isoformat(" ")


def epoch_of(uniqueid: str) -> Micros | None:
    """When the channel was created, to the second, by its uniqueid `[systemname-]epoch.counter`; None where it has
    another form (`Set(CHANNEL(uniqueid))`, foreign ids)."""
    head, dot, _ = uniqueid.rpartition("-")[2].partition(".")
    if not dot or len(head) != 10 or not head.isdigit() or int(head) < _Y2K:
        return None
    return int(head) * SECOND


class Zone:
    """A time zone with its two offsets per quarter of an hour remembered: rows come in order of time."""

    def __init__(self, tz: tzinfo) -> None:
        self.tz = tz
        self._offsets: dict[int, tuple[int, int]] = {}

    def __str__(self) -> str:
        return str(self.tz)

    def instant(self, local: int, *, anchor: Micros | None = None, near: Micros | None = None) -> Micros:
        """The instant of a local time. Where it means two (the hour that is repeated in autumn), not before `anchor`
        (the channel's creation) and else the one closest to `near` (the row before in order of arrival), else the
        earlier."""
        first, second = self._both(local)
        early, late = local - first, local - second
        if early == late:
            return early
        possible = [t for t in sorted((early, late)) if anchor is None or t >= anchor - _SLACK] or [max(early, late)]
        if near is not None and abs(possible[0] - near) < 7200 * SECOND:
            return min(possible, key=lambda t: abs(t - near))
        return possible[0]

    def local(self, instant: Micros) -> int:
        """The local time at an instant."""
        moment = datetime.fromtimestamp(instant // SECOND, self.tz)
        offset = moment.utcoffset() or timedelta(0)
        return instant + int(offset.total_seconds()) * SECOND

    def _both(self, local: int) -> tuple[int, int]:
        block = local // _QUARTER
        known = self._offsets.get(block)
        if known is None:
            if len(self._offsets) > 4096:
                self._offsets.clear()
            known = self._offsets[block] = (self._offset(block, 0), self._offset(block, 1))
        return known

    def _offset(self, block: int, fold: int) -> int:
        try:
            moment = _EPOCH + timedelta(microseconds=block * _QUARTER)
            offset = moment.replace(tzinfo=self.tz, fold=fold).utcoffset()
        except OverflowError:
            offset = None
        return int(offset.total_seconds()) * SECOND if offset else 0


def host_zone() -> tzinfo:
    """The zone of this host: `TZ`, else /etc/localtime, else UTC; as Asterisk on the same host sees it."""
    name = os.environ.get("TZ", "").lstrip(":")
    if name:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            pass
    try:
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file, key=_localtime_name())
    except (OSError, ValueError):
        return UTC


def _localtime_name() -> str:
    target = str(Path("/etc/localtime").resolve())
    return target.partition("zoneinfo/")[2] or "localtime"


class Sample(NamedTuple):
    """A row's local time and its channel's creation (an instant): what a zone is judged by."""

    local: int
    epoch: Micros


def agreement(zone: Zone, samples: Iterable[Sample]) -> int:
    """How many samples lie within the first ten minutes of their channels in this zone."""
    return sum(-_SLACK <= zone.instant(s.local, anchor=s.epoch) - s.epoch <= _EARLY_IN_CALL for s in samples)


def likely_zone(samples: Sequence[Sample], candidates: Iterable[tzinfo]) -> Zone | None:
    """The candidate most samples agree with (the first of equals), else the fixed offset they speak for, else None.

    Half of the samples must agree: the others may be rows late in long calls.
    """
    best: Zone | None = None
    score = 0
    for tz in (*candidates, *_offsets(samples)):
        zone = Zone(tz)
        agreeing = agreement(zone, samples)
        if agreeing > score:
            best, score = zone, agreeing
    return best if score * 2 >= len(samples) else None


def _offsets(samples: Sequence[Sample]) -> Iterable[tzinfo]:
    if len(samples) < _SAMPLES_FOR_OFFSET:
        return
    apart = sorted(s.local - s.epoch for s in samples)[len(samples) // 2]
    offset = (apart + _SLACK) // _QUARTER * _QUARTER
    if abs(offset) <= _FARTHEST_ZONE:
        yield timezone(timedelta(microseconds=offset))

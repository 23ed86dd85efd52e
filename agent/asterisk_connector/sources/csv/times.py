"""The time column: text of any backend into an instant and the tick it was kept in.

- Epoch, with or without fraction; local time without a zone (`%F %T`, `%F %T.%3q` …), read in the given zone; the same
  with `Z` or an offset, where the offset decides. Any other strftime has to be told.
- The hour that happens twice in autumn is resolved by uniqueids: their integer part is the epoch second at which the
  channel was made, and no row is older than the youngest channel, or the newest row, seen before it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from asterisk_connector.records import Micros

_LOCAL = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s*(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_EPOCH = re.compile(r"\d{9,11}(?:\.(\d{0,9}))?", re.ASCII)
_UNIQUEID = re.compile(r"(?:.*-)?(\d{9,11})\.\d+", re.ASCII | re.DOTALL)
_FRACTION = re.compile(r"%([1-6])?q")
_DISORDER: Micros = 2_000_000
"""By so much rows of different channels may be out of order, with room for a rounded second (measured: 1.2 ms)."""
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def is_uniqueid(text: str) -> bool:
    """Whether the text is a channel's uniqueid: `[systemname-]epoch.counter`."""
    return _UNIQUEID.fullmatch(text) is not None


def is_time(text: str) -> bool:
    """Whether the text is an instant in a form that needs no telling."""
    return _EPOCH.fullmatch(text) is not None or _LOCAL.fullmatch(text) is not None


class Times:
    """Reads the time column of one file, row after row. `form` is the `dateformat` of cel.conf where it is unusual."""

    def __init__(self, zone: tzinfo = UTC, form: str | None = None) -> None:
        self._zone = zone
        self._form: str | None = None
        self._tick = 1
        if form is not None:
            self._form, self._tick = _strptime_form(form)
        self._floor: Micros = 0  # no later row is older: the youngest channel's birth, the newest row
        self._minute = ""
        self._minute_at: tuple[Micros, Micros] = (0, 0)

    def read(self, text: str, uniqueid: str) -> tuple[Micros, int]:
        """The instant and its tick in microseconds. Raises ValueError for what is no time."""
        if self._form is None:
            if len(text) == 17 and text[10] == "." and text.isascii() and (digits := text[:10] + text[11:]).isdigit():
                return int(digits), 1
            match = _EPOCH.fullmatch(text)
            if match is not None:
                second, _, fraction = text.partition(".")
                return int(second) * 1_000_000 + int(fraction[:6].ljust(6, "0") or 0), _tick(fraction)
        self._meet(uniqueid)
        match = _LOCAL.fullmatch(text)
        if match is not None:
            return self._read_parts(text, match)
        if self._form is None:
            raise ValueError(f"{text[:40]!r} is not a time; set `time_format` if cel.conf has an unusual `dateformat`")
        moment = datetime.strptime(text, self._form)
        if moment.tzinfo is not None:
            return _micros(moment), self._tick
        return self._choose(*self._both(moment)), self._tick

    def _meet(self, uniqueid: str) -> None:
        match = _UNIQUEID.fullmatch(uniqueid)
        if match is not None:
            self._floor = max(self._floor, int(match[1]) * 1_000_000)

    def _read_parts(self, text: str, match: re.Match[str]) -> tuple[Micros, int]:
        fraction, offset = match[7] or "", match[8]
        part = int(fraction[:6].ljust(6, "0")) + int(match[6]) * 1_000_000
        minute = text[:16] + (offset or "")
        if minute != self._minute:
            year, month, day, hour, minutes = map(int, match.group(1, 2, 3, 4, 5))
            start = datetime(year, month, day, hour, minutes)
            if offset is None:
                self._minute_at = self._both(start)
            else:
                at = _micros(start.replace(tzinfo=_offset(offset)))
                self._minute_at = (at, at)
            self._minute = minute
        first, second = self._minute_at
        return self._choose(first + part, second + part), _tick(fraction)

    def _both(self, moment: datetime) -> tuple[Micros, Micros]:
        return (
            _micros(moment.replace(tzinfo=self._zone, fold=0)),
            _micros(moment.replace(tzinfo=self._zone, fold=1)),
        )

    def _choose(self, first: Micros, second: Micros) -> Micros:
        # In spring's missing hour fold 1 lies before fold 0; such a text is nobody's local time, and fold 0 stands.
        at = second if first < second and first < self._floor - _DISORDER else first
        self._floor = max(self._floor, at)
        return at


def _micros(moment: datetime) -> Micros:
    return (moment - _EPOCH_START) // _MICROSECOND


def _offset(text: str) -> tzinfo:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-size if text[0] == "-" else size)


def _tick(fraction: str) -> int:
    return int(10 ** max(0, 6 - len(fraction)))


def _strptime_form(form: str) -> tuple[str, int]:
    """Asterisk's `%q` (milliseconds) and `%1q` … `%6q` as strptime's `%f`, and the tick they leave."""
    digits = [int(match[1] or 3) for match in _FRACTION.finditer(form)]
    return (
        _FRACTION.sub("%f", form).replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S"),
        10 ** (6 - digits[-1]) if digits else 1_000_000,
    )

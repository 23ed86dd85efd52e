"""Rows of text made into records.

- A value that is missing, NULL or unreadable becomes the record's "unknown" (empty or None), never an error; only a row
  that says neither what nor of which channel is set aside, with its reason.
- Instants come from the column's own frame through the table's zone, anchored by the uniqueid (`zones`).
- A row's identity is what it says in fields that never change later: `digest` is the same in every process, for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from asterisk_connector.records import CdrRow, CelEvent, Micros, RecordingFile
from asterisk_connector.sources.csv.events import name_event
from asterisk_connector.sources.tables.columns import CEL, Columns
from asterisk_connector.sources.tables.database import Row
from asterisk_connector.sources.tables.zones import SECOND, Sample, Zone, epoch_of, parse

_DISPOSITIONS = ((8, "ANSWERED"), (16, "CONGESTION"), (4, "BUSY"), (2, "FAILED"), (32, "CANCEL"))
"""Bits of `include/asterisk/cdr.h`; none set, or only 1, is NO ANSWER."""
_SPACED = {"NOANSWER": "NO ANSWER", "NO_ANSWER": "NO ANSWER"}
_AMA_FLAGS = {"1": "OMIT", "2": "BILLING", "3": "DOCUMENTATION"}
_SEPARATOR = "\x1f"


class Unreadable(Exception):
    """A row that says too little to be a record."""


class Reader:
    """What both kinds of rows have in common: where their values are, and what their times mean."""

    def __init__(self, fields: Sequence[str], columns: Columns) -> None:
        self._at = {f: i for i, f in enumerate(fields)}
        self._columns = columns
        self._identity = [(self._at[f], f + "=") for f in columns.layout.identity if f in self._at]
        self._uniqueid = self._at.get("uniqueid")
        self._time = self._at[columns.layout.time]
        self.needs_zone = any(c.kind in {"local", "text"} for f, c in columns.fields.items() if f in _TIMES)
        """Whether any time column leaves its zone open."""

    def digest(self, row: Row) -> int:
        """64 bits over what the row says.

        Nothing and zero do not count, so that a column added to the table leaves the rows it had the same.
        """
        text = _SEPARATOR.join([name + value for i, name in self._identity if (value := row[i]) and value != "0"])
        return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")

    def sample(self, row: Row) -> Sample | None:
        """What the row tells of the zone it was written in."""
        stamp = parse(row[self._time] or "")
        epoch = epoch_of(row[self._uniqueid] or "") if self._uniqueid is not None else None
        return Sample(stamp.local, epoch) if stamp and stamp.offset is None and epoch is not None else None

    def channel(self, row: Row) -> str:
        """The row's uniqueid."""
        return self._text(row, "uniqueid")

    def age(self, row: Row) -> float:
        """Seconds from the row's time to its being written, as far as the row tells: a CDR's duration."""
        return number(self._text(row, "duration")) or 0.0

    def _text(self, row: Row, field: str) -> str:
        at = self._at.get(field)
        return (row[at] or "") if at is not None else ""

    def _instant(
        self, row: Row, field: str, zone: Zone, anchor: Micros | None, near: Micros | None
    ) -> tuple[Micros | None, int]:
        """The field's instant and its resolution; None for NULL, zero dates and what is no time."""
        at = self._at.get(field)
        text = row[at] if at is not None else None
        stamp = parse(text) if text else None
        if stamp is None:
            return None, 1
        column = self._columns.fields[field]
        tick = column.tick if column.kind in {"instant", "local"} else int(10 ** (6 - stamp.digits))
        if stamp.offset is not None:
            return stamp.local - stamp.offset, tick
        if column.kind == "instant":
            return stamp.local, tick
        return zone.instant(stamp.local, anchor=anchor, near=near), tick


_TIMES = frozenset({"at", "start", "answer", "end"})


class CelReader(Reader):
    """Rows of a CEL table."""

    def __init__(self, fields: Sequence[str], columns: Columns) -> None:
        super().__init__(fields, columns)
        self._plain = [f for f in fields if f in CelEvent.__struct_fields__ and f not in {"type", "at", "ama_flags"}]

    def record(self, row: Row, zone: Zone, near: Micros | None) -> CelEvent:
        """The event of a row. `near` is the instant of the row before in order of arrival, if known.

        A row without a readable time happened after the row before and after its channel's creation: it gets the later
        of the two. Raises Unreadable for a row without type or channel, or without any hint of its time.
        """
        values = {f: self._text(row, f) for f in self._plain}
        kind, values["user_defined_type"] = name_event(
            self._text(row, "type"), "", values.get("user_defined_type", ""), values.get("app_name", "")
        )
        uniqueid = values["uniqueid"]
        if not kind:
            raise Unreadable("no event type")
        if not uniqueid and not values.get("linkedid"):
            raise Unreadable("neither uniqueid nor linkedid")
        anchor = epoch_of(uniqueid)
        at, tick = self._instant(row, "at", zone, anchor, near)
        if at is None:
            known = [t for t in (near, anchor) if t is not None]
            if not known:
                raise Unreadable(f"no time: {self._text(row, 'at')!r}")
            at, tick = max(known), SECOND
        values.setdefault("linkedid", "")
        flags = self._text(row, "ama_flags")
        return CelEvent(type=kind, at=at, resolution=tick, ama_flags=flags, **values)


class CdrReader(Reader):
    """Rows of a CDR table."""

    def __init__(self, fields: Sequence[str], columns: Columns) -> None:
        super().__init__(fields, columns)
        special = {*_TIMES, "duration", "billsec", "sequence", "disposition", "ama_flags"}
        self._plain = [f for f in fields if f in CdrRow.__struct_fields__ and f not in special]

    def record(self, row: Row, zone: Zone, near: Micros | None) -> CdrRow:
        """The record of a row; `near` is not needed. Raises Unreadable for a row without channel, time and parties.

        `duration` and `billsec` are measured in real time (`main/cdr.c`), so they say which of two equal local times
        `end` and `answer` mean when the clocks go back during the call.
        """
        del near
        values = {f: self._text(row, f) for f in self._plain}
        uniqueid = values.setdefault("uniqueid", "")
        anchor = epoch_of(uniqueid)
        start, _ = self._instant(row, "start", zone, anchor, anchor)
        if not uniqueid and start is None and not any(values.values()):
            raise Unreadable("neither uniqueid nor time nor parties")
        duration, billsec = number(self._text(row, "duration")), number(self._text(row, "billsec"))
        ended = start + round(duration * SECOND) if start is not None and duration is not None else None
        talked = ended - round(billsec * SECOND) if ended is not None and billsec is not None else None
        end, _ = self._instant(row, "end", zone, start or anchor, ended)
        answer, _ = self._instant(row, "answer", zone, start or anchor, talked)
        sequence = number(self._text(row, "sequence"))
        flags = self._text(row, "ama_flags")
        return CdrRow(
            start=start,
            answer=answer,
            end=end,
            duration=duration,
            billsec=billsec,
            sequence=int(sequence) if sequence is not None else None,
            disposition=disposition(self._text(row, "disposition")),
            ama_flags=_AMA_FLAGS.get(flags, flags),
            **values,
        )


class RecordingReader(Reader):
    """Rows of a table that lists recordings; `path` may be the whole path or only the directory of `name`."""

    def record(self, row: Row, zone: Zone, near: Micros | None) -> RecordingFile:
        """The recording of a row; `near` is not needed. Raises Unreadable for a row that names no file."""
        del near
        path, name = self._text(row, "path").strip(), self._text(row, "name").strip()
        if name and not path.endswith(name):
            path = f"{path.rstrip('/')}/{name}" if path else name
        if not path or path.endswith("/"):
            raise Unreadable("no file name")
        uniqueid = self._text(row, "uniqueid")
        started, _ = self._instant(row, "at", zone, epoch_of(uniqueid), None)
        ending = path.rpartition(".")[2]
        return RecordingFile(
            path,
            int(number(self._text(row, "size")) or 0),
            uniqueid=uniqueid,
            linkedid=self._text(row, "linkedid"),
            started_at=started,
            duration=number(self._text(row, "duration")),
            format="wav49" if ending == "WAV" else ending.lower(),
            origin="table",
        )


def reader(fields: Sequence[str], columns: Columns) -> CelReader | CdrReader:
    """The reader for a table's layout."""
    return CelReader(fields, columns) if columns.layout is CEL else CdrReader(fields, columns)


def disposition(text: str) -> str:
    """The text form: numbers are bits of cdr.h, spellings of enums and scripts are mended."""
    if text.isdigit():
        bits = int(text)
        return next((name for bit, name in _DISPOSITIONS if bits & bit), "NO ANSWER")
    upper = text.strip().upper()
    return _SPACED.get(upper, upper)


def number(text: str) -> float | None:
    """Seconds or a counter; None for what is no number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e12 else None

"""Records as bytes into events: the one place where dialect, mapping and time come together.

- `Rows` is fed records in the order of the file and never raises: what cannot be understood comes back as `Unreadable`
  with its reason.
- The content decides, a mapping told is a preference: a row with another number of columns is looked at afresh, since
  an operator may change cel_custom.conf in the middle of a file.
- A record that hides another (torn by a crash and written over, or glued) is taken apart where an event begins.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Any, NamedTuple

from asterisk_connector.records import CelEvent
from asterisk_connector.sources.csv import jsonlines
from asterisk_connector.sources.csv.dialect import STOCK, Dialect, detect_dialect
from asterisk_connector.sources.csv.events import KNOWN, USER_DEFINED, name_event
from asterisk_connector.sources.csv.mapping import ENUM, Mapping, detect_mapping, field_name, from_names, is_header
from asterisk_connector.sources.csv.split import Piece
from asterisk_connector.sources.csv.times import Times, is_uniqueid

_TEXT_FIELDS = tuple(name for name in CelEvent.__struct_fields__ if name not in {"at", "resolution"})


class Unreadable(NamedTuple):
    """Why a record is no event."""

    reason: str


class Row(NamedTuple):
    """What a piece of the file, or a part of it, turned out to be. `data` are the bytes it was read from."""

    offset: int
    event: CelEvent | Unreadable
    data: bytes


class Rows:
    """Reads the records of one file."""

    def __init__(
        self,
        dialect: Dialect | None = None,
        mapping: Mapping | None = None,
        *,
        zone: tzinfo = UTC,
        time_format: str | None = None,
    ) -> None:
        self._dialect = dialect or STOCK
        self._detects = dialect is None
        self._mappings: dict[int, Mapping] = {mapping.size: mapping} if mapping else {}
        self._told = mapping
        self._times = Times(zone, time_format)

    def read(self, piece: Piece) -> list[Row]:
        """The events of one record: one, none for a blank line or a header, several where records stuck together."""
        data = piece.data
        if piece.cut:
            return [Row(piece.offset, Unreadable(f"a record of {piece.size} bytes is longer than any event"), data)]
        event = self.read_record(data)
        if event is None:
            return []
        if isinstance(event, Unreadable):
            parts = self._take_apart(data)
            if len(parts) > 1:
                found = [(begin, self.read_record(part), part) for begin, part in parts]
                return [Row(piece.offset + begin, inner, part) for begin, inner, part in found if inner is not None]
        return [Row(piece.offset, event, data)]

    def read_record(self, data: bytes) -> CelEvent | Unreadable | None:
        """One record without its newline; None for a blank line or a header."""
        if data[-1:] == b"\r":
            data = data[:-1]
        if data[:1] == b"{":
            return self._read_json(data)
        row = self._dialect.fields(data.decode("utf-8", "replace"))
        if row is not None:
            mapping = self._mappings.get(len(row))
            if mapping is not None:
                event = self._build(mapping.pick(row))
                if isinstance(event, CelEvent):
                    return event
        if not data.strip(b"\r\n\t \0"):
            return None
        return self._read_stranger(data, row)

    def read_cells(self, row: list[str]) -> CelEvent | Unreadable:
        """One row that came in cells, of a mapping told."""
        mapping = self._mappings.get(len(row))
        if mapping is None:
            return Unreadable(f"{len(row)} cells in a table of {' or '.join(map(str, self._mappings))} columns")
        return self._build(mapping.pick(row))

    def _read_stranger(self, data: bytes, row: list[str] | None) -> CelEvent | Unreadable | None:
        """A row of a shape not met before (or not rightly): looks at its content."""
        if self._is_written_over(data):
            return Unreadable("a record torn by a crash or a full disk, with the next one in the same line")
        event = self._read_by_content(row)
        if self._detects and isinstance(event, Unreadable):
            dialect = detect_dialect(data)
            if dialect != self._dialect:
                other = self._read_by_content(dialect.fields(data.decode("utf-8", "replace")))
                if not isinstance(other, Unreadable):
                    self._dialect = dialect
                    return other
        return event

    def _read_by_content(self, row: list[str] | None) -> CelEvent | Unreadable | None:
        if row is None:
            return Unreadable("quotes do not add up: a record torn by a crash, a full disk or a cut of the file")
        if is_header(row):
            mapping = from_names(row)
            self._mappings[mapping.size] = mapping
            return None
        found = self._told if self._told is not None and len(row) == self._told.size else detect_mapping(row)
        if found is None:
            return Unreadable(f"{len(row)} columns among which no event, time and pair of uniqueids can be found")
        event = self._build(found.pick(row))
        if isinstance(event, CelEvent) and "extra" in found.columns:
            self._mappings[found.size] = found  # else a later row, with more in it, may tell more
        return event

    def _build(self, picked: tuple[str, ...]) -> CelEvent | Unreadable:
        time, written, uniqueid, linkedid, *texts, enum = picked
        if not is_uniqueid(uniqueid):
            return Unreadable(f"{uniqueid[:40]!r} is no uniqueid")
        try:
            at, resolution = self._times.read(time, uniqueid)
        except ValueError as error:
            return Unreadable(str(error))
        user_defined = texts[_USER_DEFINED]
        if user_defined or written not in KNOWN or written == USER_DEFINED:
            written, texts[_USER_DEFINED] = name_event(written, enum, user_defined, texts[_APP_NAME])
            if not written or '"' in written:
                return Unreadable(f"{written[:40]!r} is no event's name")
        rest: list[Any] = [*texts, resolution]
        return CelEvent(written, at, uniqueid, linkedid, *rest)

    def _read_json(self, data: bytes) -> CelEvent | Unreadable:
        values = jsonlines.decode(data)
        if values is None:
            return Unreadable("a JSON line that is no JSON, even with its back-slashes repaired")
        named = {field_name(name): value for name, value in values.items()}
        return self._build(tuple(named.get(name, "") for name in ("at", *_TEXT_FIELDS, ENUM)))

    def _is_written_over(self, data: bytes) -> bool:
        """Whether another record begins inside this one; `eventtype, eventenum, eventtime` is no such place."""
        separator = self._dialect.separator.encode()
        for match in self._dialect.inner_start.finditer(data, 1):
            before, name = data[: match.start()], match[1]
            cells = before.split(separator)
            first = cells[max(0, len(cells) - 2)].strip(b"\"'")
            if cells[-1] or (first != name and (len(cells) > 2 or first.decode("latin-1") in KNOWN)):
                return True
        return False

    def _take_apart(self, data: bytes) -> list[tuple[int, bytes]]:
        starts = [match.start() for match in self._dialect.inner_start.finditer(data)]
        starts = [0, *(start for start in starts if start > 0)]
        return [(begin, data[begin:end]) for begin, end in zip(starts, [*starts[1:], len(data)], strict=True)]


_USER_DEFINED = _TEXT_FIELDS.index("user_defined_type") - 3
_APP_NAME = _TEXT_FIELDS.index("app_name") - 3

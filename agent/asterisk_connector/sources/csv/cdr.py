"""CDR files: what columns a row of cdr_csv or cdr_custom has, and the row made of them.

- cdr_csv (`cdr/cdr_csv.c`) writes 16 columns, then uniqueid (`loguniqueid`), userfield (`loguserfield`), and
  peeraccount, linkedid, sequence (`newcdrcolumns`), each only if switched on: the count and the look of a column tell.
- cdr_custom writes what its mapping says; the mapping of the sample file is known by the place of its times.
- Nothing raises: what cannot be understood comes back as `Unreadable` with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, tzinfo
from functools import cached_property
from typing import NamedTuple

from asterisk_connector.errors import Misconfigured
from asterisk_connector.records import CdrRow
from asterisk_connector.sources.csv.dialect import Dialect
from asterisk_connector.sources.csv.rows import Unreadable
from asterisk_connector.sources.csv.split import Piece
from asterisk_connector.sources.csv.times import is_uniqueid
from asterisk_connector.sources.tables import rows as table_rows
from asterisk_connector.sources.tables.columns import CDR, Columns, field_of
from asterisk_connector.sources.tables.database import Column
from asterisk_connector.sources.tables.rows import CdrReader
from asterisk_connector.sources.tables.zones import Zone, parse

CDR_CSV = (
    "account_code", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "last_app", "last_data", "start",
    "answer", "end", "duration", "billsec", "disposition", "ama_flags",
)  # fmt: skip
NEW_COLUMNS = ("peer_account", "linkedid", "sequence")
CDR_CUSTOM = (
    "clid", "src", "dst", "dcontext", "channel", "dstchannel", "last_app", "last_data", "start", "answer", "end",
    "duration", "billsec", "disposition", "ama_flags", "account_code", "uniqueid", "user_field", "sequence",
)  # fmt: skip
"""The mapping of `cdr_custom.conf.sample`; older samples end before."""
CDR_FULL = ("uniqueid", "linkedid", "peer_account", "sequence", "user_field", "did", "recording_file")
"""What hand-made mappings put after the columns of cdr_csv, known by the pair of uniqueid and linkedid."""

_VARIABLE = re.compile(r"CDR\(\s*(\w+)")
_NEVER = re.compile(rb"(?!)")


class CdrDialect(Dialect, frozen=True, dict=True):
    """How a CDR file writes its fields: as CEL does, but no event's name tells where a record begins."""

    @cached_property
    def start(self) -> re.Pattern[bytes]:
        """Matches where a record begins: two short quoted columns at the start of a line."""
        return self._pattern(rb"(?:%(q)s[^%(q)s\r\n]{0,80}%(q)s%(s)s){2}")

    @cached_property
    def glue(self) -> re.Pattern[bytes]:
        """Rows of CDR files are never glued."""
        return _NEVER

    @cached_property
    def inner_start(self) -> re.Pattern[bytes]:
        """Nothing tells a record inside a line."""
        return _NEVER


class Read(NamedTuple):
    """What a piece of the file turned out to be."""

    offset: int
    event: CdrRow | Unreadable
    data: bytes


class CdrRows:
    """Reads the records of one CDR file. `fields` as `mapping` gives them; None finds them by content."""

    def __init__(self, dialect: Dialect, fields: Sequence[str] | None = None, zone: tzinfo = UTC) -> None:
        self._dialect = dialect
        self._told = tuple(fields) if fields else None
        self._named: tuple[str, ...] | None = None
        self._zone = Zone(zone)
        self._readers: dict[tuple[str, ...], CdrReader] = {}

    def read(self, piece: Piece) -> list[Read]:
        """The record of a piece; none for a blank line."""
        if piece.cut:
            reason = f"a record of {piece.size} bytes is longer than any CDR row"
            return [Read(piece.offset, Unreadable(reason), piece.data)]
        data = piece.data.removesuffix(b"\r")
        if not data.strip(b"\r\n\t \0"):
            return []
        row = self._dialect.fields(data.decode("utf-8", "replace"))
        if row is None:
            reason = "quotes do not add up: a record torn by a crash, a full disk or a cut of the file"
            return [Read(piece.offset, Unreadable(reason), piece.data)]
        if self._told is None and is_cdr_header(row):
            self.name(row)
            return []
        return [Read(piece.offset, self.read_cells(row), piece.data)]

    def name(self, names: Sequence[str]) -> None:
        """Takes the columns' names from a header."""
        self._named = named_fields(names)

    def read_cells(self, row: Sequence[str]) -> CdrRow | Unreadable:
        """The row made of its cells."""
        fields = self._told or self._named or detect_fields(row)
        if fields is None:
            return Unreadable(f"{len(row)} columns of no known CDR file; set `mapping` to their names")
        if len(row) < len(fields):
            return Unreadable(f"{len(row)} columns where {len(fields)} belong")
        try:
            return self._reader(fields).record(tuple(row), self._zone, None)
        except table_rows.Unreadable as error:
            return Unreadable(str(error))

    def _reader(self, fields: tuple[str, ...]) -> CdrReader:
        if fields not in self._readers:
            columns = Columns(CDR, {field: Column(field, "text") for field in fields if field})
            self._readers[fields] = CdrReader(fields, columns)
        return self._readers[fields]


def is_cdr_header(names: Sequence[str]) -> bool:
    """Whether a row names the columns of CDR instead of filling them."""
    fields = {field_of(CDR, name) for name in names}
    return {"start", "disposition"} <= fields and bool(fields & {"uniqueid", "channel"})


def detect_cdr_dialect(head: bytes) -> CdrDialect:
    """Separator of a CDR text by its first line; Asterisk itself writes commas."""
    line = head.splitlines()[0] if head.strip() else b""
    separator = max(",;\t|", key=lambda sign: line.count(sign.encode()))
    return CdrDialect(separator=separator) if line.count(separator.encode()) else CdrDialect()


def detect_fields(row: Sequence[str]) -> tuple[str, ...] | None:
    """The columns of a row by their number and by where its times stand; None where that tells nothing."""
    base = len(CDR_CSV)
    if len(row) > base + 2 and is_uniqueid(row[base]) and is_uniqueid(row[base + 1]):
        return (CDR_CSV + CDR_FULL)[: len(row)]
    times = [at for at, cell in enumerate(row) if parse(cell) is not None and "-" in cell]
    if not times:
        return None
    if times[0] == CDR_CUSTOM.index("start") and len(row) <= len(CDR_CUSTOM):
        return CDR_CUSTOM[: len(row)] if len(row) > CDR_CUSTOM.index("disposition") else None
    if times[0] != CDR_CSV.index("start") or not base <= len(row) <= base + 5:
        return None
    fields: tuple[str, ...] = CDR_CSV
    rest = len(row) - base
    new = NEW_COLUMNS if rest >= 3 else ()
    rest -= len(new)
    if rest == 2:
        fields += ("uniqueid", "user_field")
    elif rest == 1:
        fields += ("uniqueid",) if is_uniqueid(row[base]) else ("user_field",)
    return fields + new


def named_fields(names: Sequence[str]) -> tuple[str, ...]:
    """Our fields for a configured list of names; an unknown name is a column without a meaning."""
    fields = tuple(field_of(CDR, name) or "" for name in names)
    if "start" not in fields:
        raise Misconfigured(
            f"the mapping {', '.join(names)} of a CDR file has no start time",
            "name the columns in their order, as in cdr_custom.conf: clid, src, dst, …, start, …",
        )
    return fields


def read_cdr_custom(text: str, filename: str) -> tuple[str, ...]:
    """The columns that a `cdr_custom.conf` gives to a file, by the file's last part.

    Raises Misconfigured where it says nothing of it.
    """
    wanted = filename.rsplit("/", 1)[-1]
    mappings = dict(_mappings(text))
    if wanted not in mappings:
        raise Misconfigured(
            f"cdr_custom.conf has no mapping for {wanted} (it has: {', '.join(mappings) or 'none'})",
            "check the file name, or set `mapping` to the columns' names",
        )
    cells = re.split(r",(?=[\"$])|,(?![^({]*[)}])", mappings[wanted])
    return named_fields([found[1] if (found := _VARIABLE.search(cell)) else "" for cell in cells])


def _mappings(text: str) -> list[tuple[str, str]]:
    section = ""
    found: list[tuple[str, str]] = []
    for raw in text.splitlines():
        line = re.sub(r"(?<!\\);.*", "", raw).strip()
        if line.startswith("["):
            section = line.strip("[]").lower()
        elif section == "mappings" and "=" in line:
            name, _, value = line.partition("=")
            found.append((name.strip().rsplit("/", 1)[-1], value.removeprefix(">").strip()))
    return found

"""A whole capture at once: any CEL or CDR text a person may have, without being told what it is.

- CEL: files of cel_custom in every mapping, JSON lines, and tables pasted from `mysql` or `psql`; see `rows`, `pasted`.
- CDR: files of cdr_csv and cdr_custom, files with a header, pasted tables; see `cdr`.
- Pure and total: what is no event is set aside with its reason, in the order of the text.
"""

from __future__ import annotations

from datetime import UTC, tzinfo

from asterisk_connector.records import CdrRow, CelEvent, SetAside
from asterisk_connector.sources.csv.cdr import CdrRows, detect_cdr_dialect, is_cdr_header
from asterisk_connector.sources.csv.dialect import Dialect, detect_dialect
from asterisk_connector.sources.csv.mapping import Mapping, from_names, is_header
from asterisk_connector.sources.csv.pasted import read_table
from asterisk_connector.sources.csv.rows import Rows, Unreadable
from asterisk_connector.sources.csv.split import Splitter


def parse(
    data: bytes,
    *,
    zone: tzinfo = UTC,
    mapping: Mapping | None = None,
    dialect: Dialect | None = None,
    time_format: str | None = None,
) -> tuple[list[CelEvent], list[SetAside]]:
    """Events in the order of the text and what could not be understood. `zone` is that of times without one.

    `SetAside.ident` is the offset of the record in `data` (for a pasted table, the number of its line).
    """
    events: list[CelEvent] = []
    set_aside: list[SetAside] = []
    data = data.removeprefix(b"\xef\xbb\xbf")
    table = read_table(data.decode("utf-8", "replace"), is_header)
    if table is not None:
        rows = Rows(None, from_names(table.names), zone=zone, time_format=time_format)
        for number, cells in table.rows:
            event = rows.read_cells(cells)
            if isinstance(event, Unreadable):
                set_aside.append(SetAside(str(number), event.reason, " | ".join(cells).encode()))
            else:
                events.append(event)
        return events, set_aside
    splitter = Splitter(dialect or detect_dialect(data[:4096]))
    rows = Rows(dialect, mapping, zone=zone, time_format=time_format)
    for piece in [*splitter.feed(data), *splitter.finish()]:
        for row in rows.read(piece):
            if isinstance(row.event, Unreadable):
                set_aside.append(SetAside(str(row.offset), row.event.reason, row.data))
            else:
                events.append(row.event)
    return events, set_aside


def parse_cdr(data: bytes, *, zone: tzinfo = UTC) -> tuple[list[CdrRow], list[SetAside]]:
    """The same for CDR rows."""
    found: list[CdrRow] = []
    set_aside: list[SetAside] = []
    data = data.removeprefix(b"\xef\xbb\xbf")
    dialect = detect_cdr_dialect(data[:4096])
    rows = CdrRows(dialect, zone=zone)
    table = read_table(data.decode("utf-8", "replace"), is_cdr_header)
    if table is not None:
        rows.name(table.names)
        read = [(str(number), rows.read_cells(cells), " | ".join(cells).encode()) for number, cells in table.rows]
    else:
        splitter = Splitter(dialect)
        pieces = [*splitter.feed(data), *splitter.finish()]
        read = [(str(row.offset), row.event, row.data) for piece in pieces for row in rows.read(piece)]
    for ident, row, raw in read:
        if isinstance(row, Unreadable):
            set_aside.append(SetAside(ident, row.reason, raw))
        else:
            found.append(row)
    return found, set_aside

"""A whole capture at once: any CEL text a person may have, without being told what it is.

- Files of cel_custom in every mapping, JSON lines, and tables pasted from `mysql` or `psql`; see `rows` and `pasted`.
- Pure and total: what is no event is set aside with its reason, in the order of the text.
"""

from __future__ import annotations

from datetime import UTC, tzinfo

from asterisk_connector.records import CelEvent, SetAside
from asterisk_connector.sources.csv.dialect import Dialect, detect_dialect
from asterisk_connector.sources.csv.mapping import Mapping
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
    table = read_table(data.decode("utf-8", "replace"))
    if table is not None:
        rows = Rows(None, table.mapping, zone=zone, time_format=time_format)
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

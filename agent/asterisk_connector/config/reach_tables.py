"""What `check` says of the tables that are polled; the driver is imported when a table names it."""

from __future__ import annotations

from collections.abc import Iterator

from asterisk_connector.config.finding import Finding
from asterisk_connector.config.model import Settings


def tables(settings: Settings) -> Iterator[Finding]:
    """Each table as polling would see it: reachable, read-only, columns, index, pace, zone."""
    cel, cdr = settings.sources.cel_table, settings.sources.cdr_table
    if cel is None and cdr is None:
        return
    from asterisk_connector.clock import SystemClock
    from asterisk_connector.config import rooms
    from asterisk_connector.sources.tables.columns import CDR, CEL
    from asterisk_connector.sources.tables.inspect import inspect

    for path, layout, table in (("sources.cel_table", CEL, cel), ("sources.cdr_table", CDR, cdr)):
        if table is None:
            continue
        polling = rooms.table_polling(table, settings.start_at)
        for found in inspect(layout, rooms.table_server(table), polling, SystemClock().now()):
            yield Finding(found.level, path, found.message, found.hint)

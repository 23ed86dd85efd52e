"""What `check` says of the tables that are polled; the driver is imported when a table names it."""

from __future__ import annotations

from collections.abc import Iterator

from asterisk_connector.config.finding import Finding
from asterisk_connector.config.model import Settings


def tables(settings: Settings) -> Iterator[Finding]:
    """Each table as polling would see it: reachable, read-only, columns, index, pace, zone."""
    recordings = settings.sources.recordings
    listed = recordings.table if recordings is not None else None
    if (settings.sources.cel_table, settings.sources.cdr_table, listed) == (None, None, None):
        return
    from asterisk_connector.clock import SystemClock
    from asterisk_connector.config import rooms
    from asterisk_connector.sources.tables.columns import CDR, CEL, RECORDING
    from asterisk_connector.sources.tables.inspect import inspect

    for path, layout, table in (
        ("sources.cel_table", CEL, settings.sources.cel_table),
        ("sources.cdr_table", CDR, settings.sources.cdr_table),
        ("sources.recordings.table", RECORDING, listed),
    ):
        if table is None:
            continue
        polling = rooms.table_polling(table, settings.start_at)
        for found in inspect(layout, rooms.table_server(table), polling, SystemClock().now()):
            yield Finding(found.level, path, found.message, found.hint)

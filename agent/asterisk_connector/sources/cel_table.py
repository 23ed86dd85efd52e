"""CEL rows from a database table (cel_odbc, cel_pgsql, and what copies them).

- Order of records is order of ids; without an id, order of time and within a second as the database keeps rows.
"""

from __future__ import annotations

from asterisk_connector.clock import Clock
from asterisk_connector.notices import Notify
from asterisk_connector.sources.tables.columns import CEL
from asterisk_connector.sources.tables.database import Server
from asterisk_connector.sources.tables.poller import Polling, TableSource


class CelTableSource(TableSource):
    """See `sources.base.Source`."""

    def __init__(self, name: str, server: Server, polling: Polling, *, clock: Clock, notify: Notify) -> None:
        super().__init__(name, CEL, server, polling, clock=clock, notify=notify)

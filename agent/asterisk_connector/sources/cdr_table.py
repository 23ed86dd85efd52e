"""CDR rows from a database table (cdr_adaptive_odbc, cdr_odbc, cdr_pgsql, cdr_mysql).

- Rows are found by polling alone; `fetch` only makes it sooner where the table has no id and rows of long calls are
  written behind the times already read.
"""

from __future__ import annotations

from collections.abc import Iterable
from queue import Empty, SimpleQueue

from asterisk_connector.clock import Clock
from asterisk_connector.notices import Notify
from asterisk_connector.records import Batch
from asterisk_connector.sources.tables.columns import CDR
from asterisk_connector.sources.tables.database import Server
from asterisk_connector.sources.tables.poller import Polling, TableSource

_MOST_WANTED = 10_000


class CdrTableSource(TableSource):
    """See `sources.base.Source`."""

    def __init__(self, name: str, server: Server, polling: Polling, *, clock: Clock, notify: Notify) -> None:
        super().__init__(name, CDR, server, polling, clock=clock, notify=notify)
        self._wanted: SimpleQueue[tuple[str, ...]] = SimpleQueue()

    def fetch(self, uniqueids: Iterable[str]) -> None:
        """Asks for the rows of channels known to have ended, as soon as they are written; safe from any thread.

        They come out of `read` like all others, in sets, never one statement per call. While the database is away
        only so many are remembered; polling finds the others.
        """
        if self._wanted.qsize() < _MOST_WANTED:
            self._wanted.put(tuple(uniqueids))

    def read(self, timeout: float) -> Batch | None:
        while True:
            try:
                self.want(self._wanted.get_nowait())
            except Empty:
                return super().read(timeout)

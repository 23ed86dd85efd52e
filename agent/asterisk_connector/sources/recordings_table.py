"""Rows of a database table that lists recordings; PBX distributions and recording scripts keep such tables.

- A row names its call by uniqueid or linkedid, and its file by path, or by directory and name. What is on the disk is
  seen by the watcher; a file and its row become one recording where calls are known.
"""

from __future__ import annotations

from asterisk_connector.clock import Clock
from asterisk_connector.notices import Notify
from asterisk_connector.sources.tables.columns import RECORDING
from asterisk_connector.sources.tables.database import Server
from asterisk_connector.sources.tables.poller import Polling, TableSource


class RecordingsTableSource(TableSource):
    """See `sources.base.Source`."""

    def __init__(self, name: str, server: Server, polling: Polling, *, clock: Clock, notify: Notify) -> None:
        super().__init__(name, RECORDING, server, polling, clock=clock, notify=notify)

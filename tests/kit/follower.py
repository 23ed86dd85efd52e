"""The agent's loop around one source, turned by hand: read, keep, commit; after a failure open again."""

from __future__ import annotations

from collections.abc import Callable

from asterisk_connector.errors import Misconfigured, Transient
from asterisk_connector.records import Record, SetAside
from asterisk_connector.sources.base import Source


class Follower:
    """Keeps what a source brings, as the store does: one record per ident, with the position it moved."""

    def __init__(self, make: Callable[[], Source]) -> None:
        self._make = make
        self.source = make()
        self.position: bytes | None = None
        self.records: dict[str, Record] = {}
        self.history: set[str] = set()
        self.set_aside: dict[str, SetAside] = {}
        self.returned = 0
        self.failures: list[str] = []
        self._opened = False

    def round(self) -> int:
        """Reads until the source has nothing more at the moment; returns how many new records came."""
        before = len(self.records)
        try:
            if not self._opened:
                self.source.open(self.position)
                self._opened = True
            while (batch := self.source.read(0)) is not None:
                self.returned += len(batch.seen)
                for ident, record in batch.seen:
                    if ident not in self.records:
                        self.records[ident] = record
                        if batch.history:
                            self.history.add(ident)
                self.set_aside.update((row.ident, row) for row in batch.set_aside)
                self.position = batch.position
        except (Transient, Misconfigured) as error:
            self.failures.append(str(error))
            self.source.close()
            self._opened = False
        return len(self.records) - before

    @property
    def new(self) -> list[Record]:
        """What is no history."""
        return [record for ident, record in self.records.items() if ident not in self.history]

    def kill(self) -> None:
        """Ends the process and starts another one on what was committed."""
        self.source.close()
        self.source = self._make()
        self._opened = False

    def close(self) -> None:
        self.source.close()

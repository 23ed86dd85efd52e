"""One source, read into the store: the thread between `sources` and `store`.

- What was read is handed on only after it is committed together with its position (law 1).
- A source that cannot be read is closed and opened again after a pause that doubles; the others go on.
- The store decides how fast reading goes: `append` waits while the disk is full.
"""

from __future__ import annotations

from collections.abc import Callable

from asterisk_connector.clock import Clock
from asterisk_connector.errors import Misconfigured, Transient
from asterisk_connector.notices import CallOpened, Notify, RowSetAside, RowsRead, SourceFailed, SourceOpened
from asterisk_connector.records import Batch, CelEvent, Record
from asterisk_connector.sources.base import Source
from asterisk_connector.store.store import Store
from asterisk_connector.store.words import Appended
from asterisk_connector.supervise import ROUND_SECONDS, Worker

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


class Reader:
    """Reads one source for as long as its worker runs.

    `follow` is offered what each committed batch changed; it answers False when it is not ready for more yet.
    """

    def __init__(
        self, source: Source, store: Store, *, follow: Callable[[Appended], bool], clock: Clock, notify: Notify
    ) -> None:
        self.source = source
        self._store = store
        self._follow = follow
        self._notify = notify
        self._opened = False
        self._pause = _FIRST_PAUSE
        self.worker = Worker(
            source.name,
            self._round,
            wake=source.wake,
            clock=clock,
            notify=notify,
            reset=self._close,
            close=self._close,
        )

    def _round(self) -> None:
        try:
            self._open()
            batch = self.source.read(ROUND_SECONDS)
        except Transient as error:
            self._failed(str(error), "", error.retry_after)
        except Misconfigured as error:
            self._failed(str(error), error.hint, None)
        else:
            self._pause = _FIRST_PAUSE
            if batch is not None:
                self._keep(batch)

    def _open(self) -> None:
        if not self._opened:
            self.source.open(self._store.position(self.source.name))
            self._opened = True
            self._notify(SourceOpened(self.source.name))

    def _keep(self, batch: Batch) -> None:
        appended = self._store.append(batch)
        for row in batch.set_aside:
            self._notify(RowSetAside(batch.source, row.ident, row.reason))
        newest = max((t for s in batch.seen if (t := _instant(s.record)) is not None), default=None)
        self._notify(RowsRead(batch.source, len(batch.seen), len(batch.set_aside), newest))
        for call in () if batch.history else appended.new:
            first = appended.touched[call][0]
            self._notify(CallOpened(first.linkedid or first.uniqueid))
        if appended.touched or appended.merged or appended.recordings:
            # What is committed is not lost if a stop comes first: the next start takes up every open call.
            while not self._follow(appended) and not self.worker.stopping:
                self.worker.beat()

    def _failed(self, reason: str, hint: str, retry_after: float | None) -> None:
        pause = max(self._pause, retry_after or 0.0)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._notify(SourceFailed(self.source.name, reason, hint, pause))
        self._close()
        self.worker.pause(pause)

    def _close(self) -> None:
        if self._opened:
            self._opened = False
            self.source.close()


def _instant(record: Record) -> int | None:
    return record.at if isinstance(record, CelEvent) else None

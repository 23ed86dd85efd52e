"""The calls that began in a time past, put together from what tables and files still hold of them.

- Rows wait in a scratch store of their own while a slice of time is read, so that memory stays flat; the calls are
  the components the agent itself would have made of the rows, and the same rules say whether they are over.
- A call belongs to the time it began in; rows are read as far around a slice as the longest call reaches, so that no
  call is told from a part of it.
- Nothing is changed anywhere but in the scratch directory, which is gone at the end.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from asterisk_connector.assembler import Rules, Verdict
from asterisk_connector.assembly.channels import age
from asterisk_connector.clock import Clock
from asterisk_connector.errors import Misconfigured
from asterisk_connector.notices import Notify
from asterisk_connector.records import Batch, CdrRow, CelEvent, Micros, Record, Seen, SetAside
from asterisk_connector.sources.base import Past
from asterisk_connector.store.store import Store
from asterisk_connector.store.words import Limits

_SECOND = 1_000_000
_ANY_SIZE = 1 << 50
KEPT = 10_000
SLICE: Micros = 86_400 * _SECOND
_OLDEST, _LATEST = 315_532_800, 1 << 33
"""Seconds from 1980 on: a row or name that tells another time tells none."""
_ROUNDED = 2 * _SECOND
"""So far may a uniqueid's second and the first row of its channel lie apart."""


class Period(NamedTuple):
    """From `since` to before `until`."""

    since: Micros
    until: Micros

    def slices(self) -> Iterator[Period]:
        """In pieces that are read at once."""
        since = self.since
        while since < self.until:
            until = min(since + SLICE, self.until)
            yield Period(since, until)
            since = until


class PastCall(NamedTuple):
    """One call. `names`: its linkedids, or of rows without one their uniqueids, oldest first."""

    began: Micros
    names: tuple[str, ...]
    records: list[Record]
    verdict: Verdict


class PastCalls:
    """Reads the past. `rate`: rows a second at most, 0: no bound. Raises what the sources raise."""

    def __init__(
        self, sources: Sequence[Past], rules: Rules, *, clock: Clock, notify: Notify, rate: float = 0.0
    ) -> None:
        if not sources:
            raise Misconfigured(
                "the past can be read from no source that is configured",
                "cel_table, cdr_table or cel_csv below `sources`; AMI remembers nothing",
            )
        self.rows = 0
        """Rows read so far, those around a slice included."""
        self.set_aside: dict[tuple[str, str], SetAside] = {}
        """Rows that could not be understood, by source and ident; the first KEPT of them."""
        self._sources = sources
        self._rules = rules
        self._clock = clock
        self._notify = notify
        self._rate = rate
        self._paced_from = clock.monotonic()

    def open(self) -> None:
        """Connects all sources."""
        for source in self._sources:
            source.open()

    def close(self) -> None:
        """Gives everything back."""
        for source in self._sources:
            source.close()

    def read(self, period: Period, done: Callable[[float], None]) -> Iterator[PastCall]:
        """The calls that began in one slice, oldest record first. `done` is told the part of it that is done."""
        with tempfile.TemporaryDirectory(prefix="asterisk-connector-") as directory:
            scratch = Store.open(
                Path(directory), clock=self._clock, notify=self._notify, limits=Limits(max_bytes=_ANY_SIZE)
            )
            try:
                share = 1 / (len(self._sources) + 1)
                for number, source in enumerate(self._sources):
                    self._fill(scratch, source, period, part_of(done, number * share, share))
                yield from self._calls(scratch, period)
            finally:
                scratch.close()
        done(1.0)

    def _fill(self, scratch: Store, source: Past, period: Period, done: Callable[[float], None]) -> None:
        reach = int(source.reach * _SECOND)
        around = Period(period.since - reach, period.until + reach)
        number = 0
        for stretch in source.read(*around):
            seen = [Seen(str(number + n), record) for n, record in enumerate(stretch.records)]
            number += len(seen)
            scratch.append(Batch(source.name, seen, b""))
            for row in stretch.set_aside[: max(0, KEPT - len(self.set_aside))]:
                self.set_aside[source.name, row.ident] = row
            self._pace(len(seen) + len(stretch.set_aside))
            newest = max((instant(record) or 0 for record in stretch.records), default=0)
            done(min(1.0, max(0.0, (newest - around.since) / (around.until - around.since))))

    def _pace(self, rows: int) -> None:
        self.rows += rows
        if self._rate:
            time.sleep(max(0.0, self.rows / self._rate - (self._clock.monotonic() - self._paced_from)))

    def _calls(self, scratch: Store, period: Period) -> Iterator[PastCall]:
        now = self._clock.now()
        for call in scratch.open_calls():
            records = [record for _, record in scratch.rows(call)]
            names = sorted({record.linkedid or record.uniqueid for record in records} - {""}, key=age)
            began = _began(records, names)
            if not (names and period.since <= began < period.until):
                continue
            progress = self._rules.progress()
            for record in records:
                progress.observe(record, min(instant(record) or now, now))  # a row may be dated 2038
            yield PastCall(began, tuple(names), records, progress.verdict(now))


def part_of(done: Callable[[float], None], start: float, share: float) -> Callable[[float], None]:
    """Tells `done` of work that is only a share of the whole."""
    return lambda part: done(start + part * share)


def instant(record: Record) -> Micros | None:
    """When a record was written, as far as it tells."""
    if isinstance(record, CelEvent):
        return record.at
    if not isinstance(record, CdrRow):
        return record.ended_at
    if record.end is not None or record.start is None:
        return record.end
    return record.start + round((record.duration or 0.0) * _SECOND)


def _began(records: Iterable[Record], names: Iterable[str]) -> Micros:
    """The earliest that rows tell; where the oldest name was made earlier, its first rows are gone: when it was made.

    A name bears the second in which its channel was created.
    """
    told = [record.at if isinstance(record, CelEvent) else record.start
            for record in records if isinstance(record, CelEvent | CdrRow)]  # fmt: skip
    first = min((at for at in told if at is not None and at >= _OLDEST * _SECOND), default=None)
    created = min((age(name)[0] for name in names if _OLDEST <= age(name)[0] < _LATEST), default=None)
    if created is None:
        return first or 0
    return first if first is not None and first - created * _SECOND < _ROUNDED else created * _SECOND

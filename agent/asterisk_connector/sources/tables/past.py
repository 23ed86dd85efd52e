"""The rows of a time past from one table: the questions of polling, asked once, with no position to keep.

- By the id where there is one: the ids of the time are found by halving. Else by seconds of the time column, counted
  first. Every question is bounded by `page` rows and goes by the index that polling uses.
- A CDR row bears its call's start and is written at its end: ids are read on behind the time, as far as the longest
  call, its batch and a late commit explain.
- The zone of the times is judged by young rows before anything is looked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from asterisk_connector.clock import Clock
from asterisk_connector.errors import Misconfigured
from asterisk_connector.notices import Notify
from asterisk_connector.records import CelEvent, Micros, Record, SetAside
from asterisk_connector.sources.base import Stretch
from asterisk_connector.sources.tables.columns import CEL, Layout, match
from asterisk_connector.sources.tables.cursor import before_second
from asterisk_connector.sources.tables.database import Connection, Row, Server, connect, table_name
from asterisk_connector.sources.tables.gaps import contiguous
from asterisk_connector.sources.tables.poller import Polling
from asterisk_connector.sources.tables.rows import CdrReader, CelReader, Unreadable, reader
from asterisk_connector.sources.tables.table import Table
from asterisk_connector.sources.tables.table_zone import TableZone
from asterisk_connector.sources.tables.zones import SECOND

_CLOCKS_GO_BACK = 3600
_SAMPLE = 200
_SECONDS_AT_ONCE = 200
_DAY = 86_400
_WEEK = 7 * _DAY


class TablePast:
    """See `sources.base.Past`."""

    def __init__(
        self, name: str, layout: Layout, server: Server, polling: Polling, *, clock: Clock, notify: Notify
    ) -> None:
        self.name = name
        self.reach = polling.longest_call
        self._layout = layout
        self._server = server
        self._polling = polling
        self._clock = clock
        self._zone = TableZone(name, polling.zone, notify)
        self._connection: Connection | None = None
        self._table: Table
        self._reader: CelReader | CdrReader

    def open(self) -> None:
        """Connects, finds the columns and the zone."""
        self.close()
        self._connection = connection = connect(self._server)
        try:
            name = table_name(self._polling.table)
            columns = match(self._layout, self._polling.table, connection.columns(name), self._polling.columns)
            if columns.key is None and columns.time.kind == "text":
                raise Misconfigured(
                    f"table {self._polling.table} has neither an id nor a time column that can be searched"
                    f" ({columns.time.name} is text)",
                    "add an id that the database counts up",
                )
            self._table = Table(connection, name, columns)
            self._reader = reader(self._table.fields, columns)
            self._zone.candidates(connection.session_zone(), needed=self._reader.needs_zone)
            self._zone.judge(self._reader.sample(row) for row in self._youngest())
        except BaseException:
            self.close()
            raise

    def read(self, since: Micros, until: Micros) -> Iterator[Stretch]:
        """See `sources.base.Past`."""
        low, high = self._frame(since) - _CLOCKS_GO_BACK, self._frame(until) + _CLOCKS_GO_BACK
        pages = self._by_id(low, high) if self._table.columns.key else self._by_second(low, high)
        near: Micros | None = None
        for rows in pages:
            stretch = self._records(rows, near)
            near = max((r.at for r in stretch.records if isinstance(r, CelEvent)), default=near)
            yield stretch

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _by_id(self, low: int, high: int) -> Iterator[list[Row]]:
        polling = self._polling
        if self._layout is not CEL:
            low -= int(polling.longest_call)
            high += int(polling.longest_call + polling.batch_time)
        before = before_second(self._table, low)
        last = before_second(self._table, high + int(polling.late_commits))
        number = 0 if before is None else _number(before) + 1
        while last is not None and number <= _number(last):
            rows = [r for r in self._table.from_id(number, polling.page) if _number(r) <= _number(last)]
            if not rows:
                return
            yield rows
            number = _number(rows[-1]) + 1

    def _by_second(self, low: int, high: int) -> Iterator[list[Row]]:
        seconds: list[int] = []
        rows = 0
        for second, count in self._table.counts(max(low, 0), high):
            if seconds and (rows + count > self._polling.page or len(seconds) == _SECONDS_AT_ONCE):
                yield self._table.seconds(contiguous(seconds))
                seconds, rows = [], 0
            seconds.append(second)
            rows += count
        if seconds:
            yield self._table.seconds(contiguous(seconds))

    def _records(self, rows: Iterable[Row], near: Micros | None) -> Stretch:
        records: list[Record] = []
        aside: list[SetAside] = []
        for row in rows:
            try:
                record = self._reader.record(row, self._zone.used, near)
            except Unreadable as error:
                raw = json.dumps(dict(zip(self._table.fields, row, strict=True)), ensure_ascii=False)
                ident = f"{self._reader.digest(row):016x}"
                aside.append(SetAside(ident, str(error), raw.encode("utf-8", "replace")))
                continue
            records.append(record)
            near = record.at if isinstance(record, CelEvent) else near
        return Stretch(records, aside)

    def _youngest(self) -> list[Row]:
        """Rows to judge the zone by: enough of them also where few calls are made."""
        if self._table.columns.key is not None:
            bounds = self._table.bounds()
            return self._table.from_id(max(bounds[1] - _SAMPLE, 0), _SAMPLE) if bounds else []
        newest = self._table.newest_second(self._clock.now() // SECOND + _DAY)
        return [] if newest is None else self._table.from_second(newest - _WEEK, _SAMPLE)

    def _frame(self, instant: Micros) -> int:
        """The second of the time column's own frame."""
        kind = self._table.columns.time.kind
        return (self._zone.used.local(instant) if kind in {"local", "text"} else instant) // SECOND


def _number(row: Row) -> int:
    return int(row[0] or 0)

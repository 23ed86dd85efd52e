"""A table as a source: connect, discover, poll, and make records of rows.

- What is read next is decided in `cursor` (tables with an id) or `window` (without); what a row means, in `rows`.
- A first start commits where it begins before it reads anything, decided when the database first answers: rows that are
  there then are history, whatever any clock says.
- Nothing about a row stops the table: one that cannot be understood is set aside in its batch.
- A silent server holds `open` and `read` no longer than its deadlines; `wake` ends every other wait.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta, tzinfo

import msgspec

from asterisk_connector.clock import Clock
from asterisk_connector.errors import Misconfigured
from asterisk_connector.notices import Notify, TableRestarted
from asterisk_connector.records import Batch, CelEvent, Micros, Seen, SetAside
from asterisk_connector.sources.base import Extent
from asterisk_connector.sources.tables import cursor, window
from asterisk_connector.sources.tables.columns import CEL, RECORDING, Columns, Layout, match
from asterisk_connector.sources.tables.cursor import Cursor, CursorState, Pace, Page
from asterisk_connector.sources.tables.database import Connection, Server, connect, table_name
from asterisk_connector.sources.tables.rows import CdrReader, CelReader, RecordingReader, Unreadable, reader
from asterisk_connector.sources.tables.table import Table
from asterisk_connector.sources.tables.table_zone import TableZone
from asterisk_connector.sources.tables.window import Sight, Window, WindowState
from asterisk_connector.sources.tables.zones import SECOND

_CLOCKS_GO_BACK = 3600
_RECENT = 120
_DAY = 86_400 * SECOND
_OVERDUE = 5.0
"""Seconds by which a round may be late before it counts as one that did not come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How one table is polled. All spans in seconds.

    `columns` maps our field names to the table's, where they are not recognised. `zone` of times without one; None: the
    one that the rows' uniqueids agree with (this host's, the database's, UTC). `start_at`: `now`, `beginning`, or so
    long back. `longest_call` and `batch_time` (cdr.conf's `time` in batch mode) bound how late a row can come where
    there is no id; `late_commits`, how long a transaction may stay open. `lookback_rows` bounds what a first start
    reads of the past.
    """

    table: str
    columns: Mapping[str, str] = field(default_factory=dict)
    zone: tzinfo | None = None
    start_at: str | timedelta = "now"
    poll_interval: float = 2.0
    page: int = 2000
    longest_call: float = 4 * 3600.0
    batch_time: float = 300.0
    late_commits: float = 600.0
    lookback_rows: int = 50_000


State = CursorState | WindowState
_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[State] = msgspec.msgpack.Decoder(State)


class TableSource:
    """See `sources.base.Source`. One connection, kept; `open` may be called again after any error."""

    def __init__(
        self, name: str, layout: Layout, server: Server, polling: Polling, *, clock: Clock, notify: Notify
    ) -> None:
        self.name = name
        self._layout = layout
        self._server = server
        self._polling = polling
        self._clock = clock
        self._notify = notify
        self._woken = threading.Event()
        self._connection: Connection | None = None
        self._table: Table
        self._columns: Columns | None = None
        self._reader: CelReader | CdrReader | RecordingReader
        self._poller: Cursor | Window | None = None
        self._position: bytes | None = None
        self._fresh = False
        self._due = 0.0
        self._zone = TableZone(name, polling.zone, notify)
        self._near: Micros | None = None
        self._given = self._read = 0
        self._caught_up = False
        self._caught_up_at: Micros | None = None

    # the source

    def open(self, position: bytes | None) -> None:
        """Connects and finds the columns. Raises Transient or Misconfigured, each with the database's own word."""
        self.close()
        self._connection = connect(self._server)
        try:
            self._begin(self._connection, position)
        except BaseException:
            self.close()
            raise

    def read(self, timeout: float) -> Batch | None:
        """The next rows; a round of polling begins every `poll_interval`."""
        if self._poller is None:
            raise Misconfigured(f"{self.name} is read before it was opened")
        self._read = self._given
        if self._fresh:
            self._fresh = False
            return self._batch(Page(()))
        wait = self._due - self._clock.monotonic()
        if wait > 0 and (self._woken.wait(min(wait, timeout)) or wait > timeout):
            self._woken.clear()
            return None
        asked_at = self._clock.now()
        page = self._poller.poll()
        self._caught_up = page is None
        if page is None:
            self._caught_up_at = asked_at
            self._due = self._clock.monotonic() + self._polling.poll_interval
            return None
        return self._batch(page)

    def wake(self) -> None:
        self._woken.set()

    def extent(self) -> Extent:
        """Bytes are those of the values read. What waits in the table is known by rows' times alone: it caught up when
        a round found nothing more, and the next one is not overdue."""
        in_time = self._clock.monotonic() < self._due + _OVERDUE
        return Extent(self._read, None, self._caught_up and in_time, self._caught_up_at)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def want(self, uniqueids: Iterable[str]) -> None:
        """Looks for rows of these channels by name too, where there is no id and uniqueid is indexed."""
        if isinstance(self._poller, Window) and self._table.finds_channels:
            self._poller.want(uniqueids, self._polling.batch_time + self._polling.late_commits)

    # opening

    def _begin(self, connection: Connection, position: bytes | None) -> None:
        polling = self._polling
        name = table_name(polling.table)
        columns = match(self._layout, polling.table, connection.columns(name), polling.columns)
        self._table = Table(connection, name, columns)
        fields = self._table.fields
        self._reader = RecordingReader(fields, columns) if self._layout is RECORDING else reader(fields, columns)
        self._zone.candidates(connection.session_zone(), needed=self._reader.needs_zone)
        self._due = 0.0
        before = self._poller
        if isinstance(before, Window) and position == self._position and columns == self._columns:
            before.table = self._table  # only the connection was lost: what is known of the rows still holds
            return
        self._columns = columns
        self._position = position
        self._fresh = position is None
        state = _read_state(self.name, position) if position is not None else None
        self._poller = self._cursor(state) if columns.key else self._window(state)

    def _cursor(self, state: State | None) -> Cursor:
        table, polling, digest = self._table, self._polling, self._reader.digest
        pace = Pace(
            page=polling.page,
            grace=polling.late_commits,
            lookback=int(polling.longest_call + polling.batch_time + _CLOCKS_GO_BACK),
            lookback_rows=polling.lookback_rows,
        )
        if state is None:
            state = cursor.first_state(
                table,
                pace,
                digest=digest,
                today=self._today(),
                start=self._start(),
                beginning=polling.start_at == "beginning",
            )
        elif isinstance(state, WindowState):  # the table has got an id since
            row = cursor.before_second(table, state.since)
            state = (
                CursorState(int(row[0] or 0), digest(row), state.since) if row else CursorState(0, None, state.since)
            )
        return Cursor(
            table,
            state,
            pace,
            digest=digest,
            monotonic=self._clock.monotonic,
            today=self._today,
            reset=lambda since: self._notify(TableRestarted(self.name, polling.table, since)),
        )

    def _window(self, state: State | None) -> Window:
        table, polling, reader = self._table, self._polling, self._reader
        time = table.columns.time
        if time.kind == "text":
            raise Misconfigured(
                f"table {polling.table} has neither an id nor a time column that can be searched ({time.name} is text)",
                f"add an id: ALTER TABLE {polling.table} ADD COLUMN id … with auto_increment or bigserial",
            )
        # A CEL row is written when it happens, a CDR row when its call has ended.
        lateness = 0.0 if self._layout is CEL else polling.longest_call + polling.batch_time
        sight = Sight(page=polling.page, window=int(lateness + polling.late_commits + _CLOCKS_GO_BACK), recent=_RECENT)
        if state is None:
            state = window.first_state(
                table,
                sight,
                lookback=int(polling.longest_call),
                lookback_rows=polling.lookback_rows,
                today=self._today(),
                start=self._start(),
                beginning=polling.start_at == "beginning",
            )
        elif isinstance(state, CursorState):  # the table has lost its id since
            state = WindowState(max(state.newest - sight.window, 0))
        return Window(
            table,
            state,
            sight,
            digest=reader.digest,
            age=reader.age,
            channel=reader.channel,
            today=self._today,
            monotonic=self._clock.monotonic,
        )

    def _today(self) -> int:
        now = self._clock.now()
        return (self._zone.used.local(now) if self._table.columns.time.kind in {"local", "text"} else now) // SECOND

    def _start(self) -> int | None:
        start_at = self._polling.start_at
        return self._today() - int(start_at.total_seconds()) if isinstance(start_at, timedelta) else None

    # rows to records

    def _batch(self, page: Page) -> Batch:
        assert self._poller is not None
        zone = self._zone.judge(self._reader.sample(row) for _, row in page.rows)
        latest = self._clock.now() + _DAY
        seen: list[Seen] = []
        aside: list[SetAside] = []
        for ident, row in page.rows:
            self._given += sum(len(value) for value in row if value)
            try:
                record = self._reader.record(row, zone, self._near)
            except Unreadable as error:
                raw = json.dumps(dict(zip(self._table.fields, row, strict=True)), ensure_ascii=False)
                aside.append(SetAside(ident, str(error), raw.encode("utf-8", "replace")))
                continue
            seen.append(Seen(ident, record))
            if isinstance(record, CelEvent) and record.at < latest:
                self._near = record.at
        self._position = _encode(self._poller.state)
        return Batch(self.name, seen, self._position, aside, history=page.history)


def _read_state(name: str, position: bytes) -> State:
    try:
        return _decoder.decode(position)
    except msgspec.DecodeError as error:
        raise Misconfigured(
            f"the kept position of {name} cannot be read: {error}", "was it written by a newer version of this agent?"
        ) from error

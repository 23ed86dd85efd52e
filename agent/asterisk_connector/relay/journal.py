"""`ami.db`: every event waits here, on disk, until Kafka has acknowledged it (law 2).

- Append-only by `seq`, which is the order of reading. Events lie in packs of up to 100, because a row for each costs
  more than all else (8 against 2 µs, measured); a pack leaves when all of its events are acknowledged or refused.
- `commit` puts a group of events, what was delivered meanwhile and the last sign of life of Asterisk into one
  transaction and forces it to disk; a crash at any moment loses at most the group not yet committed (F27).
- Bounded by size and age; the oldest leave first, counted and told (F28).
- One thread writes (`commit`, `close`), another reads (`read`, `origin`) and hands over what left (`forget`, `refuse`);
  each has its own connection, and SQLite's WAL keeps them out of each other's way.
- A damaged or deleted file is set aside, what can be read of it is kept, the service goes on.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from asterisk_connector.clock import Clock
from asterisk_connector.errors import Misconfigured, Transient
from asterisk_connector.notices import Notify, StoreRepaired
from asterisk_connector.records import Micros
from asterisk_connector.relay.encode import Identity, Record

VERSION = 1
_SCHEMA = """
PRAGMA auto_vacuum = INCREMENTAL;
CREATE TABLE pack (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,
  origin INTEGER NOT NULL, events BLOB NOT NULL);
CREATE TABLE origin (id INTEGER PRIMARY KEY, entity_id TEXT NOT NULL, system_name TEXT NOT NULL,
  asterisk_version TEXT NOT NULL, hostname TEXT NOT NULL,
  UNIQUE (entity_id, system_name, asterisk_version, hostname));
CREATE TABLE refused (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, type BLOB NOT NULL, value BLOB NOT NULL,
  reason TEXT NOT NULL);
CREATE TABLE life (one INTEGER PRIMARY KEY CHECK (one = 1), heard INTEGER NOT NULL, startup TEXT, calls INTEGER,
  reason TEXT NOT NULL, origin INTEGER);
PRAGMA user_version = 1;
"""
_NEXT_PACK = "SELECT first, last, origin, events FROM pack WHERE first > ? ORDER BY first LIMIT 1"
_REFUSED_KEPT = 1000
_LOOK_AFTER_BYTES = 1 << 20
_LOOK_AFTER_SECONDS = 10.0
_LONG_LOG = 32 << 20
"""Bytes to which SQLite's log shrinks again after a foreign reader has made it grow."""
_PACK_EVENTS = 100
_PACK_BYTES = 256 << 10
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


class Pack(NamedTuple):
    """Events that wait, `first` to `last` by sequence, read from one `origin` (an identity)."""

    first: int
    last: int
    origin: int
    events: list[Record]


class Waiting(NamedTuple):
    """What waits on disk: how many events (by sequence, without holes), bytes of the file in use, instant of the
    oldest event."""

    events: int
    bytes: int
    oldest: Micros | None


class Life(NamedTuple):
    """When Asterisk was last heard, which start of it that was, how many calls it had counted, and why it ended."""

    heard: Micros
    startup: str | None = None
    calls: int | None = None
    reason: str = "the agent was not running"


class Dropped(NamedTuple):
    """The oldest events, gone by size or age."""

    events: int
    start: Micros
    end: Micros
    reason: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes on disk and seconds after which the oldest events leave. `durable` False leaves the forcing to the system:
    for measuring what it costs, never for service."""

    max_size: int = 1 << 30
    max_age: float = 172_800.0
    durable: bool = True


class Journal:
    """The open journal. Raises Transient when the disk does not take a commit; nothing of it is kept then."""

    def __init__(self, path: Path, *, clock: Clock, notify: Notify, limits: Limits | None = None) -> None:
        self.path = path
        self._clock = clock
        self._notify = notify
        self._limits = limits or Limits()
        self._delivered: list[tuple[int, int]] = []
        self._refusals: list[_Refusal] = []
        self._handed = threading.Lock()
        self._reading = threading.Lock()
        self._origins: dict[Identity, int] = {}
        self._bytes_since_look = 0
        self._looked = clock.monotonic()
        self._damage = ""
        self._open()

    @property
    def owed(self) -> int:
        """How many events wait, roughly (by sequence, without holes)."""
        return self.waiting().events

    def waiting(self) -> Waiting:
        """What waits; reads two rows, whatever there is. Raises Transient when that cannot be had now."""
        ends = "SELECT first, last, start FROM pack ORDER BY first {} LIMIT 1"
        try:
            with self._reading:
                oldest = self._reader.execute(ends.format("ASC")).fetchone()
                newest = self._reader.execute(ends.format("DESC")).fetchone()
                size = _used_bytes(self._reader)
        except sqlite3.Error as error:
            raise Transient(f"{self.path}: {error}") from None
        if oldest is None or newest is None:
            return Waiting(0, size, None)
        return Waiting(newest[1] - oldest[0] + 1, size, oldest[2])

    # The writer's side.

    def commit(
        self, records: Sequence[Record] = (), identity: Identity | None = None, life: Life | None = None
    ) -> list[Dropped]:
        """Appends `records` of one identity, forgets what was delivered, remembers the sign of life: one transaction,
        on disk when this returns. Gives back what had to leave by size or age."""
        with self._handed:
            delivered, self._delivered = self._delivered, []
            refusals, self._refusals = self._refusals, []
        try:
            return self._commit(records, identity, life, delivered, refusals)
        except sqlite3.OperationalError as error:
            with self._handed:
                self._delivered += delivered
                self._refusals += refusals
            raise Transient(f"{self.path}: {error}") from None
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise
            self._rebuild(str(error))
            return self._commit(records, identity, life, delivered, refusals)

    def life(self) -> Life | None:
        """The last sign of life committed, None in a new journal."""
        row = self._writer.execute("SELECT heard, startup, calls, reason FROM life").fetchone()
        return None if row is None else Life(*row)

    def last_identity(self) -> Identity | None:
        """The identity last written under."""
        row = self._writer.execute(
            "SELECT entity_id, system_name, asterisk_version, hostname FROM origin JOIN life ON life.origin = origin.id"
        ).fetchone()
        return None if row is None else Identity(*row)

    def close(self) -> None:
        """Commits what was delivered, where that is possible, and closes."""
        with contextlib.suppress(Transient):
            self.commit()
        self._shut()

    # The reader's side.

    def read(self, after: int) -> Pack | None:
        """The next pack behind the sequence `after`, committed to disk; None when there is none."""
        with self._reading:
            try:
                row = self._reader.execute(_NEXT_PACK, (after,)).fetchone()
                return None if row is None else Pack(row[0], row[1], row[2], _decode(row[3]))
            except sqlite3.DatabaseError as error:
                if type(error) is sqlite3.DatabaseError:  # its subclasses are full disks, locks and our own mistakes
                    self._damage = str(error)
                raise Transient(f"{self.path}: {error}") from None

    def origin(self, origin: int) -> Identity:
        """The identity an event was read under."""
        with self._reading:
            row = self._reader.execute(
                "SELECT entity_id, system_name, asterisk_version, hostname FROM origin WHERE id = ?", (origin,)
            ).fetchone()
        return Identity(*row) if row else Identity("", "", "", "")

    def forget(self, packs: Iterable[tuple[int, int]]) -> None:
        """All of these packs, by first and last, is acknowledged or refused; they leave with the next commit."""
        with self._handed:
            self._delivered += packs

    def refuse(self, seq: int, event: Record, reason: str) -> None:
        """This one will never be taken; the next commit keeps it in `refused`."""
        with self._handed:
            self._refusals.append(_Refusal(seq, event.at, event.type, event.value, reason))

    @property
    def due(self) -> bool:
        """Whether a commit is wanted although there may be nothing to append: events have left, damage was found."""
        return bool(self._delivered or self._refusals or self._damage)

    def refused(self) -> list[tuple[int, Micros, bytes, bytes, str]]:
        """The latest refused events: sequence, instant, type, value, reason."""
        with self._reading:
            return self._reader.execute("SELECT * FROM refused ORDER BY seq").fetchall()

    # Inside.

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connect()
            except sqlite3.DatabaseError as error:
                if type(error) is not sqlite3.DatabaseError:
                    raise
                self._rebuild(str(error))
        except (sqlite3.Error, OSError) as error:
            raise Transient(f"{self.path}: {error}") from None

    def _connect(self) -> None:
        writer = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10.0)
        try:
            (version,) = writer.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise Misconfigured(
                    f"{self.path} was written by a newer version (schema {version}, this one knows {VERSION})",
                    "install the newer version again, or move the file away: what waits in it is then not sent",
                )
            if version == 0:
                writer.executescript(_SCHEMA)
            writer.execute("PRAGMA journal_mode = WAL")
            writer.execute(f"PRAGMA synchronous = {'FULL' if self._limits.durable else 'OFF'}")
            writer.execute("PRAGMA wal_autocheckpoint = 4000")
            writer.execute(f"PRAGMA journal_size_limit = {_LONG_LOG}")
            writer.execute("PRAGMA cache_size = -4000")
            self._next = writer.execute("SELECT coalesce(max(last), 0) + 1 FROM pack").fetchone()[0]
            self._page_size = writer.execute("PRAGMA page_size").fetchone()[0]
            reader = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10.0)
            reader.execute("PRAGMA query_only = ON")
            reader.execute("PRAGMA cache_size = -2000")
        except BaseException:
            writer.close()
            raise
        self._writer, self._reader = writer, reader
        self._origins.clear()
        self._inode = self.path.stat().st_ino

    def _commit(
        self,
        records: Sequence[Record],
        identity: Identity | None,
        life: Life | None,
        delivered: list[tuple[int, int]],
        refusals: list[_Refusal],
    ) -> list[Dropped]:
        if self._damage:
            self._rebuild(self._damage)
        self._look_for_file()
        write = self._writer
        write.execute("BEGIN IMMEDIATE")
        try:
            origin = None if identity is None else self._origin(identity)
            following = self._next
            for events in _packs(records):
                body = _encode(events)
                last = following + len(events) - 1
                row = (following, last, events[0].at, events[-1].at, origin, body)
                write.execute("INSERT INTO pack VALUES (?, ?, ?, ?, ?, ?)", row)
                self._bytes_since_look += len(body)
                following = last + 1
            write.executemany("DELETE FROM pack WHERE first BETWEEN ? AND ?", _joined(delivered))
            self._bury(refusals)
            if life is not None:
                write.execute(
                    "INSERT INTO life VALUES (1, ?, ?, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET "
                    "heard = excluded.heard, startup = excluded.startup, calls = excluded.calls, "
                    "reason = excluded.reason, origin = coalesce(excluded.origin, origin)",
                    (*life, origin),
                )
            dropped = self._trim()
            write.execute("COMMIT")
        except BaseException:
            self._origins.clear()
            if write.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    write.execute("ROLLBACK")
            raise
        self._next = following
        return dropped

    def _origin(self, identity: Identity) -> int:
        if identity not in self._origins:
            self._writer.execute("INSERT OR IGNORE INTO origin VALUES (NULL, ?, ?, ?, ?)", identity)
            row = self._writer.execute(
                "SELECT id FROM origin WHERE (entity_id, system_name, asterisk_version, hostname) = (?, ?, ?, ?)",
                identity,
            ).fetchone()
            self._origins[identity] = row[0]
        return self._origins[identity]

    def _bury(self, refusals: list[_Refusal]) -> None:
        if refusals:
            self._writer.executemany("INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?)", refusals)
            self._writer.execute(
                "DELETE FROM refused WHERE seq <= (SELECT seq FROM refused ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                (_REFUSED_KEPT,),
            )

    def _trim(self) -> list[Dropped]:
        """Lets the oldest go while the journal is too large or they are too old; looks now and then only."""
        now = self._clock.monotonic()
        if self._bytes_since_look < _LOOK_AFTER_BYTES and now - self._looked < _LOOK_AFTER_SECONDS:
            return []
        self._bytes_since_look, self._looked = 0, now
        dropped = []
        if self._live_bytes() > self._limits.max_size:
            dropped += self._drop_while(
                lambda _: self._live_bytes() > self._limits.max_size * 0.98, "the journal is full"
            )
        oldest = self._clock.now() - int(self._limits.max_age * 1e6)
        dropped += self._drop_while(lambda at: at < oldest, "too old")
        spare = self._writer.execute("PRAGMA freelist_count").fetchone()[0]
        if spare * self._page_size > 64 << 20:
            self._writer.execute("PRAGMA incremental_vacuum(1000)").fetchall()
        return dropped

    def _live_bytes(self) -> int:
        return _used_bytes(self._writer)

    def _drop_while(self, too_much: Callable[[Micros], bool], reason: str) -> list[Dropped]:
        events, start, end = 0, 0, 0
        while True:
            oldest = self._writer.execute("SELECT first, last, start, end FROM pack ORDER BY first LIMIT 1").fetchone()
            if oldest is None or not too_much(oldest[3]):
                break
            self._writer.execute("DELETE FROM pack WHERE first = ?", (oldest[0],))
            events += oldest[1] - oldest[0] + 1
            start, end = start or oldest[2], oldest[3]
        return [Dropped(events, start, end, reason)] if events else []

    def _look_for_file(self) -> None:
        """A file deleted under us would take every commit and be gone at the next start."""
        try:
            there = self.path.stat().st_ino == self._inode
        except OSError:
            there = False
        if not there:
            self._rebuild("the file was deleted or replaced while in use")

    def _shut(self) -> None:
        with self._reading:
            self._reader.close()
            self._writer.close()

    def _rebuild(self, reason: str) -> None:
        """Sets the file aside, begins a new one and brings over what can still be read."""
        stamp = datetime.fromtimestamp(self._clock.now() / 1e6, UTC).strftime("%Y%m%d-%H%M%S")
        aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._reading:
            # Never a `seq` twice in one process: the publisher reads on from the last one it saw.
            following = getattr(self, "_next", 1)
            old = [getattr(self, name) for name in ("_writer", "_reader") if hasattr(self, name)]
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + suffix).rename(aside.with_name(aside.name + suffix))
            self._connect()
            # A connection still open reads on in the file it had, under whatever name, or deleted.
            source = old[0] if old else sqlite3.connect(aside, isolation_level=None)
            kept = self._bring_over(source)
            self._next = max(self._next, following)
            for connection in (*old, source):
                connection.close()
        self._damage = ""
        self._notify(StoreRepaired(str(self.path), str(aside), reason, kept))

    def _bring_over(self, source: sqlite3.Connection) -> int:
        """Copies row by row until the damage ends it; gives back the number of events."""
        write = self._writer
        write.execute("BEGIN IMMEDIATE")
        with contextlib.suppress(sqlite3.Error):
            if source.in_transaction:
                source.execute("ROLLBACK")
        for table, columns in (("origin", 5), ("refused", 5), ("life", 6), ("pack", 6)):
            insert = f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * columns)})"  # noqa: S608
            with contextlib.suppress(sqlite3.Error):
                for row in source.execute(f"SELECT * FROM {table} ORDER BY 1"):  # noqa: S608
                    write.execute(insert, row)
        kept, last = write.execute(
            "SELECT coalesce(sum(last - first + 1), 0), coalesce(max(last), 0) FROM pack"
        ).fetchone()
        write.execute("COMMIT")
        self._next = last + 1
        return int(kept)


class _Refusal(NamedTuple):
    """One row of `refused`."""

    seq: int
    at: Micros
    type: bytes
    value: bytes
    reason: str


def _used_bytes(db: sqlite3.Connection) -> int:
    """Bytes of the file without pages that were freed."""
    pages, spare, size = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - spare) * size


def _packs(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Cuts a group into packs of bounded number and size."""
    start = size = 0
    for i, record in enumerate(records):
        size += len(record.value)
        if i + 1 - start >= _PACK_EVENTS or size >= _PACK_BYTES or i + 1 == len(records):
            yield records[start : i + 1]
            start, size = i + 1, 0


def _joined(packs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted, neighbours joined: [(201, 300), (1, 100), (101, 200)] → [(1, 300)]."""
    ranges: list[tuple[int, int]] = []
    for first, last in sorted(packs):
        if ranges and first <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], last)
        else:
            ranges.append((first, last))
    return ranges

"""The durable middle, as other rooms see it: what was seen, what is known, what is owed.

- Whatever a method wrote is on disk when it returns (`writer.py`); a kill at any moment leaves the last commit.
- A batch's records, their membership and the source's position are one transaction (law 1); so are what is known of a
  call and what is owed for it.
- Every method may be called from any thread. Reads have connections of their own and never hold writing up.
- Methods raise Stopping once the store closes and Corrupt once the file is damaged or gone: then close it and open it
  again, which repairs it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import wait
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from asterisk_connector.clock import Clock
from asterisk_connector.errors import Corrupt, Misconfigured, Transient
from asterisk_connector.notices import Notify, ignore
from asterisk_connector.records import Batch, Micros, Record, RecordingFile
from asterisk_connector.sinks.base import Item
from asterisk_connector.store import books, calls, database, intake, outbox, repair, trim
from asterisk_connector.store.lock import Lock
from asterisk_connector.store.positions import SafePositions
from asterisk_connector.store.words import (
    Appended,
    Counts,
    DeadLetter,
    KnownCall,
    Left,
    Letter,
    Limits,
    Pending,
    SettledCall,
    Settlement,
    Unreadable,
)
from asterisk_connector.store.writer import Writer, mark_suspect

T = TypeVar("T")
_DEFAULT = Limits()
_SAFE = "positions.json"


class Store:
    """One per process. Made by `open`, `read_only` or `in_memory`."""

    def __init__(
        self,
        *,
        clock: Clock,
        notify: Notify,
        limits: Limits,
        writer: Writer | None,
        readers: database.Readers | None,
        numbers: intake.Numbers,
        safe: SafePositions | None = None,
        lock: Lock | None = None,
    ) -> None:
        self._clock = clock
        self._notify = notify
        self._limits = limits
        self._writer = writer
        self._readers = readers
        self._numbers = numbers
        self._safe = safe
        self._lock = lock

    @classmethod
    def open(cls, directory: Path, *, clock: Clock, notify: Notify, limits: Limits = _DEFAULT) -> Store:
        """Takes the directory, repairs and migrates what is in it.

        Raises AlreadyRunning for a second instance, Misconfigured for a directory that cannot be used or a newer
        schema, Transient when there is no room or no I/O to start with.
        """
        path = directory / database.NAME
        try:
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            lock = Lock(directory)
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            raise _unusable(directory, error) from error
        except OSError as error:
            raise Transient(f"The state directory {directory} cannot be used now: {error}") from error
        try:
            db, numbers = _sound(directory, notify, clock.now())
            writer = Writer(db, path, clock=clock, notify=notify, limits=limits)
        except PermissionError as error:
            lock.close()
            raise _unusable(directory, error) from error
        except (OSError, sqlite3.Error) as error:
            lock.close()
            raise Transient(f"The state in {directory} cannot be opened now: {error}") from error
        except BaseException:
            lock.close()
            raise
        return cls(
            clock=clock,
            notify=notify,
            limits=limits,
            writer=writer,
            readers=database.Readers(path),
            numbers=numbers,
            safe=SafePositions(directory / _SAFE),
            lock=lock,
        )

    @classmethod
    def read_only(cls, directory: Path, *, clock: Clock) -> Store:
        """For looking, whether the service runs or not. Raises Misconfigured when there is nothing to look at."""
        path = directory / database.NAME
        readers = database.Readers(path)
        try:
            found = path.exists()
            if found:
                with readers.borrow() as db:
                    have = database.version(db)
        except (PermissionError, sqlite3.Error) as error:
            raise _unusable(directory, error) from error
        newest = database.steps()[-1][0]
        if not found or have < newest:
            raise Misconfigured(
                f"There is no state to read in {directory}" + (f": its schema is {have}." if found else "."),
                "Start the service once, or name its state directory.",
            )
        database.refuse_newer(have, newest, str(directory))
        return cls(
            clock=clock,
            notify=ignore,
            limits=_DEFAULT,
            writer=None,
            readers=readers,
            numbers=intake.Numbers(0, 0),
        )

    @classmethod
    def in_memory(cls, *, clock: Clock, notify: Notify) -> Store:
        """The same store without a file: gone when closed."""
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        database.migrate(db, "memory")
        return cls(
            clock=clock,
            notify=notify,
            limits=_DEFAULT,
            writer=Writer(db, None, clock=clock, notify=notify, limits=_DEFAULT),
            readers=None,
            numbers=intake.Numbers(1, 1),
        )

    # Sources

    def position(self, source: str) -> bytes | None:
        """How far a source has been read; None before its first batch."""
        row = self._read(lambda db: db.execute("SELECT value FROM position WHERE source = ?", (source,)).fetchone())
        return None if row is None else row[0]

    def append(self, batch: Batch) -> Appended:
        """Stores a batch and its position; rows seen before change nothing. Waits while there is no space."""
        ready = intake.Intake(batch)
        return self._write(lambda db: ready.write(db, self._numbers, self._clock.now()), grows=True)

    # Assembly

    def open_calls(self) -> Iterator[int]:
        """Calls that are not settled, oldest first, a page at a time."""
        last = 0
        while page := self._read(lambda db, after=last: calls.open_calls(db, after)):  # type: ignore[misc]
            yield from page
            last = page[-1]

    def rows(self, call: int) -> list[tuple[int, Record]]:
        """(record number, record) in order of arrival."""
        return self._read(lambda db: calls.rows(db, call))

    def known(self, call: int) -> KnownCall:
        """What the last settlement said. Raises LookupError when the call was merged away or trimmed."""
        return self._read(lambda db: calls.known(db, call))

    def settle(self, settlement: Settlement) -> bool:
        """Writes what is known now and what is owed for it; False when newer rows came, and then nothing is written."""
        return self._write(lambda db: calls.settle(db, settlement, self._clock.now()))

    def settle_all(self, settlements: Sequence[Settlement]) -> list[bool]:
        """`settle` for many calls with one wait: they share one sync of the disk, yet each stands for itself.

        Raises the first error when all of them are done.
        """
        writer, now = self._writing(), self._clock.now()
        waiting = [writer.enqueue(partial(calls.settle, settlement=each, now=now)) for each in settlements]
        wait(waiting)
        return [future.result() for future in waiting]

    def unlinked_recordings(self, limit: int = 100) -> list[RecordingFile]:
        """Recordings that named no call, oldest first."""
        return self._read(lambda db: calls.unlinked(db, limit))

    def recorded(self, path: str) -> int | None:
        """The call a recording was linked to; None when there is none."""
        return self._read(lambda db: calls.recorded(db, path))

    def link_recording(self, path: str, call: int) -> bool:
        """Makes a recording a row of `call`, which is open again then; False when either is gone or already linked."""
        return self._write(lambda db: intake.link(db, self._numbers, path, call, self._clock.now()))

    # Delivery

    def owes(self, sink: str, call_id: str) -> bool:
        """Whether a sink has not taken some revision of a call, be it pending or a dead letter."""
        return self._read(lambda db: outbox.owes(db, sink, call_id))

    def is_uploaded(self, path: str, state: str) -> bool:
        """Whether a recording was uploaded as it is; `state` tells one content of a file from another."""
        return self._read(lambda db: calls.is_uploaded(db, path, state))

    def uploaded(self, path: str, state: str) -> None:
        """A recording was uploaded as it is."""
        self._write(lambda db: calls.uploaded(db, path, state))

    def lease(self, sink: str, limit: int, *, busy: Collection[int] = ()) -> list[Item]:
        """What is due for a sink, the longest due first, per call only the oldest revision, without those in `busy`."""
        return self._read(lambda db: outbox.lease(db, sink, limit, busy, self._clock.now()))

    def next_due(self, sink: str, *, busy: Collection[int] = ()) -> Micros | None:
        """When `lease` will next have something; None when nothing is owed."""
        return self._read(lambda db: outbox.next_due(db, sink, busy, self._clock.now()))

    def delivered(self, item: Item) -> None:
        """The sink has it."""
        self._write(lambda db: outbox.delivered(db, item.id))

    def defer(self, item: Item, due_at: Micros, reason: str, *, counts: bool = True) -> None:
        """Again at `due_at`, at most an hour from now. An outage burns no attempt (`counts=False`)."""
        self._write(lambda db: outbox.defer(db, item.id, due_at, reason, counts=counts, now=self._clock.now()))

    def bury(self, item: Item, reason: str, request: str = "", answer: str = "") -> None:
        """Makes it a dead letter."""
        self._write(lambda db: outbox.bury(db, item.id, reason, request=request, answer=answer, now=self._clock.now()))

    # Operator

    def calls(self, limit: int = 50, *, before: int | None = None) -> list[KnownCall]:
        """Calls from the newest backwards, without bodies; `before` pages on."""
        return self._read(lambda db: calls.newest(db, limit, before))

    def settled_after(self, at: Micros, call: int, limit: int = 100) -> list[KnownCall]:
        """Calls settled since, in that order, without bodies; the last one's time and number page on."""
        return self._read(lambda db: calls.settled_after(db, at, call, limit))

    def latest(self, limit: int = 20) -> list[SettledCall]:
        """Calls that have ended, the latest first, as they were told."""
        return self._read(lambda db: calls.latest(db, limit))

    def find(self, name: str) -> KnownCall | None:
        """The call with that call id, uniqueid or linkedid."""
        return self._read(lambda db: calls.find(db, name))

    def keys(self, call: int) -> list[str]:
        """Uniqueids, linkedids and conferences of a call."""
        return self._read(lambda db: calls.keys(db, call))

    def pending(self, sink: str | None = None, *, limit: int = 100, newest: bool = False) -> list[Pending]:
        """Deliveries that are owed, the oldest first or the newest."""
        return self._read(lambda db: outbox.pending(db, sink, limit, newest))

    def dead_letters(self, sink: str | None = None, *, after: int = 0, limit: int = 100) -> list[DeadLetter]:
        """Dead letters by number; `after` pages on."""
        return self._read(lambda db: outbox.dead_letters(db, sink, after, limit))

    def dead_letter(self, number: int) -> Letter | None:
        """One dead letter with all that was kept of it."""
        return self._read(lambda db: outbox.dead_letter(db, number))

    def left(self, call_id: str) -> list[Left]:
        """What is not delivered of a call: pending deliveries and dead letters."""
        return self._read(lambda db: outbox.left(db, call_id))

    def retry(self, numbers: Sequence[int]) -> int:
        """Owes dead letters again, their age counted from now; how many."""
        return self._write(lambda db: outbox.retry(db, numbers, self._clock.now()))

    def drop(self, numbers: Sequence[int]) -> int:
        """Deletes dead letters for good; how many."""
        return self._write(lambda db: outbox.drop(db, numbers))

    def set_aside(self, limit: int = 100) -> list[Unreadable]:
        """Rows that could not be understood, newest first."""
        found = self._read(
            lambda db: db.execute(
                "SELECT set_aside.id, position.source, ident, reason, raw, seen_at FROM set_aside"
                " JOIN position ON position.id = set_aside.source ORDER BY set_aside.id DESC LIMIT ?",
                (limit,),
            ).fetchall()
        )
        return [Unreadable(*row) for row in found]

    def positions(self) -> dict[str, bytes]:
        """How far every source has been read."""
        return dict(self._read(lambda db: db.execute("SELECT source, value FROM position").fetchall()))

    def schema(self) -> int:
        """Which schema the state has."""
        return self._read(database.version)

    def rows_by_table(self) -> dict[str, int]:
        """Every table of the schema with its rows; reads all of the state, for a person who asks once."""
        return self._read(database.rows_by_table)

    def counts(self) -> Counts:
        """How much there is, at one instant; looks at what is open, dead and set aside, however much is owed."""
        return self._read(lambda db: _at_once(db, _counts))

    def unaccounted(self) -> int:
        """How far rows and books are apart (`books`); reads all of some indexes: for now and then (`counter`)."""
        return self._read(lambda db: _at_once(db, books.unaccounted))

    def trim(self) -> bool:
        """Lets one bounded piece of what is old go and saves safe positions; true when there may be more to let go."""
        if self._safe:
            safe = self._safe
            # Without space the old copy stays, which is only older; the writer tells about the space.
            with suppress(OSError):
                self._read(safe.update)
        done = self._write(lambda db: trim.trim(db, self._limits, self._clock.now()))
        for notice in done:
            self._notify(notice)
        return bool(done)

    @property
    def blocked(self) -> bool:
        """Whether nothing can be written now (no room, a failing disk); it goes on by itself."""
        return self._writer is not None and self._writer.blocked

    @property
    def broken(self) -> bool:
        """Whether the file was found damaged; closing and opening again repairs it."""
        return self._writer is not None and self._writer.broken

    def close(self) -> None:
        """Finishes what is being written; whoever waits for space gets Stopping. The directory is free then."""
        # The last connection to close folds the log into the database, and only the writer's can.
        if self._readers:
            self._readers.close()
        if self._writer:
            self._writer.close()
        if self._lock:
            self._lock.close()

    def _write(self, work: Callable[[sqlite3.Connection], T], *, grows: bool = False) -> T:
        return self._writing().submit(work, grows=grows)

    def _writing(self) -> Writer:
        if self._writer is None:
            raise RuntimeError("this store was opened for reading only")
        return self._writer

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._readers is None:
            return self._write(work)
        try:
            with self._readers.borrow() as db:
                return work(db)
        except sqlite3.DatabaseError as error:
            if not database.is_damaged(error):
                raise Transient(f"The state cannot be read now: {error}") from error
            if self._writer is None:
                raise Corrupt(f"The state cannot be read: {error}", "The service repairs it when it starts.") from error
            raise self._writer.condemn(error) from error
        except Corrupt as error:
            if self._writer is None:
                raise
            raise self._writer.condemn(error) from error


def _sound(directory: Path, notify: Notify, now: Micros) -> tuple[sqlite3.Connection, intake.Numbers]:
    """The database, repaired and migrated; damage the check did not find may show when it is first read."""
    path = directory / database.NAME
    for again in (True, False):
        repair.heal(path, directory / _SAFE, notify, now)
        # SQLite gives the log and the index of the log the mode of the database.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
        db = database.writing(path)
        try:
            database.migrate(db, str(directory))
            return db, intake.Numbers.after(db)
        except BaseException as error:
            db.close()
            if not (again and isinstance(error, sqlite3.DatabaseError) and database.is_damaged(error)):
                raise
            mark_suspect(path)
    raise AssertionError("the second round returns or raises")


def _at_once(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Several questions about one instant."""
    if db.in_transaction:  # the store in memory reads where it writes
        return work(db)
    db.execute("BEGIN")
    try:
        return work(db)
    finally:
        db.execute("ROLLBACK")


def _counts(db: sqlite3.Connection) -> Counts:
    def one(sql: str) -> int:
        return int(db.execute(sql).fetchone()[0])

    return Counts(
        open_calls=one("SELECT count(*) FROM call WHERE state = 'open'"),
        backlog=outbox.backlog(db),
        dead=outbox.dead(db),
        set_aside=one("SELECT count(*) FROM set_aside"),
        unlinked_recordings=one("SELECT count(*) FROM recording WHERE call IS NULL"),
        bytes=database.used_bytes(db),
    )


def _unusable(directory: Path, error: Exception) -> Misconfigured:
    return Misconfigured(
        f"The state directory {directory} cannot be used: {error}",
        f"It must be a directory that the service's user may write: ls -ld {directory}",
    )

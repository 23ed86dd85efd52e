"""The one thread that writes: waiting jobs share one transaction and one fsync (group commit).

- A caller returns from `submit` when its job is committed, or when it never will be; never in between.
- Each job runs in a savepoint: one that fails hurts nobody else.
- A job may run several times (a blocked commit is retried), so it depends on the database alone.
- No space, I/O error, read-only file system: the transaction rolls back, callers wait, one notice per episode; retried
  after at most `LONGEST_PAUSE` seconds (F1, F2, F5). Jobs that let the state grow also wait while `limits` say so.
- A damaged or vanished file ends it: every caller gets Corrupt, and the next `Store.open` repairs (F6, F7, F9).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from asterisk_connector.clock import Clock
from asterisk_connector.errors import Corrupt, Stopping
from asterisk_connector.notices import Notify, StoreBlocked, StoreUnblocked
from asterisk_connector.store import database, trim
from asterisk_connector.store.words import Limits

T = TypeVar("T")
LONGEST_PAUSE = 5.0
_SHORTEST_PAUSE = 0.1
_ROOM_CHECKED = 1.0
_TOGETHER = 256


class _Job:
    __slots__ = ("error", "future", "grows", "result", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], Any], grows: bool) -> None:
        self.work = work
        self.grows = grows
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.error: Exception | None = None


class Writer:
    """Owns the writing connection. `path` is None for a database in memory."""

    def __init__(
        self, db: sqlite3.Connection, path: Path | None, *, clock: Clock, notify: Notify, limits: Limits
    ) -> None:
        self._db = db
        self._path = path
        self._inode = path.stat().st_ino if path else 0
        self._clock = clock
        self._notify = notify
        self._limits = limits
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._growth: deque[_Job] = deque()
        self._closing = False
        self._broken: Corrupt | None = None
        self._blocked_since: float | None = None
        self._stuck = False
        self._held = False
        self._pause = _SHORTEST_PAUSE
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T], *, grows: bool = False) -> T:
        """Runs `work` in a transaction and returns when that is committed.

        Raises what `work` raised, Stopping when the store closes first, Corrupt when the file is damaged or gone.
        """
        return self.enqueue(work, grows=grows).result()

    def enqueue(self, work: Callable[[sqlite3.Connection], T], *, grows: bool = False) -> Future[T]:
        """Like `submit`, without waiting: the future is done when the work is committed or never will be."""
        job = _Job(work, grows)
        with self._changed:
            if self._broken:
                raise self._broken
            if self._closing:
                raise Stopping("The store is closed.")
            (self._growth if grows else self._jobs).append(job)
            self._changed.notify()
        return job.future

    @property
    def blocked(self) -> bool:
        """Whether commits do not get through now."""
        return self._blocked_since is not None

    @property
    def broken(self) -> bool:
        """Whether the file is damaged and no work is taken any more."""
        return self._broken is not None

    def condemn(self, error: Exception) -> Corrupt:
        """Takes no more work: the file is damaged. The next `Store.open` will look into it; returns what to raise."""
        with self._changed:
            if self._broken is None:
                self._broken = Corrupt(
                    f"The state in {self._path} cannot be used any longer: {error}",
                    "It repairs itself when it is opened again: systemctl restart asterisk-connector",
                )
                if self._path:
                    mark_suspect(self._path)
                self._notify(StoreBlocked(str(self._broken), self._broken.hint))
            waiting = [*self._jobs, *self._growth]
            self._jobs.clear()
            self._growth.clear()
            broken = self._broken
        _fail(waiting, broken)
        return broken

    def close(self) -> None:
        """Finishes what can be committed now; whoever waits for space gets Stopping."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._db.close()

    def _run(self) -> None:
        while jobs := self._take():
            self._perform(jobs)
        with self._changed:
            waiting = [*self._jobs, *self._growth]
            self._jobs.clear()
            self._growth.clear()
        _fail(waiting, Stopping("The store is closing; nothing was written."))

    def _take(self) -> list[_Job]:
        """What can be tried now: after a failure growth is held back first, then everything is stuck for a while."""
        with self._changed:
            while True:
                jobs = [] if self._stuck else _first(self._jobs)
                if self._growth and not self._held and not self._stuck and self._has_room():
                    jobs += _first(self._growth)
                if jobs or self._closing:
                    return jobs
                if not self._changed.wait(self._patience()):
                    self._stuck = self._held = False

    def _patience(self) -> float | None:
        if self._stuck or self._held:
            return self._pause
        return _ROOM_CHECKED if self._growth else None

    def _has_room(self) -> bool:
        if self._path is None:
            return True
        reason = _crowded(self._db, self._path, self._limits)
        if reason and self._made_room():
            reason = _crowded(self._db, self._path, self._limits)
        if reason:
            self._block(reason, database.MAKE_ROOM)
        return not reason

    def _made_room(self) -> bool:
        """Gives the log's space back and lets some old rows go; false when neither could be done."""
        self._shrink_log()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            done = trim.make_room(self._db, self._clock.now())
            self._commit()
        except sqlite3.Error:
            self._roll_back()
            return False
        self._shrink_log()
        for notice in done:
            self._notify(notice)
        return True

    def _perform(self, jobs: list[_Job]) -> None:
        try:
            self._transact(jobs)
        except Corrupt as error:
            _fail(jobs, self.condemn(error))
        except sqlite3.Error as error:
            self._roll_back()
            if database.is_damaged(error):
                _fail(jobs, self.condemn(error))
            else:
                self._block(str(error), database.hint(error))
                self._shrink_log()
                self._put_back(jobs)
        else:
            self._unblock(any(job.grows for job in jobs))
            for job in jobs:
                if job.error is None:
                    job.future.set_result(job.result)
                else:
                    job.future.set_exception(job.error)

    def _put_back(self, jobs: list[_Job]) -> None:
        with self._changed:
            growth = [job for job in jobs if job.grows]
            self._growth.extendleft(reversed(growth))
            self._jobs.extendleft(job for job in reversed(jobs) if not job.grows)
            self._held = True
            # What was tried without growth will not fit a moment later either.
            self._stuck = not growth
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _transact(self, jobs: Iterable[_Job]) -> None:
        if self._path:
            self._be_there(self._path)
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        for job in jobs:
            db.execute("SAVEPOINT job")
            try:
                job.result, job.error = job.work(db), None
            except sqlite3.Error as error:
                if database.is_blocked(error) or database.is_damaged(error):
                    raise
                job.error = error
            except Corrupt:
                raise
            except Exception as error:  # goes to whoever asked for it
                job.error = error
            if job.error is not None:
                db.execute("ROLLBACK TO job")
            db.execute("RELEASE job")
        self._commit()

    def _commit(self) -> None:
        self._db.execute("COMMIT")

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except sqlite3.Error:
                # SQLite rolls back by itself on most of these errors; then there is nothing left to roll back.
                return

    def _be_there(self, path: Path) -> None:
        # A file whose name is gone still takes writes, and all of them vanish with the process (F9).
        try:
            there = path.stat().st_ino == self._inode
        except FileNotFoundError:
            there = False
        except OSError as error:
            raise sqlite3.OperationalError(str(error)) from error
        if not there:
            raise Corrupt(f"{path} was deleted or replaced while in use")

    def _shrink_log(self) -> None:
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            # Where nothing can be written this cannot either; it is tried again with the next attempt.
            return

    def _block(self, reason: str, hint: str) -> None:
        if self._blocked_since is None:
            self._blocked_since = self._clock.monotonic()
            self._notify(StoreBlocked(reason, hint))

    def _unblock(self, grown: bool) -> None:
        self._stuck = False
        if grown or not self._growth:
            self._held = False
            self._pause = _SHORTEST_PAUSE
            if self._blocked_since is not None:
                blocked, self._blocked_since = self._clock.monotonic() - self._blocked_since, None
                self._notify(StoreUnblocked(blocked))


def mark_suspect(path: Path) -> None:
    """Leaves word for the next `Store.open` that the file at `path` is damaged."""
    try:
        suspicion(path).touch(mode=0o640)
    except OSError:
        # No directory, no space: the next start finds the damage on its own, or finds nothing at all.
        return


def suspicion(path: Path) -> Path:
    """Where that word is left."""
    return path.with_name(path.name + ".suspect")


def _crowded(db: sqlite3.Connection, path: Path, limits: Limits) -> str:
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return ""  # whatever is wrong, the transaction will say it
    free = disk.f_bavail * disk.f_frsize
    if free < limits.reserve_bytes:
        return f"{path.parent} has {free >> 20} MiB free, less than the reserve of {limits.reserve_bytes >> 20} MiB"
    used = database.used_bytes(db)
    if used > limits.max_bytes:
        return f"{path} holds {used >> 20} MiB, more than the {limits.max_bytes >> 20} MiB it may"
    return ""


def _first(queue: deque[_Job]) -> list[_Job]:
    return [queue.popleft() for _ in range(min(len(queue), _TOGETHER))]


def _fail(jobs: Iterable[_Job], error: Exception) -> None:
    for job in jobs:
        job.future.set_exception(error)

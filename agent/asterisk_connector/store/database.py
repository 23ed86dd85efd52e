"""Connections to the one SQLite file, its schema, and the meaning of SQLite's errors.

- WAL with `synchronous=FULL`: a commit that returned survives power loss.
- The schema goes forward only (`user_version`); a newer one is refused with a sentence (F60).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from asterisk_connector.errors import Misconfigured

NAME = "calls.db"
MAKE_ROOM = "Free space on the file system of the state directory; reading goes on by itself then."
_PAGE = 4096

_BLOCKED = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def is_blocked(error: sqlite3.Error) -> bool:
    """Whether writing may work later: no space, I/O error, read-only file system, somebody else's lock (F1, F2, F5)."""
    return _primary(error) in _BLOCKED


def hint(error: sqlite3.Error) -> str:
    """What an operator can do about an error that blocks writing."""
    match _primary(error):
        case sqlite3.SQLITE_FULL:
            return MAKE_ROOM
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return "Make the state directory writable for the service's user again; reading goes on by itself then."
        case sqlite3.SQLITE_BUSY:
            return "Another program holds the database locked; end it, and reading goes on by itself."
        case _:
            return "Look for errors of the disk below the state directory: journalctl -k. It is tried again by itself."


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken (F6, F7)."""
    return _primary(error) in _DAMAGED


def _primary(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def writing(path: Path) -> sqlite3.Connection:
    """The connection that writes; statements run in explicit transactions only."""
    db = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    try:
        db.execute(f"PRAGMA page_size={_PAGE}")
        # Takes effect on a new file only: freed pages can be given back in small steps instead of a VACUUM.
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        # The log is folded in once it has 1000 pages, on small file systems much earlier: a log that takes the last
        # free block leaves none to fold it into, and only somebody else's deleting would free the state (F1).
        disk = os.statvfs(path.parent)
        log = max(16, min(1000, disk.f_blocks * disk.f_frsize // _PAGE // 16))
        db.execute(f"PRAGMA wal_autocheckpoint={log}")
        # A log blown up by a long reader is cut back after the next checkpoint.
        db.execute(f"PRAGMA journal_size_limit={4 * log * _PAGE}")
        db.execute("PRAGMA cache_size=-8000")
    except BaseException:
        db.close()
        raise
    return db


def reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; it sees the last commit and holds nobody up."""
    uri = f"file:{quote(str(path))}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False)


def steps() -> list[tuple[int, str]]:
    """The schema's migrations as (version, script), in order."""
    folder = resources.files("asterisk_connector.store.migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name[:4]), (folder / name).read_text(encoding="utf-8")) for name in names]


def migrate(db: sqlite3.Connection, where: str) -> None:
    """Brings the schema to the newest version, each step in one transaction. Raises Misconfigured for a newer one."""
    have = version(db)
    known = steps()
    refuse_newer(have, known[-1][0], where)
    for number, script in known:
        if number > have:
            try:
                db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version={number};\nCOMMIT;")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


def version(db: sqlite3.Connection) -> int:
    """The schema version of the file."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def refuse_newer(have: int, newest: int, where: str) -> None:
    """Raises Misconfigured when `have` is beyond what this version of the agent understands."""
    if have > newest:
        raise Misconfigured(
            f"The state in {where} has schema {have}; this version of asterisk-connector understands up to {newest}.",
            "Install the version that wrote it, or a newer one; or move the state directory away to start afresh.",
        )


def rows_by_table(db: sqlite3.Connection) -> dict[str, int]:
    """How many rows each table has."""
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    return {name: int(db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) for name in tables}  # noqa: S608


def used_bytes(db: sqlite3.Connection) -> int:
    """Bytes in use, without pages that were freed and wait to be used again."""
    pages, free, size = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


class Readers:
    """Connections for readers, made on demand and used again: each read has one for itself."""

    _KEPT = 8

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []

    @contextmanager
    def borrow(self) -> Iterator[sqlite3.Connection]:
        """A connection for the length of a `with`."""
        try:
            db = self._idle.pop()
        except IndexError:
            db = reading(self._path)
        kept = len(self._idle) < self._KEPT
        try:
            yield db
        except sqlite3.Error:
            kept = False
            raise
        finally:
            if kept:
                self._idle.append(db)
            else:
                db.close()

    def close(self) -> None:
        """Closes what is idle."""
        while self._idle:
            self._idle.pop().close()


def marks(values: int) -> str:
    """Question marks for an `IN (…)` list of `values` parameters."""
    return ",".join("?" * values)

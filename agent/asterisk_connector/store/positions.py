"""A second copy of positions that are safe to go back to, for the day the database is lost.

- Law 1 holds: the database alone says how far reading has come. This copy is read only after damage.
- It is old on purpose: every record at or before it belongs to calls that were settled and delivered when it was
  taken. Going back to it means reading again what may not have been kept; the store ignores what it still has.
- Written whole or not at all (temporary file, fsync, rename), with a checksum; an unreadable copy is no copy.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path

import msgspec

from asterisk_connector.store.intake import NEWEST_RECORD

_KEPT = 128
SNAPSHOT = (
    f"SELECT {NEWEST_RECORD}, (SELECT first_record FROM call WHERE id = (SELECT min(call) FROM ("  # noqa: S608
    " SELECT min(id) AS call FROM call WHERE state = 'open'"
    " UNION ALL SELECT min(call) FROM delivery WHERE state = 'pending')))"
)


class _Copy(msgspec.Struct):
    positions: dict[str, bytes]
    checksum: str


class SafePositions:
    """Remembers where sources stood, and saves the newest of those moments that everything before is done with."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._marks: list[tuple[int, dict[str, bytes]]] = []
        self._saved = load(path)

    def update(self, db: sqlite3.Connection) -> None:
        """Takes a mark and saves what has become safe. `db` reads; OSError is the caller's to weigh."""
        db.execute("BEGIN")
        try:
            newest, oldest_owed = db.execute(SNAPSHOT).fetchone()
            positions = dict(db.execute("SELECT source, value FROM position"))
        finally:
            db.execute("COMMIT")
        self._marks.append((newest, positions))
        if len(self._marks) > _KEPT:
            del self._marks[1:-1:2]
        safe = [n for n, (record, _) in enumerate(self._marks) if oldest_owed is None or record < oldest_owed]
        if safe:
            self._save(self._marks[safe[-1]][1])
            del self._marks[: safe[-1]]

    def _save(self, positions: dict[str, bytes]) -> None:
        if positions == self._saved:
            return
        content = msgspec.json.encode(_Copy(positions, _checksum(positions)))
        fresh = self._path.with_name(self._path.name + ".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        self._saved = positions


def load(path: Path) -> dict[str, bytes]:
    """The saved positions by source; empty where there is no copy that can be trusted."""
    try:
        copy = msgspec.json.decode(path.read_bytes(), type=_Copy)
    except (OSError, msgspec.DecodeError):
        return {}
    return copy.positions if copy.checksum == _checksum(copy.positions) else {}


def _checksum(positions: dict[str, bytes]) -> str:
    return hashlib.sha256(msgspec.msgpack.encode(sorted(positions.items()))).hexdigest()

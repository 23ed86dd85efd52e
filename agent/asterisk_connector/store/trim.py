"""Letting go of what is old: by age, and by size the oldest first; a bounded piece of work each time.

- Only what is settled and delivered is let go: never an open call, never a pending delivery.
- Rows go first (`keep_rows`), then calls and their names (`keep_calls`); dead letters by age and number. Where there
  is no room for new rows, those of settled calls go before their time: late evidence is worth less than a new call.
- Everything that goes is counted in a notice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from asterisk_connector.notices import StoreTrimmed
from asterisk_connector.records import Micros
from asterisk_connector.store import books
from asterisk_connector.store.database import marks, used_bytes
from asterisk_connector.store.words import Limits

PIECE = 200
"""Calls looked at in one go."""
_SMALL_PIECE = 20
_LATE = 3600.0

_FULL = 0.9
_RAW = "SELECT id FROM call WHERE state <> 'open' AND raw = 1 AND settled_at < ? ORDER BY settled_at LIMIT ?"
# Only the oldest are candidates: with a million calls owed, looking for one that is not would take seconds.
_OLD = (
    "SELECT id FROM (SELECT id FROM call WHERE state <> 'open' AND settled_at < ? ORDER BY settled_at LIMIT ?) AS old"
    " WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.state = 'pending' AND delivery.call = old.id)"
)
_ANY_TIME = 1 << 62


def trim(db: sqlite3.Connection, limits: Limits, now: Micros) -> list[StoreTrimmed]:
    """One piece of work inside a transaction; an empty list when there is nothing (more) to let go."""
    done = [
        *_calls(db, limits, now),
        *_letters(db, limits, now),
        *_count("set_aside", _surplus_set_aside(db, limits.max_set_aside), "count"),
        *_count("recording", _old_recordings(db, now - _micros(limits.keep_rows)), "age"),
    ]
    # Freed pages go back to the file system in small steps; each costs about a page write.
    db.execute(f"PRAGMA incremental_vacuum({PIECE})").fetchall()
    return done


def make_room(db: sqlite3.Connection, now: Micros) -> list[StoreTrimmed]:
    """Lets raw rows of settled calls go before their time, then calls, the oldest first, so that new rows can be kept.

    Small pieces: what is deleted passes through the log first, and there is little room for it. A call stays for
    `_LATE` seconds, for its late rows would look like another call without it.
    """
    done = list(_count("record", _drop_rows(db, _ANY_TIME, _SMALL_PIECE), "space"))
    if not done:
        done = list(_count("call", _drop_calls(db, now - _micros(_LATE), _SMALL_PIECE), "space"))
    db.execute(f"PRAGMA incremental_vacuum({PIECE})").fetchall()
    return done


def _calls(db: sqlite3.Connection, limits: Limits, now: Micros) -> Iterable[StoreTrimmed]:
    yield from _count("record", _drop_rows(db, now - _micros(limits.keep_rows)), "age")
    yield from _count("call", _drop_calls(db, now - _micros(limits.keep_calls)), "age")
    if used_bytes(db) > limits.max_bytes * _FULL:
        rows = _drop_rows(db, _ANY_TIME)
        yield from _count("record", rows, "size")
        if not rows:
            yield from _count("call", _drop_calls(db, _ANY_TIME), "size")


def _drop_rows(db: sqlite3.Connection, before: Micros, at_once: int = PIECE) -> int:
    calls = [call for (call,) in db.execute(_RAW, (before, at_once))]
    if not calls:
        return 0
    gone = db.execute(f"DELETE FROM record WHERE call IN ({marks(len(calls))})", calls).rowcount  # noqa: S608
    db.execute(f"UPDATE call SET raw = 0, trimmed = 1 WHERE id IN ({marks(len(calls))})", calls)  # noqa: S608
    return gone


def _drop_calls(db: sqlite3.Connection, before: Micros, at_once: int = PIECE) -> int:
    calls = [call for (call,) in db.execute(_OLD, (before, at_once))]
    if calls:
        for table in ("record", "member", "recording"):
            db.execute(f"DELETE FROM {table} WHERE call IN ({marks(len(calls))})", calls)  # noqa: S608
        gone = db.execute(f"DELETE FROM call WHERE id IN ({marks(len(calls))})", calls).rowcount  # noqa: S608
        books.calls_went(db, gone)
    return len(calls)


def _letters(db: sqlite3.Connection, limits: Limits, now: Micros) -> Iterable[StoreTrimmed]:
    oldest = "SELECT id FROM delivery WHERE state = 'dead' AND buried_at < ? ORDER BY buried_at LIMIT ?"
    delete = f"DELETE FROM delivery WHERE id IN ({oldest}) RETURNING sink"  # noqa: S608

    def gone(before: Micros, at_most: int) -> int:
        return books.deliveries_went(db, db.execute(delete, (before, at_most)).fetchall())

    yield from _count("delivery", gone(now - _micros(limits.keep_dead), PIECE), "age")
    letters = db.execute("SELECT count(*) FROM delivery WHERE state = 'dead'").fetchone()[0]
    if letters > limits.max_dead:
        yield from _count("delivery", gone(_ANY_TIME, min(PIECE, letters - limits.max_dead)), "count")


def _surplus_set_aside(db: sqlite3.Connection, kept: int) -> int:
    # Rows only ever leave from the old end, so numbers tell the count.
    return db.execute("DELETE FROM set_aside WHERE id <= (SELECT max(id) FROM set_aside) - ?", (kept,)).rowcount


def _old_recordings(db: sqlite3.Connection, before: Micros) -> int:
    return db.execute(
        "DELETE FROM recording WHERE id IN"
        " (SELECT id FROM recording WHERE call IS NULL AND seen_at < ? ORDER BY seen_at LIMIT ?)",
        (before, PIECE),
    ).rowcount


def _count(table: str, rows: int, reason: str) -> Iterable[StoreTrimmed]:
    if rows:
        yield StoreTrimmed(table, rows, reason)


def _micros(seconds: float) -> Micros:
    return int(seconds * 1_000_000)

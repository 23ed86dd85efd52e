"""Deliveries owed: what is due, how it went, and dead letters.

- A delivery stays until it was delivered or buried; leasing writes nothing, so a killed process leaves none behind.
- Per sink and call, only the oldest pending delivery is offered: revisions arrive in order.
- No delivery waits longer than `FARTHEST` seconds for its turn, whatever the host's clock did since (F56).
- A sink that follows another (audio after its call) is offered a call's deliveries once the other one has them all.
- Nothing here looks at more rows than it returns plus those in flight or waiting behind an earlier revision (F10).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

import msgspec

from asterisk_connector.records import Micros
from asterisk_connector.sinks.base import Item
from asterisk_connector.store import books
from asterisk_connector.store.database import marks
from asterisk_connector.store.words import Backlog, DeadLetter, Left, Letter, Pending

FARTHEST = 3600.0

_TURN = (
    " AND NOT EXISTS (SELECT 1 FROM delivery AS earlier WHERE earlier.call = d.call AND earlier.sink = d.sink"
    " AND earlier.state = 'pending' AND earlier.id < d.id)"
)
_FOLLOWS = {"recording_api": "call_api"}
_AFTER = (
    " AND NOT EXISTS (SELECT 1 FROM delivery AS first WHERE first.call = d.call AND first.sink = '{}'"
    " AND first.state = 'pending')"
)
_COLUMNS = "id, call_id, revision, phase, body, attempts, created_at, host"


def lease_sql(busy: int, sink: str = "") -> str:
    """The query of `lease` for that many deliveries in flight; open to tests, which read its plan."""
    return (
        f"SELECT {_COLUMNS} FROM delivery AS d WHERE sink = ? AND state = 'pending' AND due_at BETWEEN ? AND ?"  # noqa: S608
        f" AND id NOT IN ({marks(busy)}){_turn(sink)} ORDER BY due_at, id LIMIT ?"
    )


def next_due_sql(busy: int, sink: str = "") -> str:
    """The query of `next_due`, likewise."""
    return (
        "SELECT due_at FROM delivery AS d WHERE sink = ? AND state = 'pending'"  # noqa: S608
        f" AND id NOT IN ({marks(busy)}){_turn(sink)} ORDER BY due_at LIMIT 1"
    )


def _turn(sink: str) -> str:
    first = _FOLLOWS.get(sink)
    return _TURN + _AFTER.format(first) if first else _TURN


def lease(db: sqlite3.Connection, sink: str, limit: int, busy: Collection[int], now: Micros) -> list[Item]:
    """What is due, the longest due first; then what the clock has moved out of reach."""
    sql, horizon = lease_sql(len(busy), sink), now + _micros(FARTHEST)
    found = db.execute(sql, (sink, -(1 << 62), now, *busy, limit)).fetchall()
    if len(found) < limit:
        found += db.execute(sql, (sink, horizon + 1, 1 << 62, *busy, limit - len(found))).fetchall()
    return [Item(*row) for row in found]


def next_due(db: sqlite3.Connection, sink: str, busy: Collection[int], now: Micros) -> Micros | None:
    """When the next delivery can be leased; the past when one can be now, None when nothing is owed."""
    row = db.execute(next_due_sql(len(busy), sink), (sink, *busy)).fetchone()
    if row is None:
        return None
    due: Micros = row[0]
    return due if due <= now + _micros(FARTHEST) else now


def owes(db: sqlite3.Connection, sink: str, call_id: str) -> bool:
    """Whether any revision of a call has not reached a sink: still pending, or a dead letter."""
    sql = "SELECT 1 FROM delivery WHERE call_id = ? AND sink = ? LIMIT 1"
    return db.execute(sql, (call_id, sink)).fetchone() is not None


def delivered(db: sqlite3.Connection, delivery: int) -> None:
    """The sink has it: it leaves the store."""
    books.deliveries_went(db, db.execute("DELETE FROM delivery WHERE id = ? RETURNING sink", (delivery,)).fetchall())


def defer(db: sqlite3.Connection, delivery: int, due_at: Micros, reason: str, *, counts: bool, now: Micros) -> None:
    """Not now: again at `due_at`, in an hour at the latest."""
    db.execute(
        "UPDATE delivery SET due_at = ?, reason = ?, attempts = attempts + ? WHERE id = ? AND state = 'pending'",
        (min(due_at, now + _micros(FARTHEST)), reason, counts, delivery),
    )


def bury(db: sqlite3.Connection, delivery: int, reason: str, *, request: str, answer: str, now: Micros) -> None:
    """Never: kept as a dead letter."""
    db.execute(
        "UPDATE delivery SET state = 'dead', reason = ?, request = ?, answer = ?, buried_at = ?,"
        " attempts = attempts + 1 WHERE id = ? AND state = 'pending'",
        (reason, request, answer, now, delivery),
    )


def pending(db: sqlite3.Connection, sink: str | None, limit: int, newest: bool) -> list[Pending]:
    """What is owed, of one sink or of all, from the oldest on or from the newest back."""
    found = db.execute(
        "SELECT id, sink, call_id, revision, phase, attempts, created_at, due_at, reason FROM delivery"  # noqa: S608
        f" WHERE state = 'pending' AND (? IS NULL OR sink = ?) ORDER BY id {'DESC' if newest else 'ASC'} LIMIT ?",
        (sink, sink, limit),
    )
    return [msgspec.convert(row, Pending, strict=False) for row in found]


_HEAD = (
    "d.id, d.sink, d.call_id, d.revision, d.phase, d.attempts, d.created_at, d.buried_at, d.reason,"
    " EXISTS (SELECT 1 FROM call WHERE call.id = d.call AND call.revision > d.revision)"
)


def dead_letters(db: sqlite3.Connection, sink: str | None, after: int, limit: int) -> list[DeadLetter]:
    """Dead letters in order of their numbers behind `after`, of one sink or of all."""
    found = db.execute(
        f"SELECT {_HEAD} FROM delivery AS d WHERE state = 'dead' AND id > ? AND (? IS NULL OR sink = ?)"  # noqa: S608
        " ORDER BY id LIMIT ?",
        (after, sink, sink, limit),
    )
    return [_letter(row) for row in found]


def dead_letter(db: sqlite3.Connection, delivery: int) -> Letter | None:
    """One dead letter with body, request and answer."""
    row = db.execute(
        f"SELECT {_HEAD}, body, request, answer FROM delivery AS d WHERE state = 'dead' AND id = ?",  # noqa: S608
        (delivery,),
    ).fetchone()
    return None if row is None else Letter(_letter(row[:10]), *row[10:])


def left(db: sqlite3.Connection, call_id: str) -> list[Left]:
    """What is not delivered of a call, by revision and sink."""
    found = db.execute(
        "SELECT sink, revision, state, reason FROM delivery WHERE call_id = ? ORDER BY revision, sink", (call_id,)
    )
    return [msgspec.convert(row, Left, strict=False) for row in found]


def retry(db: sqlite3.Connection, deliveries: Sequence[int], now: Micros) -> int:
    """Owes dead letters again from now on, with all attempts before them; how many there were."""
    done = db.executemany(
        "UPDATE delivery SET state = 'pending', attempts = 0, created_at = ?, due_at = ?, buried_at = NULL"
        " WHERE id = ? AND state = 'dead'",
        [(now, now, delivery) for delivery in deliveries],
    )
    return done.rowcount


def drop(db: sqlite3.Connection, deliveries: Sequence[int]) -> int:
    """Deletes dead letters for good; how many there were."""
    gone = "DELETE FROM delivery WHERE id = ? AND state = 'dead' RETURNING sink"
    return books.deliveries_went(db, [sink for each in deliveries for sink in db.execute(gone, (each,)).fetchall()])


def backlog(db: sqlite3.Connection) -> dict[str, Backlog]:
    """What every sink is owed, by the books."""
    letters = dead(db)
    owed = {sink: count - letters.get(sink, 0) for sink, count in books.deliveries(db).items()}
    return {sink: Backlog(pending, _oldest(db, sink)) for sink, pending in owed.items() if pending > 0}


def _oldest(db: sqlite3.Connection, sink: str) -> Micros | None:
    oldest = "SELECT min(created_at) FROM delivery WHERE state = 'pending' AND sink = ?"
    found: Micros | None = db.execute(oldest, (sink,)).fetchone()[0]
    return found


def dead(db: sqlite3.Connection) -> dict[str, int]:
    """How many dead letters every sink has."""
    return dict(db.execute("SELECT sink, count(*) FROM delivery WHERE state = 'dead' GROUP BY sink"))


def _letter(row: Sequence[object]) -> DeadLetter:
    return msgspec.convert(row, DeadLetter, strict=False)


def _micros(seconds: float) -> Micros:
    return int(seconds * 1_000_000)

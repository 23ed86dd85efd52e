"""What is known of each call: reading its rows, settling it, finding it again.

- A settlement is refused when rows arrived that it did not look at; the call stays open and nothing is written.
- What a settlement owes is committed together with what it says is known.
"""

from __future__ import annotations

import sqlite3

import msgspec

from asterisk_connector.errors import Corrupt
from asterisk_connector.records import Micros, Record, RecordingFile
from asterisk_connector.store import books
from asterisk_connector.store.intake import decode_record
from asterisk_connector.store.words import KnownCall, SettledCall, Settlement

OPEN_CALLS = "SELECT id FROM call WHERE state = 'open' AND id > ? ORDER BY id LIMIT 500"
_COLUMNS = (
    "id, state, fresh, opened_at, touched_at, settled_at, trimmed, call_id, complete, revision, digest, phase,"
    " shipped_at, body"
)


class _Letterhead(msgspec.Struct):
    host: str = ""


_letterhead = msgspec.msgpack.Decoder(_Letterhead)


def open_calls(db: sqlite3.Connection, after: int) -> list[int]:
    """The next open calls behind number `after`, a page of them."""
    return [call for (call,) in db.execute(OPEN_CALLS, (after,))]


def rows(db: sqlite3.Connection, call: int) -> list[tuple[int, Record]]:
    """(record number, record) of a call in order of arrival. Raises Corrupt for a payload we did not write."""
    found = db.execute("SELECT id, payload FROM record WHERE call = ? ORDER BY id", (call,))
    try:
        return [(number, decode_record(payload)) for number, payload in found]
    except msgspec.DecodeError as error:
        raise Corrupt(f"A stored row of call {call} cannot be decoded: {error}") from error


def known(db: sqlite3.Connection, call: int) -> KnownCall:
    """Raises LookupError when there is no such call (any more): merged into another, or trimmed."""
    row = db.execute(f"SELECT {_COLUMNS} FROM call WHERE id = ?", (call,)).fetchone()  # noqa: S608
    if row is None:
        raise LookupError(f"there is no call {call}")
    return _known(row)


def find(db: sqlite3.Connection, name: str) -> KnownCall | None:
    """The call of that call id, or of which a channel has that uniqueid or linkedid."""
    row = db.execute(
        "SELECT ifnull((SELECT call FROM member WHERE key = ?), (SELECT max(id) FROM call WHERE call_id = ?))",
        (name, name),
    ).fetchone()
    return None if row[0] is None else known(db, row[0])


def newest(db: sqlite3.Connection, limit: int, before: int | None) -> list[KnownCall]:
    """Calls from the newest backwards, below number `before`, without their bodies."""
    columns = _COLUMNS.replace("body", "x''")
    found = db.execute(
        f"SELECT {columns} FROM call WHERE id < ? ORDER BY id DESC LIMIT ?",  # noqa: S608
        (before if before is not None else 1 << 62, limit),
    )
    return [_known(row) for row in found]


def settled_after(db: sqlite3.Connection, at: Micros, call: int, limit: int) -> list[KnownCall]:
    """Calls settled after that instant (or then, with a higher number), in order, without their bodies."""
    columns = _COLUMNS.replace("body", "x''")
    found = db.execute(
        f"SELECT {columns} FROM call WHERE state <> 'open' AND (settled_at, id) > (?, ?)"  # noqa: S608
        " ORDER BY settled_at, id LIMIT ?",
        (at, call, limit),
    )
    return [_known(row) for row in found]


def latest(db: sqlite3.Connection, limit: int) -> list[SettledCall]:
    """Calls that were told and have ended, the latest first."""
    found = db.execute(
        "SELECT body, EXISTS (SELECT 1 FROM delivery AS d WHERE d.call_id = call.call_id"
        " AND (d.state = 'pending' OR d.revision = call.revision)) FROM call"
        " WHERE state <> 'open' AND state = 'settled' AND body <> x'' ORDER BY settled_at DESC LIMIT ?",
        (limit,),
    )
    return [SettledCall(body, bool(left)) for body, left in found]


def keys(db: sqlite3.Connection, call: int) -> list[str]:
    """Every uniqueid, linkedid and conference of a call."""
    return [key for (key,) in db.execute("SELECT key FROM member WHERE call = ? ORDER BY key", (call,))]


def settle(db: sqlite3.Connection, settlement: Settlement, now: Micros) -> bool:
    """Runs inside a transaction. False, and nothing written, when newer rows came or the call was merged away.

    Raises ValueError for a settlement that owes something under a revision already used: the other side would take
    two different bodies for one delivery (F32).
    """
    s = settlement
    row = db.execute(
        "SELECT revision, (SELECT ifnull(max(id), 0) FROM record WHERE call = ?1) FROM call WHERE id = ?1", (s.call,)
    ).fetchone()
    if row is None or row[1] > s.last_record:
        return False
    if s.owed and s.revision <= row[0]:
        raise ValueError(f"call {s.call} owes revision {s.revision}, but revision {row[0]} is already used")
    db.execute(
        "UPDATE call SET state = ?, settled_at = ?, call_id = ?, complete = ?, revision = ?, digest = ?, body = ?,"
        " phase = ?, shipped_at = iif(?, ?, shipped_at) WHERE id = ?",
        (
            s.state,
            None if s.state == "open" else now,
            s.call_id,
            s.complete,
            s.revision,
            s.digest,
            s.body,
            s.phase,
            bool(s.owed),
            now,
            s.call,
        ),
    )
    for owed in s.owed:
        _owe(db, (s.call, owed.sink, _host(owed.body), s.call_id, s.revision, owed.phase, owed.body, now, now))
    books.deliveries_came(db, [owed.sink for owed in s.owed])
    return True


def _owe(db: sqlite3.Connection, delivery: tuple[object, ...]) -> None:
    insert = (
        "INSERT INTO delivery (call, sink, host, call_id, revision, phase, body, created_at, due_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    try:
        db.execute(insert, delivery)
    except sqlite3.IntegrityError:
        # A dead letter of a call that was forgotten and came back bears this name: the new one takes its place.
        gone = "DELETE FROM delivery WHERE sink = ? AND host = ? AND call_id = ? AND revision = ? RETURNING sink"
        books.deliveries_went(db, db.execute(gone, delivery[1:5]).fetchall())
        db.execute(insert, delivery)


def _host(body: bytes) -> str:
    try:
        return _letterhead.decode(body).host
    except msgspec.DecodeError:
        return ""


def unlinked(db: sqlite3.Connection, limit: int) -> list[RecordingFile]:
    """Recordings that belong to no call yet, oldest first."""
    found = db.execute("SELECT payload FROM recording WHERE call IS NULL ORDER BY seen_at LIMIT ?", (limit,))
    return [record for (payload,) in found if isinstance(record := decode_record(payload), RecordingFile)]


def recorded(db: sqlite3.Connection, path: str) -> int | None:
    """The call a recording was linked to."""
    row = db.execute("SELECT call FROM recording WHERE path = ?", (path,)).fetchone()
    return row[0] if row else None


def is_uploaded(db: sqlite3.Connection, path: str, state: str) -> bool:
    """Whether a recording in this state was uploaded."""
    sql = "SELECT 1 FROM recording WHERE path = ? AND uploaded = ?"
    return db.execute(sql, (path, state)).fetchone() is not None


def uploaded(db: sqlite3.Connection, path: str, state: str) -> None:
    """A recording in this state was uploaded."""
    db.execute("UPDATE recording SET uploaded = ? WHERE path = ?", (state, path))


def _known(row: tuple[object, ...]) -> KnownCall:
    return msgspec.convert(row, KnownCall, strict=False)

"""Taking in a batch: new records, the calls they belong to, and the position, in one transaction.

- A record is identified by (source, ident); reading it again changes nothing.
- A call is a connected component over `connection_keys`, kept incrementally: `member` maps every key to its call. A
  record whose keys lie in several calls makes them one; the oldest survives and takes over rows, keys and deliveries.
- Nothing is lost: a record without keys is a call of its own, one that cannot be encoded is set aside.
- All names of a batch are looked up at once, so the cost of membership is per name and batch, not per row; a cache
  would save nothing and could disagree with a transaction that was rolled back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from asterisk_connector.records import Batch, Micros, Record, RecordingFile, SetAside, connection_keys
from asterisk_connector.store import books
from asterisk_connector.store.database import marks
from asterisk_connector.store.words import Appended

_encode = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.Decoder(Record).decode
_RAW_KEPT = 65_536
_LOOKUP = 512
_LINKED = 0  # stands for a source in rows that were linked later


NEWEST_RECORD = (
    "max(ifnull((SELECT max(id) FROM record), 0), ifnull((SELECT first_record FROM call ORDER BY id DESC LIMIT 1), 0))"
)


@dataclass(slots=True)
class Numbers:
    """The next numbers to give away; a rolled back transaction leaves a gap, which nobody minds."""

    record: int
    call: int

    @classmethod
    def after(cls, db: sqlite3.Connection) -> Numbers:
        """Continues behind what the database holds."""
        # Rows may all be trimmed: the newest call still tells how far numbers had come.
        record = db.execute(f"SELECT {NEWEST_RECORD}").fetchone()[0]
        call = db.execute("SELECT ifnull((SELECT max(id) FROM call), 0)").fetchone()[0]
        return cls(record=record + 1, call=call + 1)


_Row = tuple[str, Record, bytes, tuple[str, ...]]
"""ident, record, payload, keys; a plain tuple, for there are many."""


class Intake:
    """A batch made ready by the caller's thread, to be written by the writer's."""

    def __init__(self, batch: Batch) -> None:
        self._source = batch.source
        self._position = batch.position
        self._fresh = not batch.history
        self._rows: dict[str, _Row] = {}
        self._loose: dict[str, tuple[RecordingFile, bytes]] = {}
        self._aside = list(batch.set_aside)
        for ident, record in batch.seen:
            try:
                payload = _encode(record)
            except (UnicodeEncodeError, ValueError, OverflowError) as error:
                raw = repr(record).encode("utf-8", "backslashreplace")
                self._aside.append(SetAside(ident, f"cannot be stored: {error}", raw))
                continue
            keys = connection_keys(record)
            ident = ident if ident.isascii() else _text(ident)  # noqa: PLW2901 - the same name, storable
            if not keys and isinstance(record, RecordingFile):
                self._loose[record.path] = (record, payload)
            else:
                self._rows.setdefault(ident, (ident, record, payload, keys))

    def write(self, db: sqlite3.Connection, numbers: Numbers, now: Micros) -> Appended:
        """Runs inside a transaction; leaves no trace in this object, so that it can run again after a rollback."""
        source: int = db.execute(
            "INSERT INTO position (source, value) VALUES (?, ?)"
            " ON CONFLICT (source) DO UPDATE SET value = excluded.value RETURNING id",
            (self._source, self._position),
        ).fetchone()[0]
        if self._aside:
            db.executemany(
                "INSERT OR IGNORE INTO set_aside (source, ident, reason, raw, seen_at) VALUES (?, ?, ?, ?, ?)",
                [(source, _text(a.ident), _text(a.reason), a.raw[:_RAW_KEPT], now) for a in self._aside],
            )
        loose = self._keep_loose(db, now)
        stored = {ident for (ident,) in _lookup(db, _KNOWN_IDENTS, self._rows, (source,))}
        rows = [row for row in self._rows.values() if row[0] not in stored]
        return _Joining(db, numbers).take(source, rows, self._fresh, now)._replace(recordings=loose)

    def _keep_loose(self, db: sqlite3.Connection, now: Micros) -> tuple[RecordingFile, ...]:
        """Recordings that are new or not what they were; a changed one is nobody's until it is linked again."""
        if not self._loose:
            return ()
        known = {path: decode_record(payload) for path, payload in _lookup(db, _KNOWN_RECORDINGS, self._loose)}
        changed = [loose for path, loose in self._loose.items() if not _same(loose[0], known.get(path))]
        db.executemany(
            "INSERT INTO recording (path, payload, seen_at) VALUES (?, ?, ?)"
            " ON CONFLICT (path) DO UPDATE SET payload = excluded.payload, call = NULL",
            [(record.path, payload, now) for record, payload in changed],
        )
        return tuple(record for record, _ in changed)


class _Joining:
    """Finds each record's call, making and merging calls on the way, then writes all of it."""

    def __init__(self, db: sqlite3.Connection, numbers: Numbers) -> None:
        self._db = db
        self._numbers = numbers
        self._homes: dict[str, int] = {}
        self._absorbed: dict[int, int] = {}

    def take(self, source: int, rows: list[_Row], fresh: bool, now: Micros) -> Appended:
        db, numbers, homes = self._db, self._numbers, self._homes
        names = {key for row in rows for key in row[3]}
        homes.update(_lookup(db, _HOMES, names))
        unknown = names.difference(homes)

        new: dict[int, int] = {}
        owners: list[int] = []
        first = numbers.record
        for _, _, _, keys in rows:
            call = 0
            homeless = not keys
            for key in keys:
                home = homes.get(key)
                if home is None:
                    homeless = True
                elif home != call:
                    call = self._merge(call, home) if call else home
            if homeless:
                if not call:
                    call = numbers.call
                    numbers.call += 1
                    new[call] = first + len(owners)
                for key in keys:
                    homes[key] = call
            owners.append(call)
        numbers.record += len(rows)

        if self._absorbed:
            owners = [self._survivor(call) for call in owners]
        touched: dict[int, list[Record]] = {}
        for call, row in zip(owners, rows, strict=True):
            touched.setdefault(call, []).append(row[1])
        born = [call for call in new if call not in self._absorbed]
        merged = [(call, self._survivor(call)) for call in self._absorbed if call not in new]

        db.executemany(
            "INSERT INTO call (id, fresh, first_record, opened_at, touched_at) VALUES (?, ?, ?, ?, ?)",
            [(call, fresh, new[call], now, now) for call in born],
        )
        books.calls_came(db, len(born))
        for absorbed, into in merged:
            merge(db, absorbed, into)
        db.executemany(
            "UPDATE call SET state = 'open', raw = 1, fresh = fresh | ?, touched_at = ? WHERE id = ?",
            [(fresh, now, call) for call in touched if call not in new],
        )
        db.executemany("INSERT INTO member (key, call) VALUES (?, ?)", [(key, homes[key]) for key in unknown])
        db.executemany(
            "INSERT INTO record (id, source, ident, call, payload) VALUES (?, ?, ?, ?, ?)",
            [
                (first + n, source, ident, call, payload)
                for n, (call, (ident, _, payload, _)) in enumerate(zip(owners, rows, strict=True))
            ],
        )
        return Appended(touched, merged, born)

    def _merge(self, one: int, other: int) -> int:
        into, absorbed = min(one, other), max(one, other)
        self._absorbed[absorbed] = into
        for key, home in self._homes.items():
            if home == absorbed:
                self._homes[key] = into
        return into

    def _survivor(self, call: int) -> int:
        while call in self._absorbed:
            call = self._absorbed[call]
        return call


def merge(db: sqlite3.Connection, absorbed: int, into: int) -> None:
    """Makes two stored calls one. What was shipped under either stays known by the higher revision."""
    for table in ("record", "member", "delivery", "recording"):
        db.execute(f"UPDATE {table} SET call = ? WHERE call = ?", (into, absorbed))  # noqa: S608 - our own names
    db.execute(
        """UPDATE call SET fresh = call.fresh | other.fresh, trimmed = call.trimmed | other.trimmed,
             revision = max(call.revision, other.revision), first_record = min(call.first_record, other.first_record),
             opened_at = min(call.opened_at, other.opened_at),
             call_id = iif(call.revision, call.call_id, other.call_id),
             digest = iif(call.revision, call.digest, other.digest),
             body = iif(call.revision, call.body, other.body),
             complete = iif(call.revision, call.complete, other.complete),
             phase = ifnull(call.phase, other.phase), shipped_at = ifnull(call.shipped_at, other.shipped_at)
           FROM call AS other WHERE call.id = ? AND other.id = ?""",
        (into, absorbed),
    )
    books.calls_went(db, db.execute("DELETE FROM call WHERE id = ?", (absorbed,)).rowcount)


def link(db: sqlite3.Connection, numbers: Numbers, path: str, call: int, now: Micros) -> bool:
    """Makes an unlinked recording a record of `call`, which is open then; False when either is not there (any more)."""
    row = db.execute("SELECT payload FROM recording WHERE path = ? AND call IS NULL", (path,)).fetchone()
    if row is None or not db.execute("SELECT 1 FROM call WHERE id = ?", (call,)).fetchone():
        return False
    db.execute(
        "INSERT OR REPLACE INTO record (id, source, ident, call, payload) VALUES (?, ?, ?, ?, ?)",
        (numbers.record, _LINKED, path, call, row[0]),
    )
    numbers.record += 1
    db.execute("UPDATE recording SET call = ? WHERE path = ?", (call, path))
    db.execute("UPDATE call SET state = 'open', raw = 1, touched_at = ? WHERE id = ?", (now, call))
    return True


_KNOWN_IDENTS = "SELECT ident FROM record WHERE source = ? AND ident IN ({})"
_KNOWN_RECORDINGS = "SELECT path, payload FROM recording WHERE path IN ({})"
_HOMES = "SELECT key, call FROM member WHERE key IN ({})"


def _lookup(db: sqlite3.Connection, sql: str, names: Iterable[str], first: Sequence[int] = ()) -> Iterator[Any]:
    """Rows for many names in few statements; lists are padded to powers of two so that few statements are prepared."""
    left = list(names)
    for start in range(0, len(left), _LOOKUP):
        some = left[start : start + _LOOKUP]
        some += some[-1:] * ((1 << (len(some) - 1).bit_length()) - len(some))
        yield from db.execute(sql.format(marks(len(some))), (*first, *some))


def _same(recording: RecordingFile, known: Record | None) -> bool:
    """Whether the file is as it was; what it replaced is known only to who saw it."""
    before = known if isinstance(known, RecordingFile) else None
    return before is not None and (recording.size, recording.ended_at) == (before.size, before.ended_at)


def _text(text: str) -> str:
    """Text SQLite can hold: lone surrogates written out."""
    return text.encode("utf-8", "backslashreplace").decode()

"""Double entry: every call and every delivery is entered when it comes and when it goes, beside the row itself.

- Entries are made in the transaction that makes or deletes the row, by whoever has a reason to. So what came less what
  went is what must be there; a row that is gone without an entry, or there without one, is a call we cannot account
  for. Kills and restarts change nothing of that; a repair, which has told what it lost, begins the books anew.
- A call goes by being merged into another or by age; a delivery by being delivered, or, as a dead letter, by age or the
  operator's hand.
- So the books know at once how much is owed. Holding them against what is there reads indexes, all of them: that is
  for now and then (`counter`).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable

_CALLS = "calls"
_ENTER = (
    "INSERT INTO book (name, came, went) VALUES (?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET came = came + excluded.came, went = went + excluded.went"
)


def calls_came(db: sqlite3.Connection, calls: int) -> None:
    """So many calls were never seen before."""
    if calls:
        db.execute(_ENTER, (_CALLS, calls, 0))


def calls_went(db: sqlite3.Connection, calls: int) -> None:
    """So many calls were merged into others, or let go."""
    if calls:
        db.execute(_ENTER, (_CALLS, 0, calls))


def deliveries_came(db: sqlite3.Connection, sinks: Iterable[str]) -> None:
    """One delivery is owed to each of these."""
    for sink in sinks:
        db.execute(_ENTER, (f"sink {sink}", 1, 0))


def deliveries_went(db: sqlite3.Connection, sinks: Iterable[tuple[str]]) -> int:
    """One delivery of each of these sinks (rows of `DELETE … RETURNING sink`) is no longer owed; how many."""
    gone = Counter(sink for (sink,) in sinks)
    for sink, deliveries in gone.items():
        db.execute(_ENTER, (f"sink {sink}", 0, deliveries))
    return gone.total()


def begin(db: sqlite3.Connection) -> None:
    """New books: what is there now has come, nothing went."""
    db.execute("DELETE FROM book")
    db.execute("INSERT INTO book SELECT 'calls', count(*), 0 FROM call")
    db.execute("INSERT INTO book SELECT 'sink ' || sink, count(*), 0 FROM delivery GROUP BY sink")


def deliveries(db: sqlite3.Connection) -> dict[str, int]:
    """How many deliveries, dead letters too, each sink must have."""
    found = db.execute("SELECT substr(name, 6), came - went FROM book WHERE name LIKE 'sink %' AND came > went")
    return dict(found.fetchall())


def unaccounted(db: sqlite3.Connection) -> int:
    """How far rows and books are apart, plus calls that nobody will ever tell: ended without having been told, or open
    without a row. To be asked in a transaction, so that all of it is of one instant."""

    def one(sql: str) -> int:
        return int(db.execute(sql).fetchone()[0])

    there: dict[str, int] = {}
    for state in ("pending", "dead"):  # each has an index
        found = db.execute(f"SELECT sink, count(*) FROM delivery WHERE state = '{state}' GROUP BY sink")  # noqa: S608
        for sink, count in found:
            there[f"sink {sink}"] = there.get(f"sink {sink}", 0) + count
    there[_CALLS] = one("SELECT count(*) FROM call WHERE state = 'open'")
    there[_CALLS] += one("SELECT count(*) FROM call WHERE state <> 'open'")
    owed: dict[str, int] = dict(db.execute("SELECT name, came - went FROM book").fetchall())
    apart = sum(abs(owed.get(name, 0) - there.get(name, 0)) for name in {*owed, *there})
    untold = one("SELECT count(*) FROM call WHERE state = 'settled' AND fresh = 1 AND revision = 0 AND trimmed = 0")
    rowless = one(
        "SELECT count(*) FROM call WHERE state = 'open'"
        " AND NOT EXISTS (SELECT 1 FROM record WHERE record.call = call.id)"
    )
    return apart + untold + rowless

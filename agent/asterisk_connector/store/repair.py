"""Healing a damaged database: the file is set aside, what can be read of it goes into a new one, the service runs.

- Nothing damaged is deleted but the oldest of several: it is kept as `calls.db.damaged-<UTC time>` with its log.
- Where rows of the intake were lost, sources go back to their safe positions (`positions.py`) and read again; what is
  still there is recognised by its identity. Where all rows could be read, positions stay as they are.
- A kill at any moment of a repair is no harm: the new file gets its last name only when whole, and an interrupted
  swap is finished at the next start.
- The check at start is bounded: tables are looked at in the order of what their loss would cost, for `CHECK_SECONDS`
  at most. Damage in the part not reached shows when it is read; then the file is marked suspect and repaired at the
  next start without further checks. A missing or cut log (`-wal`) is no damage: SQLite falls back to the last whole
  commit, and the position falls back with it (F8).
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from asterisk_connector.notices import Notify, StoreRepaired
from asterisk_connector.records import Micros, connection_keys
from asterisk_connector.store import books, database, positions
from asterisk_connector.store.intake import decode_record
from asterisk_connector.store.writer import suspicion

CHECK_SECONDS = 1.0
_TABLES = ("position", "delivery", "call", "member", "recording", "set_aside", "record")
_INTAKE = {"position", "record"}
_KEPT = 3
_HEADER = 100
_PIECE = 500


def heal(path: Path, safe: Path, notify: Notify, now: Micros) -> None:
    """Leaves at `path` a database that can be opened, or none where there was none. `safe` is the copy of positions.

    Raises sqlite3.OperationalError and OSError when there is no room to repair in; trying again later is safe.
    """
    stamp = datetime.fromtimestamp(now // 1_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    if _repaired(path).exists():
        aside = _swap(path, stamp)
        notify(StoreRepaired(str(path), aside, "an interrupted repair was finished", 0))
        return
    reason = _examine(path, bool(positions.load(safe)))
    if not reason:
        return
    kept = _rebuild(path, positions.load(safe))
    aside = _swap(path, stamp)
    notify(StoreRepaired(str(path), aside, reason, kept))


def _examine(path: Path, expected: bool) -> str:
    """Why the file has to be rebuilt; empty when it need not."""
    if not path.exists():
        return "the file is missing" if expected else ""
    if suspicion(path).exists():
        return "damage was met while running"
    try:
        with closing(database.writing(path)) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                return "the file is empty" if expected else ""
            return _quick_check(db, [table for table in _TABLES if table in tables])
    except sqlite3.DatabaseError as error:
        if database.is_damaged(error):
            return str(error)
        raise


def _quick_check(db: sqlite3.Connection, tables: list[str]) -> str:
    # SQLite 3.40 asks no progress handler during the check; it does see an interrupt.
    timer = threading.Timer(CHECK_SECONDS, db.interrupt)
    timer.start()
    try:
        for table in tables:
            verdict: str = db.execute(f"PRAGMA quick_check('{table}')").fetchone()[0]
            if verdict != "ok" and "interrupt" not in verdict:
                return verdict
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
    finally:
        timer.cancel()
        timer.join()
    return ""


def _rebuild(path: Path, safe: dict[str, bytes]) -> int:
    building = path.with_name(path.name + ".repairing")
    headless = path.with_name(path.name + ".headless")
    _remove(building, headless)
    kept, broken = 0, set(_TABLES)
    building.touch(mode=0o640)
    with closing(database.writing(building)) as new:
        database.migrate(new, str(building))
        for source in (path, headless):
            if not path.exists() or (source is headless and not _give_header(path, headless, building)):
                break
            try:
                kept, broken = _salvage(source, new)
                break
            except sqlite3.DatabaseError as error:
                if not database.is_damaged(error):
                    raise
        new.execute("BEGIN")
        if broken & _INTAKE:
            new.executemany(
                "INSERT INTO position (source, value) VALUES (?, ?)"
                " ON CONFLICT (source) DO UPDATE SET value = excluded.value",
                list(safe.items()),
            )
        _reconcile(new)
        if "delivery" in broken:
            _owe_again(new)
        books.begin(new)
        new.execute("COMMIT")
    _remove(headless)
    building.replace(_repaired(path))
    return kept


def _salvage(path: Path, new: sqlite3.Connection) -> tuple[int, set[str]]:
    """Copies what can be read; how many rows, and the tables that were not whole."""
    kept, broken = 0, set[str]()
    with closing(database.reading(path)) as old:
        old.execute("SELECT count(*) FROM sqlite_master").fetchone()
        for table in _TABLES:
            columns = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
            insert = f"INSERT OR IGNORE INTO {table} VALUES ({database.marks(len(columns))})"  # noqa: S608
            before = new.total_changes
            whole = True
            new.execute("BEGIN")
            for piece in _readable(old, table, columns):
                if piece is None:
                    whole = False
                else:
                    good = piece if table != "record" else [row for row in piece if _decodes(row[-1])]
                    whole = whole and len(good) == len(piece)
                    new.executemany(insert, good)
            new.execute("COMMIT")
            kept += new.total_changes - before
            if not whole:
                broken.add(table)
    return kept, broken


def _readable(old: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[list[tuple[object, ...]] | None]:
    """Rows in pieces from the front up to the damage, then from the back; a None in between where there was any."""
    key = columns[0]
    for order in ("ASC", "DESC"):
        select = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {key} {order}"  # noqa: S608
        piece: list[tuple[object, ...]] = []
        try:
            for row in old.execute(select):
                piece.append(row)
                if len(piece) == _PIECE:
                    yield piece
                    piece = []
            yield piece
        except sqlite3.DatabaseError:
            yield piece
            yield None
        else:
            return


def _decodes(payload: object) -> bool:
    try:
        decode_record(payload)  # type: ignore[arg-type]
    except (msgspec.DecodeError, TypeError):
        return False
    return True


def _reconcile(db: sqlite3.Connection) -> None:
    """Makes tables agree again: every row has a call, every name a call that exists, every open call rows."""
    db.execute(
        "INSERT INTO call (id, fresh, first_record, opened_at, touched_at)"
        " SELECT call, 1, min(id), 0, 0 FROM record WHERE call NOT IN (SELECT id FROM call) GROUP BY call"
    )
    db.execute("DELETE FROM member WHERE call NOT IN (SELECT id FROM call)")
    for call, payload in db.execute("SELECT call, payload FROM record WHERE call IN (SELECT id FROM call)").fetchall():
        names = [(key, call) for key in connection_keys(decode_record(payload))]
        db.executemany("INSERT OR IGNORE INTO member (key, call) VALUES (?, ?)", names)
    db.execute("DELETE FROM call WHERE state = 'open' AND revision = 0 AND id NOT IN (SELECT call FROM record)")
    db.execute("DELETE FROM member WHERE call NOT IN (SELECT id FROM call)")


def _owe_again(db: sqlite3.Connection) -> None:
    """Opens every call that may have been owed, so that assembly ships it again: better twice than never.

    Without its digest a call counts as changed. Calls whose rows were trimmed are older than any delivery gets.
    """
    db.execute(
        "UPDATE call SET state = 'open', digest = x'' WHERE state = 'settled' AND phase IS NOT NULL AND raw = 1"
        " AND id NOT IN (SELECT call FROM delivery)"
    )


def _give_header(path: Path, copy: Path, sound: Path) -> bool:
    """Copies the file with its first 100 bytes taken from a database of the same kind (F6); False for an empty one.

    All our files have the same page size, encoding and vacuum mode; the number of pages is the file's, the list of
    free pages is forgotten, which reading does not need (SQLite file format, §1.3).
    """
    if path.stat().st_size <= _HEADER:
        return False
    shutil.copyfile(path, copy)
    with sound.open("rb") as file:
        header = bytearray(file.read(_HEADER))
    page_size = int.from_bytes(header[16:18], "big")
    header[28:32] = (copy.stat().st_size // page_size).to_bytes(4, "big")
    header[32:40] = bytes(8)
    header[92:96] = header[24:28]
    with copy.open("r+b") as file:
        file.write(header)
    return True


def _swap(path: Path, stamp: str) -> str:
    """Sets the damaged file aside and puts the repaired one in its place; can be repeated after a kill at any point."""
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("", "-wal"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(path.with_name(aside.name + suffix))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    suspicion(path).unlink(missing_ok=True)
    _repaired(path).replace(path)
    older = sorted(p for p in path.parent.glob(f"{path.name}.damaged-*") if not p.name.endswith(("-wal", "-shm")))
    for extra in older[:-_KEPT]:
        _remove(extra)
    return str(aside)


def _repaired(path: Path) -> Path:
    return path.with_name(path.name + ".repaired")


def _remove(*paths: Path) -> None:
    for path in paths:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)

"""Damage to the state: it heals by itself, and whatever could not be saved is read again (F6, F7, F8)."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asterisk_connector.errors import Corrupt
from asterisk_connector.notices import Notice, StoreRepaired
from asterisk_connector.records import Batch, CelEvent, Seen, SetAside
from asterisk_connector.store import Store, repair
from asterisk_connector.store.positions import SafePositions
from asterisk_connector.store.writer import suspicion
from tests.kit.clock import FakeClock
from tests.kit.rows import SOURCE, batch, cel, settlement

CALLS = 60
ROWS = 20


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state with settled, open and owed calls, closed properly; its safe position lies behind the first ten calls."""
    directory = tmp_path_factory.mktemp("pristine")
    store = Store.open(directory, clock=FakeClock(), notify=print)
    for n in range(CALLS):
        store.append(rows_of(n))
        if n < 40:
            assert store.settle(settlement(store, n + 1))
        if n < 10:
            store.delivered(store.lease("api", 1)[0])
        store.trim()
    store.bury(store.lease("api", 1)[0], "400")
    store.append(Batch("other", [], b"elsewhere", set_aside=[SetAside("1", "odd", b"raw")]))
    store.close()
    assert [file.name for file in directory.iterdir() if file.name.endswith("-wal")] == []
    return directory


@pytest.fixture
def state(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "state"))


def rows_of(n: int) -> Batch:
    """The rows of call `n`; its position is the number of the next call."""
    seen = [Seen(f"{n}/{i}", cel(f"{n}.{i}", f"{n}.0", mark=f"{n}/{i} " + "x" * 300)) for i in range(ROWS)]
    return Batch(SOURCE, seen, str(n + 1).encode())


def reopen(state: Path) -> tuple[Store, list[Notice]]:
    told: list[Notice] = []
    return Store.open(state, clock=FakeClock(), notify=told.append), told


def read_again(store: Store) -> None:
    """Does what a source does: goes on from the position it is given, to the end."""
    position = store.position(SOURCE)
    for n in range(int(position) if position else 0, CALLS):
        store.append(rows_of(n))


def assert_whole(store: Store, first: int = 0) -> None:
    """Every call from the `first` on has all its rows, once; every delivery that was owed is owed or comes again."""
    for n in range(first, CALLS):
        known = store.find(f"{n}.0")
        assert known is not None, n
        marks = [row.user_field.split()[0] for _, row in store.rows(known.call) if isinstance(row, CelEvent)]
        assert sorted(marks) == sorted(f"{n}/{i}" for i in range(ROWS)), n
        owed = {item.call_id for item in store.lease("api", 1000)} | {d.call_id for d in store.dead_letters()}
        if 10 <= n < 40:
            assert known.state == "open" or known.call_id in owed


def header(state: Path) -> None:
    with (state / "calls.db").open("r+b") as file:
        file.write(os.urandom(100))


def half(state: Path) -> None:
    os.truncate(state / "calls.db", (state / "calls.db").stat().st_size // 2)


def empty(state: Path) -> None:
    os.truncate(state / "calls.db", 0)


def gone(state: Path) -> None:
    (state / "calls.db").unlink()


def noise(state: Path) -> None:
    size = (state / "calls.db").stat().st_size
    (state / "calls.db").write_bytes(os.urandom(size))


@pytest.mark.parametrize("damage", [header, half, empty, gone, noise])
def test_a_damaged_file_is_set_aside_and_nothing_is_lost(state: Path, damage: Callable[[Path], None]) -> None:
    damage(state)
    store, told = reopen(state)
    (notice,) = told
    assert isinstance(notice, StoreRepaired)
    assert damage is gone or Path(notice.set_aside_as).exists()
    read_again(store)
    assert_whole(store, first=10)
    store.close()
    store, told = reopen(state)
    assert told == []
    store.close()


def test_an_overwritten_header_costs_nothing_at_all(state: Path) -> None:
    header(state)
    store, _ = reopen(state)
    assert store.position(SOURCE) == str(CALLS).encode()
    assert store.position("other") == b"elsewhere"
    assert [row.raw for row in store.set_aside()] == [b"raw"]
    assert len(store.dead_letters()) == 1
    assert_whole(store)
    store.close()


def pages_of(state: Path, *names: str) -> list[int]:
    db = sqlite3.connect(state / "calls.db")
    marks = ",".join("?" * len(names))
    pages = [
        page for (page,) in db.execute(f"SELECT pageno FROM dbstat WHERE name IN ({marks}) ORDER BY pageno", names)
    ]
    db.close()
    return pages


@pytest.mark.parametrize("table", ["position", "record", "member", "call", "delivery", "record_call", "record_ident"])
def test_a_page_overwritten_anywhere_is_healed(state: Path, table: str) -> None:
    pages = pages_of(state, table)
    page = pages[len(pages) // 2]
    with (state / "calls.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)
    store, told = reopen(state)
    assert [type(n) for n in told] == [StoreRepaired]
    read_again(store)
    assert_whole(store, first=10)
    store.close()


@pytest.fixture
def flips(state: Path) -> Iterator[Callable[[int, int], None]]:
    def flip(page: int, offset: int) -> None:
        with (state / "calls.db").open("r+b") as file:
            at = (page - 1) * 4096 + offset
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 0x40]))

    return flip


@pytest.mark.parametrize("offset", [0, 3, 5, 9, 100, 2000, 4000])
def test_a_flipped_byte_never_keeps_the_store_from_working(
    state: Path, flips: Callable[[int, int], None], offset: int
) -> None:
    for page in pages_of(state, "record", "record_ident")[::7]:
        flips(page, offset)
    store, _ = reopen(state)
    try:
        read_again(store)
        list(map(store.rows, store.open_calls()))
    except Corrupt:
        store.close()
        assert suspicion(state / "calls.db").exists()
        store, told = reopen(state)
        assert [type(n) for n in told] == [StoreRepaired]
        read_again(store)
        list(map(store.rows, store.open_calls()))
    store.close()


def test_damage_met_while_running_is_refused_and_healed_by_opening_again(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = pages_of(state, "record")
    monkeypatch.setattr(repair, "_quick_check", lambda db, tables: "")
    with (state / "calls.db").open("r+b") as file:
        file.seek((pages[len(pages) // 2] - 1) * 4096)
        file.write(b"\xa5" * 4096)
    store, told = reopen(state)
    assert told == []
    with pytest.raises(Corrupt, match="cannot be used any longer"):
        list(map(store.rows, range(1, CALLS + 1)))
    with pytest.raises(Corrupt):
        store.append(batch(cel("9.9"), first=10_000))
    store.close()
    store, told = reopen(state)
    assert isinstance(told[0], StoreRepaired)
    assert told[0].reason == "damage was met while running"
    assert not suspicion(state / "calls.db").exists()
    read_again(store)
    assert_whole(store, first=10)
    store.close()


def test_a_repair_killed_before_or_between_its_renames_is_finished(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header(state)
    for name in ("_rebuild", "_swap"):
        with monkeypatch.context() as patch:
            patch.setattr(repair, name, _die)
            with pytest.raises(KeyboardInterrupt):
                reopen(state)
    image = state.with_name("image")
    shutil.copytree(state, image)
    (image / "calls.db").unlink()
    for directory in (state, image):
        store, told = reopen(directory)
        assert [type(n) for n in told] == [StoreRepaired]
        assert_whole(store)
        store.close()


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_only_the_newest_damaged_files_are_kept(state: Path) -> None:
    clock = FakeClock()
    for _ in range(5):
        header(state)
        Store.open(state, clock=clock, notify=print).close()
        clock.advance(1)
    assert len(list(state.glob("calls.db.damaged-*"))) == 3


@pytest.mark.parametrize("cut", [None, 0, 5000, 4096 * 3])
def test_a_log_deleted_or_cut_is_no_damage_and_the_position_falls_back_with_the_rows(
    tmp_path: Path, cut: int | None
) -> None:
    live, image = tmp_path / "live", tmp_path / "image"
    store = Store.open(live, clock=FakeClock(), notify=print)
    for n in range(CALLS):
        store.append(rows_of(n))
    shutil.copytree(live, image)
    store.close()
    log = image / "calls.db-wal"
    assert log.stat().st_size > 4096 * 3
    if cut is None:
        log.unlink()
    else:
        os.truncate(log, log.stat().st_size - cut if cut else 0)
    store, told = reopen(image)
    assert told == []
    read = int(store.position(SOURCE) or 0)
    assert read < CALLS
    assert len(list(store.open_calls())) == read
    read_again(store)
    assert_whole(store)
    store.close()


def test_an_older_copy_of_positions_only_means_reading_again(tmp_path: Path) -> None:
    store = Store.open(tmp_path, clock=FakeClock(), notify=print)
    safe = SafePositions(tmp_path / "positions.json")
    store._read(safe.update)
    for n in range(CALLS):
        store.append(rows_of(n))
    store.append(Batch(SOURCE, [], b"0"))
    read_again(store)
    assert_whole(store)
    store.close()

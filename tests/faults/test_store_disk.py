"""A file system that fills and is freed, or turns read-only: reading pauses, nothing is lost (F1, F5)."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from asterisk_connector.clock import SystemClock
from asterisk_connector.errors import Stopping, Transient
from asterisk_connector.notices import Notice, StoreBlocked, StoreUnblocked
from asterisk_connector.records import CelEvent
from asterisk_connector.store import Limits, Store
from tests.kit.rows import SOURCE, batch, cel, settlement
from tests.kit.wait import until

pytestmark = pytest.mark.root
LIMITS = Limits(reserve_bytes=0)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "small"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(directory)], check=True)
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def fill(directory: Path) -> Path:
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 4096):
            try:
                while file.write(bytes(size)) == size:
                    continue
            except OSError:
                continue
    return ballast


class Reader(threading.Thread):
    """Appends row after row, each with its number as position, until told to stop or stopped."""

    def __init__(self, store: Store, first: int, last: int) -> None:
        super().__init__(daemon=True)
        self.store, self.first, self.last = store, first, last
        self.done = first
        self.stopped = False

    def run(self) -> None:
        for n in range(self.first, self.last):
            try:
                self.store.append(batch(cel(f"{n}.0", mark=str(n) + " " + "x" * 500), first=n))
            except Stopping:
                self.stopped = True
                return
            self.done = n + 1


def rows(store: Store) -> list[int]:
    return sorted(
        int(row.user_field.split()[0])
        for known in store.calls(10_000)
        for _, row in store.rows(known.call)
        if isinstance(row, CelEvent)
    )


def test_a_full_disk_pauses_reading_and_freeing_it_resumes(small: Path) -> None:
    told: list[Notice] = []
    store = Store.open(small, clock=SystemClock(), notify=told.append, limits=LIMITS)
    reader = Reader(store, 0, 300)
    store.append(batch(cel("x.0", mark="999"), source="other"))
    ballast = fill(small)
    reader.start()
    until(lambda: any(isinstance(n, StoreBlocked) for n in told), 20)
    assert reader.is_alive()
    assert int(store.position(SOURCE) or 0) == reader.done
    ballast.unlink()
    reader.join(30)
    assert not reader.is_alive()
    assert reader.done == 300
    assert rows(store) == [*range(300), 999]
    assert [type(n) for n in told] == [StoreBlocked, StoreUnblocked]
    store.close()
    store = Store.open(small, clock=SystemClock(), notify=told.append, limits=LIMITS)
    assert rows(store) == [*range(300), 999]
    store.close()
    assert len(told) == 2


def test_a_disk_filled_by_the_store_itself_ends_in_waiting_and_a_clean_stop(small: Path) -> None:
    told: list[Notice] = []
    store = Store.open(small, clock=SystemClock(), notify=told.append, limits=LIMITS)
    reader = Reader(store, 0, 100_000)
    reader.start()
    until(lambda: any(isinstance(n, StoreBlocked) for n in told), 20)
    store.close()
    reader.join(20)
    assert reader.stopped
    # Whether a disk that is full to the last block lets a store be opened again depends on where its last row fell.
    subprocess.run(["mount", "-o", "remount,size=3m", str(small)], check=True)
    store = Store.open(small, clock=SystemClock(), notify=told.append, limits=LIMITS)
    assert rows(store) == list(range(reader.done))
    store.close()


def test_with_a_reserve_deliveries_drain_while_reading_waits(small: Path) -> None:
    told: list[Notice] = []
    store = Store.open(small, clock=SystemClock(), notify=told.append, limits=Limits(reserve_bytes=1 << 20))
    store.append(batch(*[cel("1.0", mark=str(n)) for n in range(5)]))
    for _ in range(20):
        assert store.settle(settlement(store, 1))
    reader = Reader(store, 5, 100_000)
    reader.start()
    until(lambda: any(isinstance(n, StoreBlocked) for n in told), 20)
    for _ in range(20):
        (item,) = store.lease("api", 5)
        store.delivered(item)
    assert store.lease("api", 5) == []
    assert not any(isinstance(n, StoreUnblocked) for n in told)
    store.close()
    reader.join(20)
    assert reader.stopped


def test_a_disk_too_full_to_start_on_is_a_passing_trouble(small: Path) -> None:
    ballast = fill(small)
    with pytest.raises(Transient, match="now"):
        Store.open(small, clock=SystemClock(), notify=print, limits=LIMITS)
    ballast.unlink()
    Store.open(small, clock=SystemClock(), notify=print, limits=LIMITS).close()


def test_a_file_system_gone_read_only_is_waited_for(small: Path) -> None:
    told: list[Notice] = []
    outer = small / "outer"
    outer.mkdir()
    subprocess.run(["mount", "--bind", str(outer), str(outer)], check=True)
    try:
        Store.open(outer, clock=SystemClock(), notify=told.append, limits=LIMITS).close()
        subprocess.run(["mount", "-o", "remount,bind,ro", str(outer)], check=True)
        with pytest.raises(Transient, match="now"):
            Store.open(outer, clock=SystemClock(), notify=told.append, limits=LIMITS)
        subprocess.run(["mount", "-o", "remount,bind,rw", str(outer)], check=True)
        Store.open(outer, clock=SystemClock(), notify=told.append, limits=LIMITS).close()
    finally:
        subprocess.run(["umount", "-l", str(outer)], check=True)

"""The journal: what is committed is there, what was acknowledged is gone, damage and bounds lose nothing silently."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asterisk_connector.errors import Misconfigured, Transient
from asterisk_connector.notices import Notice, StoreRepaired
from asterisk_connector.relay.encode import Identity, Record
from asterisk_connector.relay.journal import Dropped, Journal, Life, Limits
from tests.kit.clock import FakeClock

PBX = Identity("52:54:00:ab:cd:ef", "pbx-01", "22.10.1", "host-1")


def record(n: int, at: int = 1_800_000_000_000_000, size: int = 0) -> Record:
    return Record(at, b"Hangup", b"Hangup", b"call", b"%d" % n + b"x" * size)


class Kept:
    """Journals in one folder; closes them all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = FakeClock()
        self.notices: list[Notice] = []
        self._open: list[Journal] = []

    def journal(self, limits: Limits | None = None) -> Journal:
        journal = Journal(self.path, clock=self.clock, notify=self.notices.append, limits=limits)
        self._open.append(journal)
        return journal

    def close(self) -> None:
        for journal in self._open:
            journal.close()
        self._open.clear()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path / "state" / "ami.db")
    yield kept
    kept.close()


def values(journal: Journal) -> list[bytes]:
    found, after = [], 0
    while (pack := journal.read(after)) is not None:
        found += [event.value for event in pack.events]
        after = pack.first
    return found


def test_what_is_committed_is_read_in_order_after_a_crash(kept: Kept) -> None:
    journal = kept.journal()
    journal.commit([record(n) for n in range(250)], PBX)
    journal.commit([record(n) for n in range(250, 260)], PBX._replace(asterisk_version="22.11"))
    again = kept.journal()
    assert values(again) == [b"%d" % n for n in range(260)]
    first = again.read(0)
    last = again.read(250)
    assert first is not None
    assert last is not None
    assert again.origin(first.origin) == PBX
    assert again.origin(last.origin).asterisk_version == "22.11"
    assert again.owed == 260


def test_what_was_acknowledged_leaves_with_the_next_commit(kept: Kept) -> None:
    journal = kept.journal()
    journal.commit([record(n) for n in range(300)], PBX)
    journal.forget([(201, 300), (1, 100)])
    assert journal.due
    journal.commit()
    assert not journal.due
    assert values(journal) == [b"%d" % n for n in range(100, 200)]


def test_sequences_go_on_after_a_restart(kept: Kept) -> None:
    kept.journal().commit([record(1)], PBX)
    journal = kept.journal()
    journal.commit([record(2)], PBX)
    assert values(journal) == [b"1", b"2"]


def test_a_refused_event_is_kept_with_its_reason_and_the_number_of_those_is_bounded(kept: Kept) -> None:
    journal = kept.journal()
    journal.commit([record(7)], PBX)
    journal.refuse(1, record(7), "too large")
    journal.forget([(1, 1)])
    journal.commit()
    assert values(journal) == []
    assert journal.refused() == [(1, record(7).at, b"Hangup", b"7", "too large")]
    for n in range(2, 1500):
        journal.refuse(n, record(n), "too large")
    journal.commit()
    assert len(journal.refused()) == 1000
    assert journal.refused()[-1][0] == 1499


def test_the_last_sign_of_life_and_identity_survive(kept: Kept) -> None:
    kept.journal().commit([record(1)], PBX, Life(5, "2026-11-21 19:00:00", 7, "lost"))
    journal = kept.journal()
    assert journal.life() == Life(5, "2026-11-21 19:00:00", 7, "lost")
    assert journal.last_identity() == PBX


def test_28_beyond_its_size_the_oldest_leave_and_are_counted(kept: Kept) -> None:
    journal = kept.journal(Limits(max_size=8 << 20))
    dropped: list[Dropped] = []
    for group in range(40):
        dropped += journal.commit([record(n, at=kept.clock.now() + group, size=4000) for n in range(100)], PBX)
    left = values(journal)
    assert dropped
    assert sum(one.events for one in dropped) + len(left) == 4000
    assert left[-1].startswith(b"99")
    assert {one.reason for one in dropped} == {"the journal is full"}
    assert dropped[0].start == kept.clock.now()
    assert kept.path.stat().st_size < 16 << 20


def test_the_log_shrinks_again_after_a_foreign_reader_made_it_grow(kept: Kept) -> None:
    journal = kept.journal()
    log = kept.path.with_name("ami.db-wal")

    def commit(groups: int) -> None:
        for _ in range(groups):
            journal.commit([record(n, size=10_000) for n in range(100)], PBX)
            journal.forget([(1, 1 << 40)])

    commit(1)
    with contextlib.closing(sqlite3.connect(kept.path, isolation_level=None)) as foreign:
        foreign.execute("BEGIN")
        foreign.execute("SELECT count(*) FROM pack").fetchone()
        commit(60)
        assert log.stat().st_size > 40 << 20
    commit(60)
    assert log.stat().st_size <= 34 << 20


def test_30_beyond_their_age_the_oldest_leave_and_are_counted(kept: Kept) -> None:
    journal = kept.journal(Limits(max_age=3600))
    now = kept.clock.now()
    journal.commit([record(n, at=now) for n in range(10)], PBX)
    kept.clock.advance(4000)
    (dropped,) = journal.commit([record(10, at=kept.clock.now())], PBX)
    assert dropped == Dropped(10, now, now, "too old")
    assert values(journal) == [b"10"]


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def _torn_page(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[-4096 * 3 :] = b"\xff" * (4096 * 3)
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [_garbage, _torn_page], ids=["garbage", "torn"])
def test_a_damaged_file_is_set_aside_and_what_can_be_read_is_kept(kept: Kept, damage: Callable[[Path], None]) -> None:
    journal = kept.journal()
    for start in range(0, 2000, 100):
        journal.commit([record(n, size=500) for n in range(start, start + 100)], PBX)
    kept.close()
    damage(kept.path)
    journal = kept.journal()
    with contextlib.suppress(Transient):  # the reader meets the damage, the writer repairs it
        values(journal)
    journal.commit([record(9999)], PBX)
    assert values(journal)[-1] == b"9999"
    repaired = [notice for notice in kept.notices if isinstance(notice, StoreRepaired)]
    assert len(repaired) == 1
    assert Path(repaired[0].set_aside_as).exists()
    assert len(values(journal)) == repaired[0].kept + 1


def test_a_file_deleted_in_use_is_written_anew_with_all_that_waited(kept: Kept) -> None:
    journal = kept.journal()
    journal.commit([record(n) for n in range(150)], PBX)
    for file in kept.path.parent.iterdir():
        file.unlink()
    journal.commit([record(150)], PBX)
    assert values(journal) == [b"%d" % n for n in range(151)]
    assert values(kept.journal()) == [b"%d" % n for n in range(151)]


def test_sequences_never_go_back_in_a_repaired_journal(kept: Kept) -> None:
    journal = kept.journal()
    journal.commit([record(n) for n in range(150)], PBX)
    journal.forget([(1, 100), (101, 150)])
    journal.commit()
    for file in kept.path.parent.iterdir():
        file.unlink()
    journal.commit([record(150)], PBX)
    pack = journal.read(101)
    assert pack is not None
    assert pack.first == 151


def test_a_journal_of_a_newer_version_is_left_alone(kept: Kept) -> None:
    kept.journal()
    kept.close()
    with sqlite3.connect(kept.path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(Misconfigured, match="newer version"):
        kept.journal()


def test_nothing_is_half_committed_when_a_commit_fails(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = kept.journal()
    journal.commit([record(n) for n in range(3)], PBX)
    journal.forget([(1, 3)])
    broken: list[Record] = [record(3), "not a record"]  # type: ignore[list-item]
    with pytest.raises(AttributeError):
        journal.commit(broken, PBX)
    assert values(journal) == [b"0", b"1", b"2"]
    journal.commit([record(4)], PBX)
    assert values(journal)[-1] == b"4"

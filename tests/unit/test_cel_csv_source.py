"""The CEL file as a source: where it starts, what it survives, what it says."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from asterisk_connector.clock import SystemClock
from asterisk_connector.errors import Misconfigured, Transient
from asterisk_connector.notices import FileMissing, FileRotated, FileTruncated, Notice, WatchOverflow, WatchRefused
from asterisk_connector.records import Batch, CelEvent
from asterisk_connector.sources.cel_csv import CelCsvSource
from asterisk_connector.sources.follow import inotify
from tests.kit.clock import FakeClock

EPOCH = 1_800_000_000


def row(number: int, second: int = EPOCH) -> bytes:
    return (
        f'"CHAN_START","{second}.{number:06d}","A","1","","","","x","c","P/1-1","","","3","",'
        f'"{EPOCH}.{number}","{EPOCH}.1","","row{number}","",""\n'
    ).encode()


def rows(*numbers: int) -> bytes:
    return b"".join(row(number) for number in numbers)


class Bench:
    """A directory with a file, and an agent's reading of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "Master.csv"
        self.clock = FakeClock(now=EPOCH * 1_000_000)
        self.notices: list[Notice] = []
        self.position: bytes | None = None
        self.history: list[str] = []
        self.torn: list[bytes] = []
        self.idents: list[str] = []
        self.source = self.make()

    def make(self, **told: Any) -> CelCsvSource:
        return CelCsvSource("cel", self.path, notify=self.notices.append, clock=self.clock, **told)

    def start(self, **told: Any) -> Bench:
        self.source = self.make(**told)
        self.source.open(self.position)
        return self

    def read(self) -> Batch | None:
        batch = self.source.read(0)
        if batch is not None:
            self.position = batch.position
            self.torn += [row.raw for row in batch.set_aside]
            self.idents += [seen.ident for seen in batch.seen]
        return batch

    def drain(self) -> list[str]:
        """Marks of all rows that can be had; those of history apart."""
        found: list[str] = []
        while (batch := self.read()) is not None:
            marks = [seen.record.user_field for seen in batch.seen if isinstance(seen.record, CelEvent)]
            (self.history if batch.history else found).extend(marks)
        return found

    def append(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def rotate(self, name: str = "Master.csv.1") -> Path:
        return self.path.rename(self.path.with_name(name))

    def told(self, kind: type[Notice]) -> list[Any]:
        return [notice for notice in self.notices if isinstance(notice, kind)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def named(*numbers: int) -> list[str]:
    return [f"row{number}" for number in numbers]


# the first start


def test_now_takes_what_is_there_as_history_and_the_rest_as_new(bench: Bench) -> None:
    bench.append(rows(1, 2))
    bench.start()
    bench.append(rows(3))
    assert bench.drain() == named(3)
    assert bench.history == named(1, 2)


def test_a_row_that_was_half_written_at_the_first_start_is_not_history(bench: Bench) -> None:
    bench.append(rows(1) + row(2)[:50])
    bench.start()
    assert bench.drain() == []
    bench.append(row(2)[50:])
    assert bench.drain() == named(2)


def test_the_beginning_is_the_first_byte(bench: Bench) -> None:
    bench.append(rows(1, 2))
    assert bench.start(start_at="beginning").drain() == named(1, 2)
    assert bench.history == []


def test_history_is_read_back_no_further_than_it_was_allowed_and_starts_at_a_record(bench: Bench) -> None:
    bench.append(rows(*range(100)))
    bench.start(lookback_bytes=10 * len(row(50)) + 30)
    assert bench.drain() == []
    assert bench.history == named(*range(90, 100))
    assert bench.torn == []


def test_rows_younger_than_the_given_time_are_not_history(bench: Bench) -> None:
    old = [row(n, EPOCH - 20_000 + n) for n in range(10_000)]
    bench.append(b"".join(old))
    bench.start(start_at=timedelta(seconds=15_000), lookback_bytes=20 * len(old[-1]))
    found = bench.drain()
    assert found == named(*range(5000, 10_000))
    assert bench.history[-1] == "row4999"
    assert 20 <= len(bench.history) < 3000


def test_the_border_of_history_survives_a_kill_in_the_middle_of_it(bench: Bench) -> None:
    bench.append(b"".join(row(n) for n in range(5000)))
    bench.start()
    bench.read()
    bench.read()
    bench.append(rows(5000))
    bench.start()
    found = bench.drain()
    assert found == named(5000)
    assert bench.history[-1] == "row4999"
    assert len(bench.idents) == len(set(bench.idents)) == 5001


def test_a_kill_before_the_first_row_does_not_make_history_of_what_came_meanwhile(bench: Bench) -> None:
    bench.start()
    assert bench.read() is not None
    bench.append(rows(1))
    assert bench.start().drain() == named(1)
    assert bench.history == []


def test_reading_the_same_row_again_gives_the_same_identity(bench: Bench) -> None:
    bench.append(rows(1, 2))
    first, again = Bench(bench.path.parent).start(), Bench(bench.path.parent).start()
    first.drain()
    bench.append(rows(3))
    again.drain()
    assert again.idents[:2] == first.idents


def test_batches_are_bounded(bench: Bench) -> None:
    bench.append(b"".join(b'"HANGUP";"1800000000";"1.1";"1.1"\n' for _ in range(7000)))
    bench.start(start_at="beginning")
    while (batch := bench.read()) is not None:
        assert len(batch.seen) + len(batch.set_aside) <= 2000


# rotation


def test_a_renamed_file_is_read_to_its_end_and_then_the_new_one(bench: Bench) -> None:
    bench.append(rows(1))
    bench.start(start_at="beginning").drain()
    bench.append(rows(2))
    rotated = bench.rotate()
    bench.append(rows(3))
    assert bench.drain() == named(2, 3)
    with rotated.open("ab") as late:
        late.write(row(4))
    assert bench.drain() == named(4)
    bench.clock.advance(3)
    assert bench.drain() == []
    assert bench.told(FileRotated) == [FileRotated("cel", str(bench.path))]


@pytest.mark.parametrize("stopped", [False, True])
def test_five_rotations_between_two_looks_lose_nothing(bench: Bench, stopped: bool) -> None:
    bench.append(rows(0))
    bench.start(start_at="beginning").drain()
    for number in range(1, 6):
        bench.append(rows(number))
        for old in range(number - 1, 0, -1):
            bench.path.with_name(f"Master.csv.{old}").rename(bench.path.with_name(f"Master.csv.{old + 1}"))
        bench.rotate()
    bench.append(rows(6))
    if stopped:
        bench.start()
    assert bench.drain() == named(1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
    ids=["gz", "bz2", "xz"],
)
def test_a_file_compressed_while_nobody_looked_is_read_to_its_end(
    bench: Bench, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    bench.append(rows(1))
    bench.start(start_at="beginning").drain()
    bench.source.close()
    bench.append(rows(2))
    rotated = bench.rotate("Master-20270115.csv")
    rotated.with_name(rotated.name + suffix).write_bytes(pack(rotated.read_bytes()))
    rotated.unlink()
    bench.append(rows(3))
    assert bench.start().drain() == named(2, 3)
    assert not [notice for notice in bench.told(FileTruncated) if notice.unread]


def test_a_damaged_archive_costs_its_rest_and_says_so(bench: Bench) -> None:
    bench.append(rows(1))
    bench.start(start_at="beginning").drain()
    bench.source.close()
    bench.append(b"".join(row(n) for n in range(2, 2000)))
    packed = gzip.compress(bench.path.read_bytes())
    bench.path.unlink()
    bench.path.with_name("Master.csv.1.gz").write_bytes(packed[: len(packed) // 2])
    bench.append(rows(9999))
    assert bench.start().drain()[-1] == "row9999"
    assert len(bench.told(FileTruncated)) == 1


def test_copytruncate_in_the_middle_of_a_record_joins_its_halves(bench: Bench) -> None:
    bench.append(rows(1))
    bench.start(start_at="beginning").drain()
    with bench.path.open("ab", buffering=0) as writer:
        writer.write(row(2)[:60])
        assert bench.drain() == []
        bench.path.with_name("Master.csv.1").write_bytes(bench.path.read_bytes())
        os.truncate(bench.path, 0)
        writer.write(row(2)[60:])
    bench.append(rows(3))
    assert bench.drain() == named(2, 3)
    assert bench.torn == []
    assert bench.told(FileTruncated) == [FileTruncated("cel", str(bench.path), 0)]


def test_the_first_half_of_a_record_cut_by_copytruncate_is_kept_over_a_restart(bench: Bench) -> None:
    bench.append(rows(1))
    bench.start(start_at="beginning").drain()
    bench.append(row(2)[:60])
    bench.drain()
    os.truncate(bench.path, 0)
    bench.append(row(2)[60:] + row(3)[:20])
    assert bench.drain() == named(2)
    bench.append(row(3)[20:])
    assert bench.start().drain() == named(3)


def test_a_half_that_never_gets_its_other_half_is_one_torn_record(bench: Bench) -> None:
    bench.append(rows(1) + row(2)[:60])
    bench.start(start_at="beginning").drain()
    os.truncate(bench.path, 0)
    bench.append(rows(3, 4))
    assert bench.drain() == named(3, 4)
    assert bench.torn == [row(2)[:60]]


def test_copytruncate_while_behind_takes_the_rest_from_the_copy(bench: Bench) -> None:
    bench.append(rows(1))
    bench.start(start_at="beginning").drain()
    for number in (2, 3):
        bench.append(rows(number))
        bench.path.with_name(f"Master.csv.{4 - number}").write_bytes(bench.path.read_bytes())
        os.truncate(bench.path, 0)
    bench.append(rows(4))
    assert bench.drain() == named(2, 3, 4)


def test_a_file_cut_and_grown_past_the_old_size_is_noticed_and_the_loss_is_counted(bench: Bench) -> None:
    bench.append(rows(1))
    bench.start(start_at="beginning").drain()
    bench.append(rows(2))
    bench.source.read(0)
    bench.append(rows(3))
    bench.path.write_bytes(rows(4, 5, 6, 7, 8, 9))
    assert bench.drain() == named(4, 5, 6, 7, 8, 9)
    assert len(bench.told(FileTruncated)) == 1


def test_unread_bytes_of_a_cut_file_are_counted(bench: Bench) -> None:
    bench.append(rows(1) + row(2)[:40])
    bench.start(start_at="beginning").drain()
    bench.source.close()
    os.truncate(bench.path, 0)
    assert bench.start().drain() == []
    assert bench.told(FileTruncated) == [FileTruncated("cel", str(bench.path), 40)]


@pytest.mark.parametrize("stopped", [False, True])
def test_a_file_that_lost_its_end_is_not_taken_twice_and_what_is_new_is_taken(bench: Bench, stopped: bool) -> None:
    bench.append(rows(*range(10)))
    bench.start(start_at="beginning").drain()
    if stopped:
        bench.start()
    os.truncate(bench.path, len(rows(*range(8))))
    bench.append(rows(11))
    assert bench.drain() == named(11)
    bench.append(rows(12))
    assert bench.start().drain() == named(12)
    assert len(bench.idents) == len(set(bench.idents))


@pytest.mark.parametrize("stopped", [False, True])
def test_a_file_deleted_and_made_anew_is_a_new_file(bench: Bench, stopped: bool) -> None:
    bench.append(rows(1, 2))
    bench.start(start_at="beginning").drain()
    if stopped:
        bench.source.close()
    inode = bench.path.stat().st_ino
    bench.path.unlink()
    spare = []
    for number in range(200):  # until the file system gives the same inode again, where it does
        bench.append(rows(3))
        if bench.path.stat().st_ino == inode:
            break
        spare.append(bench.path.rename(bench.path.with_name(f"spare{number}")))
    if not bench.path.exists():
        bench.append(rows(3))
    if stopped:
        bench.start()
    assert bench.drain() == named(3)


def test_a_missing_file_is_told_once_and_read_when_it_appears(bench: Bench) -> None:
    bench.start()
    assert bench.drain() == []
    assert bench.drain() == []
    assert bench.told(FileMissing) == [FileMissing("cel", str(bench.path))]
    bench.append(rows(1))
    assert bench.drain() == named(1)


def test_old_rotated_files_are_none_of_a_fresh_starts_business(bench: Bench) -> None:
    bench.append(rows(1))
    bench.rotate("Master.csv.2")
    bench.append(rows(2))
    bench.rotate("Master.csv.1")
    bench.start(start_at="beginning")
    assert bench.drain() == []
    bench.append(rows(3))
    assert bench.drain() == named(3)


def test_a_symbolic_link_moved_to_another_file_is_a_new_file(bench: Bench) -> None:
    first, second = bench.path.with_name("a"), bench.path.with_name("b")
    first.write_bytes(rows(1))
    second.write_bytes(rows(2))
    bench.path.symlink_to(first)
    bench.start(start_at="beginning").drain()
    bench.path.unlink()
    bench.path.symlink_to(second)
    assert bench.drain() == named(2)


# trouble


class Refusing:
    """Calls of the system that fail until told otherwise."""

    def __init__(self, call: Callable[..., Any], code: int) -> None:
        self.call, self.code, self.refuses = call, code, True

    def __call__(self, *args: Any, **named: Any) -> Any:
        if self.refuses:
            raise OSError(self.code, os.strerror(self.code))
        return self.call(*args, **named)


def test_permission_lost_is_a_sentence_and_regained_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.append(rows(1))
    bench.start(start_at="beginning").drain()
    bench.rotate()
    bench.append(rows(2))
    opening = Refusing(os.open, errno.EACCES)
    monkeypatch.setattr(os, "open", opening)
    with pytest.raises(Transient, match=r"Master\.csv cannot be read: permission denied.*group"):
        bench.drain()
    opening.refuses = False
    assert bench.drain() == named(2)


def test_an_input_error_is_a_sentence_and_reading_goes_on_at_the_same_place(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.append(rows(1))
    bench.start(start_at="beginning").drain()
    bench.append(rows(2))
    reading = Refusing(os.pread, errno.EIO)
    monkeypatch.setattr(os, "pread", reading)
    with pytest.raises(Transient, match=r"Master\.csv cannot be read: Input/output error"):
        bench.drain()
    reading.refuses = False
    assert bench.drain() == named(2)


def test_a_directory_is_refused_with_a_hint(bench: Bench) -> None:
    bench.path.mkdir()
    with pytest.raises(Misconfigured, match="is not a file"):
        bench.start()


def test_a_position_of_another_version_is_refused_with_a_hint(bench: Bench) -> None:
    bench.position = b"\x00garbage"
    with pytest.raises(Misconfigured, match="position of cel cannot be read") as refused:
        bench.start()
    assert "upgrade" in refused.value.hint


def test_without_watches_the_file_is_polled_and_the_sysctl_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoWatches(inotify.INotify):  # type: ignore[misc]
        def add_watch(self, path: object, mask: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(inotify, "INotify", NoWatches)
    bench.append(rows(1))
    assert bench.start(start_at="beginning").drain() == named(1)
    bench.append(rows(2))
    assert bench.drain() == named(2)
    [notice] = bench.told(WatchRefused)
    assert "fs.inotify.max_user_watches" in notice.hint


# waiting


def live(path: Path, notices: list[Notice]) -> CelCsvSource:
    source = CelCsvSource("cel", path, notify=notices.append, clock=SystemClock(), start_at="beginning")
    source.open(None)
    source.read(0)
    return source


def test_a_waiting_read_is_ended_by_a_row_in_a_file_that_was_missing(bench: Bench) -> None:
    source = live(bench.path, bench.notices)
    writer = threading.Timer(0.1, bench.append, [rows(1)])
    writer.start()
    batch = source.read(30)
    writer.join()
    assert batch is not None
    assert len(batch.seen) == 1
    source.close()


def test_a_waiting_read_is_ended_by_wake_and_not_by_strangers(bench: Bench) -> None:
    source = live(bench.path, bench.notices)
    bench.path.with_name("other.txt").write_text("x")
    waker = threading.Timer(0.1, source.wake)
    waker.start()
    assert source.read(60) is None
    waker.join()
    source.close()


def test_a_directory_that_was_replaced_is_watched_anew(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "cel")
    bench.path.parent.mkdir()
    source = live(bench.path, bench.notices)
    bench.path.parent.rename(tmp_path / "old")
    bench.path.parent.mkdir()
    while source.read(0.1) is not None:
        pass
    writer = threading.Timer(0.1, bench.append, [rows(1)])
    writer.start()
    batch = source.read(30)
    writer.join()
    assert batch is not None
    source.close()


def test_an_overflow_of_the_kernels_queue_is_told_and_loses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Overflowing(inotify.INotify):  # type: ignore[misc]
        def read(self, *args: object, **named: object) -> list[object]:
            list(super().read(timeout=0))
            return [type("Event", (), {"wd": -1, "mask": inotify.flags.Q_OVERFLOW, "name": ""})()]

    monkeypatch.setattr(inotify, "INotify", Overflowing)
    source = live(bench.path, bench.notices)
    writer = threading.Timer(0.1, bench.append, [rows(1)])
    writer.start()
    batch = source.read(30)
    writer.join()
    assert batch is not None
    assert [notice for notice in bench.notices if isinstance(notice, WatchOverflow)]
    source.close()


def test_nothing_is_left_open(bench: Bench) -> None:
    bench.append(rows(1))
    before = set(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        source = live(bench.path, bench.notices)
        source.close()
        del source
    assert set(Path("/proc/self/fd").iterdir()) <= before


# the broken mapping of Asterisk 16: one line without end


def test_glued_records_are_read_as_they_come_also_the_last_one(bench: Bench) -> None:
    data = Path(__file__).parent / "data/cel/asterisk-16.28/s62_user_event/cel_broken.csv"
    text = data.read_bytes()
    assert b"\n" not in text
    cut = text.index(b'"HANGUP"')
    bench.start(start_at="beginning")
    bench.append(text[:cut])
    types: list[str] = []

    def read_types() -> None:
        while (batch := bench.read()) is not None:
            types.extend(seen.record.type for seen in batch.seen if isinstance(seen.record, CelEvent))

    read_types()
    bench.append(text[cut:])
    bench.start()
    read_types()
    assert types == ["CHAN_START", "USER_DEFINED", "APP_START", "APP_END", "HANGUP", "CHAN_END", "LINKEDID_END"]
    assert bench.torn == []

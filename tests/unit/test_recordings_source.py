"""Directories of recordings as a source: what is finished, what is followed, what it survives."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asterisk_connector.clock import SystemClock
from asterisk_connector.errors import Misconfigured
from asterisk_connector.notices import FileMissing, Notice, SourceFailed, SourceOpened, WatchOverflow, WatchRefused
from asterisk_connector.records import RecordingFile
from asterisk_connector.sources.monitor import mounts, tree
from asterisk_connector.sources.recordings import RecordingsSource

SOUND = b"\0" * 16_000  # one second of slin in a file without header


class Bench:
    """One root, an agent's reading of it, and what it told so far."""

    def __init__(self, root: Path, **told: Any) -> None:
        self.root = root
        self.root.mkdir(exist_ok=True)
        self.told = told
        self.notices: list[Notice] = []
        self.position: bytes | None = None
        self.idents: list[str] = []
        self.files: list[RecordingFile] = []
        self.source = self.start()

    def start(self, **more: Any) -> RecordingsSource:
        told = {"settle": 0.15, "extensions": ("sln", "wav", "wav49", "ulaw"), **self.told, **more}
        self.source = RecordingsSource(
            "recordings", [self.root], notify=self.notices.append, clock=SystemClock(), **told
        )
        self.source.open(self.position)
        return self.source

    def again(self, **more: Any) -> None:
        """As after a kill."""
        self.source.close()
        self.start(**more)

    def write(self, name: str, data: bytes = SOUND) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def read(self, timeout: float = 0.0) -> list[RecordingFile]:
        batch = self.source.read(timeout)
        if batch is None:
            return []
        self.position = batch.position
        new = [seen for seen in batch.seen if seen.ident not in self.idents]
        self.idents += [seen.ident for seen in new]
        found = [seen.record for seen in new if isinstance(seen.record, RecordingFile)]
        self.files += found
        return found

    def until(self, count: int, within: float = 10.0) -> list[RecordingFile]:
        """Reads until so many were told in all."""
        deadline = time.monotonic() + within
        while len(self.files) < count and time.monotonic() < deadline:
            self.read(0.5)
        assert len(self.files) == count, self.files
        return self.files

    def nothing_more(self, seconds: float = 0.5) -> None:
        """Waits longer than a file needs to be finished: the absence of an effect needs time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.read(0.2) == []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "monitor")
    yield bench
    bench.source.close()


def test_a_file_is_told_with_size_duration_and_times(bench: Bench) -> None:
    path = bench.write("a.sln")
    (told,) = bench.until(1)
    assert (told.path, told.size, told.duration, told.format) == (str(path), 16_000, 1.0, "sln")
    assert told.ended_at is not None
    assert told.started_at == told.ended_at - 1_000_000
    bench.nothing_more()


def test_a_file_in_a_folder_made_a_moment_before_is_not_missed(bench: Bench) -> None:
    bench.read()
    for number in range(30):
        bench.write(f"2026/{number:02d}/{number}.sln")
    bench.until(30)


def test_a_file_still_being_written_is_not_finished(bench: Bench) -> None:
    with (bench.root / "a.sln").open("wb") as file:
        file.write(SOUND)
        file.flush()
        bench.nothing_more()
    bench.until(1)


def test_a_file_found_half_written_is_told_again_when_it_is_closed(bench: Bench) -> None:
    with (bench.root / "a.sln").open("wb") as file:
        file.write(SOUND)
        file.flush()
        bench.again()
        bench.until(1)
        file.write(SOUND)
    assert [told.size for told in bench.until(2)] == [16_000, 32_000]


def test_appending_tells_the_file_again_with_another_identity(bench: Bench) -> None:
    path = bench.write("a.sln")
    bench.until(1)
    with path.open("ab") as file:
        file.write(SOUND)
    assert [told.duration for told in bench.until(2)] == [1.0, 2.0]
    assert len(set(bench.idents)) == 2


def test_a_header_without_sound_is_no_recording_until_there_is_sound(bench: Bench) -> None:
    path = bench.write("a.wav", b"RIFF" + bytes(40))
    bench.nothing_more()
    path.write_bytes(b"RIFF" + bytes(41))
    bench.until(1)


@pytest.mark.parametrize("name", ["x.tmp", ".a.sln", "a.sln.part", "a-tmp.sln", "notes.txt", "a"])
def test_temporary_and_other_files_are_left_alone(bench: Bench, name: str) -> None:
    bench.write(name)
    bench.write("real.sln")
    bench.until(1)
    bench.nothing_more()


def test_a_temporary_file_counts_once_it_has_its_real_name(bench: Bench) -> None:
    bench.write("a.sln.tmp").rename(bench.root / "a.sln")
    (told,) = bench.until(1)
    assert told.path == str(bench.root / "a.sln")


def test_names_the_operator_ignores_are_ignored(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "monitor", ignore=("^test-",))
    bench.write("test-1.sln")
    bench.write("real.sln")
    assert [Path(told.path).name for told in bench.until(1)] == ["real.sln"]
    bench.source.close()


def test_a_moved_file_says_what_it_replaces(bench: Bench) -> None:
    path = bench.write("a.sln")
    bench.until(1)
    (bench.root / "kept").mkdir()
    bench.read(0.2)
    path.rename(bench.root / "kept" / "b.sln")
    assert bench.until(2)[1].replaces == str(path)


def test_a_converted_file_says_what_it_replaces_once_the_original_is_gone(bench: Bench) -> None:
    path = bench.write("a.sln")
    bench.until(1)
    bench.write("a.ulaw")
    path.unlink()
    assert bench.until(2)[1].replaces == str(path)


def test_a_converted_file_beside_its_original_replaces_nothing(bench: Bench) -> None:
    bench.write("a.sln")
    bench.until(1)
    bench.write("a.ulaw")
    assert bench.until(2)[1].replaces == ""


def test_a_file_that_vanishes_before_it_is_finished_is_forgotten(bench: Bench) -> None:
    bench.write("a.sln").unlink()
    bench.nothing_more()


def test_what_was_finished_while_nobody_looked_is_told_after_the_restart(bench: Bench) -> None:
    bench.write("a.sln")
    bench.until(1)
    bench.source.close()
    bench.write("2026/new/b.sln")
    bench.start()
    bench.until(2)
    bench.nothing_more()


def test_a_restart_tells_nothing_under_a_new_identity(bench: Bench) -> None:
    for number in range(5):
        bench.write(f"{number}.sln")
    bench.until(5)
    bench.again()
    bench.nothing_more()


def test_files_older_than_max_age_are_left_alone_at_the_first_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "monitor", max_age=0.0)
    bench.source.close()
    bench.write("old.sln")
    time.sleep(0.01)  # ctime is coarse: the border must lie clearly behind the file
    bench.start()
    bench.write("new.sln")
    assert [Path(told.path).name for told in bench.until(1)] == ["new.sln"]
    bench.nothing_more()
    bench.source.close()


def test_a_root_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "monitor")
    bench.source.close()
    bench.root.rmdir()
    bench.start()
    assert [notice for notice in bench.notices if isinstance(notice, FileMissing)]
    bench.write("a.sln")
    bench.until(1)
    bench.source.close()


def test_a_root_that_is_replaced_is_followed_at_its_new_place(bench: Bench) -> None:
    bench.write("a.sln")
    bench.until(1)
    bench.root.rename(bench.root.with_name("old"))
    bench.root.mkdir()
    bench.write("2026/b.sln")
    bench.until(2)
    (bench.root.with_name("old") / "c.sln").write_bytes(SOUND)
    bench.nothing_more()


def test_a_folder_that_is_moved_away_is_not_followed_under_its_old_name(bench: Bench) -> None:
    bench.write("2026/a.sln")
    bench.until(1)
    (bench.root / "2026").rename(bench.root.with_name("away"))
    bench.read(0.2)
    (bench.root.with_name("away") / "b.sln").write_bytes(SOUND)
    bench.nothing_more()


def test_links_are_not_followed(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.sln").write_bytes(SOUND)
    (bench.root / "b.sln").symlink_to(outside / "a.sln")
    (bench.root / "folder").symlink_to(outside)
    os.mkfifo(bench.root / "pipe.sln")
    bench.nothing_more()


@pytest.mark.parametrize(
    "name", ["a b.sln", "q'\".sln", "new\nline.sln", ";touch x;.sln", "$(id).sln", "é…☎.sln", "-rf.sln"]
)
def test_a_name_is_data_whatever_it_holds(bench: Bench, name: str) -> None:
    path = bench.write(name)
    assert [told.path for told in bench.until(1)] == [str(path)]


def test_bytes_that_are_no_utf8_are_written_out(bench: Bench) -> None:
    path = os.fsencode(bench.root) + b"/caf\xe9.sln"
    Path(os.fsdecode(path)).write_bytes(SOUND)
    assert [told.path for told in bench.until(1)] == [f"{bench.root}/caf\\xe9.sln"]


def test_a_full_queue_of_the_kernel_is_told_and_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class Overflowing(tree.INotify):  # type: ignore[misc]
        def read(self, *args: object, **named: object) -> list[object]:
            lost = list(super().read(timeout=0))
            return [type("Event", (), {"wd": -1, "mask": tree.flags.Q_OVERFLOW, "name": ""})()] if lost else []

    monkeypatch.setattr(tree, "INotify", Overflowing)
    bench.again()
    bench.write("2026/11/a.sln")
    bench.until(1)
    assert [notice for notice in bench.notices if isinstance(notice, WatchOverflow)]


def test_without_watches_directories_are_polled_and_the_limit_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(tree.INotify):  # type: ignore[misc]
        def add_watch(self, *args: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tree, "INotify", Refusing)
    bench.again(poll=0.1)
    path = bench.write("2026/a.sln")
    bench.until(1)
    with path.open("ab") as file:
        file.write(SOUND)
    bench.until(2)
    (refused,) = [notice for notice in bench.notices if isinstance(notice, WatchRefused)]
    assert "max_user_watches" in refused.hint


def test_silent_file_systems_are_polled_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(tree.INotify):  # type: ignore[misc]
        def read(self, *args: object, **named: object) -> list[object]:
            list(super().read(timeout=0))
            return []

    monkeypatch.setattr(tree, "INotify", Deaf)
    monkeypatch.setattr(tree, "silent_mounts", lambda: {"/": False, str(bench.root): True})
    bench.again(poll=0.1)
    bench.write("2026/a.sln")
    bench.until(1)


def test_a_closed_folder_is_told_and_read_once_it_is_open(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("closed/a.sln")
    real, shut = os.scandir, threading.Event()

    def scandir(path: str) -> Any:
        if not shut.is_set() and path.endswith("closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path)

    monkeypatch.setattr(tree.os, "scandir", scandir)
    bench.again(poll=0.1)
    bench.write("b.sln")
    bench.until(1)
    (failed,) = [notice for notice in bench.notices if isinstance(notice, SourceFailed)]
    assert "closed" in failed.reason
    assert SourceOpened("recordings") not in bench.notices
    shut.set()
    bench.until(2)
    assert SourceOpened("recordings") in bench.notices


def test_wake_ends_a_read_from_another_thread(bench: Bench) -> None:
    waker = threading.Timer(0.1, bench.source.wake)
    waker.start()
    assert bench.source.read(60) is None
    waker.join()


def test_a_position_of_another_version_is_refused_with_a_sentence(bench: Bench) -> None:
    bench.source.close()
    with pytest.raises(Misconfigured, match="cannot be read"):
        bench.source.open(b"\x01")


def test_nothing_is_left_open(bench: Bench) -> None:
    bench.write("a/b/c.sln")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        bench.again()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


def test_mount_points_are_read_with_their_escapes(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "36 35 98:0 / / rw - ext4 /dev/root rw\n"
        "37 36 0:40 / /mnt/two\\040words rw,noatime shared:1 - nfs4 server:/x rw\n"
        "38 36 0:41 / /mnt/two\\040words/local rw - xfs /dev/sdb rw\n"
        "39 36 0:42 / /mnt/fuse rw - fuse.sshfs x rw\nbroken line\n"
    )
    found = mounts.silent_mounts(table)
    assert mounts.is_silent("/mnt/two words/2026/11", found)
    assert not mounts.is_silent("/mnt/two words/local/x", found)
    assert mounts.is_silent("/mnt/fuse", found)
    assert not mounts.is_silent("/var/spool", found)
    assert mounts.silent_mounts(tmp_path / "none") == {}

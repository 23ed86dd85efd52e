"""How far sources have come: nothing waits unseen, and what is only given out is not kept yet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from asterisk_connector.ami.session import Read
from asterisk_connector.notices import ignore
from asterisk_connector.sources.base import Extent
from asterisk_connector.sources.cel_ami import CelAmi
from asterisk_connector.sources.cel_csv import CelCsvSource
from asterisk_connector.sources.recordings import RecordingsSource
from tests.kit.clock import FakeClock
from tests.kit.traffic import NumberedCall

CALL = b"".join(row + b"\n" for _, row in NumberedCall(1).rows())
OTHER = b"".join(row + b"\n" for _, row in NumberedCall(2).rows())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "Master.csv"


@pytest.fixture
def source(path: Path, clock: FakeClock) -> Iterator[CelCsvSource]:
    made = CelCsvSource("csv", path, notify=ignore, clock=clock, start_at="beginning")
    yield made
    made.close()


def read_on(source: CelCsvSource) -> None:
    while source.read(0) is not None:
        pass


def test_nothing_is_said_before_the_first_look(path: Path, source: CelCsvSource) -> None:
    path.write_bytes(CALL)
    assert source.extent() == (None, None, False, None, "")


def test_rows_given_out_wait_until_their_reader_comes_back(path: Path, source: CelCsvSource) -> None:
    path.write_bytes(CALL)
    source.open(None)
    source.read(0)
    assert source.read(0) is not None
    given = source.extent()
    assert (given.read, given.unread, given.caught_up) == (0, len(CALL), False)
    source.read(0)
    kept = source.extent()
    assert (kept.read, kept.unread, kept.caught_up) == (len(CALL), 0, True)


def test_what_was_appended_since_the_last_look_waits(path: Path, source: CelCsvSource, clock: FakeClock) -> None:
    path.write_bytes(CALL)
    source.open(None)
    read_on(source)
    looked = clock.now()
    clock.advance(60)
    with path.open("ab") as file:
        file.write(OTHER)
    extent = source.extent()
    assert (extent.unread, extent.caught_up, extent.caught_up_at) == (len(OTHER), False, looked)


def test_a_rotated_file_and_its_successor_wait_together(path: Path, source: CelCsvSource) -> None:
    path.write_bytes(CALL)
    source.open(None)
    read_on(source)
    path.rename(path.with_name("Master.csv.1"))
    path.write_bytes(OTHER)
    assert source.extent().unread == len(OTHER)
    read_on(source)
    assert source.extent().unread == 0
    assert source.extent().read == len(CALL + OTHER)


def test_half_a_row_waits_but_there_is_nothing_to_catch_up_with(path: Path, source: CelCsvSource) -> None:
    path.write_bytes(CALL + OTHER[:30])
    source.open(None)
    read_on(source)
    extent = source.extent()
    assert (extent.unread, extent.caught_up) == (30, True)


def test_a_file_that_was_cut_owes_nothing(path: Path, source: CelCsvSource) -> None:
    path.write_bytes(CALL)
    source.open(None)
    read_on(source)
    path.write_bytes(b"")
    read_on(source)
    assert (source.extent().unread, source.extent().caught_up) == (0, True)


def test_a_file_that_is_not_there_is_named(path: Path, source: CelCsvSource) -> None:
    source.open(None)
    read_on(source)
    assert source.extent().missing == str(path)
    assert source.extent().caught_up
    path.write_bytes(CALL)
    assert source.extent().missing == ""
    assert source.extent().unread == len(CALL)


def test_what_a_failing_source_has_not_read_goes_on_growing(path: Path, source: CelCsvSource) -> None:
    path.write_bytes(CALL)
    source.open(None)
    read_on(source)
    source.close()
    with path.open("ab") as file:
        file.write(OTHER)
    assert source.extent().unread == len(OTHER)


def test_events_of_the_manager_wait_until_they_are_kept(clock: FakeClock) -> None:
    source = CelAmi("cel_ami:pbx:5038", clock=clock, notify=ignore)
    source.open(None)
    body = b"Event: CEL\r\nEventName: CHAN_START\r\nEventTime: 2026-01-01 10:00:00\r\nUniqueID: 1767261600.1\r\n\r\n"
    source.receive([Read(clock.now(), body)])
    came = clock.now()
    clock.advance(5)
    assert source.extent()[1:4] == (len(body), False, came)
    assert source.read(0) is not None
    assert source.extent()[:4] == (0, len(body), False, came)
    source.wake()
    source.read(0)
    assert source.extent()[:4] == (len(body), 0, True, clock.now())


def test_a_directory_of_recordings_that_is_closed_to_us_was_not_looked_at(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "monitor").mkdir()
    search = os.scandir

    def refused(path: str) -> object:
        raise PermissionError(13, "Permission denied", path)

    source = RecordingsSource("recordings", [tmp_path / "monitor"], notify=ignore, clock=clock)
    monkeypatch.setattr(os, "scandir", refused)
    source.open(None)
    source.read(0)
    assert source.extent() == Extent()
    monkeypatch.setattr(os, "scandir", search)
    source.open(None)
    source.read(0)
    assert source.extent().caught_up
    source.close()


def test_a_directory_of_recordings_that_is_not_there_is_named(tmp_path: Path, clock: FakeClock) -> None:
    source = RecordingsSource("recordings", [tmp_path / "monitor"], notify=ignore, clock=clock)
    source.open(None)
    source.read(0)
    assert source.extent().missing == str(tmp_path / "monitor")
    assert source.extent().caught_up
    (tmp_path / "monitor").mkdir()
    source.close()
    source.open(None)
    assert source.extent().missing == ""
    source.close()

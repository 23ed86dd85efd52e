"""`replay`: captures in, call documents out; what is wrong with a file is a sentence, never a traceback."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.captures import CAPTURES
from tests.kit.traffic import NumberedCall, traffic

CAPTURE = CAPTURES / "22.10" / "s01_internal_answered_a_hangs" / "cel_master.csv"


def replay(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "asterisk_connector", "replay", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in done.stderr
    return done


def calls(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_capture_becomes_one_document_a_line() -> None:
    (call,) = calls(replay(CAPTURE))
    assert call["outcome"] == "answered"
    assert call["complete"] is True


def test_standard_input_is_read_as_a_file_is() -> None:
    assert calls(replay("-", stdin=CAPTURE.read_bytes())) == calls(replay(CAPTURE))


def test_a_compressed_capture_is_read_whatever_its_name(tmp_path: Path) -> None:
    packed = tmp_path / "Master.csv.1.gz"
    packed.write_bytes(gzip.compress(CAPTURE.read_bytes()))
    assert calls(replay(packed)) == calls(replay(CAPTURE))
    assert calls(replay("-", stdin=packed.read_bytes())) == calls(replay(CAPTURE))


def test_a_call_in_two_files_is_one_call(tmp_path: Path) -> None:
    rows = CAPTURE.read_bytes().splitlines(keepends=True)
    halves = tmp_path / "Master.csv.1", tmp_path / "Master.csv"
    halves[0].write_bytes(b"".join(rows[:5]))
    halves[1].write_bytes(b"".join(rows[5:]))
    assert calls(replay(*halves)) == calls(replay(CAPTURE))


def test_calls_come_oldest_first(tmp_path: Path) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes(b"".join(traffic(20)))
    assert [call["call_id"] for call in calls(replay(file))] == [NumberedCall(n).linkedid for n in range(20)]


def test_a_call_that_the_capture_cuts_off_is_told_as_incomplete(tmp_path: Path) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes(b"".join(CAPTURE.read_bytes().splitlines(keepends=True)[:6]))
    (call,) = calls(replay(file))
    assert call["complete"] is False


def test_a_row_that_is_none_is_named_and_the_rest_is_told(tmp_path: Path) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes(b"somebody was here\n" + CAPTURE.read_bytes())
    done = replay(file)
    assert len(calls(done)) == 1
    assert b"somebody was here" in done.stderr


def test_an_empty_file_has_no_calls(tmp_path: Path) -> None:
    file = tmp_path / "Master.csv"
    file.touch()
    assert calls(replay(file)) == []


def test_a_file_without_a_single_event_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "wrong"
    file.write_bytes(os.urandom(5000))
    done = replay(file)
    assert done.returncode == 64
    assert str(file).encode() in done.stderr
    assert done.stdout == b""


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    done = replay(tmp_path / "nowhere.csv")
    assert done.returncode == 78
    assert b"nowhere.csv: No such file or directory" in done.stderr


def test_a_directory_is_no_capture(tmp_path: Path) -> None:
    done = replay(tmp_path)
    assert done.returncode == 78
    assert b"Is a directory" in done.stderr


@pytest.mark.parametrize(
    "damage",
    [lambda packed: packed[:40], lambda packed: packed[:60] + b"\xff" * 20 + packed[80:], lambda packed: packed[:3]],
    ids=["cut", "garbled", "cut in its header"],
)
def test_a_damaged_compressed_file_is_named(tmp_path: Path, damage: Any) -> None:
    file = tmp_path / "Master.csv.gz"
    file.write_bytes(damage(gzip.compress(CAPTURE.read_bytes())))
    done = replay(file)
    assert done.returncode == 78
    assert b"Master.csv.gz" in done.stderr


def test_an_unknown_zone_is_named() -> None:
    done = replay(CAPTURE, "--zone", "Mars/Olympus")
    assert done.returncode == 78
    assert b"Mars/Olympus" in done.stderr


def test_a_bad_configuration_is_named_with_its_line(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("api: {regoin: us1}\n")
    done = replay(CAPTURE, "--config", config)
    assert done.returncode == 78
    assert f"{config}:1".encode() in done.stderr


def test_a_reader_who_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes(b"".join(traffic(300)))
    command = f"{sys.executable} -m asterisk_connector replay {file} | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, timeout=60, check=False)
    assert json.loads(done.stdout)["call_id"] == NumberedCall(0).linkedid
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr

"""`demo`: the whole agent on a recording, played fast."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.wait import until


def started(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "asterisk_connector", "demo", *arguments]
    with (home / "said").open("wb") as out:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={"TMPDIR": str(home)})


def said(home: Path) -> str:
    return (home / "said").read_text()


def left_behind(home: Path) -> list[Path]:
    return list(home.glob("asterisk-connector-demo-*"))


@pytest.mark.slow
def test_every_call_and_every_event_of_the_recording_arrives_exactly_once(tmp_path: Path) -> None:
    with started(tmp_path, "--speed", "20") as demo:
        assert demo.wait(60) == 0, said(tmp_path)
    assert "every call arrived exactly once" in said(tmp_path)
    assert "every event arrived exactly once, in order per key" in said(tmp_path)
    assert "1 rotation" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    assert not left_behind(tmp_path)


@pytest.mark.slow
def test_events_are_counted_on_lines_of_their_own_while_they_arrive(tmp_path: Path) -> None:
    with started(tmp_path, "--speed", "4") as demo:
        until(lambda: re.search(r"s +events +\d+ said, \d+ in Kafka; new: \d+ VarSet", said(tmp_path)), 30, "a count")
        demo.send_signal(signal.SIGINT)
        assert demo.wait(30) == 130, said(tmp_path)


def test_ctrl_c_ends_it_with_a_summary_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with started(tmp_path, "--speed", "10") as demo:
        until(lambda: "answered by" in said(tmp_path), 30, f"a first call in {said(tmp_path)}")
        demo.send_signal(signal.SIGINT)
        assert demo.wait(15) == 130, said(tmp_path)
    assert "stopping" in said(tmp_path)
    assert "calls arrived exactly once" in said(tmp_path)
    assert "events arrived exactly once" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    assert not left_behind(tmp_path)


@pytest.mark.parametrize("times", [2, 5])
def test_ctrl_c_again_and_again_leaves_nothing_behind(tmp_path: Path, times: int) -> None:
    with started(tmp_path, "--speed", "10") as demo:
        until(lambda: "Ctrl-C ends it" in said(tmp_path), 30, "the introduction")
        for _ in range(times):
            demo.send_signal(signal.SIGINT)
        demo.wait(15)
    assert "Traceback" not in said(tmp_path)
    assert not left_behind(tmp_path)


def test_it_keeps_its_folder_when_asked(tmp_path: Path) -> None:
    with started(tmp_path, "--keep", "--speed", "50") as demo:
        until(lambda: "Ctrl-C ends it" in said(tmp_path), 30, "the introduction")
        demo.send_signal(signal.SIGINT)
        demo.wait(15)
    (kept,) = left_behind(tmp_path)
    assert f"kept: {kept}" in said(tmp_path)
    assert (kept / "state" / "calls.db").exists()

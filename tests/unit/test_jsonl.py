import json
import os
import threading
from pathlib import Path

import pytest

from asterisk_connector.call import Call, encode
from asterisk_connector.sinks.base import Deferred, Delivered, Item, Paused, Refused
from asterisk_connector.sinks.jsonl import JsonLines


def item(call_id: str = "1.1") -> Item:
    body = encode(Call(call_id, (call_id,), complete=True, started_at=1_800_000_000_000_000))
    return Item(1, call_id, 1, "complete", body, 0, 0, "pbx1")


def test_each_call_is_one_document_on_one_line(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "calls.jsonl")
    assert [sink.deliver(item("1.1")), sink.deliver(item("1.2"))] == [Delivered(), Delivered()]
    lines = (tmp_path / "calls.jsonl").read_text().splitlines()
    assert [json.loads(line)["call_id"] for line in lines] == ["1.1", "1.2"]
    assert json.loads(lines[0])["schema"] == 1


def test_a_rotated_file_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JsonLines(path, sync=False)
    sink.deliver(item("1.1"))
    path.rename(tmp_path / "calls.jsonl.1")
    sink.deliver(item("1.2"))
    assert json.loads(path.read_text())["call_id"] == "1.2"


def test_a_line_torn_by_a_crash_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text('{"call_id": "1.0", "lin')
    JsonLines(path).deliver(item("1.1"))
    assert json.loads(path.read_text().splitlines()[1])["call_id"] == "1.1"


def test_a_write_cut_short_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JsonLines(path)
    sink.deliver(item("1.1"))
    whole = path.read_bytes()
    write, written = os.write, [0]

    def full(handle: int, data: memoryview) -> int:
        if written[0]:
            raise OSError(28, "No space left on device")
        written[0] = write(handle, data[:10])
        return written[0]

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        outcome = sink.deliver(item("1.2"))
    assert outcome == Deferred(f"{path}: No space left on device", outage=True)
    assert path.read_bytes() == whole
    assert sink.deliver(item("1.2")) == Delivered()


def test_a_folder_that_is_not_there_waits_for_the_operator(tmp_path: Path) -> None:
    outcome = JsonLines(tmp_path / "nowhere" / "calls.jsonl").deliver(item())
    assert isinstance(outcome, Paused)
    assert "ls -ld" in outcome.hint


def test_a_body_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    broken = Item(1, "1.1", 1, "complete", b"\xc1", 0, 0, "pbx1")
    assert isinstance(JsonLines(tmp_path / "x").deliver(broken), Refused)
    timeless = encode(Call("1.1", ("1.1",), complete=True, started_at=2**62))
    assert isinstance(JsonLines(tmp_path / "x").deliver(Item(1, "1.1", 1, "complete", timeless, 0, 0, "pbx1")), Refused)


def test_lines_of_several_threads_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JsonLines(path, sync=False)
    threads = [
        threading.Thread(target=lambda n=n: [sink.deliver(item(f"{n}.{m}")) for m in range(50)]) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({json.loads(line)["call_id"] for line in path.read_text().splitlines()}) == 200

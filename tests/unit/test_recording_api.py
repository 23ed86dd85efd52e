"""The audio sink: what is posted, what is never opened, what happens to a file and when."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asterisk_connector.call import Call, Party, Recording, encode
from asterisk_connector.clock import SystemClock
from asterisk_connector.sinks.base import Deferred, Delivered, Item, Outcome, Paused, Refused
from asterisk_connector.sinks.call_api import CallApiSettings
from asterisk_connector.sinks.call_api_payload import PayloadSettings
from asterisk_connector.sinks.recording_api import RecordingApi, UploadSettings, recording_endpoint
from tests.kit.call_api import Answer, CallApi

START = 1_795_290_000_000_000
SOUND = os.urandom(100_000)


class Ledger:
    """Remembers in memory."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.done: set[tuple[str, str]] = set()

    def accepted(self, call_id: str) -> bool:
        return call_id not in self.refused

    def is_uploaded(self, path: str, state: str) -> bool:
        return (path, state) in self.done

    def uploaded(self, path: str, state: str) -> None:
        self.done.add((path, state))


class Bench:
    def __init__(self, home: Path, api: CallApi) -> None:
        self.root = home / "monitor"
        self.root.mkdir()
        self.api = api
        self.ledger = Ledger()
        self.settings = UploadSettings(
            CallApiSettings(api.url, "sk_" + "a" * 32, PayloadSettings("1.2.3", 7, hostname="pbx"), read_timeout=2),
            roots=(self.root,),
        )

    def write(self, name: str, data: bytes = SOUND) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def offer(self, *paths: Path | str, **changed: Any) -> Outcome:
        sink = RecordingApi(replace(self.settings, **changed), self.ledger, clock=SystemClock())
        try:
            return sink.deliver(item(*map(str, paths)))
        finally:
            sink.close()


def item(*paths: str) -> Item:
    recordings = tuple(
        Recording(path, 100_000, 6.25, "wav", START, START + 6_250_000, leg="1795290000.8") for path in paths
    )
    call = Call(
        "1795290000.7", ("1795290000.7",), True, START, caller=Party("5145550001", e164="+15145550001"),
        direction="inbound", host="pbx", tenant="acme", recordings=recordings,
    )  # fmt: skip
    return Item(1, call.call_id, 1, "complete", encode(call), 0, START, "pbx")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with CallApi() as api:
        yield Bench(tmp_path, api)


def test_the_audio_arrives_byte_for_byte_with_the_fields_of_its_call(bench: Bench) -> None:
    path = bench.write("2026/a.wav")
    assert bench.offer(path) == Delivered()
    (request,) = bench.api.requests
    parts = request.parts
    assert parts["audio"].get_payload(decode=True) == SOUND
    assert (parts["audio"].get_content_type(), parts["audio"].get_filename()) == ("audio/wav", "a.wav")
    said = {name: str(part.get_payload()) for name, part in parts.items() if name != "audio"}
    wanted = {
        "recording_id": "a.wav", "call_id": "1795290000.7", "linkedid": "1795290000.7", "uniqueid": "1795290000.8",
        "src_number": "15145550001", "direction": "i", "duration": "6", "customer_id": "7", "tenant_name": "acme",
        "file_name": "a.wav", "file_size": "100000", "original_file_path": str(path),
    }  # fmt: skip
    assert wanted.items() <= said.items()
    assert request.headers["authorization"] == "Bearer sk_" + "a" * 32
    assert "content-encoding" not in request.headers
    assert int(request.headers["content-length"]) == len(request.body)


def test_a_second_attempt_is_the_same_request(bench: Bench) -> None:
    path = bench.write("a.wav")
    bench.api.script = lambda request: Answer(500 if request.number == 1 else 202)
    assert isinstance(bench.offer(path), Deferred)
    assert bench.offer(path) == Delivered()
    first, second = bench.api.requests
    assert (first.key, first.body) == (second.key, second.body)


def test_a_later_revision_uploads_only_what_is_new(bench: Bench) -> None:
    one, two = bench.write("a.wav"), bench.write("b.wav")
    assert bench.offer(one) == Delivered()
    assert bench.offer(one, two) == Delivered()
    assert [request.parts["audio"].get_filename() for request in bench.api.requests] == ["a.wav", "b.wav"]


def test_nothing_is_sent_for_a_call_that_was_not_accepted(bench: Bench) -> None:
    bench.ledger.refused.add("1795290000.7")
    assert isinstance(bench.offer(bench.write("a.wav")), Refused)
    assert bench.api.requests == []


def test_a_file_that_is_gone_is_told_and_the_others_go(bench: Bench) -> None:
    outcome = bench.offer(bench.root / "gone.wav", bench.write("b.wav"))
    assert isinstance(outcome, Refused)
    assert "gone.wav" in outcome.reason
    assert len(bench.api.requests) == 1


def test_what_lies_or_leads_outside_of_the_roots_is_never_sent(bench: Bench, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(b"secret")
    (bench.root / "link.wav").symlink_to(secret)
    (bench.root / "folder").symlink_to(tmp_path)
    os.mkfifo(bench.root / "pipe.wav")
    for path in ("link.wav", "folder/secret.wav", "../secret.wav", "pipe.wav"):
        assert isinstance(bench.offer(f"{bench.root}/{path}"), Refused), path
    assert isinstance(bench.offer(secret), Refused)
    assert bench.api.requests == []


def test_a_root_may_itself_be_a_link(bench: Bench, tmp_path: Path) -> None:
    path = bench.write("a.wav")
    link = tmp_path / "linked"
    link.symlink_to(bench.root)
    assert bench.offer(link / path.name, roots=(link,)) == Delivered()


@pytest.mark.parametrize("name", ["q'\".wav", "new\r\nline: x.wav", ";touch x;.wav", "$(id).wav", "é☎.wav", "--x.wav"])
def test_a_name_is_data_whatever_it_holds(bench: Bench, name: str) -> None:
    assert bench.offer(bench.write(name)) == Delivered()
    (request,) = bench.api.requests
    assert request.parts["audio"].get_payload(decode=True) == SOUND
    assert sum(part == "audio" for part in request.parts) == 1


def test_bytes_that_are_no_utf8_are_found_again(bench: Bench) -> None:
    Path(os.fsdecode(os.fsencode(bench.root) + b"/caf\xe9.wav")).write_bytes(SOUND)
    assert bench.offer(f"{bench.root}/caf\\xe9.wav") == Delivered()


@pytest.mark.parametrize("answer", [Answer(500), Answer(429), Answer(401), Answer(422), Answer(fault="close_before")])
@pytest.mark.parametrize("after", ["delete", "move"])
def test_a_file_stays_where_it_is_until_it_was_accepted(
    bench: Bench, tmp_path: Path, answer: Answer, after: str
) -> None:
    path = bench.write("2026/a.wav")
    bench.api.script = lambda _: answer
    assert bench.offer(path, after=after, move_to=tmp_path / "done") != Delivered()
    assert path.read_bytes() == SOUND


def test_after_success_a_file_is_deleted_or_moved_as_asked(bench: Bench, tmp_path: Path) -> None:
    path = bench.write("2026/a.wav")
    assert bench.offer(path, after="move", move_to=tmp_path / "done") == Delivered()
    assert (tmp_path / "done/2026/a.wav").read_bytes() == SOUND
    again = bench.write("2026/a.wav", SOUND[::-1])
    bench.ledger.done.clear()
    assert bench.offer(again, after="move", move_to=tmp_path / "done") == Delivered()
    assert len(list((tmp_path / "done/2026").iterdir())) == 2
    other = bench.write("b.wav")
    assert bench.offer(other, after="delete") == Delivered()
    assert not list(bench.root.rglob("*.wav"))


def test_a_kill_between_upload_and_deletion_is_made_good(bench: Bench) -> None:
    path = bench.write("a.wav")
    bench.ledger.uploaded(str(path), f"100000:{START + 6_250_000}")
    assert bench.offer(path, after="delete") == Delivered()
    assert bench.api.requests == []
    assert not path.exists()
    assert bench.offer(path, after="delete") == Delivered()


def test_a_file_that_may_not_be_read_is_the_operators_trouble(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bench.write("a.wav")
    real = os.open

    def refusing(name: Any, *args: Any) -> int:
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied")
        return real(name, *args)

    monkeypatch.setattr(os, "open", refusing)
    assert isinstance(bench.offer(path), Paused)


def test_all_uploads_together_keep_to_the_rate(bench: Bench) -> None:
    path = bench.write("a.wav")
    began = time.monotonic()
    assert bench.offer(path, rate=200_000) == Delivered()
    assert time.monotonic() - began >= 0.45


def test_a_stop_breaks_an_upload_off_and_nothing_is_lost(bench: Bench) -> None:
    path = bench.write("a.wav")
    sink = RecordingApi(replace(bench.settings, rate=1000), bench.ledger, clock=SystemClock())
    stopper = threading.Timer(0.3, sink.close)
    stopper.start()
    assert isinstance(sink.deliver(item(str(path))), Deferred)
    stopper.join()
    assert bench.ledger.done == set()


def test_a_long_recording_is_never_held_in_memory(bench: Bench) -> None:
    import tracemalloc

    bench.api.remember = False
    path = bench.write("a.wav", bytes(30_000_000))
    counted: list[int] = []
    bench.api.serve = lambda handler, connection: _swallow(handler, counted)  # type: ignore[method-assign]
    tracemalloc.start()
    assert bench.offer(path) == Delivered()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counted[0] > 30_000_000
    assert peak < 5_000_000


def _swallow(handler: Any, counted: list[int]) -> None:
    left = total = int(handler.headers["Content-Length"])
    while left > 0:
        left -= len(handler.rfile.read(min(left, 65_536)))
    counted.append(total)
    handler.send_response(202)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def test_recordings_go_to_the_region_or_to_the_host_that_takes_the_calls() -> None:
    assert recording_endpoint("ca1") == "https://api-ca1.sipstack.com/v1/mqs/recording"
    assert recording_endpoint("us1", "https://calls.example:8443/x/calls") == (
        "https://calls.example:8443/v1/mqs/recording"
    )

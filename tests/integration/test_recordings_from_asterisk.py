"""Recordings that a real Asterisk makes, in every form it has: each on its call and leg, once, however it is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit import calls
from tests.kit.agent_process import AgentProcess
from tests.kit.asterisk import TEMPLATES
from tests.kit.office import Office
from tests.kit.sip_phone import answers, rings
from tests.kit.wait import until

# 652 stops and goes on in the same file; 653 is moved by a post command, 658 is converted by one.
PLAN = """
[from-internal](+)
exten => 650,1,MixMonitor(${UNIQUEID}.wav,b)
 same => n,Dial(PJSIP/101,8,tTxX)
exten => 651,1,MixMonitor(${UNIQUEID}.wav,b)
 same => n,Dial(PJSIP/101,2)
exten => 652,1,Answer()
 same => n,MixMonitor(again-${UNIQUEID}.wav)
 same => n,Playback(beep)
 same => n,StopMixMonitor()
 same => n,Wait(1)
 same => n,MixMonitor(again-${UNIQUEID}.wav,a)
 same => n,Dial(PJSIP/101,8)
exten => 653,1,MixMonitor(post/${EPOCH}-a.wav,,mkdir -p @MONITOR@/kept && mv ^{MIXMONITOR_FILENAME} @MONITOR@/kept/)
 same => n,Dial(PJSIP/101,8)
exten => 654,1,MixMonitor(both/${EPOCH}-m.wav,r(both/${EPOCH}-r.wav)t(both/${EPOCH}-t.wav))
 same => n,Dial(PJSIP/101,8)
exten => 655,1,MixMonitor(small/${EPOCH}-s.wav49)
 same => n,Dial(PJSIP/101,8)
exten => 656,1,MixMonitor(@MONITOR@/${STRFTIME(${EPOCH},,%Y/%m/%d)}/q 'x'\\;touch y\\;$-${EPOCH}.gsm)
 same => n,Dial(PJSIP/101,8)
exten => 658,1,MixMonitor(raw/${EPOCH}-c.wav,,cd @MONITOR@/raw && cp ${EPOCH}-c.wav ${EPOCH}-c.ulaw && rm *.wav)
 same => n,Dial(PJSIP/101,8)
"""


class Recorded:
    """What the agent says of the call that was made last."""

    def __init__(self, office: Office, told: Path) -> None:
        self.office = office
        self._told = told

    def calls(self) -> dict[str, list[dict[str, Any]]]:
        """Every revision of every call, oldest first."""
        found: dict[str, list[dict[str, Any]]] = {}
        for line in self._told.read_text().splitlines() if self._told.exists() else ():
            document = json.loads(line)
            found.setdefault(document["call_id"], []).append(document)
        return found

    def of(self, make: Callable[[], object], files: int = 1) -> dict[str, Any]:
        """Makes a call; its document once it has so many recordings, or is there at all."""
        before = set(self.calls())
        make()
        self.office.over()

        def told() -> dict[str, Any] | None:
            new = [revisions[-1] for call, revisions in self.calls().items() if call not in before]
            return new[0] if new and len(new[0]["recordings"]) == files else None

        document = until(told, 20, f"a call with {files} recordings")
        assert document is not None
        return document

    def dial(self, number: str, files: int = 1) -> dict[str, Any]:
        def make() -> None:
            self.office.behave(p101=answers(0.2))
            call = self.office["100"].dial(number).wait_answered()
            calls.talk(1.2)
            call.bye()

        return self.of(make, files)


@pytest.fixture(params=["office22", "office16"], scope="module")
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    office: Office = request.getfixturevalue(request.param)
    asterisk, home = office.asterisk, tmp_path_factory.mktemp("recorded")
    stock = (TEMPLATES / "extensions.conf").read_text()
    asterisk.configure("extensions.conf", stock + PLAN.replace("@MONITOR@", str(asterisk.monitor)))
    asterisk.configure("features.conf", (TEMPLATES / "features.conf").read_text() + "automixmon => *3\n")
    asterisk.cli("dialplan reload")
    asterisk.cli("module reload features")
    settings = {
        "sources": {
            "cel_csv": [{"path": str(asterisk.cel_csv)}],
            "recordings": {"paths": [str(asterisk.monitor)], "settle": "1s"},
        },
        "calls": {"settle": "1s", "file": {"path": str(home / "calls.jsonl")}},
    }
    with AgentProcess(home, settings) as agent:
        agent.wait_said("reading cel_csv:")
        agent.wait_said("reading recordings")
        yield Recorded(office, home / "calls.jsonl")
    asterisk.configure("extensions.conf", stock)
    asterisk.configure("features.conf", (TEMPLATES / "features.conf").read_text())
    asterisk.cli("dialplan reload")
    asterisk.cli("module reload features")


def only(document: dict[str, Any]) -> dict[str, Any]:
    (recording,) = document["recordings"]
    found: dict[str, Any] = recording
    return found


def caller_leg(document: dict[str, Any]) -> str:
    return next(str(leg["uniqueid"]) for leg in document["legs"] if leg["role"] == "caller")


def test_a_recording_in_a_new_dated_folder_is_on_its_call_and_leg(recorded: Recorded) -> None:
    document = recorded.of(lambda: calls.recorded(recorded.office))
    recording = only(document)
    assert Path(recording["path"]).stat().st_size == recording["size"]
    assert recording["linked_by"] == "path"
    assert recording["leg"] == caller_leg(document)
    assert 0.5 < recording["seconds"] < 5
    assert recording["format"] == "wav"


def test_a_recording_that_waits_for_the_bridge_is_there_once_people_talk(recorded: Recorded) -> None:
    recording = only(recorded.dial("650"))
    assert recording["size"] > 44


def test_a_header_without_sound_is_no_recording(recorded: Recorded) -> None:
    def unanswered() -> None:
        recorded.office.behave(p101=rings())
        recorded.office["100"].dial("651").wait_ended()

    document = recorded.of(unanswered, files=0)
    left = recorded.office.asterisk.monitor / f"{document['call_id']}.wav"
    assert left.stat().st_size == 44
    assert any(left.name in note for note in document["evidence"]["notes"])


def test_a_file_that_is_stopped_and_appended_to_is_one_recording(recorded: Recorded) -> None:
    recording = only(recorded.dial("652"))
    until(lambda: Path(recording["path"]).stat().st_size == recording["size"], 1, "the size after the last close")


def test_a_file_that_a_post_command_moves_is_found_where_it_went(recorded: Recorded) -> None:
    recording = only(recorded.dial("653"))
    assert Path(recording["path"]).parent == recorded.office.asterisk.monitor / "kept"
    assert recording["linked_by"] == "name"


def test_a_file_that_a_post_command_converts_stands_for_the_original(recorded: Recorded) -> None:
    recording = only(recorded.dial("658"))
    assert Path(recording["path"]).suffix == ".ulaw"


def test_both_sides_and_their_mix_are_three_recordings(recorded: Recorded) -> None:
    document = recorded.dial("654", files=3)
    assert sorted(Path(each["path"]).stem[-1] for each in document["recordings"]) == ["m", "r", "t"]
    assert {each["linked_by"] for each in document["recordings"]} == {"path"}


def test_wav49_is_found_under_the_name_asterisk_gives_it(recorded: Recorded) -> None:
    recording = only(recorded.dial("655"))
    assert Path(recording["path"]).suffix == ".WAV"
    assert recording["format"] == "wav49"
    assert recording["seconds"] is not None


def test_a_name_is_only_a_name_whatever_it_holds(recorded: Recorded) -> None:
    recording = only(recorded.dial("656"))
    assert Path(recording["path"]).name.startswith("q 'x';touch y;$-")
    assert recording["linked_by"] == "path"


def test_a_queue_that_records_by_itself_names_its_call(recorded: Recorded) -> None:
    recording = only(recorded.dial("606"))
    assert recording["linked_by"] == "uniqueid"


def test_one_touch_recording_is_found_by_who_talked_and_when(recorded: Recorded) -> None:
    def touched() -> None:
        recorded.office.behave(p101=answers(0.2))
        call = recorded.office["100"].dial("650").wait_answered()
        calls.talk(0.5)
        call.press("*3")
        calls.talk(2)
        call.bye()

    document = recorded.of(touched, files=2)
    assert {each["linked_by"] for each in document["recordings"]} == {"path", "one_touch"}


def test_no_file_is_on_two_calls_and_none_is_astray(recorded: Recorded) -> None:
    on_calls = [each["path"] for revisions in recorded.calls().values() for each in revisions[-1]["recordings"]]
    assert len(on_calls) == len(set(on_calls))
    assert not [path for path in on_calls if not Path(path).exists()]


@pytest.mark.parametrize("name", ["office22", "office16"])
def test_the_manager_names_a_recording_that_no_row_names(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A queue's own recording has no APP_START; MIXMONITOR_FILENAME tells its path."""
    office: Office = request.getfixturevalue(name)
    asterisk = office.asterisk
    settings = {
        "ami": {"host": asterisk.address, "user": "tester", "secret": "tester"},
        "sources": {
            "cel_csv": [{"path": str(asterisk.cel_csv)}],
            "recordings": {"paths": [str(asterisk.monitor)], "settle": "1s"},
        },
        "calls": {"settle": "1s", "file": {"path": str(tmp_path / "calls.jsonl")}},
    }
    with AgentProcess(tmp_path, settings) as agent:
        for opened in ("reading cel_csv:", "reading recordings", "manager session with"):
            agent.wait_said(opened)
        recording = only(Recorded(office, tmp_path / "calls.jsonl").dial("606"))
        assert recording["linked_by"] == "path"
        assert Path(recording["path"]).parent == asterisk.monitor

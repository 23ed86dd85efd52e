"""Whose recording a file is: rule by rule, best first, and never the wrong call's."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from asterisk_connector.assembly.recordings import announced
from asterisk_connector.call import Call, Conference, Evidence, Leg, Party, Recording, Talk
from asterisk_connector.enrichment.attach_recordings import (
    RecordingRules,
    attach_recordings,
    file_keys,
    keys,
    link_of,
)
from asterisk_connector.enrichment.file_names import NameRules, read_name

START = 1_795_290_000_000_000
MONITOR = "/var/spool/asterisk/monitor"
WATCHED = RecordingRules(roots=(MONITOR,))
CALL = Call(
    "1795290000.7",
    ("1795290000.7",),
    True,
    START,
    answered_at=START + 4_000_000,
    ended_at=START + 60_000_000,
    caller=Party("5145550001"),
    dialled="101",
    legs=(
        Leg("1795290000.7", "PJSIP/trunka-7", "caller", "5145550001", started_at=START),
        Leg("1795290000.8", "PJSIP/101-8", "dialled", "101", started_at=START + 1_000_000),
    ),
    talk=(Talk("5145550001", "101", 50.0, START + 4_000_000),),
)


def file(name: str, ended: int = START + 60_000_000, **more: object) -> Recording:
    path = name if name.startswith("/") else f"{MONITOR}/{name}"
    return replace(Recording(path, 16_044, 1.0, "wav", ended - 1_000_000, ended, linked_by="source"), **more)


def attached(*recordings: Recording, call: Call = CALL, rules: RecordingRules = WATCHED) -> Call:
    return attach_recordings(replace(call, recordings=recordings), rules)


def rule(name: str, *said: Recording, call: Call = CALL, rules: RecordingRules = WATCHED) -> str | None:
    link = link_of(attached(*said, call=call), file(name), rules)
    return link.rule if link else None


def mixmonitor(path: str, leg: str = "1795290000.8") -> Recording:
    return Recording(path, started_at=START + 2_000_000, leg=leg, linked_by="mixmonitor")


def cdr(name: str) -> Recording:
    return Recording(name, leg="1795290000.7", linked_by="cdr")


@pytest.mark.parametrize("path", ["2026/11/21/x.wav", f"{MONITOR}/2026/11/21/x.wav"])
def test_an_announced_path_is_the_file_itself_with_its_leg_and_its_start(path: str) -> None:
    (told,) = attached(mixmonitor(path), file("2026/11/21/x.wav")).recordings
    assert (told.linked_by, told.leg, told.started_at) == ("path", "1795290000.8", START + 2_000_000)
    assert (told.size, told.seconds) == (16_044, 1.0)


def test_a_relative_name_matches_whole_directories_only() -> None:
    assert rule("other-x.wav", mixmonitor("x.wav")) is None
    assert rule("2026/x.wav", mixmonitor("x.wav")) == "path"


@pytest.mark.parametrize("name", ["kept/x.wav", "x.mp3", "kept/x.WAV"])
def test_a_moved_or_converted_file_is_known_by_its_name(name: str) -> None:
    assert rule(name, mixmonitor("/elsewhere/x.wav49")) == "name"


def test_a_cdr_names_the_file_whatever_its_directory() -> None:
    assert rule("2026/11/21/q-600-x.wav", cdr("q-600-x.wav")) == "cdr"


@pytest.mark.parametrize(
    "name",
    ["1795290000.8.wav", "exten-101-100-20261121-193240-1795290000.8.wav", "q-600-5145550001-1795290000.7-in.wav"],
)
def test_a_uniqueid_of_the_call_in_the_name_is_enough(name: str) -> None:
    assert rule(name) == "uniqueid"


@pytest.mark.parametrize("name", ["1795290000.88.wav", "11795290000.8.wav", "1795290000.wav", "x1.1795290000.8.1.wav"])
def test_a_number_that_only_resembles_a_uniqueid_is_none(name: str) -> None:
    assert rule(name) != "uniqueid"


def test_a_system_name_before_the_uniqueid_belongs_to_it() -> None:
    named = replace(
        CALL, legs=(Leg("pbx-1-1795290000.9", "PJSIP/1", "caller", "9"),), linkedids=("pbx-1-1795290000.9",)
    )
    assert rule("q-600-pbx-1-1795290000.9.wav", call=named) == "uniqueid"
    assert rule("q-600-pbx-2-1795290000.9.wav", call=named) is None
    assert "pbx-1-1795290000.9" in read_name("q-600-pbx-1-1795290000.9.wav", NameRules()).candidates()


def test_the_operators_pattern_reads_a_uniqueid_from_anywhere() -> None:
    rules = RecordingRules((MONITOR,), NameRules((r"/(?P<uniqueid>\d+\.\d+)/audio",)))
    assert rule("1795290000.7/audio.wav", rules=rules) == "pattern"


def test_the_operators_pattern_with_extension_and_time_is_a_guess() -> None:
    rules = RecordingRules((MONITOR,), NameRules((r"^x(?P<extension>\d{3})at(?P<time>\d{10})",)))
    assert rule("x101at1795290004.wav", rules=rules) == "guess"
    assert rule("x102at1795290004.wav", rules=rules) is None


def test_one_touch_needs_both_parties_and_a_time_within_the_call() -> None:
    assert rule("auto-1795290030-5145550001-101.wav") == "one_touch"
    assert rule("auto-1795290030-5145550001-102.wav") is None
    assert rule("auto-1795290090-5145550001-101.wav") is None


def test_a_conference_recording_needs_the_room_and_a_time_within_it() -> None:
    room = replace(CALL, conference=Conference("602"))
    assert rule("confbridge-602-1795290030.wav", call=room) == "conference"
    assert rule("confbridge-603-1795290030.wav", call=room) is None


@pytest.mark.parametrize(("second", "found"), [(0, "guess"), (5, "guess"), (-5, "guess"), (30, None), (-6, None)])
def test_an_extension_and_a_local_time_near_an_event_of_the_call_is_a_guess(second: int, found: str | None) -> None:
    zone = ZoneInfo("America/Toronto")
    rules = RecordingRules((MONITOR,), NameRules(zone=zone))
    minute = 40 * 60 + second  # 1795290000 is 14:40:00 in Toronto
    assert rule(f"20261121-14{minute // 60:02d}{minute % 60:02d}-101-x.wav", rules=rules) == found
    assert rule(f"20261121-14{minute // 60:02d}{minute % 60:02d}-999-x.wav", rules=rules) is None


def test_a_guess_is_marked_as_one() -> None:
    call = attached(file("101-1795290004.wav"))
    assert [told.linked_by for told in call.recordings] == ["guess"]
    assert call.evidence.inferred == ("recordings",)


def test_a_file_finished_before_the_call_began_is_not_its_recording() -> None:
    told = attached(mixmonitor("fixed.wav"))
    assert link_of(told, file("fixed.wav", ended=START - 61_000_000), WATCHED) is None
    assert link_of(told, file("fixed.wav", ended=START - 59_000_000), WATCHED) is not None


def test_an_announced_recording_without_a_file_is_left_out_and_noted_when_the_call_is_over() -> None:
    call = attached(mixmonitor("x.wav"), mixmonitor("/remote/y.wav"))
    assert [told.path for told in call.recordings] == ["/remote/y.wav"]
    assert [note for note in call.evidence.notes if "x.wav" in note]
    running = attached(mixmonitor("x.wav"), call=replace(CALL, complete=False))
    assert (running.recordings, running.evidence) == ((), Evidence())


def test_where_nothing_is_searched_what_was_announced_is_told() -> None:
    call = attached(mixmonitor("x.wav"), rules=RecordingRules())
    assert [(told.path, told.size) for told in call.recordings] == [("x.wav", None)]


def test_three_files_of_one_mixmonitor_are_three_recordings() -> None:
    paths = announced("both-1.wav,br(in-1.wav)t(out-1.wav),run t(x)")
    assert paths == ["both-1.wav", "in-1.wav", "out-1.wav"]
    call = attached(*map(mixmonitor, paths), *(file(path) for path in paths))
    assert [told.linked_by for told in call.recordings] == ["path"] * 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("2026/11/21/x.wav", mixmonitor("2026/11/21/x.wav")),
        ("kept/x.mp3", mixmonitor("x.wav")),
        ("x.wav", cdr("x.wav")),
        ("q-600-1795290000.8.wav", None),
        ("auto-1795290030-5145550001-101.wav", None),
        ("20261121-194004-101.wav", None),
    ],
)
def test_a_file_waits_under_a_key_that_its_call_has(name: str, said: Recording | None) -> None:
    told = attached(*([said] if said else []))
    assert link_of(told, file(name), WATCHED) is not None
    assert set(file_keys(file(name), WATCHED)) & set(keys(told))


@pytest.mark.parametrize(
    "name", ["20261399-999999-101.wav", "....", "", "-", "a" * 255, "\x00\n.wav", "confbridge--1.wav"]
)
def test_any_name_can_be_read(name: str) -> None:
    read_name(name, NameRules(zone=UTC))

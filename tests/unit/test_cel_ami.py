"""CEL over AMI as a source: the same rows as CEL in a file, and its promises."""

from __future__ import annotations

import gzip
import json
from datetime import UTC
from pathlib import Path

import pytest

from asterisk_connector.ami.handshake import Answers
from asterisk_connector.ami.session import Alive, Opened, Read
from asterisk_connector.notices import CelUnseen, EventsDropped, Notice
from asterisk_connector.records import Batch, CelEvent
from asterisk_connector.sources.cel_ami import CelAmi
from asterisk_connector.sources.csv.capture import parse
from tests.kit.clock import FakeClock

CAPTURES = Path(__file__).parent.parent / "scenarios" / "captures"
SCENARIOS = sorted(path.parent for path in CAPTURES.glob("*/*/ami_cel.jsonl.gz"))


def cel(n: int, **headers: str) -> Read:
    fields = {
        "EventName": "CHAN_START",
        "Timestamp": f"1795289432.{n:06d}",
        "UniqueID": "1795289432.0",
        "LinkedID": "1795289432.0",
        **headers,
    }
    body = "Event: CEL\r\nPrivilege: call,all\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n"
    return Read(0, body.encode())


def other(name: str) -> Read:
    return Read(0, f"Event: {name}\r\nPrivilege: call,all\r\n\r\n".encode())


class Bench:
    def __init__(self, **options: int) -> None:
        self.notices: list[Notice] = []
        self.source = CelAmi("cel_ami", clock=FakeClock(), notify=self.notices.append, zone=UTC, **options)
        self.source.open(None)

    def batch(self) -> Batch:
        batch = self.source.read(5.0)
        assert batch is not None
        return batch

    def event(self) -> CelEvent:
        record = self.batch().seen[0].record
        assert isinstance(record, CelEvent)
        return record


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: f"{path.parent.name}-{path.name.split('_')[0]}")
def test_real_calls_give_the_rows_that_the_csv_file_has(scenario: Path) -> None:
    bench = Bench()
    for line in gzip.decompress((scenario / "ami_cel.jsonl.gz").read_bytes()).splitlines():
        fields = json.loads(line)
        text = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if name != "_rx")
        bench.source.receive([Read(0, text.encode() + b"\r\n")])
    mine = [seen.record for seen in bench.batch().seen]
    master = next(scenario.glob("cel_master.csv*"))
    raw = gzip.decompress(master.read_bytes()) if master.suffix == ".gz" else master.read_bytes()
    theirs, _ = parse(raw)
    assert len(mine) == len(theirs) > 0
    for ours, row in zip(mine, theirs, strict=True):
        assert isinstance(ours, CelEvent)
        assert isinstance(row, CelEvent)
        for field in ("type", "uniqueid", "linkedid", "channel", "cid_num", "exten", "context", "app_name", "extra"):
            assert getattr(ours, field) == getattr(row, field), field
        assert 0 <= ours.at - row.at < 100_000, "the instant of the manager event, just after the row's"
        assert ours.resolution == 1


def test_without_timestamps_whole_seconds_of_local_time_are_read() -> None:
    bench = Bench()
    bench.source.receive([cel(0, Timestamp="", EventTime="2026-11-21 19:30:32")])
    event = bench.event()
    assert (event.at, event.resolution) == (1_795_289_432_000_000, 1_000_000)


def test_what_the_user_named_is_a_user_defined_event() -> None:
    bench = Bench()
    bench.source.receive([cel(0, EventName="MY_EVENT", Application="CELGenUserEvent")])
    event = bench.event()
    assert (event.type, event.user_defined_type) == ("USER_DEFINED", "MY_EVENT")


def test_an_event_that_cannot_be_understood_is_set_aside_in_its_batch() -> None:
    bench = Bench()
    bench.source.receive([cel(0), cel(1, UniqueID=""), cel(2)])
    batch = bench.batch()
    assert len(batch.seen) == 2
    assert b"CHAN_START" in batch.set_aside[0].raw


def test_names_of_rows_are_never_used_twice_across_restarts() -> None:
    bench = Bench()
    bench.source.receive([cel(0), cel(1)])
    batch = bench.batch()
    again = CelAmi("cel_ami", clock=FakeClock(now=5), notify=bench.notices.append)
    again.open(batch.position)
    again.receive([cel(0)])
    following = again.read(5.0)
    assert following is not None
    assert following.seen[0].ident not in {seen.ident for seen in batch.seen}


def test_memory_is_bounded_and_what_went_is_told() -> None:
    bench = Bench(max_waiting=10)
    bench.source.receive([cel(n) for n in range(25)])
    assert len(bench.batch().seen) == 10
    assert bench.notices == [EventsDropped("cel_ami", 15, "rows were not taken as fast as they came")]


def test_a_waiting_read_ends_when_woken() -> None:
    bench = Bench()
    bench.source.wake()
    assert bench.source.read(600.0) is None


def test_calls_without_cel_events_are_told_once_with_what_to_change() -> None:
    bench = Bench()
    bench.source.receive([Opened(0, "pbx", Answers(calls=3))])
    for _ in range(20):
        bench.source.receive([other("Hangup")])
    (told,) = bench.notices
    assert isinstance(told, CelUnseen)
    assert "cel.conf" in told.hint


def test_an_account_that_cannot_see_calls_is_told_once() -> None:
    bench = Bench()
    bench.source.receive([Opened(0, "pbx", Answers(calls=3))])
    for calls in range(4, 20):
        bench.source.receive([Alive(0, calls)])
    (told,) = bench.notices
    assert isinstance(told, CelUnseen)
    assert "read = call" in told.hint


def test_nothing_is_told_while_cel_events_come() -> None:
    bench = Bench()
    bench.source.receive([Opened(0, "pbx", Answers(calls=3)), cel(0)])
    for _ in range(20):
        bench.source.receive([other("Hangup")])
    assert bench.notices == []


def varset(variable: str = "MIXMONITOR_FILENAME", **headers: str) -> Read:
    fields = {
        "Timestamp": "1795289432.500000",
        "Channel": "PJSIP/100-00000001",
        "Uniqueid": "1795289432.0",
        "Linkedid": "1795289431.7",
        "Variable": variable,
        "Value": "/var/spool/asterisk/monitor/a b.wav",
        **headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return Read(0, f"Event: VarSet\r\nPrivilege: dialplan,all\r\n{lines}\r\n".encode())


@pytest.mark.parametrize("cel_too", [True, False])
def test_the_name_of_a_recording_is_a_row_however_the_recording_was_started(cel_too: bool) -> None:
    bench = Bench(cel=cel_too)
    bench.source.receive([cel(1), varset("DIALSTATUS"), varset()])
    records = [seen.record for seen in bench.batch().seen]
    told = records[-1]
    assert isinstance(told, CelEvent)
    assert len(records) == 1 + cel_too
    assert (told.type, told.app_data) == ("MIXMONITOR_START", "/var/spool/asterisk/monitor/a b.wav")
    assert (told.uniqueid, told.linkedid, told.at) == ("1795289432.0", "1795289431.7", 1_795_289_432_500_000)


def test_the_name_of_a_recording_needs_no_timestamp_but_its_channel() -> None:
    bench = Bench()
    bench.source.receive([varset(Timestamp=""), varset(Uniqueid="")])
    batch = bench.batch()
    (seen,) = batch.seen
    assert isinstance(seen.record, CelEvent)
    assert seen.record.at == 1_795_289_432_000_000
    assert len(batch.set_aside) == 1

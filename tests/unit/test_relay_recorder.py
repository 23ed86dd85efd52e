"""From items of the session to records in the journal, gaps and bounds included."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asterisk_connector.ami.handshake import Answers
from asterisk_connector.ami.session import Alive, Learned, Lost, Opened, Read
from asterisk_connector.clock import SystemClock
from asterisk_connector.notices import (
    AmiGap,
    EventRefused,
    EventsDropped,
    EventsJournalled,
    HostRenamed,
    Notice,
    StoreBlocked,
)
from asterisk_connector.relay.encode import Encoder, Identity
from asterisk_connector.relay.filters import Filters, parse_line
from asterisk_connector.relay.identity import identify
from asterisk_connector.relay.journal import Journal
from asterisk_connector.relay.recorder import Recorder

ANSWERS = Answers("52:54:00:ab:cd:ef", "22.10.1", "", "2026-11-21 19:00:00", 10)
SECOND = 1_000_000


def event(name: str, n: int = 0) -> bytes:
    return f"Event: {name}\r\nPrivilege: call,all\r\nNumber: {n}\r\n\r\n".encode()


class Bench:
    def __init__(self, path: Path) -> None:
        self.notices: list[Notice] = []
        self.path = path
        self.start()

    def start(self, **options: Any) -> Recorder:
        self.journal = Journal(self.path, clock=SystemClock(), notify=self.notices.append)
        self.recorder = Recorder(
            self.journal,
            options.pop("filters", Filters()),
            Encoder(),
            options.pop("identify", lambda answers, known: identify(answers, known=known, hostname="host")),
            lambda: None,
            clock=SystemClock(),
            notify=self.notices.append,
            group=0.0,
            **options,
        )
        return self.recorder

    def stop(self) -> None:
        self.recorder.close()
        self.journal.close()

    def told(self, kind: type) -> list[Any]:
        return [notice for notice in self.notices if isinstance(notice, kind)]

    def records(self) -> list[tuple[Identity, dict[str, str]]]:
        found, after = [], 0
        while (pack := self.journal.read(after)) is not None:
            after = pack.first
            found += [(self.journal.origin(pack.origin), json.loads(event.value)) for event in pack.events]
        return found

    def events(self) -> list[dict[str, str]]:
        return [fields for _, fields in self.records()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "ami.db")
    yield bench
    bench.stop()


def test_what_the_filters_keep_is_journalled_in_order(bench: Bench) -> None:
    bench.stop()
    recorder = bench.start(filters=Filters([parse_line("eventfilter(action(exclude),name(VarSet)) =")]))
    recorder.receive([Opened(1, "pbx:5038", ANSWERS)])
    recorder.receive([Read(2, event(name, n)) for n, name in enumerate(["Hangup", "VarSet", "Dial", "VarSet"])])
    recorder.close()
    assert [(e["Event"], e["Number"]) for e in bench.events()] == [("Hangup", "0"), ("Dial", "2")]
    assert bench.told(EventsJournalled)[-1] == EventsJournalled(4, 2, 2)


def test_35_and_37_each_event_carries_the_identity_of_its_session(bench: Bench) -> None:
    bench.recorder.receive(
        [Opened(1, "p", ANSWERS), Read(2, event("A")), Learned(3, ANSWERS._replace(version="22.11"))]
    )
    bench.recorder.receive([Read(4, event("B")), Lost(5, "eof"), Opened(6, "p", ANSWERS._replace(entity_id="01"))])
    bench.recorder.receive([Read(7, event("C"))])
    bench.recorder.close()
    who = {fields["Event"]: identity for identity, fields in bench.records()}
    assert (who["A"].asterisk_version, who["B"].asterisk_version) == ("22.10.1", "22.11")
    assert (who["B"].entity_id, who["C"].entity_id) == ("52:54:00:ab:cd:ef", "01")


def test_35_a_host_that_goes_on_under_the_entity_id_of_another_one_is_told_once(bench: Bench) -> None:
    def on(host: str) -> Callable[[Answers, Identity | None], Identity]:
        return lambda answers, known: identify(answers, known=known, hostname=host)

    for host in ("pbx-1", "pbx-1", "pbx-2", "pbx-2"):
        bench.stop()
        bench.start(identify=on(host)).receive([Opened(1, "p", ANSWERS), Read(2, event("A"))])
    bench.recorder.close()
    assert bench.told(HostRenamed) == [HostRenamed("52:54:00:ab:cd:ef", "pbx-1", "pbx-2")]


def test_a_time_without_a_session_becomes_a_gap_record_with_what_is_known_of_it(bench: Bench) -> None:
    bench.recorder.receive([Opened(1 * SECOND, "p", ANSWERS), Read(2 * SECOND, event("A")), Alive(9 * SECOND, 12)])
    bench.recorder.receive([Lost(10 * SECOND, "Asterisk closed the session")])
    bench.recorder.receive([Opened(15 * SECOND, "p", ANSWERS._replace(calls=20)), Read(16 * SECOND, event("B"))])
    bench.recorder.close()
    names = [fields["Event"] for fields in bench.events()]
    assert names == ["A", "ConnectorGap", "B"]
    assert bench.events()[1] == {
        "Event": "ConnectorGap",
        "EntityID": "52:54:00:ab:cd:ef",
        "Privilege": "system,all",
        "From": "1970-01-01T00:00:10.000Z",
        "Until": "1970-01-01T00:00:15.000Z",
        "Seconds": "5.000",
        "Reason": "Asterisk closed the session",
        "Restarted": "no",
        "CallsProcessed": "8",
    }
    assert bench.told(AmiGap) == [AmiGap(10 * SECOND, 15 * SECOND, "Asterisk closed the session", False)]


def test_a_restart_of_asterisk_is_told_from_a_break_of_the_network(bench: Bench) -> None:
    bench.recorder.receive([Opened(1, "p", ANSWERS), Lost(2, "eof")])
    bench.recorder.receive([Opened(3, "p", ANSWERS._replace(startup="2026-11-21 20:00:00")), Lost(4, "eof")])
    bench.recorder.receive([Opened(5, "p", Answers())])
    bench.recorder.close()
    assert [e["Restarted"] for e in bench.events()] == ["yes", "unknown"]


def test_the_time_the_agent_itself_was_away_is_a_gap_too(bench: Bench) -> None:
    bench.recorder.receive([Opened(1 * SECOND, "p", ANSWERS), Read(2 * SECOND, event("A"))])
    bench.stop()
    bench.start().receive([Opened(60 * SECOND, "p", ANSWERS)])
    bench.recorder.close()
    gap = bench.events()[-1]
    assert (gap["Event"], gap["Seconds"], gap["Reason"]) == ("ConnectorGap", "58.000", "the agent was not running")


def test_the_very_first_session_has_no_gap_and_gaps_can_be_left_out(bench: Bench) -> None:
    bench.recorder.receive([Opened(1, "p", ANSWERS), Lost(2, "eof")])
    bench.stop()
    assert not bench.told(AmiGap)
    bench.start(gaps=False).receive([Opened(3, "p", ANSWERS)])
    bench.recorder.close()
    assert bench.events() == []
    assert bench.told(AmiGap)


def test_19_and_51_beyond_its_memory_the_oldest_go_counted_and_told(bench: Bench) -> None:
    bench.stop()
    recorder = bench.start(max_waiting=10_000)
    recorder.receive([Opened(1, "p", ANSWERS)])
    for n in range(1000):
        recorder.receive([Read(n * SECOND, event("A", n))])
    recorder.close()
    events = bench.events()
    gap = events[0]
    assert gap["Event"] == "ConnectorGap"
    assert int(gap["EventsDropped"]) + len(events) - 1 == 1000
    assert events[-1]["Number"] == "999"
    assert bench.told(EventsDropped)[0].where == "memory"
    assert {identity.entity_id for identity, _ in bench.records()[1:]} == {"52:54:00:ab:cd:ef"}


def test_28_what_a_full_disk_never_took_is_told_at_the_stop(bench: Bench) -> None:
    database = bench.journal._writer
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    bench.recorder.receive([Read(1, event("A" * 5000, n)) for n in range(3)])
    bench.recorder.close()
    assert bench.told(StoreBlocked)
    assert bench.told(EventsDropped)[-1].events == 3


def test_42_a_clock_set_back_gives_no_negative_gap(bench: Bench) -> None:
    bench.recorder.receive(
        [Opened(100 * SECOND, "p", ANSWERS), Lost(110 * SECOND, "eof"), Opened(50 * SECOND, "p", ANSWERS)]
    )
    bench.recorder.close()
    (gap,) = bench.events()
    assert gap["Seconds"] == "0.000"


def test_18_a_poisoned_event_is_told_and_its_neighbours_go_on(bench: Bench) -> None:
    bench.recorder.receive([Read(1, event("A")), Read(2, b"Event: without an end"), Read(3, event("B"))])
    bench.recorder.close()
    assert [fields["Event"] for fields in bench.events()] == ["A", "B"]
    assert len(bench.told(EventRefused)) == 1

"""When a call is looked at and what is then owed: the thread between store and pure middle, round by round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec
import pytest

from asterisk_connector import parts
from asterisk_connector.assembler import Assembler
from asterisk_connector.call import Call, decode
from asterisk_connector.config.model import Api, Calls, Settings, Shipping
from asterisk_connector.config.secret import Secret
from asterisk_connector.notices import CallCompleted, CallRevised, Notice, ignore
from asterisk_connector.records import Batch, CelEvent, Seen
from asterisk_connector.sinks.base import Item
from asterisk_connector.sources.csv.capture import parse
from asterisk_connector.store.store import Store
from tests.kit.clock import FakeClock
from tests.kit.traffic import NumberedCall

SETTINGS = Settings(host="pbx", api=Api(key=Secret("k")), calls=Calls(settle=2.0))


def events(number: int, base: int | None = None) -> list[CelEvent]:
    call = NumberedCall(number) if base is None else NumberedCall(number, base=base)
    return parse(b"\n".join(row for _, row in call.rows()) + b"\n")[0]


class Bench:
    """An assembler on a store in memory, its clock in our hand."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.clock = FakeClock()
        self.told: list[Notice] = []
        self.ended: list[str] = []
        self.store = Store.in_memory(clock=self.clock, notify=ignore)
        self.settings = settings
        self._rows = 0
        self.assembler = self.new_assembler()

    def new_assembler(self) -> Assembler:
        """As after a restart of the agent."""
        assembler = Assembler(
            self.store,
            parts.rules(self.settings, self.told.append),
            owed=lambda: None,
            ended=self.ended.extend,
            clock=self.clock,
            notify=self.told.append,
        )
        assembler._remember()
        self.assembler = assembler
        return assembler

    def read(self, records: Sequence[CelEvent], *, history: bool = False) -> None:
        seen = []
        for record in records:
            self._rows += 1
            seen.append(Seen(str(self._rows), record))
        assert self.assembler.follow(self.store.append(Batch("cel", seen, b"", history=history)))
        self.round()

    def round(self) -> None:
        self.assembler._wake()
        self.assembler._round()

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.round()

    def owed(self) -> list[tuple[Item, Call]]:
        """What the API is offered now; it takes it."""
        items = self.store.lease("call_api", 100)
        for item in items:
            self.store.delivered(item)
        return [(item, decode(item.body)) for item in items]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.store.close()


def test_a_call_is_owed_once_when_it_has_ended_and_settled(bench: Bench) -> None:
    bench.read(events(1))
    assert bench.owed() == []
    bench.later(2.1)
    ((item, call),) = bench.owed()
    assert (item.phase, item.revision, item.idempotency_key) == ("complete", 1, f"pbx:{NumberedCall(1).linkedid}:1")
    assert (call.outcome, call.answered_by) == ("answered", NumberedCall(1).callee)
    bench.later(3600)
    assert bench.owed() == []


def test_late_evidence_makes_a_revision_and_the_same_rows_none(bench: Bench) -> None:
    *most, last = events(1)
    bench.read(most)
    bench.later(21)
    assert [item.revision for item, _ in bench.owed()] == [1]
    bench.read([last])
    bench.later(2.1)
    assert [item.revision for item, _ in bench.owed()] == [2]
    assert any(isinstance(notice, CallRevised) for notice in bench.told)


def test_history_completes_a_call_in_progress_but_is_never_shipped_itself(bench: Bench) -> None:
    bench.read(events(1), history=True)
    half = events(2)
    bench.read(half[:6], history=True)
    bench.read(half[6:])
    bench.later(2.1)
    ((_, call),) = bench.owed()
    assert call.call_id == NumberedCall(2).linkedid
    assert len([e for e in call.thread if e.event == "CHAN_START"]) == 2
    bench.later(86400)
    assert bench.owed() == []


def test_channels_that_end_are_named_so_that_their_cdr_can_be_asked_for(bench: Bench) -> None:
    bench.read(events(1))
    assert sorted(bench.ended) == sorted({e.uniqueid for e in events(1)})


@pytest.mark.parametrize("agent_restarts_too", [False, True])
def test_what_a_dead_asterisk_left_open_is_closed_as_incomplete(bench: Bench, agent_restarts_too: bool) -> None:
    bench.read(events(40)[:8])
    if agent_restarts_too:
        bench.new_assembler()
    bench.read(events(0, base=NumberedCall(40).base + 60))
    bench.later(31)
    bench.later(3)
    calls = {call.call_id: call for _, call in bench.owed()}
    assert calls[NumberedCall(40).linkedid].complete is False
    assert calls[NumberedCall(40).linkedid].evidence.incomplete == "asterisk restarted"
    assert len(calls) == 2


@pytest.mark.parametrize("hours", [-1, 1, 24 * 365])
def test_a_step_of_the_clock_neither_delays_nor_gives_up_a_call(bench: Bench, hours: int) -> None:
    """F56."""
    bench.read(events(1))
    bench.read(events(2)[:8])
    bench.clock.step(hours * 3600)
    bench.later(2.1)
    assert [call.call_id for _, call in bench.owed()] == [NumberedCall(1).linkedid]
    assert sum(isinstance(notice, CallCompleted) for notice in bench.told) == 1


def test_two_calls_that_turn_out_to_be_one_are_told_as_one(bench: Bench) -> None:
    first, second = events(1), events(2)
    bench.read(first[:6])
    bench.read(second[:6])
    joined = replace_linkedid(second[6:], first[0].linkedid)
    bench.read([*first[6:], *joined])
    bench.later(21)
    ((_, call),) = bench.owed()
    assert call.call_id == first[0].linkedid
    assert set(call.linkedids) == {first[0].linkedid, second[0].linkedid}


def replace_linkedid(rows: Sequence[CelEvent], linkedid: str) -> list[CelEvent]:
    return [msgspec.structs.replace(row, linkedid=linkedid) for row in rows]


def test_a_long_call_is_told_again_at_each_interval() -> None:
    bench = Bench(replace(SETTINGS, shipping=Shipping(long_call_update_interval=600.0)))
    now = bench.clock.now() // 1_000_000
    bench.read(events(0, base=now)[:8])
    bench.later(599)
    assert bench.owed() == []
    phases = []
    for _ in range(3):
        bench.later(601)
        phases += [item.phase for item, _ in bench.owed()]
    assert phases == ["update", "update", "update"]
    bench.read(events(0, base=now)[8:])
    bench.later(2.1)
    assert [(item.phase, item.revision) for item, _ in bench.owed()] == [("complete", 4)]
    bench.store.close()


def test_progressive_shipping_tells_begin_change_and_end() -> None:
    bench = Bench(replace(SETTINGS, shipping=Shipping(mode="progressive", update_interval=60.0)))
    rows = events(0, base=bench.clock.now() // 1_000_000)
    bench.read(rows[:2])
    assert [item.phase for item, _ in bench.owed()] == ["initial"]
    bench.read(rows[2:8])
    bench.later(1.5)
    assert bench.owed() == []
    bench.later(60)
    assert [item.phase for item, _ in bench.owed()] == ["update"]
    bench.later(600)
    assert bench.owed() == []
    bench.read(rows[8:])
    assert [item.phase for item, _ in bench.owed()] == ["update"]
    bench.later(2.1)
    assert [(item.phase, item.revision) for item, _ in bench.owed()] == [("complete", 4)]
    bench.store.close()

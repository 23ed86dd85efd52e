"""The courier against a scripted sink and an outbox in memory: who waits, who is buried, what is told."""

import threading
from collections.abc import Callable, Iterator

import pytest

from asterisk_connector.clock import SystemClock
from asterisk_connector.delivery.breaker import BreakerPolicy
from asterisk_connector.delivery.courier import Courier, CourierPolicy
from asterisk_connector.delivery.retry import RetryPolicy
from asterisk_connector.notices import Delivered as DeliveredNotice
from asterisk_connector.notices import (
    DeliveryBuried,
    DeliveryDeferred,
    Notice,
    SinkDown,
    SinkMisconfigured,
    SinkUp,
    WorkerFailed,
)
from asterisk_connector.sinks.base import Deferred, Delivered, Item, Outcome, Paused, Refused
from tests.kit.clock import FakeClock
from tests.kit.memory_outbox import MemoryOutbox
from tests.kit.store_outbox import StoreOutbox
from tests.kit.wait import until

Answering = Callable[[Item], Outcome]


def taken_after(wait: Callable[..., object]) -> Answering:
    """Takes everything, once `wait` has returned."""

    def answer(_: Item) -> Outcome:
        wait(timeout=30)
        return Delivered()

    return answer


class ScriptedSink:
    """Answers by `script` and remembers what it was offered."""

    name = "scripted"

    def __init__(self) -> None:
        self.script: Answering = lambda _: Delivered()
        self.offered: list[Item] = []
        self.closed = False
        self._lock = threading.Lock()
        self._inside: set[str] = set()
        self.overlaps: list[str] = []
        self.most_at_once = 0

    def deliver(self, item: Item) -> Outcome:
        with self._lock:
            if item.call_id in self._inside:
                self.overlaps.append(item.call_id)
            self._inside.add(item.call_id)
            self.most_at_once = max(self.most_at_once, len(self._inside))
            self.offered.append(item)
        try:
            return self.script(item)
        finally:
            with self._lock:
                self._inside.discard(item.call_id)

    def close(self) -> None:
        self.closed = True

    def offers(self, call_id: str) -> int:
        with self._lock:
            return sum(item.call_id == call_id for item in self.offered)


class Bench:
    """A courier with everything around it; time stands still until `later`."""

    def __init__(self, outbox: Callable[[FakeClock], MemoryOutbox] = MemoryOutbox, **policy: object) -> None:
        self.clock = FakeClock()
        self.sink = ScriptedSink()
        self.outbox = outbox(self.clock)
        self.notices: list[Notice] = []
        defaults = {"workers": 4, "max_rate": 0.0, "retry": RetryPolicy(base=2.0), "breaker": BreakerPolicy(base=1.0)}
        self.courier = Courier(
            self.sink,
            self.outbox,
            clock=self.clock,
            notify=self.notices.append,
            policy=CourierPolicy(**(defaults | policy)),  # type: ignore[arg-type]
            chance=lambda: 0.999,
        )

    def owe(self, *calls: str, **more: object) -> None:
        for call in calls:
            self.outbox.owe(call, b"", **more)  # type: ignore[arg-type]
        self.courier.wake()

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.courier.wake()

    def goes_round(self) -> None:
        """Returns when the courier has looked at everything as it is now: two rounds, the first may have begun."""
        for _ in range(2):
            self.later(0.001)
            until(lambda: self.courier.heartbeat == self.clock.monotonic())

    def told(self, kind: type[Notice]) -> list[Notice]:
        return [notice for notice in self.notices if isinstance(notice, kind)]

    def settled(self) -> bool:
        """Everything is answered: delivered, buried or waiting for a later time."""
        now = self.clock.now()
        return self.courier.in_flight == 0 and all(owed.due_at > now for owed in self.outbox.pending())


@pytest.fixture(params=[MemoryOutbox, StoreOutbox])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    it = Bench(request.param)
    it.courier.start()
    yield it
    it.courier.stop(5)
    it.outbox.close()


def test_what_is_owed_is_delivered_and_told(bench: Bench) -> None:
    bench.owe("1", "2", "3")
    until(lambda: len(bench.told(DeliveredNotice)) == 3)
    assert bench.outbox.pending() == []
    assert {notice.attempts for notice in bench.notices if isinstance(notice, DeliveredNotice)} == {1}


def test_revisions_of_a_call_go_one_after_the_other_while_calls_go_side_by_side(bench: Bench) -> None:
    gate = threading.Barrier(4)
    bench.sink.script = taken_after(gate.wait)
    for revision in range(1, 6):
        for call in "abcd":
            bench.outbox.owe(call, b"", revision=revision)
    bench.courier.wake()
    until(lambda: len(bench.outbox.done) == 20)
    assert bench.sink.overlaps == []
    assert bench.sink.most_at_once == 4
    for call in "abcd":
        assert [item.revision for item in bench.sink.offered if item.call_id == call] == [1, 2, 3, 4, 5]


def test_no_more_items_are_with_the_sink_than_there_are_workers(bench: Bench) -> None:
    release = threading.Event()
    bench.sink.script = taken_after(release.wait)
    bench.owe(*map(str, range(200)))
    until(lambda: bench.sink.most_at_once == 4)
    assert len(bench.sink.offered) == 4
    assert bench.courier.in_flight <= 16
    release.set()
    until(lambda: len(bench.outbox.done) == 200)
    assert bench.sink.most_at_once == 4


def test_one_refused_call_among_a_hundred_is_buried_and_the_others_go(bench: Bench) -> None:
    bench.sink.script = lambda item: Refused("422", "asked", "said") if item.call_id == "50" else Delivered()
    bench.owe(*map(str, range(100)))
    until(lambda: len(bench.outbox.done) == 99 and bench.outbox.dead)
    (dead,) = bench.outbox.dead
    assert (dead.item.call_id, dead.reason, dead.request, dead.answer) == ("50", "422", "asked", "said")
    until(lambda: bench.told(DeliveryBuried))
    assert bench.courier.state == "up"


def test_a_poisoned_call_backs_off_alone(bench: Bench) -> None:
    bench.sink.script = lambda item: Deferred("500") if item.call_id == "bad" else Delivered()
    bench.owe("bad")
    until(bench.settled)
    for n in range(6):
        bench.owe(f"good{n}")
        until(lambda n=n: len(bench.outbox.done) == n + 1)  # type: ignore[misc]
        bench.later(2.0 ** (n + 1))
        until(lambda n=n: bench.sink.offers("bad") == n + 2)  # type: ignore[misc]
        until(bench.settled)
    assert bench.outbox.pending()[0].item.attempts == 7
    assert bench.courier.state == "up"
    assert bench.told(SinkDown) == []


def test_a_sink_defect_is_the_items_trouble_and_is_told(bench: Bench) -> None:
    def burst(item: Item) -> Outcome:
        if item.call_id == "bad":
            raise ZeroDivisionError("oops")
        return Delivered()

    bench.sink.script = burst
    bench.owe("bad", "good")
    until(lambda: bench.outbox.done and bench.told(DeliveryDeferred))
    (failed,) = bench.told(WorkerFailed)
    assert isinstance(failed, WorkerFailed)
    assert isinstance(failed.error, ZeroDivisionError)


def test_an_outage_stops_the_sending_and_burns_no_attempts(bench: Bench) -> None:
    bench.sink.script = lambda _: Deferred("refused", outage=True)
    bench.owe(*map(str, range(50)))
    until(lambda: bench.courier.state == "down" and bench.courier.in_flight == 0)
    first = len(bench.sink.offered)
    assert first <= 4
    for n in range(1, 6):
        bench.later(60)
        until(lambda n=n: len(bench.sink.offered) == first + n and bench.courier.in_flight == 0)  # type: ignore[misc]
    assert {owed.item.attempts for owed in bench.outbox.pending()} == {0}
    assert len(bench.outbox.pending()) == 50
    assert len(bench.told(SinkDown)) == 1


def test_after_an_outage_everything_goes_through_and_the_length_is_told(bench: Bench) -> None:
    bench.sink.script = lambda _: Deferred("refused", outage=True)
    bench.owe("1", "2", "3")
    until(lambda: bench.courier.state == "down" and bench.courier.in_flight == 0)
    bench.sink.script = lambda _: Delivered()
    bench.later(60)
    until(lambda: len(bench.outbox.done) == 3)
    (up,) = bench.told(SinkUp)
    assert isinstance(up, SinkUp)
    assert up.outage == 60.0


def test_probes_take_turns_so_that_a_poisoned_one_holds_nobody_back(bench: Bench) -> None:
    bench.sink.script = lambda _: Deferred("no answer")
    bench.owe("a", "b", "c", "d", "e")
    until(lambda: bench.courier.state == "down" and bench.courier.in_flight == 0)
    bench.sink.script = lambda item: Deferred("no answer") if item.call_id == "a" else Delivered()

    def drained() -> bool:
        bench.later(61)
        return len(bench.outbox.done) == 4

    until(drained)
    assert [owed.item.call_id for owed in bench.outbox.pending()] == ["a"]


def test_a_wished_pause_holds_the_whole_sink(bench: Bench) -> None:
    bench.sink.script = lambda _: Deferred("429", after=120.0, outage=True)
    bench.owe("1")
    until(lambda: bench.courier.state == "down" and bench.courier.in_flight == 0)
    bench.owe("2")
    bench.goes_round()
    bench.later(119)
    bench.goes_round()
    assert len(bench.sink.offered) == 1
    bench.sink.script = lambda _: Delivered()
    bench.later(1)
    until(lambda: len(bench.outbox.done) == 2)
    assert len(bench.sink.offered) == 3


def test_a_revoked_key_pauses_the_sink_until_somebody_acts(bench: Bench) -> None:
    bench.sink.script = lambda _: Paused("401", "check the key")
    bench.owe(*map(str, range(20)))
    until(lambda: bench.courier.state == "paused" and bench.courier.in_flight == 0)
    first = len(bench.sink.offered)
    for n in range(1, 4):
        bench.later(60)
        until(lambda n=n: len(bench.sink.offered) == first + n and bench.courier.in_flight == 0)  # type: ignore[misc]
    bench.later(49 * 3600)
    until(lambda: len(bench.sink.offered) == first + 4 and bench.courier.in_flight == 0)
    assert bench.outbox.dead == []
    assert {owed.item.attempts for owed in bench.outbox.pending()} == {0}
    assert bench.told(SinkMisconfigured) == [SinkMisconfigured("scripted", "401", "check the key")]
    bench.sink.script = lambda _: Delivered()
    bench.courier.resume()
    until(lambda: len(bench.outbox.done) == 20)
    assert bench.courier.state == "up"


def test_a_paused_sink_that_was_mended_resumes_by_its_own_probe(bench: Bench) -> None:
    bench.sink.script = lambda _: Paused("401", "check the key")
    bench.owe("1", "2")
    until(lambda: bench.courier.state == "paused" and bench.courier.in_flight == 0)
    bench.sink.script = lambda _: Delivered()
    bench.later(60)
    until(lambda: len(bench.outbox.done) == 2)


def test_an_item_two_days_old_is_offered_once_more_before_it_is_buried(bench: Bench) -> None:
    bench.sink.script = lambda item: Deferred("500") if item.call_id == "old" else Delivered()
    bench.owe("old", "taken", age=49 * 3600)
    until(lambda: bench.outbox.dead and bench.outbox.done)
    assert bench.sink.offers("old") == 1
    assert bench.outbox.dead[0].reason == "given up after 49 h: 500"
    assert bench.outbox.done[0].call_id == "taken"


def test_an_outage_shorter_than_two_days_buries_nothing(bench: Bench) -> None:
    bench.sink.script = lambda _: Deferred("refused", outage=True)
    bench.owe(*map(str, range(10)))
    for _ in range(47):
        until(lambda: bench.courier.state == "down" and bench.courier.in_flight == 0)
        bench.later(3600)
    bench.sink.script = lambda _: Delivered()
    bench.later(60)
    until(lambda: len(bench.outbox.done) == 10)
    assert bench.outbox.dead == []


@pytest.mark.parametrize("step", [-10 * 365 * 86400, 3600, -3600])
def test_a_clock_step_neither_buries_nor_bursts(bench: Bench, step: float) -> None:
    bench.sink.script = lambda _: Deferred("500")
    bench.owe("1")
    until(lambda: bench.told(DeliveryDeferred) and bench.courier.in_flight == 0)
    bench.clock.step(step)
    bench.courier.wake()
    bench.sink.script = lambda _: Delivered()
    bench.owe("2")
    until(lambda: any(item.call_id == "2" for item in bench.outbox.done))
    assert bench.outbox.dead == []
    assert bench.sink.offers("1") <= 2


def test_an_answer_that_cannot_be_written_down_is_written_later_and_not_sent_again() -> None:
    bench = Bench()
    bench.outbox.fail = OSError(28, "No space left on device")
    bench.courier.start()
    bench.owe("1")
    until(lambda: bench.told(WorkerFailed))
    until(lambda: len(bench.outbox.done) == 1, within=15)
    assert len(bench.sink.offered) == 1
    assert bench.courier.stop(5)


def test_stop_waits_for_what_is_in_flight_and_sends_nothing_more() -> None:
    bench = Bench()
    entered, release = threading.Event(), threading.Event()

    def slow(_: Item) -> Outcome:
        entered.set()
        release.wait(10)
        return Delivered()

    bench.sink.script = slow
    bench.courier.start()
    bench.owe(*map(str, range(100)))
    assert entered.wait(10)
    threading.Timer(0.2, release.set).start()
    assert bench.courier.stop(10)
    assert 1 <= len(bench.outbox.done) <= 4
    assert len(bench.outbox.done) + len(bench.outbox.pending()) == 100
    assert bench.sink.closed


def test_stop_gives_up_on_a_hanging_sink_and_keeps_the_item() -> None:
    bench = Bench()
    release = threading.Event()
    bench.sink.script = taken_after(release.wait)
    bench.courier.start()
    bench.owe("1")
    until(lambda: bench.sink.offered)
    assert not bench.courier.stop(0.05)
    assert len(bench.outbox.pending()) == 1
    release.set()


def test_recovery_is_paced_until_the_backlog_is_gone() -> None:
    bench = Bench(max_rate=50.0)
    bench.sink.script = lambda _: Deferred("refused", outage=True)
    bench.courier.start()
    bench.owe(*map(str, range(40)))
    until(lambda: bench.courier.state == "down" and bench.courier.in_flight == 0)
    bench.sink.script = lambda _: Delivered()
    bench.later(60)
    until(lambda: bench.courier.state == "up")
    went = []
    while len(bench.outbox.done) < 40:
        before = len(bench.outbox.done)
        bench.clock.advance(0.1)
        bench.goes_round()
        until(lambda: bench.courier.in_flight == 0)
        went.append(len(bench.outbox.done) - before)
    assert max(went) <= 0.102 * 50 + 2
    bench.goes_round()
    bench.owe(*(f"later{n}" for n in range(40)))
    until(lambda: len(bench.outbox.done) == 80)
    assert bench.courier.stop(5)


def test_the_heart_beats_while_nothing_is_owed() -> None:
    outbox = MemoryOutbox(SystemClock())
    courier = Courier(ScriptedSink(), outbox, clock=SystemClock(), notify=lambda _: None)
    courier.start()
    first = courier.heartbeat
    until(lambda: courier.heartbeat > first, within=15)
    assert courier.stop(5)

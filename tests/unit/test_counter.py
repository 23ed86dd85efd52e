"""The state is counted as often as it is cheap, and whoever asks in between gets the last answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asterisk_connector.counter import AUDITING, COUNTING, Counter
from asterisk_connector.errors import Transient
from asterisk_connector.notices import ignore
from asterisk_connector.store import Store
from tests.kit.clock import FakeClock
from tests.kit.rows import batch, cel, settlement


class SlowStore:
    """A store whose questions take their time."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self._store = store
        self._clock = clock
        self.counted = self.audited = 0
        self.away = False
        self.latest = store.latest

    def counts(self) -> object:
        if self.away:
            raise Transient("cannot be read now")
        self.counted += 1
        self._clock.advance(0.01)
        return self._store.counts()

    def unaccounted(self) -> int:
        self.audited += 1
        self._clock.advance(1)
        return self._store.unaccounted()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Iterator[Store]:
    opened = Store.in_memory(clock=clock, notify=ignore)
    yield opened
    opened.close()


@pytest.fixture
def slow(store: Store, clock: FakeClock) -> SlowStore:
    return SlowStore(store, clock)


def test_counting_takes_its_share_of_the_time_and_no_more(slow: SlowStore, clock: FakeClock) -> None:
    counter = Counter(clock)
    began = clock.monotonic()
    while clock.monotonic() - began < 2 * AUDITING:
        counter.counted(slow)  # type: ignore[arg-type]
        clock.advance(0.05)
    assert slow.audited == pytest.approx(2, abs=1)
    assert slow.counted == pytest.approx(2 * AUDITING / (0.01 * COUNTING), rel=0.3)


def test_what_cannot_be_counted_now_keeps_its_last_answer(slow: SlowStore, store: Store, clock: FakeClock) -> None:
    counter = Counter(clock)
    slow.away = True
    assert counter.counted(slow).counts is None  # type: ignore[arg-type]
    slow.away = False
    store.append(batch(cel("1.1")))
    clock.advance(1)
    assert counter.counted(slow).counts.open_calls == 1  # type: ignore[arg-type, union-attr]
    slow.away = True
    clock.advance(60)
    assert counter.counted(slow).counts.open_calls == 1  # type: ignore[arg-type, union-attr]


def test_the_latest_calls_come_with_whether_they_are_delivered(store: Store, clock: FakeClock) -> None:
    for number in range(3):
        (call,) = store.append(batch(cel(f"{number}.1"), first=number)).new
        clock.advance(1)
        assert store.settle(settlement(store, call, call_id=f"{number}.1"))
    store.delivered(store.lease("api", 1)[0])
    recent = Counter(clock).counted(store).recent
    assert [(each.call.call_id, each.delivered) for each in recent] == [("2.1", False), ("1.1", False), ("0.1", True)]

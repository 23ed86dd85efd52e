"""What polling costs: statements per poll do not grow with calls, rows read are the rows that are new."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from asterisk_connector.sources.tables.cursor import Cursor, CursorState, Pace
from asterisk_connector.sources.tables.database import Row
from asterisk_connector.sources.tables.window import Sight, Window, WindowState
from tests.kit.clock import FakeClock
from tests.kit.model_table import ModelTable

START = 1_800_000_000


def digest(row: Row) -> int:
    return int.from_bytes(blake2b(repr(row).encode(), digest_size=8).digest(), "big")


def drain(poller: Cursor | Window) -> int:
    rows = 0
    while (page := poller.poll()) is not None:
        rows += len(page.rows)
    return rows


def by_id(table: ModelTable, clock: FakeClock) -> Cursor:
    return Cursor(
        table,
        CursorState(0, None, 0),
        Pace(page=2000, grace=600.0, lookback=18_000, lookback_rows=50_000),
        digest=digest,
        monotonic=clock.monotonic,
        today=lambda: clock.now() // 1_000_000,
        reset=lambda _: None,
    )


def by_time(table: ModelTable, clock: FakeClock) -> Window:
    return Window(
        table,
        WindowState(0),
        Sight(page=2000, window=18_900, recent=120),
        digest=digest,
        age=lambda row: float(row[3] or 0),
        channel=lambda row: row[2] or "",
        today=lambda: clock.now() // 1_000_000,
        monotonic=clock.monotonic,
    )


@pytest.mark.parametrize("calls", [1, 10, 1000])
def test_a_round_asks_as_much_for_a_thousand_calls_as_for_one(calls: int) -> None:
    for make, most in ((by_id, 2), (by_time, 3)):
        clock = FakeClock(now=START * 1_000_000)
        table = ModelTable()
        poller = make(table, clock)
        drain(poller)
        for number in range(calls):
            table.insert(START - number % 60)
        table.asked = table.read = 0
        assert drain(poller) == calls
        assert table.asked <= most
        assert table.read <= calls + 1


def test_without_an_id_a_second_is_read_again_only_when_a_row_comes_to_it() -> None:
    clock = FakeClock(now=START * 1_000_000)
    table = ModelTable()
    poller = by_time(table, clock)
    drain(poller)
    table.asked = table.read = 0
    found = 0
    for number in range(300):
        clock.advance(2)
        now = clock.now() // 1_000_000
        for call in range(20):
            table.insert(now - (call * 37 + number) % 30, duration=30)
        found += drain(poller)
    assert found == 6000
    assert table.asked <= 3 * 300
    # A second's rows are read again each time one comes to it; within thirty seconds that is about half of them each.
    assert table.read <= 12 * found


def test_an_idle_table_is_asked_once_or_twice_a_round() -> None:
    for make, most in ((by_id, 1), (by_time, 2)):
        clock = FakeClock(now=START * 1_000_000)
        table = ModelTable()
        table.insert(START - 10)
        poller = make(table, clock)
        drain(poller)
        table.asked = table.read = 0
        for _ in range(50):
            clock.advance(2)
            assert drain(poller) == 0
        assert table.asked == 50 * most
        assert table.read <= 50

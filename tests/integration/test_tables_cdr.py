"""CDR tables of every known schema on real servers: what is written is read, once, whatever the circumstances."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from asterisk_connector.notices import Notice, TableRestarted
from asterisk_connector.records import CdrRow
from asterisk_connector.sources.cdr_table import CdrTableSource
from asterisk_connector.sources.tables.poller import Polling
from tests.kit.clock import FakeClock
from tests.kit.follower import Follower
from tests.kit.pbx_tables import CDR_SCHEMAS, Pbx, cdr

NOON = 1_795_262_400  # 2026-11-21 12:00:00 UTC
ZONE = ZoneInfo("America/Toronto")


class Bench:
    """A PBX with a CDR table, the agent's source on it, and a clock both agree on."""

    def __init__(self, pbx: Pbx, **polling: Any) -> None:
        self.pbx = pbx
        self.clock = FakeClock(now=NOON * 1_000_000)
        self.notices: list[Notice] = []
        self.polling = Polling(**{"table": "cdr", "zone": pbx.zone, "longest_call": 3600.0, **polling})
        self.agent = Follower(
            lambda: CdrTableSource("cdr", pbx.server(), self.polling, clock=self.clock, notify=self.notices.append)
        )
        self.written: list[CdrRow] = []
        self.agent.round()

    def write(self, rows: list[CdrRow], **how: Any) -> None:
        self.pbx.write(rows, **how)
        self.written += rows

    def pass_time(self, seconds: float = 2.0) -> None:
        self.clock.advance(seconds)
        self.agent.round()

    @property
    def now(self) -> int:
        return self.clock.now() // 1_000_000

    def settle(self) -> None:
        """Polls as often as the longest window needs to be seen whole."""
        for _ in range(140):
            self.pass_time()

    def assert_nothing_is_lost_or_wrong(self) -> None:
        expected = sorted(map(repr, map(self.pbx.schema.kept, self.written)))
        assert sorted(map(repr, self.agent.new)) == expected
        assert not self.agent.set_aside


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=sorted(CDR_SCHEMAS))
def bench(request: pytest.FixtureRequest, mariadb: Any, postgresql: Any, server: Any) -> Iterator[Bench]:
    pbx = Pbx(server, "cdr_test", CDR_SCHEMAS[request.param], ZONE)
    pbx.write([cdr(n, NOON - 600 + n) for n in range(20)])
    bench = Bench(pbx)
    bench.pass_time()
    assert len(bench.agent.history) == 20
    yield bench
    bench.agent.close()
    pbx.close()


def test_three_hundred_calls_at_once_are_all_read(bench: Bench) -> None:
    bench.write([cdr(n, bench.now - n % 90) for n in range(300)])
    bench.pass_time()
    bench.settle()
    bench.assert_nothing_is_lost_or_wrong()


def test_ten_calls_a_second_with_long_ones_among_them_are_all_read(bench: Bench) -> None:
    chance = random.Random(4)
    ending: dict[int, list[CdrRow]] = {}
    number = 0
    for second in range(bench.now, bench.now + 60):
        for _ in range(10):
            long = chance.random() < 0.15
            duration = chance.randint(61, 1500) if long else chance.randint(2, 50)
            ending.setdefault(second + duration, []).append(cdr(number, second, duration))
            number += 1
    for end in sorted(ending):
        if end > bench.now:
            bench.pass_time(max(2.0, end - bench.now))
        bench.write(ending[end])
    bench.settle()
    assert len(bench.written) == 600
    bench.assert_nothing_is_lost_or_wrong()


def test_a_cdr_batch_of_a_hundred_after_five_minutes_is_read(bench: Bench) -> None:
    rows = [cdr(n, bench.now + 3 * n) for n in range(100)]
    for _ in range(15):
        bench.pass_time(20)
    bench.write(rows)
    bench.settle()
    bench.assert_nothing_is_lost_or_wrong()


def test_a_long_call_around_a_short_one_is_read_when_it_ends(bench: Bench) -> None:
    long = cdr(1, bench.now, 900)
    bench.pass_time(30)
    bench.write([cdr(2, bench.now, 10)])
    bench.pass_time(12)
    bench.pass_time(858)
    bench.write([long])
    bench.settle()
    bench.assert_nothing_is_lost_or_wrong()


def test_a_row_that_commits_thirty_seconds_late_is_read(bench: Bench) -> None:
    late = bench.pbx.connect()
    bench.pbx.run("BEGIN", late)
    held = [cdr(1, bench.now)]
    bench.pbx.write(held, pen=late)
    for number in range(2, 17):
        bench.write([cdr(number, bench.now)])
        bench.pass_time()
    bench.pbx.run("COMMIT", late)
    bench.written += held
    late.close()
    bench.settle()
    bench.assert_nothing_is_lost_or_wrong()


def test_five_thousand_rows_in_one_second_are_all_read(bench: Bench) -> None:
    second = bench.now
    bench.write([cdr(n, second) for n in range(5000)])
    bench.pass_time()
    bench.settle()
    bench.assert_nothing_is_lost_or_wrong()


def test_the_repeated_hour_when_clocks_go_back_is_read_at_its_right_time(bench: Bench) -> None:
    change = int(datetime(2026, 11, 1, 6, 0, tzinfo=UTC).timestamp())  # 02:00 EDT becomes 01:00 EST
    bench.clock.step(change - 3600 - bench.now)
    bench.pbx.create()
    bench.agent = Follower(bench.agent._make)
    bench.agent.round()
    number = 0
    while bench.now < change + 7200:
        bench.write([cdr(number, bench.now, 20), cdr(number + 1, bench.now - 1500, 1520)])
        number += 2
        bench.pass_time(60)
    bench.settle()
    bench.assert_nothing_is_lost_or_wrong()


def test_a_row_dated_2038_hides_no_other(bench: Bench) -> None:
    future = cdr(1, 2_145_916_800)
    bench.write([future])
    bench.pass_time()
    for number in range(2, 12):
        bench.write([cdr(number, bench.now, 4)])
        bench.pass_time(5)
    bench.agent.kill()
    for number in range(12, 22):
        bench.write([cdr(number, bench.now, 4)])
        bench.pass_time(5)
    bench.settle()
    bench.assert_nothing_is_lost_or_wrong()


def test_null_columns_are_unknown_not_an_error(bench: Bench) -> None:
    rows = [cdr(n, bench.now, disposition="NO ANSWER") for n in range(3)]
    nulls: dict[str, Any] = dict.fromkeys(("dstchannel", "src", "clid", "account_code"))
    bench.pbx.write(rows, **nulls)
    bench.written += [
        CdrRow(**{f: "" if f in nulls else getattr(row, f) for f in row.__struct_fields__}) for row in rows
    ]
    bench.settle()
    bench.assert_nothing_is_lost_or_wrong()


def test_a_truncated_table_is_read_on_with_its_new_rows(bench: Bench) -> None:
    bench.write([cdr(n, bench.now, 4) for n in range(10)])
    bench.pass_time(5)
    bench.pbx.run("TRUNCATE TABLE cdr" + (" RESTART IDENTITY" if bench.pbx.driver == "postgresql" else ""))
    bench.pass_time()
    bench.write([cdr(100 + n, bench.now, 4) for n in range(5)])
    bench.settle()
    bench.assert_nothing_is_lost_or_wrong()
    assert any(isinstance(n, TableRestarted) for n in bench.notices) == bench.pbx.schema.has_id


def test_a_table_truncated_and_outgrown_while_the_agent_was_down_is_read(bench: Bench) -> None:
    bench.write([cdr(n, bench.now, 4) for n in range(10)])
    bench.pass_time(5)
    bench.agent.source.close()
    bench.pbx.run("TRUNCATE TABLE cdr" + (" RESTART IDENTITY" if bench.pbx.driver == "postgresql" else ""))
    for number in range(100, 160):
        bench.clock.advance(1)
        bench.write([cdr(number, bench.now, 1)])
    bench.agent.kill()
    bench.settle()
    bench.assert_nothing_is_lost_or_wrong()


def test_archived_rows_disturb_nobody(bench: Bench) -> None:
    bench.write([cdr(n, bench.now, 4) for n in range(10)])
    bench.pass_time(5)
    bench.pbx.run("DELETE FROM cdr")
    bench.pass_time()
    bench.write([cdr(100 + n, bench.now, 4) for n in range(5)])
    bench.settle()
    bench.assert_nothing_is_lost_or_wrong()


def test_a_killed_agent_reads_on_and_what_it_has_is_the_same(bench: Bench) -> None:
    for number in range(30):
        bench.write([cdr(number, bench.now, 3)])
        bench.clock.advance(5)
        if number % 7 == 0:
            bench.agent.kill()
        bench.agent.round()
    bench.settle()
    bench.assert_nothing_is_lost_or_wrong()
    assert len(bench.agent.history) == 20


def test_a_wanted_row_comes_with_the_next_poll(server: Any) -> None:
    pbx = Pbx(server, "cdr_wanted", CDR_SCHEMAS["freepbx"], ZONE)
    bench = Bench(pbx)
    long = cdr(1, bench.now, 3000)
    bench.pass_time(1500)
    bench.write([cdr(n, bench.now) for n in range(2, 12)])
    bench.pass_time(1500)
    bench.pass_time()  # a poll that looks far back is over now
    source = bench.agent.source
    assert isinstance(source, CdrTableSource)
    source.fetch([long.uniqueid, f"{NOON}.999"])
    bench.pass_time()
    bench.write([long])
    bench.pass_time()
    bench.assert_nothing_is_lost_or_wrong()
    pbx.close()
    bench.agent.close()

"""What polling costs a real server: one session, the same pace after a quiet hour, no table read through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from asterisk_connector.sources.cdr_table import CdrTableSource
from asterisk_connector.sources.tables.poller import Polling
from tests.kit.clock import FakeClock
from tests.kit.follower import Follower
from tests.kit.mariadb import MariaDB
from tests.kit.pbx_tables import CDR_SCHEMAS, Pbx, cdr

NOON = 1_795_262_400
DAY = 86_400


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["sipstack", "freepbx"])
def pbx(request: pytest.FixtureRequest, server: Any) -> Iterator[Pbx]:
    pbx = Pbx(server, "cdr_cost", CDR_SCHEMAS[request.param])
    yield pbx
    pbx.close()


def follow(pbx: Pbx, clock: FakeClock) -> Follower:
    polling = Polling(table="cdr", zone=pbx.zone)
    return Follower(lambda: CdrTableSource("cdr", pbx.server(), polling, clock=clock, notify=lambda _: None))


def sessions(pbx: Pbx) -> set[int]:
    """The agent's sessions that stand now, as the server numbers them: one that is opened anew has another number."""
    if pbx.driver == "mysql":
        sql = f"SELECT id FROM information_schema.PROCESSLIST WHERE USER = '{pbx.database.reader}'"
    else:
        sql = f"SELECT pid FROM pg_stat_activity WHERE usename = '{pbx.database.reader}'"
    return {int(number) for (number,) in pbx.bench.query(sql)}


def test_a_hundred_polls_with_calls_in_them_take_one_session(pbx: Pbx) -> None:
    clock = FakeClock(now=NOON * 1_000_000)
    agent = follow(pbx, clock)
    agent.round()
    first = sessions(pbx)
    assert len(first) == 1
    for number in range(100):
        pbx.write([cdr(number, NOON + 2 * number)])
        clock.advance(2)
        agent.round()
        assert sessions(pbx) == first
    assert len(agent.new) == 100
    agent.close()


def test_a_call_after_an_idle_hour_is_read_within_one_poll_interval(pbx: Pbx) -> None:
    clock = FakeClock(now=NOON * 1_000_000)
    agent = follow(pbx, clock)
    agent.round()
    for _ in range(1800):
        clock.advance(2)
        agent.round()
    pbx.write([cdr(1, NOON + 3595)])
    clock.advance(2)
    assert agent.round() == 1
    agent.close()


def rows_looked_at(server: MariaDB) -> int:
    """Rows and index entries the storage engine was asked for so far, of any session."""
    return sum(int(value) for _, value in server.query("SHOW GLOBAL STATUS LIKE 'Handler_read%'"))


@pytest.mark.parametrize("schema", ["sipstack", "freepbx"])
def test_the_first_start_on_a_large_table_looks_at_little_of_it(mariadb: MariaDB, schema: str) -> None:
    pbx = Pbx(mariadb, "cdr_large", CDR_SCHEMAS[schema])
    pbx.write([cdr(number, NOON - 30 * DAY + number * 60) for number in range(40_000)])
    clock = FakeClock(now=NOON * 1_000_000)
    agent = follow(pbx, clock)
    before = rows_looked_at(mariadb)
    agent.round()
    assert agent.history
    assert rows_looked_at(mariadb) - before < 4_000
    agent.close()
    pbx.close()

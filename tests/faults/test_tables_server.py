"""Databases that are away, silent, locked or shut: nothing hangs, nothing is lost, all is said (F36, F41, F42)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from asterisk_connector.clock import SystemClock
from asterisk_connector.errors import Misconfigured, Transient
from asterisk_connector.sources.cdr_table import CdrTableSource
from asterisk_connector.sources.tables.database import Server, connect
from asterisk_connector.sources.tables.poller import Polling
from tests.kit.clock import FakeClock
from tests.kit.follower import Follower
from tests.kit.link import Link
from tests.kit.pbx_tables import CDR_SCHEMAS, Pbx, cdr
from tests.kit.wait import until

NOON = 1_795_262_400
SCHEMAS = ("sipstack", "freepbx")


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=SCHEMAS)
def pbx(request: pytest.FixtureRequest, server: Any) -> Iterator[Pbx]:
    pbx = Pbx(server, "cdr_faults", CDR_SCHEMAS[request.param])
    yield pbx
    pbx.close()


def follow(pbx: Pbx, clock: FakeClock, **elsewhere: Any) -> Follower:
    place = pbx.server(connect_timeout=2.0, statement_timeout=1.0, **elsewhere)
    polling = Polling(table="cdr", zone=pbx.zone)
    return Follower(lambda: CdrTableSource("cdr", place, polling, clock=clock, notify=lambda _: None))


def rounds(agent: Follower, clock: FakeClock, times: int) -> None:
    for _ in range(times):
        clock.advance(2)
        agent.round()


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_a_server_that_goes_away_in_the_middle_costs_no_row(pbx: Pbx, how: str) -> None:
    clock = FakeClock(now=NOON * 1_000_000)
    agent = follow(pbx, clock)
    agent.round()
    written = []
    for number in range(60):
        row = cdr(number, NOON + 2 * number)
        pbx.write([row])
        written.append(pbx.schema.kept(row))
        if number == 30:
            pbx.close()
            if how == "kill":
                pbx.bench.kill()
            else:
                pbx.bench.stop()
            rounds(agent, clock, 2)
            pbx.bench.start()
            pbx.pen = pbx.connect()
        rounds(agent, clock, 1)
    rounds(agent, clock, 140)
    assert len(agent.failures) >= 2
    assert sorted(map(repr, agent.new)) == sorted(map(repr, written))
    agent.close()


def test_a_server_down_at_the_first_start_decides_about_history_when_it_first_answers(pbx: Pbx) -> None:
    clock = FakeClock(now=NOON * 1_000_000)
    pbx.write([cdr(1, NOON - 60)])
    pbx.close()
    pbx.bench.stop()
    agent = follow(pbx, clock)
    rounds(agent, clock, 3)
    assert len(agent.failures) == 3
    assert agent.position is None
    pbx.bench.start()
    pbx.pen = pbx.connect()
    pbx.write([cdr(2, NOON)])
    rounds(agent, clock, 1)
    pbx.write([cdr(3, NOON + 2)])
    rounds(agent, clock, 140)
    assert [pbx.schema.kept(cdr(3, NOON + 2))] == agent.new
    assert len(agent.history) == 2
    agent.close()


def test_a_link_that_falls_silent_is_given_up_and_the_table_read_by_another(pbx: Pbx) -> None:
    clock = FakeClock(now=NOON * 1_000_000)
    link = Link(pbx.database.host, pbx.database.port)
    agent = follow(pbx, clock, host="127.0.0.1", port=link.port)
    agent.round()
    assert not agent.failures
    pbx.write([cdr(1, NOON)])
    link.silence()
    began = time.monotonic()
    rounds(agent, clock, 2)  # the statement, then a new connection
    assert time.monotonic() - began < 12
    assert len(agent.failures) == 2
    link.speak()
    rounds(agent, clock, 140)
    assert agent.new == [pbx.schema.kept(cdr(1, NOON))]
    agent.close()
    link.close()


def test_a_locked_table_is_given_up_and_read_when_it_is_free(pbx: Pbx) -> None:
    clock = FakeClock(now=NOON * 1_000_000)
    agent = follow(pbx, clock)
    agent.round()
    pbx.write([cdr(1, NOON)])
    other = pbx.connect()
    if pbx.driver == "mysql":
        pbx.run("LOCK TABLES cdr WRITE", other)
    else:
        pbx.run("BEGIN", other)
        pbx.run("LOCK TABLE cdr IN ACCESS EXCLUSIVE MODE", other)
    rounds(agent, clock, 1)
    assert len(agent.failures) == 1
    assert "not answered within 1 s" in agent.failures[0]
    other.close()
    rounds(agent, clock, 140)
    assert agent.new == [pbx.schema.kept(cdr(1, NOON))]
    agent.close()


@pytest.mark.parametrize("driver", ["mysql", "postgresql"])
def test_a_peer_that_accepts_and_says_nothing_is_given_up(driver: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = Server(
            driver=driver,
            database="x",
            user="x",
            host="127.0.0.1",
            port=silent.getsockname()[1],
            connect_timeout=1.0,
            statement_timeout=1.0,
        )
        began = time.monotonic()
        with pytest.raises(Transient):
            connect(place)
        assert time.monotonic() - began < 12


def test_a_waiting_read_ends_when_it_is_woken(pbx: Pbx) -> None:
    polling = Polling(table="cdr", zone=pbx.zone, poll_interval=60.0)
    source = CdrTableSource("cdr", pbx.server(), polling, clock=SystemClock(), notify=lambda _: None)
    source.open(None)
    assert source.read(0) is not None  # where it begins
    assert source.read(0) is None
    ended = threading.Event()
    reading = threading.Thread(target=lambda: (source.read(60.0), ended.set()))
    reading.start()
    source.wake()
    assert ended.wait(10)
    reading.join()
    source.close()


@pytest.mark.parametrize(
    ("change", "hint"),
    [({"password": "wrong"}, "user"), ({"database": "nowhere"}, "name"), ({"user": "nobody"}, "user")],
    ids=["wrong password", "no such database", "no such account"],
)
def test_what_only_the_operator_can_mend_is_said_with_what_to_do(
    server: Any, change: dict[str, str], hint: str
) -> None:
    pbx = Pbx(server, "cdr_denied", CDR_SCHEMAS["sipstack"])
    with pytest.raises(Misconfigured) as caught:
        connect(pbx.server(**change))
    assert hint in caught.value.hint
    assert "bench" not in str(caught.value)
    pbx.close()


def test_a_table_that_is_not_there_or_may_not_be_read_is_said(server: Any) -> None:
    pbx = Pbx(server, "cdr_hidden", CDR_SCHEMAS["sipstack"])
    if pbx.driver == "mysql":
        server.query(f"REVOKE SELECT ON {pbx.database.name}.* FROM '{pbx.database.reader}'@'%'")
        server.query(f"GRANT INSERT ON {pbx.database.name}.* TO '{pbx.database.reader}'@'%'")
    else:
        pbx.run(f"REVOKE SELECT ON cdr FROM {pbx.database.reader}")
    for table in ("cdr", "cdrs"):
        source = CdrTableSource("cdr", pbx.server(), Polling(table=table), clock=SystemClock(), notify=lambda _: None)
        with pytest.raises(Misconfigured) as caught:
            source.open(None)
        assert caught.value.hint
    pbx.close()


def test_the_session_cannot_write(server: Any) -> None:
    pbx = Pbx(server, "cdr_readonly", CDR_SCHEMAS["sipstack"])
    owner = connect(pbx.server(user=pbx.database.user))
    with pytest.raises((Transient, Misconfigured), match=r"(?i)read.only"):
        owner.query("DELETE FROM cdr")
    owner.close()
    pbx.close()


@pytest.mark.prove
def test_a_transaction_open_for_thirty_real_seconds_is_read(pbx: Pbx) -> None:
    start = time.time_ns() // 1_000_000_000
    polling = Polling(table="cdr", zone=pbx.zone, poll_interval=0.5)
    agent = Follower(lambda: CdrTableSource("cdr", pbx.server(), polling, clock=SystemClock(), notify=lambda _: None))
    agent.round()
    late = pbx.connect()
    pbx.run("BEGIN", late)
    pbx.write([cdr(0, start)], pen=late)
    for second in range(1, 31):
        pbx.write([cdr(second, start + second)])
        until(lambda wanted=second: agent.round() >= 0 and len(agent.new) == wanted, within=10)
        until(lambda ends=start + second: time.time_ns() // 1_000_000_000 >= ends, within=5)
    pbx.run("COMMIT", late)
    until(lambda: agent.round() >= 0 and len(agent.new) == 31, within=60)
    late.close()
    agent.close()

"""F36, F41, F42, F52: the running agent and a database that is down, silent, restarted or killed, and its own kills."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from asterisk_connector.records import CdrRow
from tests.kit import captures
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import CallApi
from tests.kit.pbx_calls import PbxCalls, Writing, judge, no_content_under_two_keys, numbered
from tests.kit.told import status_of
from tests.kit.wait import until


@pytest.fixture(params=["mariadb", "postgresql"])
def pbx(request: pytest.FixtureRequest) -> Iterator[PbxCalls]:
    pbx = PbxCalls(request.getfixturevalue(request.param))
    yield pbx
    pbx.close()


@pytest.fixture
def api() -> Iterator[CallApi]:
    with CallApi() as api:
        yield api


def agent_for(home: Path, api: CallApi, pbx: PbxCalls, *tables: str, **options: Any) -> AgentProcess:
    settings = {
        "api": {"url": api.url},
        "sources": pbx.sources(*tables, poll_interval="500ms", **options),
        "calls": {"settle": "1s", "cdr_settle": "4s"},
    }
    return AgentProcess(home, settings)


def hasty(home: Path, api: CallApi, pbx: PbxCalls) -> AgentProcess:
    """It gives a silent server up after a second."""
    return agent_for(home, api, pbx, connect_timeout="1s", statement_timeout="1s")


def reads(agent: AgentProcess, within: float = 10.0) -> None:
    agent.wait_said("reading cel_table:", within)
    agent.wait_said("reading cdr_table:", within)


@contextlib.contextmanager
def down(pbx: PbxCalls) -> Iterator[None]:
    pbx.close()
    pbx.server.stop()
    try:
        yield
    finally:
        pbx.server.start()
        pbx.reconnect()


@contextlib.contextmanager
def frozen(pbx: PbxCalls) -> Iterator[None]:
    pbx.server.freeze()
    try:
        yield
    finally:
        pbx.server.thaw()


def test_calls_flow_when_a_database_that_was_down_at_the_start_comes_up(
    tmp_path: Path, pbx: PbxCalls, api: CallApi
) -> None:
    agent = agent_for(tmp_path, api, pbx)
    with contextlib.ExitStack() as running:
        with down(pbx):
            running.enter_context(agent)
            agent.wait_said("cannot read cel_table:")
            agent.wait_said("cannot read cdr_table:")
            told = status_of(agent)
            assert [(source.state, source.lag_seconds) for source in told.sources] == [("failing", None)] * 2
            assert {(problem.fault, problem.severity) for problem in told.problems} == {("remote", "error")}
            assert not told.service.healthy
        reads(agent, 40)
        calls = numbered(0, 30)
        pbx.write(calls)
        judge(api, calls, 20, lambda: agent.said)
        told = until(lambda: (now := status_of(agent)).service.ready and now, 10, "the agent is ready")
        assert [(source.state, source.lag_seconds) for source in told.sources] == [("reading", 0.0)] * 2
        assert all((source.bytes or 0) > 10 * source.rows > 0 for source in told.sources)
        assert (told.problems, told.calls.unaccounted) == ((), 0)
    assert "Traceback" not in agent.said


@pytest.mark.slow
@pytest.mark.parametrize(
    "seconds", [6, pytest.param(600, marks=[pytest.mark.prove, pytest.mark.timeout(900)])], ids=["short", "long"]
)
def test_a_server_that_falls_silent_among_calls_is_told_of_and_caught_up_with(
    tmp_path: Path, pbx: PbxCalls, api: CallApi, seconds: float
) -> None:
    calls = numbered(0, 60, gap=0.05)
    with hasty(tmp_path, api, pbx) as agent:
        reads(agent)
        with Writing(pbx, calls, a_second=20) as writing:
            until(lambda: writing.written >= 20, what="a third of the calls written")
            with frozen(pbx):
                agent.wait_said("cannot read cel_table:")
                agent.wait_said("cannot read cdr_table:")
                time.sleep(seconds)  # the length of the outage
                assert writing.written < len(calls)
                assert agent.running
            writing.finish()
        judge(api, calls, 60, lambda: agent.said)
    assert "Traceback" not in agent.said


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_restarted_or_killed_in_a_burst_costs_no_call(
    tmp_path: Path, pbx: PbxCalls, api: CallApi, how: str
) -> None:
    calls = numbered(0, 300)
    with agent_for(tmp_path, api, pbx) as agent:
        reads(agent)
        pbx.write(calls[:150])
        pbx.close()
        getattr(pbx.server, how)()
        pbx.server.start()
        pbx.reconnect()
        pbx.write(calls[150:])
        judge(api, calls, 60, lambda: agent.said)
    assert "Traceback" not in agent.said


@pytest.mark.parametrize("trouble", [down, frozen])
@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "not yet noticed"])
def test_the_agent_stops_in_time_while_its_database_is_away(
    tmp_path: Path, pbx: PbxCalls, api: CallApi, trouble: Any, noticed: bool
) -> None:
    agent = agent_for(tmp_path, api, pbx)
    with agent:
        reads(agent)
        with trouble(pbx):
            if noticed:
                agent.wait_said("cannot read cel_table:", 20)
            assert agent.stop(within=10) == 0
    assert "Traceback" not in agent.said


@pytest.mark.slow
def test_ten_kills_while_200_calls_are_written_lose_none(tmp_path: Path, pbx: PbxCalls, api: CallApi) -> None:
    chance = random.Random(7)
    first, *calls = numbered(0, 201, gap=0.07)
    agent = agent_for(tmp_path, api, pbx)
    with agent:  # what is in the tables before the first start is history
        reads(agent)
        pbx.write([first])
        until(lambda: first.linkedid in api.calls, 20, f"a first call\n{agent.said}")
    with Writing(pbx, calls, a_second=15) as writing:
        for _ in range(10):
            agent.launch()
            time.sleep(chance.uniform(0.05, 2.2))
            agent.kill()
        with agent:
            writing.finish()
            judge(api, [first, *calls], 60, lambda: agent.said)
    assert "Traceback" not in agent.said


CDR_ONLY = {
    "s01_internal_answered_a_hangs": "ANSWERED",
    "s03_no_answer_timeout": "NO ANSWER",
    "s04_busy_486": "BUSY",
    "s06_caller_cancels": "NO ANSWER",
    "s12_outbound_all_fail": "CONGESTION",
    "s14_ringgroup_second_answers": "ANSWERED",
    "s19_blind_refer_by_callee": "ANSWERED",
    "s22_blind_refer_noanswer": "ANSWERED",
    "s34_queue_ringall_answered": "ANSWERED",
    "s36_queue_abandon": "NO ANSWER",
    "s47_pickup_directed": "ANSWERED",
}
"""What a person says of calls whose rows mislead: leftovers after Dial, an abandoned queue, BUSY after an answer."""


def of_today(rows: Sequence[CdrRow]) -> list[CdrRow]:
    """The rows as if the call had begun now, their uniqueids too."""
    ahead = int(time.time()) - int(rows[0].uniqueid.partition(".")[0])

    def later(at: int | None) -> int | None:
        return None if at is None else at + ahead * 1_000_000

    def renamed(name: str) -> str:
        epoch, _, count = name.partition(".")
        return f"{int(epoch) + ahead}.{count}"

    return [
        replace(
            row,
            uniqueid=renamed(row.uniqueid),
            linkedid=renamed(row.linkedid),
            start=later(row.start),
            answer=later(row.answer),
            end=later(row.end),
        )
        for row in rows
    ]


def test_calls_known_by_cdr_rows_alone_are_shipped_once_and_truly(tmp_path: Path, pbx: PbxCalls, api: CallApi) -> None:
    calls: dict[str, list[CdrRow]] = {}
    for scenario in CDR_ONLY:
        rows = [row for row in captures.load("22.10", scenario, "CDR alone") or () if isinstance(row, CdrRow)]
        calls[scenario] = of_today(rows)
    with agent_for(tmp_path, api, pbx, "cdr_table") as agent:
        agent.wait_said("reading cdr_table:")
        for turn in range(max(map(len, calls.values()))):
            pbx.cdr.write([rows[turn] for rows in calls.values() if turn < len(rows)])
            time.sleep(0.7)  # Asterisk writes a leg's row when the leg is over
        until(lambda: len(api.calls) >= len(calls), 20, f"all calls at the API\n{agent.said}")
        told = {name: api.calls[rows[0].linkedid]["disposition"] for name, rows in calls.items()}
        assert told == CDR_ONLY
        assert len(api.requests) == len(api.calls) == len(calls)
        assert all(payload["is_complete"] for payload in api.calls.values())
    assert len(api.requests) == len(calls)
    no_content_under_two_keys(api)
    for number in {rows[0].src for rows in calls.values() if len(rows[0].src) > 3}:
        assert number not in agent.said  # D-23: the log names calls, not people

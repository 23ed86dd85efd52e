"""Calls in tables of real MariaDB and PostgreSQL: how soon they are shipped, what it costs the database, what is lost.

- Latency is from the commit of a call's last row to its first request, without the time the agent waits on purpose for
  late rows (`calls.settle`); `poll_interval` is 2 s, so that half of it is the least that p50 can be.
- Statements and rows are what the servers themselves count for the agent's account.
- The scenarios are those of tests/integration/test_tables_cdr.py, and a server that restarts in the middle.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.benchmarks.figure import Figure
from tests.integration import test_tables_cdr as scenarios
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import CallApi
from tests.kit.mariadb import MariaDB
from tests.kit.pbx_calls import SCHEMAS, PbxCalls, cdr_row, events, numbered
from tests.kit.pbx_tables import CDR_SCHEMAS, Pbx, cdr
from tests.kit.postgresql import PostgreSQL
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

SETTLE, POLL = 2.0, 2.0
A_SECOND = 10
BURST = 300
MONTH = 30 * 86_400
Server = MariaDB | PostgreSQL
Scenario = Callable[[scenarios.Bench], None]


def servers() -> Iterator[Server]:
    """Both, one after the other, counting what each account asks."""
    counting = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track_utility": "off"}
    for server in (MariaDB("--userstat=1"), PostgreSQL(**counting)):
        with server:
            if isinstance(server, PostgreSQL):
                server.query("CREATE EXTENSION pg_stat_statements")
            yield server


def figures(full: bool) -> Iterator[Figure]:
    for server in servers():
        yield from pace(server, full)
        yield from losses(server, full)


# how soon and at what cost


def pace(server: Server, full: bool) -> Iterator[Figure]:
    calls, burst, history = (200, BURST, 1_000_000) if full else (10, 20, 4_000)
    schema = SCHEMAS[server.kind]
    for rows in (0, history) if full else (history,):
        pbx = PbxCalls(server)
        if rows:
            fill(pbx.cel, [e for call in past(rows, 15) for e in events(call)], rows)
            fill(pbx.cdr, [cdr_row(call) for call in past(rows, 1)], rows)
        found = ship(pbx, calls, burst)
        pbx.close()
        name = f"{server.kind}, {schema}, {rows:,} rows in each table"
        yield Figure(f"{name}: row visible to request, p50", found.half, "s")
        yield Figure("  p99", found.most, "s")
        yield Figure("  statements for a call shipped", found.statements, "", "constant a poll")
        yield Figure(f"  rows returned, of {found.own} that a call has", found.rows, "")
        yield Figure(f"  burst of {burst} calls: until all are received", found.burst, "s")
        yield Figure("  calls lost or wrong", found.lost, "calls", "0")


class Shipped(NamedTuple):
    """Seconds, and counts for a call; `own` rows are written of each."""

    half: float
    most: float
    statements: float
    rows: float
    burst: float
    lost: int
    own: int = 16


def ship(pbx: PbxCalls, calls: int, burst: int) -> Shipped:
    """Ten calls a second, then many at once."""
    with tempfile.TemporaryDirectory() as directory, CallApi() as api:
        settings = {
            "api": {"url": api.url},
            "sources": pbx.sources(poll_interval=f"{POLL * 1000:.0f}ms"),
            "calls": {"settle": f"{SETTLE * 1000:.0f}ms"},
        }
        with AgentProcess(Path(directory), settings) as agent:
            agent.wait_said("reading cel_table:", 60)
            agent.wait_said("reading cdr_table:", 60)
            arrive(pbx, api, numbered(0, 1))  # what there was before has been read then
            paced = numbered(1, calls + 1, gap=1 / A_SECOND)
            before = asked(pbx)
            visible = {call.linkedid: _write(pbx, call) for call in paced}
            until(lambda: not lost(api, paced), 120, f"{calls} calls received")
            after = asked(pbx)
            first = first_requests(api)
            waits = sorted(first[name] - at - SETTLE for name, at in visible.items())
            at_once = numbered(calls + 1, calls + 1 + burst)
            took = arrive(pbx, api, at_once)
            gone = len(lost(api, paced)) + len(lost(api, at_once))
    return Shipped(
        statistics.median(waits),
        waits[min(len(waits) - 1, len(waits) * 99 // 100)],
        (after[0] - before[0]) / calls,
        (after[1] - before[1]) / calls,
        took,
        gone,
    )


def _write(pbx: PbxCalls, call: NumberedCall) -> float:
    """Writes a call; when its last row was committed, by the monotonic clock."""
    began = time.monotonic()
    pbx.write([call])
    at = time.monotonic()
    time.sleep(max(0.0, began + 1 / A_SECOND - at))
    return at


def arrive(pbx: PbxCalls, api: CallApi, calls: list[NumberedCall]) -> float:
    """Writes calls at once; seconds until all have arrived, or two minutes."""
    pbx.write(calls)
    began = time.monotonic()
    with contextlib.suppress(AssertionError):
        until(lambda: not lost(api, calls), 120)
    return time.monotonic() - began


def first_requests(api: CallApi) -> dict[str, float]:
    first: dict[str, float] = {}
    for request in api.requests:
        first.setdefault(request.call["linkedid"], request.at)
    return first


def lost(api: CallApi, calls: list[NumberedCall]) -> list[str]:
    """The calls that have not arrived, or not with all that both tables say."""
    return [
        call.linkedid
        for call in calls
        if (told := api.calls.get(call.linkedid)) is None
        or (told["src_extension"], told["dst_extension"], told["disposition"], told["call_threads_count"])
        != (call.caller, call.callee, "ANSWERED", 12)
    ]


def asked(pbx: PbxCalls) -> tuple[int, int]:
    """SELECT statements of the agent's account so far, and rows returned to them."""
    reader = pbx.cel.database.reader
    if pbx.server.kind == "mariadb":
        sql = (
            "SELECT sum(SELECT_COMMANDS), sum(ROWS_SENT) FROM information_schema.USER_STATISTICS"
            f" WHERE USER = '{reader}'"
        )
    else:
        sql = (
            "SELECT sum(calls), sum(rows) FROM pg_stat_statements JOIN pg_roles ON userid = pg_roles.oid"
            f" WHERE rolname = '{reader}' AND query ILIKE 'SELECT%'"
        )
    ((statements, rows),) = pbx.server.query(sql)
    return int(statements or 0), int(rows or 0)


# a month of history

FIRST = 2_000
"""So many rows are written one by one; the rest are their copies, earlier and earlier."""


def past(rows: int, of_a_call: int) -> list[NumberedCall]:
    """Calls with FIRST rows together, that ended an hour ago at most."""
    calls = FIRST // of_a_call
    span = MONTH * FIRST / rows
    return [NumberedCall(n, span / calls, int(time.time() - span) - 60) for n in range(calls)]


def fill(pbx: Pbx, first: list[object], rows: int) -> None:
    """Doubles the rows until there are so many, each time before those there are."""
    pbx.write(first)  # type: ignore[arg-type]
    span, there = int(MONTH * FIRST / rows) + 10, len(first)
    while there < rows:
        pbx.run(_copies(pbx, span))
        span, there = 2 * span, 2 * there
    pbx.run("ANALYZE TABLE " + pbx.table if pbx.driver == "mysql" else "ANALYZE " + pbx.table)


def _copies(pbx: Pbx, seconds: int) -> str:
    mysql = pbx.driver == "mysql"
    names, values = [], []
    for field, (name, _) in pbx.schema.columns.items():
        if field == "id":
            continue
        column = pbx.quoted(name)
        names.append(column)
        if field in ("at", "start", "answer", "end"):
            values.append(f"{column} - INTERVAL " + (f"{seconds} SECOND" if mysql else f"'{seconds} seconds'"))
        elif field in ("uniqueid", "linkedid"):
            epoch = f"SUBSTRING_INDEX({column}, '.', 1)" if mysql else f"split_part({column}, '.', 1)::bigint"
            count = f"SUBSTRING_INDEX({column}, '.', -1)" if mysql else f"split_part({column}, '.', 2)"
            shifted = f"CAST({epoch} - {seconds} AS {'INT' if mysql else 'text'})"
            values.append(f"CONCAT({shifted}, '.', {count})")
        else:
            values.append(column)
    return f"INSERT INTO {pbx.table} ({', '.join(names)}) SELECT {', '.join(values)} FROM {pbx.table}"


# what is lost


def a_server_that_restarts_in_the_middle(bench: scenarios.Bench) -> None:
    for number in range(60):
        bench.write([cdr(number, bench.now)])
        if number == 30:
            bench.pbx.close()
            bench.pbx.bench.restart()
            bench.pbx.pen = bench.pbx.connect()
        bench.pass_time()
    bench.settle()


SCENARIOS: dict[str, Scenario] = {
    "burst of 300": scenarios.test_three_hundred_calls_at_once_are_all_read,
    "10 calls/s, 15 % long": scenarios.test_ten_calls_a_second_with_long_ones_among_them_are_all_read,
    "CDR batch of 100": scenarios.test_a_cdr_batch_of_a_hundred_after_five_minutes_is_read,
    "overlapping long call": scenarios.test_a_long_call_around_a_short_one_is_read_when_it_ends,
    "30 s transaction": scenarios.test_a_row_that_commits_thirty_seconds_late_is_read,
    "5,000 rows in one second": scenarios.test_five_thousand_rows_in_one_second_are_all_read,
    "server restart": a_server_that_restarts_in_the_middle,
    "DST end": scenarios.test_the_repeated_hour_when_clocks_go_back_is_read_at_its_right_time,
    "row dated 2038": scenarios.test_a_row_dated_2038_hides_no_other,
    "NULL dstchannel": scenarios.test_null_columns_are_unknown_not_an_error,
}


def losses(server: Server, full: bool) -> Iterator[Figure]:
    for schema in CDR_SCHEMAS if full else ("freepbx",):
        counted: Counter[str] = Counter()
        for scenario in SCENARIOS if full else ("burst of 300",):
            counted.update(lose(server, schema, SCENARIOS[scenario]))
        what = f"{server.kind}, {schema}: rows written in {counted['scenarios']} scenarios"
        yield Figure(what, counted["written"], "rows")
        yield Figure("  lost", counted["lost"], "rows", "0")
        yield Figure("  wrong", counted["wrong"], "rows", "0")


def lose(server: Server, schema: str, scenario: Scenario) -> dict[str, int]:
    """What of the rows written in one scenario did not come out as they were written; counted, not judged."""
    pbx = Pbx(server, "cdr_bench", CDR_SCHEMAS[schema], ZoneInfo("America/Toronto"))
    bench = scenarios.Bench(pbx)
    with contextlib.suppress(AssertionError):
        scenario(bench)
    written = Counter(map(repr, map(pbx.schema.kept, bench.written)))
    read = Counter(map(repr, bench.agent.new))
    bench.agent.close()
    pbx.close()
    return {
        "scenarios": 1,
        "written": written.total(),
        "lost": (written - read).total(),
        "wrong": (read - written).total() + len(bench.agent.set_aside),
    }

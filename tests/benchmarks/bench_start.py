"""A start with a million deliveries owed: from the start of the process to the first request, and the memory it takes.

Budget: less than 2 s, memory as flat as with none.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from asterisk_connector.call import Call, encode
from asterisk_connector.clock import SystemClock
from asterisk_connector.notices import ignore
from asterisk_connector.store.store import Store
from tests.benchmarks.figure import Figure, Process, medians
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import CallApi
from tests.kit.wait import until


def figures(full: bool) -> Iterator[Figure]:
    owed = 1_000_000 if full else 1_000
    with tempfile.TemporaryDirectory() as directory, CallApi() as api:
        agent = _agent(Path(directory), api)
        alone, _ = medians(lambda: start(agent, api), full=full)
        load(agent.state, owed)
        first, memory = medians(lambda: start(agent, api), full=full)
    yield Figure("start without any state, until ready", alone, "s")
    yield Figure(f"start with {owed:,} calls owed, until the first request", first, "s", "< 2")
    yield Figure("  resident memory then", memory, "MB", "≤ 80")


def _agent(home: Path, api: CallApi) -> AgentProcess:
    cel = home / "Master.csv"
    cel.touch()
    return AgentProcess(home, {"api": {"url": api.url}, "sources": {"cel_csv": [{"path": str(cel)}]}})


def start(agent: AgentProcess, api: CallApi) -> tuple[float, float]:
    """Seconds until READY, or until the first request where calls are owed, and MB resident at that moment."""
    owed = (agent.state / "owed").exists()
    received, began = len(api.requests), time.monotonic()
    agent.start()
    if owed:
        until(lambda: len(api.requests) > received, 60, "a first request")
    took = (api.requests[received].at if owed else time.monotonic()) - began
    memory = Process(agent.pid).memory()
    agent.kill()
    return took, memory


def load(state: Path, owed: int) -> None:
    """So many settled calls, each owed: in SQL, since one by one they would take minutes."""
    Store.open(state, clock=SystemClock(), notify=ignore).close()
    now = SystemClock().now()
    body = encode(Call("1795291042.1", ("1795291042.1",), complete=True, started_at=now, revision=1, host="pbx"))
    with closing(sqlite3.connect(state / "calls.db", isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("BEGIN")
        db.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)"
            " INSERT INTO call (id, state, fresh, first_record, opened_at, touched_at, settled_at, raw, call_id,"
            " complete, revision, phase, shipped_at, body)"
            " SELECT i, 'settled', 1, i, ?2, ?2, ?2, 0, '1795291042.' || i, 1, 1, 'complete', ?2, ?3 FROM n",
            (owed, now, body),
        )
        db.execute(
            "INSERT INTO delivery (call, sink, host, call_id, revision, phase, body, created_at, due_at)"
            " SELECT id, 'call_api', 'pbx', call_id, 1, 'complete', body, opened_at, opened_at FROM call"
        )
        db.execute("COMMIT")
    (state / "owed").touch()

"""F52: a backfill is killed in the middle of what it owes; asked again, every call arrives, each once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from asterisk_connector.clock import SystemClock
from asterisk_connector.errors import ConnectorError
from asterisk_connector.store.store import Store
from tests.kit.agent_process import AgentProcess
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

CALLS = 1200


def owed(state: Path) -> int:
    """How many calls are owed to the file so far."""
    try:
        store = Store.read_only(state, clock=SystemClock())
    except ConnectorError:  # not made yet
        return 0
    try:
        backlog = store.counts().backlog.get("calls_file")
        return backlog.pending if backlog else 0
    finally:
        store.close()


@pytest.mark.timeout(180)
def test_a_killed_backfill_loses_and_doubles_nothing(tmp_path: Path) -> None:
    cel, out = tmp_path / "Master.csv", tmp_path / "calls.jsonl"
    calls = [NumberedCall(n, gap=5, base=int(time.time()) - 3 * 3600) for n in range(CALLS)]
    cel.write_bytes(b"".join(row + b"\n" for call in calls for _, row in call.rows()))
    agent = AgentProcess(
        tmp_path, {"sources": {"cel_csv": [{"path": str(cel)}]}, "calls": {"file": {"path": str(out), "fsync": False}}}
    )
    verb = [sys.executable, "-m", "asterisk_connector", "backfill", "--config", str(agent.config), "--rate", "0"]
    verb += ["--since", time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(calls[0].base - 60))]
    verb += ["--until", time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())]
    scratch = tmp_path / "scratch"  # what a kill leaves behind
    scratch.mkdir()
    with subprocess.Popen(verb, env={**os.environ, "TMPDIR": str(scratch)}) as first:
        until(lambda: owed(agent.state), 60, "the first calls owed")
        first.kill()
    assert 0 < owed(agent.state) < CALLS
    subprocess.run(verb, check=True, timeout=60)
    with agent:
        until(lambda: len(told(out)) >= CALLS and not owed(agent.state), 60, f"all calls in the file\n{agent.said}")
    names = Counter(document["call_id"] for document in told(out))
    assert names == Counter(call.linkedid for call in calls)


def told(out: Path) -> list[dict[str, str]]:
    """The documents of the file."""
    return [msgspec.json.decode(line) for line in out.read_bytes().splitlines()] if out.exists() else []

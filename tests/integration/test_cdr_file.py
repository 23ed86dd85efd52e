"""A PBX that writes nothing but cdr_csv: calls from its file, by the service and by backfill."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

from asterisk_connector.clock import SystemClock
from asterisk_connector.store.store import Store
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import CallApi
from tests.kit.captures import CAPTURES
from tests.kit.wait import until

SCENARIOS = ("s01_internal_answered_a_hangs", "s07_inbound_did_answered", "s10_outbound_answered", "s04_busy_486")


def master(path: Path) -> None:
    path.write_bytes(
        b"".join(
            gzip.decompress((CAPTURES / "22.10" / scenario / "cdr_master.csv.gz").read_bytes())
            for scenario in SCENARIOS
        )
    )


def settings(api: CallApi, path: Path, start_at: str) -> dict[str, Any]:
    return {
        "start_at": start_at,
        "api": {"url": api.url},
        "sources": {"cdr_csv": [{"path": str(path), "zone": "UTC"}]},
        "calls": {"cdr_settle": "500ms"},
    }


def history(state: Path) -> int:
    """Calls that are settled as history."""
    if not (state / "calls.db").exists():
        return 0
    store = Store.read_only(state, clock=SystemClock())
    try:
        return sum(call.state == "history" for call in store.calls())
    finally:
        store.close()


def check(api: CallApi) -> None:
    until(lambda: len(api.calls) >= len(SCENARIOS), 20, "all calls at the API")
    assert len(api.requests) == len(SCENARIOS)
    told = [(c["direction"], c["disposition"]) for c in sorted(api.calls.values(), key=lambda c: c["call_time"])]
    assert sorted(told) == sorted([("x", "ANSWERED"), ("i", "ANSWERED"), ("o", "ANSWERED"), ("x", "BUSY")])


def test_each_call_of_a_cdr_file_arrives_once(tmp_path: Path) -> None:
    path = tmp_path / "Master.csv"
    master(path)
    with CallApi() as api, AgentProcess(tmp_path, settings(api, path, "beginning")):
        check(api)


def test_what_stood_in_a_cdr_file_before_the_first_start_can_be_backfilled(tmp_path: Path) -> None:
    path = tmp_path / "Master.csv"
    master(path)
    with CallApi() as api:
        agent = AgentProcess(tmp_path, settings(api, path, "now"))
        with agent:
            until(lambda: history(agent.state) == len(SCENARIOS), 20, "the past is known as history")
        assert not api.requests
        backfill = [sys.executable, "-m", "asterisk_connector", "backfill", "--config", str(agent.config)]
        period = ["--since", "2026-11-21T00:00:00Z", "--until", "2026-11-22T00:00:00Z"]
        done = subprocess.run([*backfill, *period], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        with agent:
            check(api)

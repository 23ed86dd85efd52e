"""What the agent costs while nothing happens: CSV and HTTP configured; then with a backlog and an API that is down.

Budget: less than 0.3 % of one core, RSS ≤ 50 MB, ≤ 80 MB with 100,000 calls owed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from asterisk_connector.clock import SystemClock
from asterisk_connector.notices import ignore
from asterisk_connector.store.store import Store
from tests.benchmarks.bench_delivery import owe
from tests.benchmarks.bench_rows import NOBODY
from tests.benchmarks.figure import Figure, Process, medians
from tests.kit.agent_process import AgentProcess


def figures(full: bool) -> Iterator[Figure]:
    settled, watched = (10.0, 30.0) if full else (0.5, 1.0)
    owed = 100_000 if full else 200
    cpu, wakes, memory = medians(lambda: idle(0, settled, watched), full=full)
    yield Figure("idle, CSV and HTTP: CPU", cpu, "% of a core", "< 0.3")
    yield Figure("  wake-ups of all threads", wakes, "a second", "no timer < 1 s")
    yield Figure("  resident memory", memory, "MB", "≤ 50")
    cpu, _, memory = idle(owed, settled, watched)
    yield Figure(f"{owed:,} calls owed, API down: CPU", cpu, "% of a core")
    yield Figure("  resident memory", memory, "MB", "≤ 80")


def idle(owed: int, settled: float, watched: float) -> tuple[float, float, float]:
    """% of one core, wake-ups a second, MB resident: over `watched` seconds, `settled` seconds after the start."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        cel = home / "Master.csv"
        cel.touch()
        settings = {"api": {"url": NOBODY}, "sources": {"cel_csv": [{"path": str(cel)}]}}
        agent = AgentProcess(home, settings)
        if owed:
            store = Store.open(agent.state, clock=SystemClock(), notify=ignore)
            owe(store, owed)
            store.close()
        with agent:
            time.sleep(settled)
            process = Process(agent.pid)
            cpu, switches = process.cpu(), process.switches()
            time.sleep(watched)
            spent = process.cpu() - cpu
            return 100 * spent / watched, (process.switches() - switches) / watched, process.memory()

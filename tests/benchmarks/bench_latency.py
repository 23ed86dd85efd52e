"""From LINKEDID_END written to the request received: ten calls a second in a CEL file, a call API on loopback.

Budget: p99 ≤ 300 ms, without the time the agent waits on purpose for late rows (`calls.settle`).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.figure import Figure, medians
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import CallApi
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

SETTLE = 0.5
A_SECOND = 10


def figures(full: bool) -> Iterator[Figure]:
    half, most = medians(lambda: latency(200 if full else 10), full=full)
    yield Figure("LINKEDID_END written to request received, p50", 1e3 * half, "ms")
    yield Figure("  p99", 1e3 * most, "ms", "≤ 300")


def latency(calls: int) -> tuple[float, float]:
    """Seconds: the median, and the 99th of a hundred."""
    with tempfile.TemporaryDirectory() as directory, CallApi() as api:
        home = Path(directory)
        cel = home / "Master.csv"
        cel.touch()
        settings = {
            "start_at": "beginning",
            "api": {"url": api.url},
            "sources": {"cel_csv": [{"path": str(cel)}]},
            "calls": {"settle": f"{SETTLE * 1000:.0f}ms"},
        }
        with AgentProcess(home, settings):
            written = {call.linkedid: _write(cel, call) for call in map(NumberedCall, range(calls))}
            until(lambda: len(api.accepted) == calls, 60, f"{calls} calls received")
        waits = sorted(r.at - written[r.call["linkedid"]] - SETTLE for r in api.requests)
        return statistics.median(waits), waits[min(len(waits) - 1, len(waits) * 99 // 100)]


def _write(cel: Path, call: NumberedCall) -> float:
    """Writes the rows of a call as cel_custom does; when the last one was written, by the monotonic clock."""
    for _, row in call.rows():
        with cel.open("ab") as file:
            file.write(row + b"\n")
    at = time.monotonic()
    time.sleep(1 / A_SECOND)
    return at

"""A backlog to a call API on loopback, and how the time grows with it (the pieces: `bench_delivery`)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.bench_delivery import drain, server
from tests.benchmarks.figure import Figure, medians

WORKERS = 4


def figures(full: bool) -> Iterator[Figure]:
    calls = 3000 if full else 50
    with server() as url:

        def run(size: int) -> tuple[float, float]:
            with tempfile.TemporaryDirectory() as directory:
                return drain(url, Path(directory), size, WORKERS)

        _, small = medians(lambda: run(calls // 10), full=full)
        wall, cpu = medians(lambda: run(calls), full=full)
    yield Figure("backlog to a call API on loopback", calls / wall, "calls/s", "≥ 500")
    yield Figure("  CPU of the agent", 1e3 * cpu / calls, "ms/call", "≤ 1.5")
    yield Figure("  ten times the calls take", cpu / small, "times the CPU", "9 to 11, or less")

"""What the status page costs the data path: CEL rows settled while nobody, one page, and a crowd asks.

The crowd is 64 clients that ask again as soon as they are answered, for everything there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

from tests.benchmarks.bench_rows import PER_CALL, settle
from tests.benchmarks.figure import Figure, medians
from tests.kit.hammer import Hammer
from tests.kit.server import hold_address
from tests.kit.traffic import traffic

CROWD = 64


def figures(full: bool) -> Iterator[Figure]:
    calls = 10_000 if full else 100
    rows = calls * PER_CALL
    quiet, quiet_cpu, asked, asked_cpu = medians(lambda: (*_run(calls, 0), *_run(calls, CROWD)), full=full)
    yield Figure("CEL rows settled, nobody asks for the page", rows / quiet, "rows/s")
    yield Figure(f"  {CROWD} clients ask without a pause", rows / asked, "rows/s", "not slower")
    yield Figure("  CPU of the agent, nobody asks", 1e6 * quiet_cpu / rows, "µs/row")
    yield Figure(f"  {CROWD} clients ask without a pause", 1e6 * asked_cpu / rows, "µs/row")


def _run(calls: int, crowd: int) -> tuple[float, float]:
    """Seconds of wall time and of the agent's CPU."""
    held, address = hold_address()
    with held, Hammer(address, 8000, crowd) if crowd else nullcontext():
        return settle(traffic(calls), calls, http={"listen": f"{address}:8000"})

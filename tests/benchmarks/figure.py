"""What a benchmark finds: one measured value beside its budget, told in one line of a table.

A benchmark is a module with `figures(full)`: `full` takes the sizes the budgets speak of; else it is only shown that
the benchmark still works, in seconds.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

RUNS = 3
_TICKS = os.sysconf("SC_CLK_TCK")


class Figure(NamedTuple):
    """`budget` is in words, empty where a value only helps to read the others."""

    what: str
    value: float
    unit: str
    budget: str = ""

    def __str__(self) -> str:
        value = f"{self.value:,.0f}" if self.value >= 100 else f"{self.value:,.3g}"
        return f"{self.what:58}{value:>10} {self.unit:18}{self.budget}"


def medians(run: Callable[[], tuple[float, ...]], *, full: bool) -> tuple[float, ...]:
    """The median of each value over RUNS runs; of one when it is only shown that it works."""
    return tuple(map(statistics.median, zip(*(run() for _ in range(RUNS if full else 1)), strict=True)))


class Process(NamedTuple):
    """What the kernel says of a running process (proc(5))."""

    pid: int

    def cpu(self) -> float:
        """Seconds of CPU, user and system, so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> float:
        """Resident memory in MB."""
        return int(self._status("VmRSS").split()[0]) / 1024

    def switches(self) -> int:
        """How often its threads went to sleep so far: each is a wake-up."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int(_field((task / "status").read_text(), "voluntary_ctxt_switches")) for task in tasks)

    def _status(self, name: str) -> str:
        return _field(Path(f"/proc/{self.pid}/status").read_text(), name)


def _field(status: str, name: str) -> str:
    return next(line.partition(":")[2].strip() for line in status.splitlines() if line.startswith(name + ":"))

"""CEL rows through the running agent: file, source, store, assembly; settled, and owed to an API that is down.

Budget: 25,000 rows/s, ten times the work in 9 to 11 times the time, and one call of 20,000 rows no worse than many.
The wait after a call's last row (`calls.settle`) is set to nothing. The csv module's own speed on the same rows says
how fast the machine is.
"""

from __future__ import annotations

import csv
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from tests.benchmarks.figure import Figure, Process, medians
from tests.kit.agent_process import AgentProcess
from tests.kit.traffic import NumberedCall, traffic
from tests.kit.wait import until

NOBODY = "http://127.0.0.1:9/"
PER_CALL = 15


def figures(full: bool) -> Iterator[Figure]:
    calls = 10_000 if full else 100
    _, small = medians(lambda: settle(traffic(calls // 10), calls // 10), full=full)
    wall, cpu = medians(lambda: settle(traffic(calls), calls), full=full)
    rows = calls * PER_CALL
    yield Figure("CEL rows settled, running agent", rows / wall, "rows/s", "≥ 25,000")
    yield Figure("  CPU of the agent", 1e6 * cpu / rows, "µs/row", "≤ 40")
    yield Figure("  csv.reader alone on the same rows", 1e6 * reference(calls // 10) / (rows // 10), "µs/row")
    yield Figure("  ten times the rows take", cpu / max(small, 0.01), "times the CPU", "9 to 11, or less")
    pairs = 10_000 if full else 100
    _, small = medians(lambda: settle(long_call(pairs // 10), 1), full=full)
    wall, cpu = medians(lambda: settle(long_call(pairs), 1), full=full)
    yield Figure(f"one call of {2 * pairs:,} rows", 2 * pairs / wall, "rows/s")
    yield Figure("  ten times the rows take", cpu / max(small, 0.01), "times the CPU", "9 to 11, or less")


def settle(rows: Iterable[bytes], calls: int, **settings: object) -> tuple[float, float]:
    """Seconds of wall time and of the agent's CPU from the moment the file is there to the last call settled."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        written = home / "written"
        written.write_bytes(b"".join(rows))
        cel = home / "Master.csv"
        agent = AgentProcess(
            home,
            {
                "start_at": "beginning",
                "api": {"url": NOBODY},
                "sources": {"cel_csv": [{"path": str(cel)}]},
                "calls": {"settle": "0s"},
                **settings,
            },
        )
        with agent, closing(sqlite3.connect(f"file:{agent.state / 'calls.db'}?mode=ro", uri=True)) as state:
            process = Process(agent.pid)
            before, began = process.cpu(), time.monotonic()
            written.rename(cel)
            until(lambda: _settled(state) == calls, 300, f"{calls} calls settled")
            return time.monotonic() - began, process.cpu() - before


def _settled(state: sqlite3.Connection) -> int:
    return int(state.execute("SELECT count(*) FROM call WHERE state <> 'open'").fetchone()[0])


def reference(calls: int) -> float:
    """Seconds of CPU the csv module takes for the rows of so many calls."""
    text = b"".join(traffic(calls)).decode().splitlines()
    began = time.process_time()
    for _ in csv.reader(text):
        pass
    return time.process_time() - began


def long_call(pairs: int) -> Iterator[bytes]:
    """One call that goes into a bridge and out again so many times: hold, or an attended transfer that never ends."""
    rows = [row for _, row in NumberedCall(0).rows()]
    entering, leaving = 5, 7
    for row in rows[: entering + 2]:
        yield row + b"\n"
    for number in range(pairs):
        for place in (leaving, entering + 1):
            instant = b"%d.%06d" % (NumberedCall(0).start + 2 + number // 1000, number % 1000 * 1000 + place)
            cells = rows[place].split(b'","')
            cells[1] = instant
            yield b'","'.join(cells) + b"\n"
    late = NumberedCall(0).start + 3 + pairs // 1000
    for place, row in enumerate(rows[leaving:]):
        cells = row.split(b'","')
        cells[1] = b"%d.%06d" % (late, place)
        yield b'","'.join(cells) + b"\n"

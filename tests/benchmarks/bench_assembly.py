"""Rows of captured calls into call documents, in memory: what the pure middle costs, per row."""

from __future__ import annotations

import time
from collections.abc import Iterator

from asterisk_connector.assembly.assemble import assemble
from tests.benchmarks.figure import Figure, medians
from tests.kit.captures import VERSIONS, load, truths


def figures(full: bool) -> Iterator[Figure]:
    found = [load(version, scenario, "stock") for version in VERSIONS for scenario in truths(version)]
    calls = [records for records in found if records]
    rows = sum(map(len, calls))
    repeat = 20 if full else 1

    def run() -> tuple[float]:
        began = time.process_time()
        for _ in range(repeat):
            for records in calls:
                assemble(records)
        return (time.process_time() - began,)

    (cpu,) = medians(run, full=full)
    yield Figure(f"assembly of {len(calls)} captured calls, {rows:,} rows", 1e6 * cpu / (repeat * rows), "µs/row")
    yield Figure("  a call", 1e3 * cpu / (repeat * len(calls)), "ms")

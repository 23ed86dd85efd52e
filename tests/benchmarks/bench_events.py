"""AMI events from a manager port to Kafka's acknowledgement: the relay as a process, a real capture replayed.

Budgets: at least 20,000 events/s at no more than 45 µs of CPU each. Beside it the same with the journal's fsync off,
and a bare loop without any journal (`bare_relay`) on the same records and broker. The broker is librdkafka's mock
cluster in a third process; replay, relay and broker share the machine's cores.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.benchmarks.figure import Figure, medians
from tests.benchmarks.relays import RATE, bare, burst, careless, latency, ours

_TOPIC = "asterisk_ami"


def figures(full: bool) -> Iterator[Figure]:
    times = 7 if full else 1
    for what, command in (
        ("AMI events journalled, published, acknowledged", ours),
        ("the same without fsync", careless),
        ("a bare loop without a journal", bare),
    ):

        def run() -> tuple[float, ...]:
            with mock_broker() as brokers:
                return burst(command, brokers, _TOPIC, times)  # noqa: B023 called before the next turn

        rate, cpu, memory = medians(run, full=full)
        yield Figure(what, rate, "events/s", "≥ 20,000" if command is ours else "")
        yield Figure("  CPU of the process", cpu, "µs/event", "≤ 45" if command is ours else "")
        yield Figure("  resident memory", memory, "MB")
    with mock_broker() as brokers:
        middle, worst = latency(ours, brokers, _TOPIC, 5 if full else 1)
    yield Figure(f"latency at {RATE:,} events/s, median", middle * 1e3, "ms")
    yield Figure("  99 of 100", worst * 1e3, "ms", "≤ 100")


@contextmanager
def mock_broker() -> Iterator[str]:
    """A broker of its own process, with the topic; its address."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.kit.mock_kafka", _TOPIC], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as broker:
        try:
            assert broker.stdout is not None
            yield broker.stdout.readline().strip()
        finally:
            broker.kill()

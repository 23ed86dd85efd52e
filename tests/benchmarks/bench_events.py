"""AMI events from a manager port to Kafka's acknowledgement: the relay as a process, a real capture replayed.

Budgets: at least 20,000 events/s at no more than 45 µs of CPU each. Beside it the same with the journal's fsync off,
and a bare loop without any journal (`bare_relay`) on the same records and broker. The broker is librdkafka's mock
cluster in a third process; replay, relay and broker share the machine's cores. Latency is from writing an event to the
manager's socket until a consumer has it, at 2,000 events a second.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from asterisk_connector.ami.wire import Event, Framer
from tests.benchmarks.figure import Figure, Process, medians
from tests.kit.fake_ami import FakeAmi
from tests.kit.wait import until

CAPTURE = Path(__file__).parent.parent / "unit/data/ami/asterisk-22.10-calls.cap.gz"
RATE = 2000
PARTITIONS = 4


def figures(full: bool) -> Iterator[Figure]:
    events = [f.body for f in Framer().feed(gzip.decompress(CAPTURE.read_bytes())) if isinstance(f, Event)]
    times = 7 if full else 1
    for what, module, options in (
        ("AMI events journalled, published, acknowledged", "tests.kit.relay", ["durable"]),
        ("the same without fsync", "tests.kit.relay", ["careless"]),
        ("a bare loop without a journal", "tests.benchmarks.bare_relay", []),
    ):
        durable = options == ["durable"]
        rate, cpu, memory = medians(lambda m=module, o=options: burst(m, o, events, times), full=full)  # type: ignore[misc]
        yield Figure(what, rate, "events/s", "≥ 20,000" if durable else "")
        yield Figure("  CPU of the process", cpu, "µs/event", "≤ 45" if durable else "")
        yield Figure("  resident memory", memory, "MB")
    middle, worst = latency(5 if full else 1)
    yield Figure(f"latency at {RATE:,} events/s, median", middle * 1e3, "ms")
    yield Figure("  99 of 100", worst * 1e3, "ms", "≤ 100")


def burst(module: str, options: list[str], events: list[bytes], times: int) -> tuple[float, ...]:
    """Events per second, CPU in µs per event, resident memory in MB."""
    stream = b"".join(events)
    with running(module, options) as (ami, watch, process):
        ami.say(events[0])
        until(lambda: watch.arrived() >= 1, 30)
        before, began, cpu = watch.arrived(), time.monotonic(), process.cpu()
        for _ in range(times):
            ami.say(stream)
        wanted = before + times * len(events)
        until(lambda: watch.arrived() >= wanted, 120)
        took = time.monotonic() - began
        count = times * len(events)
        return count / took, 1e6 * (process.cpu() - cpu) / count, process.memory()


def latency(seconds: int) -> tuple[float, float]:
    """Median and 99th percentile in seconds at `RATE`."""
    with running("tests.kit.relay", ["durable"]) as (ami, watch, _):
        ami.say(_stamped())
        until(lambda: watch.arrived() >= 1, 30)
        watch.follow()
        took: list[float] = []
        began, sent = time.monotonic(), 0
        while sent < RATE * seconds:
            due = int((time.monotonic() - began) * RATE) - sent
            if due:
                ami.say(b"".join(_stamped() for _ in range(due)))
                sent += due
            took += watch.latencies(0.001)
        until(lambda: len(took.__iadd__(watch.latencies(0.05))) >= sent, 30)
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100]


def _stamped() -> bytes:
    fill = "x" * 300
    return f"Event: UserEvent\r\nPrivilege: user,all\r\nSent: {time.monotonic_ns()}\r\nFill: {fill}\r\n\r\n".encode()


class Watch:
    """What has arrived at the broker."""

    def __init__(self, brokers: str, topic: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": brokers, "group.id": "x", "fetch.wait.max.ms": 5, "log_level": 0}
        )
        self._parts = [TopicPartition(topic, p) for p in range(PARTITIONS)]

    def arrived(self) -> int:
        return sum(self._consumer.get_watermark_offsets(part, timeout=10)[1] for part in self._parts)

    def follow(self) -> None:
        """Reads from here on."""
        ends = [self._consumer.get_watermark_offsets(part, timeout=10)[1] for part in self._parts]
        self._consumer.assign(
            [TopicPartition(p.topic, p.partition, end) for p, end in zip(self._parts, ends, strict=True)]
        )

    def latencies(self, timeout: float) -> list[float]:
        now = time.monotonic_ns
        return [
            (now() - int(message.value().split(b'"Sent":"', 1)[1].split(b'"', 1)[0])) / 1e9
            for message in self._consumer.consume(1000, timeout=timeout)
            if not message.error()
        ]


@contextmanager
def running(module: str, options: list[str]) -> Iterator[tuple[FakeAmi, Watch, Process]]:
    """A manager, a broker and the relay between them, each in its own process but the manager."""
    topic = "asterisk_ami"
    ami = FakeAmi()
    broker = subprocess.Popen(
        [sys.executable, "-m", "tests.kit.mock_kafka", topic], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert broker.stdout is not None
    brokers = broker.stdout.readline().strip()
    watch = Watch(brokers, topic)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        paths = [str(Path(folder) / "ami.db")] if options else []
        relay = subprocess.Popen([sys.executable, "-m", module, str(ami.port), brokers, topic, *paths, *options])
        try:
            until(lambda: ami.sessions, 20, "a session")
            yield ami, watch, Process(relay.pid)
        finally:
            relay.kill()
            relay.wait()
            ami.close()
            broker.kill()
            broker.wait()

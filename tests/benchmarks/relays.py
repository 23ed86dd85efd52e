"""Anything that brings AMI events to Kafka, as a process between a scripted manager and a broker, and what it costs.

Figures are of events that the broker has: counted by its log's end offsets, read back for their age.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from asterisk_connector.ami.wire import Event, Framer
from tests.benchmarks.figure import Process
from tests.kit.fake_ami import FakeAmi
from tests.kit.wait import until

RATE = 2000
PARTITIONS = 4
_CAPTURE = Path(__file__).parent.parent / "unit/data/ami/asterisk-22.10-calls.cap.gz"

Command = Callable[[int, str, str, Path], list[str]]
"""Manager port, brokers, topic and a folder of its own → the command of a relay."""


def ours(port: int, brokers: str, topic: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "tests.kit.relay", str(port), brokers, topic, str(folder / "ami.db")]


def careless(port: int, brokers: str, topic: str, folder: Path) -> list[str]:
    """Ours with the journal's fsync off."""
    return [*ours(port, brokers, topic, folder), "careless"]


def bare(port: int, brokers: str, topic: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.bare_relay", str(port), brokers, topic]


def captured() -> list[bytes]:
    """Events of a real session, each with its end."""
    return [f.body for f in Framer().feed(gzip.decompress(_CAPTURE.read_bytes())) if isinstance(f, Event)]


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

    def close(self) -> None:
        self._consumer.close()


@contextmanager
def running(command: Command, brokers: str, topic: str) -> Iterator[tuple[FakeAmi, Watch, Process]]:
    """A manager in this process and the relay in one of its own; the topic is there and nobody else writes to it."""
    ami = FakeAmi()
    watch = Watch(brokers, topic)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        relay = subprocess.Popen(command(ami.port, brokers, topic, Path(folder)))
        try:
            until(lambda: ami.sessions, 20, "a session")
            yield ami, watch, Process(relay.pid)
        finally:
            relay.kill()
            relay.wait()
            watch.close()
            ami.close()


def burst(command: Command, brokers: str, topic: str, times: int) -> tuple[float, ...]:
    """Events per second, CPU in µs per event, resident memory in MB: the capture `times` times, without a pause."""
    events = captured()
    stream = b"".join(events)
    with running(command, brokers, topic) as (ami, watch, process):
        before = watch.arrived()
        ami.say(stream[: len(events[0])])
        until(lambda: watch.arrived() > before, 30)
        before, began, cpu = watch.arrived(), time.monotonic(), process.cpu()
        for _ in range(times):
            ami.say(stream)
        count = times * len(events)
        until(lambda: watch.arrived() >= before + count, 240)
        took = time.monotonic() - began
        return count / took, 1e6 * (process.cpu() - cpu) / count, process.memory()


def latency(command: Command, brokers: str, topic: str, seconds: int) -> tuple[float, float]:
    """Median and 99th percentile in seconds at `RATE`, from writing to the manager's socket until a consumer has it."""
    with running(command, brokers, topic) as (ami, watch, _):
        before = watch.arrived()
        ami.say(_stamped())
        until(lambda: watch.arrived() > before, 30)
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

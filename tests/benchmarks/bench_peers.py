"""The relay beside what else brings AMI events to Kafka: same records, same real broker, one run.

Peers: panoramisk with aiokafka (`panoramisk_relay`, in a virtual environment of its own that `make bench` makes) and a
bare loop of socket and confluent-kafka (`bare_relay`). Neither keeps anything on disk: what they hold when they or
Kafka stop is lost. All wait for acks=all, without compression, with 5 ms of linger. Runs take turns, so that other work
of the machine hits all alike.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.figure import RUNS, Figure
from tests.benchmarks.relays import PARTITIONS, RATE, Command, bare, burst, careless, latency, ours
from tests.kit.kafka import Kafka

PYTHON = Path(".venv-bench/bin/python")
_RELAY = Path(__file__).with_name("panoramisk_relay.py")


def panoramisk(port: int, brokers: str, topic: str, folder: Path) -> list[str]:
    return [str(PYTHON), str(_RELAY), str(port), brokers, topic]


PEERS: dict[str, Command] = {
    "this relay, durable": ours,
    "this relay, without fsync": careless,
    "bare socket + confluent-kafka": bare,
    "panoramisk + aiokafka": panoramisk,
}


def figures(full: bool) -> Iterator[Figure]:
    with Kafka() as kafka:
        yield from compare(kafka, PEERS, full=full)


def compare(kafka: Kafka, peers: dict[str, Command], *, full: bool) -> Iterator[Figure]:
    brokers = kafka.client()["bootstrap.servers"]
    bursts: dict[str, list[tuple[float, ...]]] = {name: [] for name in peers}
    ages: dict[str, list[tuple[float, float]]] = {name: [] for name in peers}
    for run in range(RUNS if full else 1):
        for number, (name, command) in enumerate(peers.items()):
            kafka.create_topic(topic := f"peers-{run}-{number}", PARTITIONS)
            bursts[name].append(burst(command, brokers, topic, 7 if full else 1))
            kafka.create_topic(topic := f"peers-{run}-{number}-latency", PARTITIONS)
            ages[name].append(latency(command, brokers, topic, 5 if full else 1))
    for name, command in peers.items():
        rate, cpu, memory = map(statistics.median, zip(*bursts[name], strict=True))
        middle, worst = map(statistics.median, zip(*ages[name], strict=True))
        yield Figure(name, rate, "events/s", "≥ 3 × panoramisk + aiokafka" if command is ours else "")
        yield Figure("  CPU of the process", cpu, "µs/event", "≤ 45" if command is ours else "")
        yield Figure("  resident memory", memory, "MB")
        yield Figure(f"  latency at {RATE:,} events/s, median", middle * 1e3, "ms")
        yield Figure("  99 of 100", worst * 1e3, "ms")

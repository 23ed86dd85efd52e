"""Every benchmark still works, on sizes that take seconds; no figure is judged here."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.benchmarks.__main__ import NAMES
from tests.benchmarks.bench_peers import PEERS, compare, panoramisk
from tests.kit.kafka import Kafka

ON_SERVERS = (pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300))


@pytest.mark.parametrize("name", [pytest.param(n, marks=ON_SERVERS if n == "tables" else ()) for n in NAMES])
def test_a_benchmark_gives_a_figure_for_every_line_of_the_table(name: str) -> None:
    figures = list(import_module(f"tests.benchmarks.bench_{name}").figures(False))
    assert figures
    assert all(figure.value >= 0 and figure.unit in str(figure) for figure in figures)
    assert any(figure.value > 0 for figure in figures)


def test_the_comparison_with_peers_gives_a_figure_for_every_line_of_the_table(kafka: Kafka) -> None:
    peers = {name: command for name, command in PEERS.items() if command is not panoramisk}
    assert all(figure.value > 0 for figure in compare(kafka, peers, full=False))

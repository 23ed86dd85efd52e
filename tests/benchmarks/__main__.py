"""Runs all benchmarks, or those named, and prints one table: `python -m tests.benchmarks [rows latency …]`."""

from __future__ import annotations

import sys
import time
from importlib import import_module

NAMES = ("assembly", "rows", "delivery_path", "latency", "tables", "idle", "start", "events", "http")


PEERS = "peers"
"""Wants the virtual environment of `make bench`, and a real Kafka."""


def main() -> None:
    for name in sys.argv[1:] or (*NAMES, PEERS):
        began = time.monotonic()
        for figure in import_module(f"tests.benchmarks.bench_{name}").figures(True):
            print(figure, flush=True)
        print(f"  ({name}: {time.monotonic() - began:.0f} s)\n", flush=True)


if __name__ == "__main__":
    main()

"""How fast the store takes rows in, settles and hands out deliveries: `python -m tests.benchmarks.bench_store [DIR]`.

Prints a table; figures depend on the disk below DIR, which is a temporary directory unless given.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from asterisk_connector.clock import SystemClock
from asterisk_connector.notices import ignore
from asterisk_connector.records import Batch, CelEvent, Seen
from asterisk_connector.store import Store
from tests.kit.rows import settlement

ROWS = 100_000
PER_CALL = 20
OWED = 2_000
THREADS = 8


def event(n: int) -> CelEvent:
    """A row of usual size: about 230 bytes as Asterisk writes it."""
    linked = f"1790000000.{n // PER_CALL * 4}"
    return CelEvent(
        "CHAN_START",
        1_790_000_000_000_000 + n,
        f"1790000000.{n // PER_CALL * 4 + n % 4}",
        linked,
        f"PJSIP/alice-{n:08x}",
        cid_num="100",
        cid_name="Alice",
        exten="200",
        context="from-internal",
        app_name="Dial",
        app_data="PJSIP/200,30",
        extra='{"dialstatus":"ANSWER","hangupcause":16}',
    )


def appending(store: Store, source: str, rows: int, size: int) -> int:
    """Appends `rows` rows in batches of `size`."""
    for first in range(0, rows, size):
        seen = [Seen(str(n * 230), event(n)) for n in range(first, first + size)]
        store.append(Batch(source, seen, str(first + size).encode()))
    return rows


def settling(store: Store, together: int) -> int:
    """Reads, settles and owes open calls, so many with one wait."""
    calls = [call for call, _ in zip(store.open_calls(), range(OWED), strict=False)]
    for first in range(0, len(calls), together):
        store.settle_all([settlement(store, call) for call in calls[first : first + together]])
    return len(calls)


def delivering(store: Store) -> int:
    """Leases and delivers all that is owed, the outcomes written by several threads as couriers do."""
    done = 0
    while items := store.lease("api", 100):
        shares = [items[n::THREADS] for n in range(THREADS)]
        threads = [threading.Thread(target=lambda share=share: [*map(store.delivered, share)]) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done += len(items)
    return done


def main() -> None:
    """Runs every piece of work once."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as directory:
        store = Store.open(Path(directory), clock=SystemClock(), notify=ignore)
        works: list[tuple[str, Callable[[], int]]] = [
            ("rows appended, batches of 500", lambda: appending(store, "csv", ROWS, 500)),
            ("rows appended again (all known)", lambda: appending(store, "csv", ROWS, 500)),
            ("rows appended, batches of 10", lambda: appending(store, "tens", 10_000, 10)),
            ("rows appended, one by one", lambda: appending(store, "ones", 2_000, 1)),
            ("calls read, settled and owed, one by one", lambda: settling(store, 1)),
            ("calls read, settled and owed, by 50", lambda: settling(store, 50)),
            (f"deliveries written off by {THREADS} threads", lambda: delivering(store)),
        ]
        print(f"{'':45}{'per second':>12}{'CPU µs each':>14}")
        for name, work in works:
            wall, cpu = time.perf_counter(), time.process_time()
            done = work()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(f"{name:45}{done / wall:12,.0f}{cpu / done * 1e6:14.1f}")
        store.close()


if __name__ == "__main__":
    main()

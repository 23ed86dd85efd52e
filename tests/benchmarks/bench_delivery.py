"""How fast a backlog reaches the call API: real store on disk, real courier, HTTP server in a process of its own.

    python -m tests.benchmarks.bench_delivery [CALLS] [WORKERS…]

Budget: at least 500 calls/s and at most 1.5 ms of this process's CPU per call. The last two lines set one tenth of the
work beside the whole of it: cost must grow with size, not faster. The disk's fsync is part of what is measured.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asterisk_connector.call import Call, Leg, Party, ThreadEvent, encode
from asterisk_connector.clock import SystemClock
from asterisk_connector.delivery.courier import Courier, CourierPolicy
from asterisk_connector.notices import Delivered, Notice, ignore
from asterisk_connector.records import Batch, CelEvent, Seen
from asterisk_connector.sinks.call_api import CallApi, CallApiSettings
from asterisk_connector.sinks.call_api_payload import PayloadSettings
from asterisk_connector.store.store import Store
from asterisk_connector.store.words import Owed, Settlement

START = 1_795_291_042_000_000
PHONE, TRUNK = "PJSIP/137-000002ab", "PJSIP/trunk-acme-000002ac"
EVENTS = (
    "CHAN_START CHAN_START ANSWER ANSWER BRIDGE_ENTER BRIDGE_ENTER BRIDGE_EXIT HANGUP BRIDGE_EXIT HANGUP LINKEDID_END"
)


def two_leg_call(call_id: str) -> bytes:
    """A call as most are: two legs, eleven CEL events and a CDR row; about 2.7 kB as the API gets it."""
    thread = [
        ThreadEvent(START + n * 200_000, event, call_id, (PHONE, TRUNK)[n % 2], "6475553345", "from-internal")
        for n, event in enumerate(EVENTS.split())
    ]
    thread.append(ThreadEvent(START, "CDR", call_id, PHONE, src="137", dst="6475553345", dstchannel=TRUNK, duration=3))
    return encode(
        Call(
            call_id,
            (call_id,),
            complete=True,
            started_at=START,
            answered_at=START + 600_000,
            ended_at=START + 2_200_000,
            revision=1,
            host="pbx1",
            direction="outbound",
            caller=Party("137", "JOHN DOE", "137"),
            dialled="6475553345",
            outcome="answered",
            disposition="ANSWERED",
            legs=(Leg(call_id, PHONE, "caller", "137"), Leg(call_id, TRUNK, "dialled", "6475553345", trunk="acme")),
            thread=tuple(thread),
        )
    )


def owe(store: Store, calls: int) -> None:
    """A backlog of so many settled calls."""
    for first in range(0, calls, 500):
        names = [f"1795291042.{n}" for n in range(first, min(first + 500, calls))]
        rows = [Seen(name, CelEvent("LINKEDID_END", START, name, name)) for name in names]
        appended = store.append(Batch("bench", rows, b""))
        settlements = []
        for call, (row,) in appended.touched.items():
            assert isinstance(row, CelEvent)
            body = two_leg_call(row.uniqueid)
            settlements.append(
                Settlement(
                    call, store.rows(call)[-1][0], "settled", row.uniqueid, True, 1, b"", body,
                    (Owed("call_api", "complete", body),), "complete",
                )
            )  # fmt: skip
        assert all(store.settle_all(settlements))


def drain(url: str, directory: Path, calls: int, workers: int) -> tuple[float, float]:
    """Seconds of wall time and of CPU until a backlog of so many calls is delivered."""
    clock, done, left = SystemClock(), threading.Event(), calls

    def count(notice: Notice) -> None:
        nonlocal left
        if isinstance(notice, Delivered):
            with lock:
                left -= 1
                if not left:
                    done.set()

    lock = threading.Lock()
    store = Store.open(directory, clock=clock, notify=ignore)
    owe(store, calls)
    settings = CallApiSettings(url, "sk_bench", PayloadSettings("1.0.0"), connections=workers)
    courier = Courier(
        CallApi(settings, clock=clock), store, clock=clock, notify=count, policy=CourierPolicy(workers=workers)
    )
    wall, cpu = time.monotonic(), time.process_time()
    courier.start()
    if not done.wait(600):
        raise SystemExit(f"{left} of {calls} calls are still owed after 600 s")
    spent = time.monotonic() - wall, time.process_time() - cpu
    courier.stop(10)
    store.close()
    return spent


@contextmanager
def server() -> Iterator[str]:
    """A call API in a process of its own."""
    command = [sys.executable, "-m", "tests.kit.call_api"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    sizes = [(calls, int(workers)) for workers in sys.argv[2:] or ("2", "4", "8")] + [(calls // 10, 4), (calls, 4)]
    print(f"{'calls':>8} {'workers':>8} {'calls/s':>10} {'CPU ms/call':>12}")
    with server() as url:
        for size, workers in sizes:
            with tempfile.TemporaryDirectory() as directory:
                wall, cpu = drain(url, Path(directory), size, workers)
            print(f"{size:>8} {workers:>8} {size / wall:>10.0f} {1000 * cpu / size:>12.2f}")


if __name__ == "__main__":
    main()

"""kill -9 at random moments: what a method returned from is on disk, nothing is there twice (F52, F54)."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from asterisk_connector.clock import SystemClock
from asterisk_connector.records import Batch, CelEvent, Seen
from asterisk_connector.store import Limits, Store
from tests.kit.rows import cel, settlement
from tests.kit.wait import until

KILLS = 15
CALLS = 4000
LIMITS = Limits(reserve_bytes=0)


def work(directory: Path, witness: Path) -> None:
    """Reads on from the position, settles and delivers; tells `witness` what was delivered, before and after."""
    store = Store.open(directory, clock=SystemClock(), notify=print, limits=LIMITS)
    with witness.open("a", buffering=1) as log:
        print("ready", flush=True)
        for n in range(int(store.position("csv") or 0), CALLS):
            linked = f"{n // 2}.0"
            rows = [Seen(f"{n}/{i}", cel(f"pbx-{n}.{i}", linked, mark=f"{n}/{i}")) for i in range(5)]
            store.append(Batch("csv", rows, str(n + 1).encode()))
            log.write(f"read {n}\n")
            for call in list(store.open_calls()) if n % 5 == 4 else []:
                assert store.settle(settlement(store, call))
            for item in store.lease("api", 3) if n % 3 == 0 else []:
                log.write(f"sent {item.idempotency_key}\n")
                store.delivered(item)
                log.write(f"done {item.idempotency_key}\n")


def test_nothing_is_lost_and_no_delivery_repeated_after_it_was_written_down(tmp_path: Path) -> None:
    chance = random.Random(5)
    state, witness = tmp_path / "state", tmp_path / "witness"
    code = (
        "from pathlib import Path; from tests.faults.test_store_kill import work;"
        f" work(Path({str(state)!r}), Path({str(witness)!r}))"
    )
    for _ in range(KILLS):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=_environment())
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0, 0.15))  # the moment of the kill, not a wait for an effect
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()

    lines = [line.split() for line in witness.read_text().splitlines()]
    told = [line[1] for line in lines if len(line) == 2 and line[0] == "read"]
    store = Store.open(state, clock=SystemClock(), notify=print, limits=LIMITS)
    position = int(store.position("csv") or 0)
    assert position > max(map(int, told)) > 0
    stored = Counter(
        row.user_field for known in store.calls(CALLS) for _, row in store.rows(known.call) if isinstance(row, CelEvent)
    )
    assert stored == Counter(f"{n}/{i}" for n in range(position) for i in range(5))
    calls = store.calls(CALLS)
    assert {known.call for known in calls if known.state == "open"} == set(store.open_calls())
    assert len(calls) == (position + 1) // 2

    pending = {item.idempotency_key for item in store.lease("api", CALLS)}
    sent = Counter(line[1] for line in lines if line[0] == "sent" and len(line) == 2)
    done = Counter(line[1] for line in lines if line[0] == "done" and len(line) == 2)
    assert max(done.values()) == 1
    assert not pending & set(done)
    for known in calls:
        for revision in range(1, known.revision + 1):
            key = f"pbx1:{known.call_id}:{revision}"
            assert key in sent or key in pending or _later(known.call_id, revision, pending)
    store.close()


def _later(call_id: str, revision: int, pending: set[str]) -> bool:
    """Whether an earlier revision of the same call still waits, so that this one is not offered yet."""
    return any(f"pbx1:{call_id}:{earlier}" in pending for earlier in range(1, revision))


def test_a_lock_left_by_a_killed_process_is_no_obstacle(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from asterisk_connector.store import Store;"
        " from asterisk_connector.clock import SystemClock;"
        f" store = Store.open(Path({str(tmp_path)!r}), clock=SystemClock(), notify=print); print('ready', flush=True);"
        " time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=_environment())
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.kill()
    child.wait()
    child.stdout.close()
    assert (tmp_path / "lock").read_text().strip() == str(child.pid)
    store = Store.open(tmp_path, clock=SystemClock(), notify=print)
    until(lambda: (tmp_path / "lock").read_text().strip() == str(os.getpid()))
    store.close()


def _environment() -> dict[str, str]:
    root = Path(__file__).parents[2]
    return {**os.environ, "PYTHONPATH": f"{root}:{root / 'agent'}"}

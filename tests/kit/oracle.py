"""Who knows what must arrive: numbered calls go into a file, and the receiver's memory is held against them.

The five properties of every fault: each call arrives (P1), nothing unknown does (P2), with the content it must have
(P3); a fresh call gets through after the fault (P4, by the last calls written); what arrives twice carries the same
idempotency key (P5).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.kit.call_api import CallApi
from tests.kit.traffic import BASE, NumberedCall, traffic
from tests.kit.wait import until


class Writer:
    """Writes numbered calls as cel_custom does, one open and one append a row, and rotates by renaming.

    `base` is when the first one starts: hosts of other bases have other calls.
    """

    def __init__(self, path: Path, calls: int, *, seconds: float, rotations: int = 0, base: int = BASE) -> None:
        self.path = path
        self.calls = [NumberedCall(n, base=base) for n in range(calls)]
        self._rows = list(traffic(calls, base=base))
        self._pause = seconds / len(self._rows)
        self._rotate_every = len(self._rows) // (rotations + 1) + 1
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._write, name="cel_custom", daemon=True)
        self.rotated = 0

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def writing(self) -> bool:
        return self._thread.is_alive()

    def finish(self) -> None:
        """Waits until all is written."""
        self._thread.join()

    def hurry(self) -> None:
        """Writes what is left at once: every call that began has its end."""
        self._hurry.set()
        self._thread.join()

    def _write(self) -> None:
        for number, row in enumerate(self._rows, 1):
            with self.path.open("ab") as file:
                file.write(row)
            if number % self._rotate_every == 0:
                self._rotate()
            if self._stop.wait(0 if self._hurry.is_set() else self._pause):
                return

    def _rotate(self) -> None:
        """As logrotate does: the oldest generations move up."""
        for generation in range(self.rotated, 0, -1):
            self.path.with_suffix(f".csv.{generation}").rename(self.path.with_suffix(f".csv.{generation + 1}"))
        self.path.rename(self.path.with_suffix(".csv.1"))
        self.rotated += 1


def judge(api: CallApi, calls: Sequence[NumberedCall], within: float, said: Callable[[], str] = str) -> int:
    """Waits until every call arrived, then checks what arrived; returns how many requests were repetitions."""
    expected = {call.linkedid: call for call in calls}
    until(
        lambda: expected.keys() <= api.calls.keys(), within, f"all {len(expected)} calls at the API\n{said()[-3000:]}"
    )
    assert api.calls.keys() == expected.keys()
    for linkedid, payload in api.calls.items():
        call = expected[linkedid]
        assert payload["src_extension"] == call.caller
        assert payload["dst_extension"] == call.callee
        assert payload["disposition"] == "ANSWERED"
        assert payload["is_complete"] is True
        assert payload["call_threads_count"] == 11
    keys = {key.split(":")[1] for key in api.accepted}
    assert keys == expected.keys()
    twice = [key for key in api.accepted if sum(other.split(":")[1] == key.split(":")[1] for other in api.accepted) > 1]
    assert not twice, f"calls were delivered under two keys: {sorted(twice)}"
    return sum(api.accepted.values()) - len(api.accepted)

"""How much there is in the state, counted as often as it is cheap: for a status that anybody may ask for at any time.

- Counting costs little, however much is owed, and takes at most one part in `COUNTING` of the time, whoever asks: many
  times a second. Holding the state's books against what is there costs the more, the more is owed, and takes one part
  in `AUDITING`: where a million calls are owed some minutes go by. In between the last answer is given.
- What cannot be counted now keeps its last answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

import msgspec

from asterisk_connector.call import decode
from asterisk_connector.clock import Clock
from asterisk_connector.errors import ConnectorError
from asterisk_connector.snapshot import CallNow
from asterisk_connector.store.store import Store
from asterisk_connector.store.words import Counts

COUNTING = 20
AUDITING = 500
T = TypeVar("T")


class Counted(NamedTuple):
    """None is what was never counted."""

    counts: Counts | None
    recent: tuple[CallNow, ...]
    unaccounted: int | None


class Counter:
    """Of one store at a time; any thread may ask."""

    def __init__(self, clock: Clock) -> None:
        self._there: _Paced[tuple[Counts, tuple[CallNow, ...]]] = _Paced(clock, COUNTING)
        self._unaccounted: _Paced[int] = _Paced(clock, AUDITING)

    def counted(self, store: Store) -> Counted:
        """Counts, the latest calls, and how many are unaccounted for."""
        counts, recent = self._there.get(lambda: (store.counts(), _latest(store))) or (None, ())
        return Counted(counts, recent, self._unaccounted.get(store.unaccounted))


class _Paced(Generic[T]):
    """The last answer to a question that is asked anew when its time has come."""

    def __init__(self, clock: Clock, share: float) -> None:
        self._clock = clock
        self._share = share
        self._lock = threading.Lock()
        self._due = 0.0
        self._answer: T | None = None

    def get(self, ask: Callable[[], T]) -> T | None:
        """Who comes while another asks gets the last answer, and waits only for the very first."""
        if self._clock.monotonic() >= self._due and self._lock.acquire(blocking=self._answer is None):
            try:
                began = self._clock.monotonic()
                with suppress(ConnectorError):
                    self._answer = ask()
                self._due = began + self._share * (self._clock.monotonic() - began)
            finally:
                self._lock.release()
        return self._answer


def _latest(store: Store) -> tuple[CallNow, ...]:
    found: list[CallNow] = []
    for settled in store.latest():
        with suppress(msgspec.DecodeError):  # of another version: it is told by `calls show` alone
            found.append(CallNow(decode(settled.body), not settled.left))
    return tuple(found)

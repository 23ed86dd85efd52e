"""How much there is in the state, counted as often as it is cheap: for a status that anybody may ask for at any time.

- Counting may take one part in `SHARE` of the time, whoever asks: a small state is counted several times a second, one
  with a million calls owed about once in a minute. In between the last answer is given.
- What cannot be counted now keeps its last answer.
"""

from __future__ import annotations

import threading
from contextlib import suppress

import msgspec

from asterisk_connector.call import decode
from asterisk_connector.clock import Clock
from asterisk_connector.errors import ConnectorError
from asterisk_connector.records import Micros
from asterisk_connector.snapshot import CallNow
from asterisk_connector.store.store import Store
from asterisk_connector.store.words import Counts

SHARE = 500

Counted = tuple[Counts | None, tuple[CallNow, ...], Micros | None]


class Counter:
    """Of one store at a time; any thread may ask."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._due = 0.0
        self._counted: Counted = (None, (), None)

    def counted(self, store: Store) -> Counted:
        """Counts, the latest calls, and when they were read. Who comes while another counts gets the last answer."""
        if self._clock.monotonic() >= self._due and self._lock.acquire(blocking=self._counted[2] is None):
            try:
                began = self._clock.monotonic()
                with suppress(ConnectorError):
                    self._counted = (store.counts(), _latest(store), self._clock.now())
                self._due = began + SHARE * (self._clock.monotonic() - began)
            finally:
                self._lock.release()
        return self._counted


def _latest(store: Store) -> tuple[CallNow, ...]:
    found: list[CallNow] = []
    for settled in store.latest():
        with suppress(msgspec.DecodeError):  # of another version: it is told by `calls show` alone
            found.append(CallNow(decode(settled.body), not settled.left))
    return tuple(found)

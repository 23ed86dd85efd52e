"""Time, as one thing that can be handed in: tests pass a fake, nobody inside reads the system's clock.

- `monotonic()` is for waiting and for scheduling; it never jumps.
- `now()` is for what is written down: UTC microseconds. Within one process it follows the monotonic clock from the wall
  time read at start, so that a step of the host's clock (F56) neither buries nor bursts; small corrections are followed
  by `resync()`, and a step is adopted when it has stayed for a while (`agent.py`).
"""

from __future__ import annotations

import time
from typing import Protocol

from asterisk_connector.records import Micros


class Clock(Protocol):
    """Both clocks of a host."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never backwards."""

    def now(self) -> Micros:
        """UTC, microseconds since the epoch."""


class SystemClock:
    """The host's clocks."""

    def __init__(self) -> None:
        self._offset = 0
        self.resync()

    def resync(self) -> None:
        """Adopts the host's wall time as it is now."""
        self._offset = time.time_ns() // 1000 - time.monotonic_ns() // 1000

    def drift(self) -> float:
        """Seconds by which the host's wall time has left ours since the last `resync`."""
        return (time.time_ns() // 1000 - time.monotonic_ns() // 1000 - self._offset) / 1e6

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> Micros:
        return time.monotonic_ns() // 1000 + self._offset

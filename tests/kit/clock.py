"""A clock that stands still until told to go on."""

from __future__ import annotations


class FakeClock:
    """Both clocks of `asterisk_connector.clock.Clock`, moved by hand."""

    def __init__(self, now: int = 1_800_000_000_000_000, monotonic: float = 1000.0) -> None:
        self._now = now
        self._monotonic = monotonic

    def monotonic(self) -> float:
        return self._monotonic

    def now(self) -> int:
        return self._now

    def advance(self, seconds: float) -> None:
        """Time passes, on both clocks."""
        self._monotonic += seconds
        self._now += int(seconds * 1_000_000)

    def step(self, seconds: float) -> None:
        """Somebody sets the host's wall clock."""
        self._now += int(seconds * 1_000_000)

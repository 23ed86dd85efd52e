"""How fast a backlog goes out after an outage: a token bucket that is only there while the backlog lasts. Pure.

- Idle it limits nothing. From `begin` to `end` at most `rate` items a second go out, a fifth of a second's at once.
- Times are monotonic seconds.
"""

from __future__ import annotations

_PORTION = 0.2


class Pace:
    """`rate` in items a second; 0 never limits."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._full = max(1.0, rate * _PORTION)
        self._tokens = 0.0
        self._filled_at: float | None = None

    def begin(self, now: float) -> None:
        """The sink is back: from here on it is paced."""
        if self._rate > 0 and self._filled_at is None:
            self._tokens, self._filled_at = 1.0, now

    def end(self) -> None:
        """The backlog is gone."""
        self._filled_at = None

    def room(self, now: float, wanted: int) -> int:
        """How many of `wanted` may go now."""
        if self._filled_at is None:
            return wanted
        self._tokens = min(self._full, self._tokens + max(0.0, now - self._filled_at) * self._rate)
        self._filled_at = now
        return min(wanted, int(self._tokens))

    def spend(self, items: int) -> None:
        """So many went."""
        if self._filled_at is not None:
            self._tokens -= items

    @property
    def wait(self) -> float:
        """Seconds until it is worth asking again."""
        return max(_PORTION / 2, 1.0 / self._rate) if self._filled_at is not None else 0.0

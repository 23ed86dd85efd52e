"""Whether a sink is worth asking: one breaker per sink, closed, open or half open. Pure, time is handed in.

- An outage (nobody would fare better) opens it at once. Failures that may be an item's own trouble open it when
  `threshold` *different* items failed in a row: a poisoned item alone never closes the road for the others (law 6).
- Open admits nothing. When its wait is over one probe is admitted, and only one; its failure doubles the wait up to
  `cap`, any answer that proves the sink alive closes the breaker.
- Paused is open for a reason only the operator can mend: probes are rare (`pause`), and no wait grows.
- Times are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from asterisk_connector.delivery.retry import ceiling


class State(Enum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Waits in seconds: `base` doubling to `cap` between probes in an outage, `pause` between those while paused."""

    threshold: int = 3
    base: float = 1.0
    cap: float = 60.0
    pause: float = 60.0


@dataclass(slots=True)
class Breaker:
    """One sink's breaker. Not locked: the courier's lock covers it."""

    policy: BreakerPolicy = field(default_factory=BreakerPolicy)
    state: State = State.CLOSED
    paused: bool = False
    until: float = 0.0
    _failing: set[int] = field(default_factory=set)
    _opened_at: float = 0.0
    _probes_failed: int = 0

    def ready(self, now: float) -> bool:
        """Whether a probe may be sent."""
        return self.state is State.OPEN and now >= self.until

    def probe(self) -> None:
        """The probe is on its way: nothing else is admitted until it is answered."""
        self.state = State.HALF_OPEN

    def succeeded(self, now: float) -> float | None:
        """The sink answered. The length of the outage that ends with it, in seconds; None when there was none."""
        self._failing.clear()
        if self.state is State.CLOSED:
            return None
        self.state, self.paused, self.until = State.CLOSED, False, 0.0
        self._probes_failed = 0
        return now - self._opened_at

    def failed(self, now: float, item: int, *, outage: bool, after: float, chance: float) -> bool:
        """An attempt failed. True when this opened a closed breaker.

        `after` is the sink's wish in seconds (0: none), `chance` uniform in [0, 1). A failure that comes in while the
        breaker is open already was sent before it opened and says nothing new.
        """
        self._failing.add(item)
        if self.state is State.OPEN:
            self.until = max(self.until, now + after)
            return False
        if self.state is State.CLOSED:
            if not outage and len(self._failing) < self.policy.threshold:
                return False
            self._opened_at = now
            opened = True
        else:
            self._probes_failed += 1
            opened = False
        longest = ceiling(self._probes_failed, self.policy.base, self.policy.cap)
        self._open(now + max(after, longest * (0.5 + chance / 2)), paused=False)
        return opened

    def pause(self, now: float) -> bool:
        """Only the operator can help. True when the sink was not paused before."""
        if self.state is State.CLOSED:
            self._opened_at = now
        news = not self.paused
        self._open(now + self.policy.pause, paused=True)
        return news

    def hurry(self, now: float) -> None:
        """The operator acted: the next probe is due at once, and the waits grow from the start again."""
        self.until = min(self.until, now)
        self._probes_failed = 0

    def _open(self, until: float, *, paused: bool) -> None:
        self.state, self.until, self.paused = State.OPEN, until, paused
        self._failing.clear()

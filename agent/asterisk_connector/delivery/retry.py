"""When a delivery that did not get through is offered again, and when it is given up. Pure.

- The wait is full jitter under a doubling ceiling: 0 ≤ wait ≤ min(cap, base × 2^attempts).
- The other side's own word (`Retry-After`) is a lower bound: nothing is offered before it. A word longer than
  `longest_wish` counts as `longest_wish`, so that a mistaken header cannot silence a sink for days.
- Giving up is decided only on an answer: whatever its age, an item is offered at least once in the life of a process
  before it can be buried (a host that was switched off for three days loses nothing).
- Age is never negative: a clock that was set back makes an item young, not invalid (F56).
"""

from __future__ import annotations

from dataclasses import dataclass

from asterisk_connector.records import Micros

SECOND: Micros = 1_000_000


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """All in seconds. `base` and `cap` shape the waits, `longest_wish` bounds Retry-After; `give_up_after` an age."""

    base: float = 2.0
    cap: float = 600.0
    longest_wish: float = 3600.0
    give_up_after: float = 48 * 3600.0


@dataclass(frozen=True, slots=True)
class Again:
    """Offer it again at `due_at`, which is `wait` seconds from now."""

    due_at: Micros
    wait: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It is older than the policy allows; `age` in seconds."""

    age: float


def ceiling(attempts: int, base: float, cap: float) -> float:
    """The longest wait after `attempts` failed attempts: doubling from `base`, never above `cap`, in seconds."""
    return float(min(cap, base * 2.0 ** min(max(attempts, 0), 63)))


def wish(after: float | None, policy: RetryPolicy) -> float:
    """What the other side asked for, in seconds, bounded on both ends; 0 where it asked for nothing."""
    return 0.0 if after is None else min(max(after, 0.0), policy.longest_wish)


def age(created_at: Micros, now: Micros) -> float:
    """Seconds since `created_at`, at least 0."""
    return max(0, now - created_at) / SECOND


def after_failure(
    *, created_at: Micros, attempts: int, now: Micros, after: float | None, chance: float, policy: RetryPolicy
) -> Again | GiveUp:
    """What becomes of an item whose attempt just failed.

    `attempts` counts the failed ones before this; `after` is the sink's wish in seconds; `chance` is uniform in [0, 1).
    """
    old = age(created_at, now)
    if old >= policy.give_up_after:
        return GiveUp(old)
    asked = wish(after, policy)
    # On top of a wish the jitter still spreads: a thousand items told "120" do not come back in the same second.
    spread = policy.base if asked else ceiling(attempts, policy.base, policy.cap)
    wait = asked + chance * spread
    return Again(due_at=now + round(wait * SECOND), wait=wait)

"""Ids that were passed over: rows that another transaction may still commit (F37).

- Ids are taken before the commit, so a larger one can be visible first; a missing id is waited for `grace` seconds.
- Bounded: beyond `_MOST` ranges the closest are joined. That only makes known ids look missing, so a row may be
  returned twice, which the store ignores; it never makes a missing one look known.
- Grace is counted by the monotonic clock of this process; after a restart every gap gets its grace anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

Span = tuple[int, int]
"""First and last, both included."""

_MOST = 1_000


class Gaps:
    """Missing ids, as ranges in ascending order with the time each was first missed."""

    def __init__(self, spans: Iterable[Span] = (), *, now: float) -> None:
        self._ranges = [(low, high, now) for low, high in spans]

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def __contains__(self, number: int) -> bool:
        return self._find(number) is not None

    def spans(self) -> list[Span]:
        """All ranges, ascending."""
        return [(low, high) for low, high, _ in self._ranges]

    def passed(self, after: int, ids: Sequence[int], now: float) -> None:
        """Remembers what lies between `after` and the ids, which ascend and are all larger than any known."""
        for number in ids:
            if number > after + 1:
                self._ranges.append((after + 1, number - 1, now))
            after = number
        if len(self._ranges) > _MOST:
            self._join()

    def fill(self, number: int) -> None:
        """The id is missing no more."""
        at = self._find(number)
        if at is not None:
            low, high, since = self._ranges[at]
            rest = [(low, number - 1, since), (number + 1, high, since)]
            self._ranges[at : at + 1] = [r for r in rest if r[0] <= r[1]]

    def give_up(self, missed_before: float) -> None:
        """Forgets what was first missed before that time: rolled back, or deleted."""
        self._ranges = [r for r in self._ranges if r[2] >= missed_before]

    def _find(self, number: int) -> int | None:
        at = bisect_right(self._ranges, number, key=lambda r: r[0]) - 1
        return at if at >= 0 and number <= self._ranges[at][1] else None

    def _join(self) -> None:
        apart = sorted(b[0] - a[1] for a, b in zip(self._ranges, self._ranges[1:], strict=False))
        limit = apart[len(apart) - _MOST // 2]
        joined = [self._ranges[0]]
        for low, high, since in self._ranges[1:]:
            before = joined[-1]
            if low - before[1] <= limit:
                joined[-1] = (before[0], high, max(before[2], since))
            else:
                joined.append((low, high, since))
        self._ranges = joined


def contiguous(numbers: Iterable[int]) -> list[Span]:
    """Ascending numbers as ranges without holes."""
    spans: list[Span] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return spans

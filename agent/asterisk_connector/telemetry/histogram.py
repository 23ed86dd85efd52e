"""How long things take: counts by upper bound for Prometheus, the latest values for people. Not locked."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence

DELIVERY_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 172800.0)
EVENT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 3600.0, 43200.0, 172800.0)
"""Upper bounds in seconds: the usual case is below a second, the longest outage 48 hours."""
_LATEST = 512


class Histogram:
    """Observations by upper bound, and the latest ones as they were."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self._latest: deque[float] = deque(maxlen=_LATEST)

    def observe(self, value: float, times: int = 1) -> None:
        """`times` observations of the same value, in seconds."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times
        self._latest.append(value)

    @property
    def count(self) -> int:
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """Of the latest observations the value that `share` of them do not exceed; None before the first."""
        latest = sorted(self._latest)
        return latest[min(len(latest) - 1, int(share * len(latest)))] if latest else None

    def copy(self) -> Histogram:
        twin = Histogram(self.bounds)
        twin.counts, twin.sum, twin._latest = list(self.counts), self.sum, self._latest.copy()
        return twin

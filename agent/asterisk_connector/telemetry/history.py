"""The last hour as points of five seconds, for the charts of the status page. Memory is bounded; a restart begins anew.

- A point is made from two sights of the running totals: rates are what lies between them, never below 0.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import NamedTuple

STEP = 5.0
POINTS = 720


class Sight(NamedTuple):
    """How things are at an instant. Totals only grow; `at` in seconds since the epoch; latencies in seconds."""

    at: float
    open: int
    backlog: int
    delivered: int
    events: int
    latency_p50: float | None
    latency_p99: float | None


class Point(NamedTuple):
    """One point of the charts. `number` counts on from the start of the service; rates are per second."""

    number: int
    at: float
    open: int
    backlog: int
    delivered: float
    events: float
    latency_p50: float | None
    latency_p99: float | None


class History:
    """The points of the last hour."""

    def __init__(self) -> None:
        self._points: deque[Point] = deque(maxlen=POINTS)
        self._last: Sight | None = None
        self._made = 0

    def add(self, sight: Sight) -> None:
        """Takes the next sight; the first one only says where the totals begin."""
        last, self._last = self._last, sight
        if last is None or sight.at <= last.at:
            return
        past = sight.at - last.at
        self._made += 1
        self._points.append(
            Point(
                self._made,
                round(sight.at, 3),
                sight.open,
                sight.backlog,
                round(max(0, sight.delivered - last.delivered) / past, 3),
                round(max(0, sight.events - last.events) / past, 3),
                sight.latency_p50,
                sight.latency_p99,
            )
        )

    def after(self, number: int) -> dict[str, object]:
        """Points after that number, by column: `{"step": 5, "number": [...], "at": [...], …}`, oldest first."""
        fresh = self._made - number if 0 <= number <= self._made else self._made
        points = list(islice(reversed(self._points), fresh))[::-1]
        columns = zip(*points, strict=True) if points else ([] for _ in Point._fields)
        return {"step": STEP, **{name: list(column) for name, column in zip(Point._fields, columns, strict=True)}}

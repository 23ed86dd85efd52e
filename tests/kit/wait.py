"""Waiting for an effect, with a bound: the only way a test waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(effect: Callable[[], T], within: float = 10.0, what: str = "") -> T:
    """Returns the first true value of `effect`; fails the test after `within` seconds."""
    deadline = time.monotonic() + within
    pause = 0.005
    while True:
        value = effect()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or effect}; last seen: {value!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)

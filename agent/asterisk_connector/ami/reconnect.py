"""How long to wait before the next attempt: at once, then closely for a while, then calmly; long where we are refused.

- Pure but for the dice handed in. Never 0 twice in a row, never longer than five seconds after an outage (Asterisk is
  back about half a second after `core restart now`, and what it says until we are logged in is lost).
- A refused login waits at least 30 seconds: each try is a line in Asterisk's log that fail2ban counts (F49).
"""

from __future__ import annotations

from collections.abc import Callable

STEADY = 5.0
"""Seconds after which a session counts as a success, so that one closed at once is not tried at once for ever."""
_CLOSE_TRIES = 40
_LONGEST = 5.0
_REFUSED = 30.0


class Reconnect:
    """The schedule of one session's attempts. `dice` gives numbers in [0, 1)."""

    def __init__(self, dice: Callable[[], float]) -> None:
        self._dice = dice
        self._tries = 0

    def lost(self, lasted: float) -> float:
        """Seconds until the next attempt after a session that stood for `lasted` seconds."""
        if lasted >= STEADY:
            self._tries = 0
        return self.failed()

    def failed(self) -> float:
        """After an attempt that led to no session: 0, then 50–100 ms, then doubling to 2.5–5 s."""
        tries, self._tries = self._tries, self._tries + 1
        if tries == 0:
            return 0.0
        if tries <= _CLOSE_TRIES:
            return 0.05 + 0.05 * self._dice()
        longest = min(_LONGEST, 0.1 * 2.0 ** min(tries - _CLOSE_TRIES, 10))
        return longest * (0.5 + 0.5 * self._dice())

    def refused(self) -> float:
        """After a login that was refused: 30–45 s."""
        self._tries += 1
        return _REFUSED * (1.0 + 0.5 * self._dice())

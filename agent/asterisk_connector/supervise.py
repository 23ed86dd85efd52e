"""Threads that are watched: each does its rounds, says that it lives, and starts again after an error nobody expected.

- A worker's `round` does a bounded piece of work and returns; it never waits longer than `ROUND_SECONDS`.
- A worker that has not come round for `STUCK_SECONDS` is stuck; the watchdog is not fed while one is.
- Transient, Misconfigured and Stopping are part of life and are handled by the worker's owner; Corrupt is told by the
  store and healed by the supervisor. Anything else is a bug, told as WorkerFailed, and the worker begins anew after a
  pause that doubles up to a minute.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from asterisk_connector.clock import Clock
from asterisk_connector.errors import Corrupt, Stopping, Transient
from asterisk_connector.notices import Notify, WorkerFailed

ROUND_SECONDS = 10.0
STUCK_SECONDS = 90.0
_LONGEST_PAUSE = 60.0


class Worker:
    """One named thread that calls `round` again and again until it is stopped.

    `wake` must make a waiting `round` return soon. `reset` is called before the first round and after a failure.
    """

    def __init__(
        self,
        name: str,
        round: Callable[[], None],
        *,
        wake: Callable[[], None],
        clock: Clock,
        notify: Notify,
        reset: Callable[[], None] = lambda: None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._round = round
        self._wake = wake
        self._reset = reset
        self._close = close
        self._clock = clock
        self._notify = notify
        self._stop = threading.Event()
        self._beat = clock.monotonic()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; returns at once."""
        self._stop.set()
        self._wake()

    def join(self, timeout: float) -> bool:
        """Waits for the end; False when it did not come within `timeout` seconds."""
        if self._thread.ident is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def pause(self, seconds: float) -> None:
        """Waits, but not beyond a stop; keeps giving signs of life."""
        deadline = self._clock.monotonic() + seconds
        while not self._stop.is_set() and (left := deadline - self._clock.monotonic()) > 0:
            self.beat()
            self._stop.wait(min(left, ROUND_SECONDS))

    def beat(self) -> None:
        """A sign of life from inside a long round."""
        self._beat = self._clock.monotonic()

    @property
    def silent_for(self) -> float:
        """Seconds since the last sign of life; 0 once the thread was asked to stop or was never started."""
        if self._thread.ident is None or self._stop.is_set():
            return 0.0
        return self._clock.monotonic() - self._beat

    def _run(self) -> None:
        pause = 1.0
        try:
            while not self._stop.is_set():
                try:
                    self._reset()
                    while not self._stop.is_set():
                        self.beat()
                        self._round()
                        pause = 1.0
                except Stopping:
                    return
                except (Corrupt, Transient):
                    # The store has told it already: it cannot be read now, or is about to be opened anew.
                    self.pause(pause)
                except Exception as error:
                    self._notify(WorkerFailed(self.name, f"{type(error).__name__}: {error}", pause, error))
                    self.pause(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            self._close()

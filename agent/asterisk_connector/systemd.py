"""What is said to systemd: ready, a sentence of status, signs of life, reloading, stopping (sd_notify(3)).

Outside systemd (no `NOTIFY_SOCKET`) every method does nothing.
"""

from __future__ import annotations

import os
import time

import sdnotify


class ServiceNotifier:
    """The notify socket of this service."""

    def __init__(self) -> None:
        self._socket = sdnotify.SystemdNotifier()
        self._said = ""

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds within which systemd wants a sign of life, None when it does not watch this process."""
        usec = os.environ.get("WATCHDOG_USEC", "")
        pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
        return int(usec) / 1e6 if usec.isdigit() and pid == str(os.getpid()) else None

    def ready(self) -> None:
        self._socket.notify("READY=1")

    def status(self, sentence: str) -> None:
        """One sentence for `systemctl status`; said again only when it changed."""
        if sentence != self._said:
            self._said = sentence
            self._socket.notify(f"STATUS={sentence}")

    def alive(self) -> None:
        self._socket.notify("WATCHDOG=1")

    def reloading(self) -> None:
        self._socket.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._socket.notify("STOPPING=1")

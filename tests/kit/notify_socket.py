"""systemd's end of the notify socket: everything a service says through it, in order (sd_notify(3))."""

from __future__ import annotations

from pathlib import Path

from tests.kit.datagram_socket import DatagramSocket
from tests.kit.wait import until


class NotifySocket(DatagramSocket):
    """A context manager; `path` goes into NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.heard: list[str] = []

    def count(self, start: str) -> int:
        """How many lines began so."""
        return sum(line.startswith(start) for line in self.heard)

    def wait(self, start: str, times: int = 1, within: float = 15.0) -> None:
        """Waits until so many lines began so."""
        until(lambda: self.count(start) >= times, within, f"{times} × {start!r} among {self.heard[-20:]}")

    def take(self, raw: bytes, handles: list[int]) -> None:
        self.heard += raw.decode().splitlines()

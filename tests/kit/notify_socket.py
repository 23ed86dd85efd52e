"""systemd's end of the notify socket: everything a service says through it, in order (sd_notify(3))."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kit.wait import until


class NotifySocket:
    """A context manager; `path` goes into NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[str] = []
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0.2)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="notify", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def count(self, start: str) -> int:
        """How many lines began so."""
        return sum(line.startswith(start) for line in self.heard)

    def wait(self, start: str, times: int = 1, within: float = 15.0) -> None:
        """Waits until so many lines began so."""
        until(lambda: self.count(start) >= times, within, f"{times} × {start!r} among {self.heard[-20:]}")

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                self.heard += self._socket.recv(8192).decode().splitlines()
            except TimeoutError:
                continue

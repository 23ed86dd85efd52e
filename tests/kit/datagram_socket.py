"""The other end of a Unix datagram socket: takes what is sent to a path, in a thread, until the context ends."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self


class DatagramSocket(ABC):
    """A context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0.2)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=path.name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    @abstractmethod
    def take(self, raw: bytes, handles: list[int]) -> None:
        """One datagram, with the file descriptors that came with it."""

    def _listen(self) -> None:
        """What was sent before the end is taken."""
        while True:
            try:
                raw, handles, _, _ = socket.recv_fds(self._socket, 1 << 20, 1)
            except TimeoutError:
                if self._ended.is_set():
                    return
            else:
                self.take(raw, handles)

"""A TCP link to a server that can fall silent: nothing is refused, nothing is closed, nothing arrives any more."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading


class Link:
    """Forwards connections to `host:port` from `address` until `silence` is called; `speak` lets new ones through."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._silent = False
        self._kept: list[socket.socket] = []
        self._ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        """From now on nothing is forwarded, in either direction."""
        self._silent = True

    def speak(self) -> None:
        """New connections work again; those that fell silent stay so."""
        self._silent = False

    def close(self) -> None:
        self._ended.set()
        for end in (self._listener, *self._kept):
            end.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._kept.append(near)
            if not self._silent:
                far = socket.create_connection(self._target)
                self._kept.append(far)
                threading.Thread(target=self._forward, args=(near, far), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        other = {near: far, far: near}
        with selectors.DefaultSelector() as selector, contextlib.suppress(OSError, ValueError):
            for end in other:
                selector.register(end, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    end = key.fileobj
                    assert isinstance(end, socket.socket)
                    data = end.recv(65536)
                    if self._silent:
                        return
                    if not data:
                        near.close()
                        far.close()
                        return
                    other[end].sendall(data)

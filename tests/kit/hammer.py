"""Clients that mean no good: some ask without a pause, some never finish asking. In a process of its own.

`python -m tests.kit.hammer ADDRESS PORT EAGER SLOW` goes on until its standard input ends, then prints how many answers
were had. A server that is not there is tried again.
"""

from __future__ import annotations

import select
import selectors
import socket
import subprocess
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

PATHS = (b"/status", b"/metrics", b"/history", b"/", b"/page.js", b"/nothing")


class Hammer:
    """A context manager; `answers` is known after it."""

    def __init__(self, address: str, port: int, eager: int = 32, slow: int = 0) -> None:
        self.answers = 0
        self._command = [sys.executable, "-m", "tests.kit.hammer", address, str(port), str(eager), str(slow)]
        self._process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        said, _ = self._process.communicate(timeout=20)
        self.answers = int(said)


class _Client:
    """One connection after the other: an eager one asks again as soon as it is answered, a slow one sends a byte."""

    def __init__(self, place: tuple[str, int], number: int, *, slow: bool) -> None:
        self.place = place
        self.number = number
        self.slow = slow
        self.answers = 0
        self.link: socket.socket | None = None

    def connect(self, selector: selectors.BaseSelector) -> None:
        """Raises OSError."""
        self.link = socket.create_connection(self.place, 5)
        selector.register(self.link, selectors.EVENT_READ, self)
        if self.slow:
            self.link.sendall(b"GET /status HTTP/1.1\r\nX-Slow: ")
        else:
            self.ask()

    def ask(self) -> None:
        assert self.link is not None
        path = PATHS[(self.number + self.answers) % len(PATHS)]
        self.link.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def read(self) -> bool:
        """Whether the connection lives on. Raises OSError."""
        assert self.link is not None
        said = self.link.recv(262_144)
        self.answers += said.count(b"HTTP/1.1 ")
        if said and not self.slow and b"HTTP/1.1 " in said:
            self.ask()
        return bool(said)


def hammer(place: tuple[str, int], eager: int, slow: int) -> int:
    """Goes on until standard input ends; how many answers were had."""
    selector = selectors.DefaultSelector()
    clients = [_Client(place, number, slow=number >= eager) for number in range(eager + slow)]
    next_bytes = 0.0
    while not select.select([sys.stdin], [], [], 0)[0]:
        for key, _ in selector.select(0.1):
            alive = False
            with suppress(OSError):
                alive = key.data.read()
            if not alive:
                selector.unregister(key.fileobj)
                key.data.link.close()
                key.data.link = None
        if time.monotonic() < next_bytes:
            continue
        next_bytes = time.monotonic() + 0.5
        for client in clients:
            with suppress(OSError):
                if client.link is None:
                    client.connect(selector)
                elif client.slow:
                    client.link.sendall(b"x")
    return sum(client.answers for client in clients)


if __name__ == "__main__":
    address, port, eager, slow = sys.argv[1:]
    print(hammer((address, int(port)), int(eager), int(slow)))

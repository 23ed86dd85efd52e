"""The server of status page and metrics: one thread, bounded in connections, memory, time and CPU.

- Hammering it never slows the data path: its thread takes at most `CPU_SHARE` of one core on average; who asks for more
  waits. Threads of one interpreter share a lock, so it also rests long enough between two bursts.
- At most `MOST_CONNECTIONS` are open; who comes then takes the place of the one that came first, so that slow and eager
  clients keep nobody out. A request must be complete, an answer taken, within seconds.
- A port that cannot be had is told and tried again; it never stops the service. An error in one answer is told, and
  harms nobody else's.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from contextlib import suppress

from asterisk_connector.clock import Clock
from asterisk_connector.config.kinds import Endpoint
from asterisk_connector.errors import ConnectorError
from asterisk_connector.notices import HttpListening, HttpUnavailable, Notify, WorkerFailed
from asterisk_connector.supervise import ROUND_SECONDS, Worker
from asterisk_connector.telemetry.history import STEP
from asterisk_connector.telemetry.request import HEAD_ENDS, LONGEST_HEAD, Answer, Request, Unreadable, parse, sentence
from asterisk_connector.telemetry.site import Site

CPU_SHARE = 0.02
MOST_CONNECTIONS = 64
_BURST = 0.2
_REST = 0.05
_REQUEST_WITHIN = 5.0
_IDLE_FOR = 30.0
_ANSWER_WITHIN = 10.0
_LINGER = 1.0
_RETRY = 10.0
_QUEUE = 128
_ACCEPTED_AT_ONCE = 16


class Budget:
    """CPU seconds this thread may use: `CPU_SHARE` of one core, and a burst of `_BURST` after quiet times."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._credit = _BURST
        self._at = clock.monotonic()
        self._spent = time.thread_time()

    def rest(self) -> float:
        """Seconds to do nothing now; 0 while there is credit."""
        now, spent = self._clock.monotonic(), time.thread_time()
        earned = (now - self._at) * CPU_SHARE
        self._credit = min(_BURST, self._credit + earned) - (spent - self._spent)
        self._at, self._spent = now, spent
        return 0.0 if self._credit > 0 else _REST - self._credit / CPU_SHARE


class _Connection:
    """One client. Reads until a head is complete, then writes until its answer is taken; never both."""

    __slots__ = ("deadline", "head", "last", "link", "out", "peer")

    def __init__(self, link: socket.socket, peer: str, now: float) -> None:
        self.link = link
        self.peer = peer
        self.head = b""
        self.out = memoryview(b"")
        self.last = False
        self.deadline = now + _REQUEST_WITHIN

    @property
    def asks(self) -> bool:
        """Whether a request waits for its answer, be it one that is too long."""
        if self.out or self.last:
            return False
        return HEAD_ENDS in self.head or len(self.head) > LONGEST_HEAD


class HttpServer:
    """Serves a site on one address from `start` to `stop`."""

    def __init__(self, listen: Endpoint, site: Site, *, clock: Clock, notify: Notify) -> None:
        self.site = site
        self.listen = listen
        self._clock = clock
        self._notify = notify
        self._budget: Budget
        self._selector = selectors.DefaultSelector()
        self._nudge = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._nudge, selectors.EVENT_READ)
        self._listener: socket.socket | None = None
        self._connections: dict[socket.socket, _Connection] = {}
        """In the order they came: however eagerly others ask, who has just come is the last to go."""
        self._next_try = 0.0
        self._next_look = 0.0
        self._told = ""
        self._worker = Worker(
            "http", self._round, wake=self._wake, clock=clock, notify=notify, reset=self._reset, close=self._close
        )

    def start(self) -> None:
        """Begins; returns at once."""
        self._worker.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Closes the port and every connection."""
        self._worker.stop()
        self._worker.join(timeout)

    def _wake(self) -> None:
        with suppress(OSError):
            os.eventfd_write(self._nudge, 1)

    def _reset(self) -> None:
        self._budget = Budget(self._clock)
        for connection in list(self._connections.values()):
            self._drop(connection)

    def _close(self) -> None:
        for connection in list(self._connections.values()):
            self._drop(connection)
        if self._listener is not None:
            self._listener.close()
        self._selector.close()
        os.close(self._nudge)

    def _round(self) -> None:
        now = self._clock.monotonic()
        if now >= self._next_look:
            self._next_look = now + STEP
            with suppress(ConnectorError):  # a point is missing from the charts; the status says why
                self.site.look()
        if self._listener is None and now >= self._next_try:
            self._listen(now)
        for late in [each for each in self._connections.values() if now >= each.deadline]:
            self._drop(late)
        for key, events in self._selector.select(self._patience(now)):
            if key.fileobj is self._listener:
                self._accept()
            elif (connection := self._connections.get(key.data)) is not None:
                self._serve(connection, events)
            if (rest := self._budget.rest()) > 0:
                self._worker.pause(rest)
        self._budget.rest()

    def _patience(self, now: float) -> float:
        soonest = min((each.deadline for each in self._connections.values()), default=now + ROUND_SECONDS)
        soonest = min(soonest, self._next_look, now + ROUND_SECONDS)
        if self._listener is None:
            soonest = min(soonest, self._next_try)
        return max(0.0, soonest - now)

    def _listen(self, now: float) -> None:
        six = ":" in self.listen.address
        try:
            self._listener = socket.create_server(
                self.listen,
                family=socket.AF_INET6 if six else socket.AF_INET,
                backlog=_QUEUE,
                dualstack_ipv6=self.listen.address == "::",
            )
        except OSError as error:
            self._next_try = now + _RETRY
            reason = error.strerror or str(error)
            if reason != self._told:
                self._told = reason
                self._notify(HttpUnavailable(str(self.listen), reason, _RETRY))
            return
        self._told = ""
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._notify(HttpListening(str(self.listen)))

    def _accept(self) -> None:
        """Takes whoever waits, within reason: who comes anew does not wait for those who ask without a pause."""
        assert self._listener is not None
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                link, peer = self._listener.accept()
            except OSError:  # nobody left, or no file descriptor: whoever waits is accepted later
                return
            if len(self._connections) >= MOST_CONNECTIONS:
                self._drop(next(iter(self._connections.values())))
            link.setblocking(False)
            self._connections[link] = _Connection(link, peer[0], self._clock.monotonic())
            self._selector.register(link, selectors.EVENT_READ, link)

    def _serve(self, connection: _Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._write(connection)
                if not connection.out:
                    self._selector.modify(connection.link, selectors.EVENT_READ, connection.link)
            else:
                self._read(connection)
            while connection.asks:
                self._answer(connection)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._drop(connection)

    def _read(self, connection: _Connection) -> None:
        received = connection.link.recv(LONGEST_HEAD)
        if not received:
            self._drop(connection)
            return
        if connection.last:
            return  # what is still sent to a connection that ends is not looked at
        if not connection.head:
            connection.deadline = self._clock.monotonic() + _REQUEST_WITHIN
        connection.head += received

    def _answer(self, connection: _Connection) -> None:
        head, _, connection.head = connection.head.partition(HEAD_ENDS)
        connection.out = memoryview(self._wire(connection, head))
        connection.deadline = self._clock.monotonic() + _ANSWER_WITHIN
        with suppress(BlockingIOError):
            self._write(connection)
        if connection.out:
            self._selector.modify(connection.link, selectors.EVENT_WRITE, connection.link)

    def _wire(self, connection: _Connection, head: bytes) -> bytes:
        """The bytes that answer a request."""
        try:
            if len(head) > LONGEST_HEAD:
                raise Unreadable(431, "The head of the request is too long.")
            request = parse(head)
        except Unreadable as error:
            connection.last = True
            self.site.count("other", error.code)
            allow = (("Allow", "GET, HEAD"),) if error.code == 405 else ()
            return sentence(error.code, str(error), *allow).wire(with_body=True, lasting=False)
        connection.last = not request.lasting
        return self._made(connection, request).wire(with_body=request.method == "GET", lasting=request.lasting)

    def _made(self, connection: _Connection, request: Request) -> Answer:
        try:
            return self.site.answer(request, connection.peer)
        except Exception as error:
            self._notify(WorkerFailed("http", f"{type(error).__name__}: {error}", 0.0, error))
            return sentence(500, "This could not be made; the log says why.")

    def _write(self, connection: _Connection) -> None:
        sent = connection.link.send(connection.out)
        connection.out = connection.out[sent:]
        if connection.out:
            return
        now = self._clock.monotonic()
        connection.deadline = now + _IDLE_FOR
        if connection.last:
            # Closed at once, what the client still sends would make the kernel take the answer back.
            connection.link.shutdown(socket.SHUT_WR)
            connection.deadline = now + _LINGER

    def _drop(self, connection: _Connection) -> None:
        del self._connections[connection.link]
        self._selector.unregister(connection.link)
        connection.link.close()

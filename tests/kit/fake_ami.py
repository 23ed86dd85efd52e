"""A manager port that does what the test says: answers, lies, hangs, cuts.

It speaks as Asterisk 22 does by default. `answers` replaces the answer to an action (None: silence); `greeting` may be
None (the connection is closed at once), `greets_late` sends it only after the first request; `mute` makes everything
silent while the TCP connection lives on; `say` writes raw bytes to every session.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable

Answer = Callable[[dict[str, str]], bytes | None]

FULLY_BOOTED = (
    b"Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: 5\r\nLastReload: 5\r\nStatus: Fully Booted\r\n\r\n"
)


class FakeAmi:
    """Listens on a free port of the loopback from construction to `close`."""

    def __init__(
        self,
        *,
        secret: str = "secret",
        greeting: bytes | None = b"Asterisk Call Manager/11.0.0\r\n",
        entity_id: str = "52:54:00:ab:cd:ef",
        version: str = "22.10.1",
        system_name: str = "pbx-01",
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self.secret = secret
        self.greeting = greeting
        self.entity_id = entity_id
        self.version = version
        self.system_name = system_name
        self.startup = ("2026-11-21", "19:00:00")
        self.calls: int | None = 7
        self.on_login = FULLY_BOOTED
        self.answers: dict[str, Answer] = {}
        self.mute = False
        self.greets_late = False
        self.actions: list[dict[str, str]] = []
        self.logins: list[float] = []
        self.accepted = 0
        self._tls = tls
        self._sessions: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def say(self, data: bytes) -> None:
        """Writes to every session that is logged in."""
        with self._lock:
            for session in self._sessions:
                session.sendall(data)

    def drop(self) -> None:
        """Cuts every session."""
        with self._lock:
            for session in self._sessions:
                with contextlib.suppress(OSError):
                    session.shutdown(socket.SHUT_RDWR)
                session.close()
            self._sessions.clear()

    def renew(self, tls: ssl.SSLContext) -> None:
        """Shows another certificate from the next connection on."""
        self._tls = tls

    def close(self) -> None:
        """Stops listening and cuts every session."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    @property
    def sessions(self) -> int:
        """How many sessions are logged in."""
        return len(self._sessions)

    def wait_for(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        """Returns once `condition` holds; AssertionError after `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.005)

    def _accept(self) -> None:
        while True:
            try:
                session, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            session.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as Asterisk does
            threading.Thread(target=self._serve, args=(session,), daemon=True).start()

    def _serve(self, session: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                session = self._tls.wrap_socket(session, server_side=True)
            if self.greeting is None:
                session.close()
                return
            if not self.greets_late:
                session.sendall(self.greeting)
            try:
                self._talk(session)
            finally:
                self._forget(session)

    def _forget(self, session: socket.socket) -> None:
        with self._lock:
            if session in self._sessions:
                self._sessions.remove(session)
            session.close()

    def _talk(self, session: socket.socket) -> None:
        buffer = b""
        challenge = "314159265"
        while data := session.recv(4096):
            buffer += data
            while b"\r\n\r\n" in buffer:
                text, buffer = buffer.split(b"\r\n\r\n", 1)
                action = dict(re.findall(r"([^:\r\n]+): ?([^\r\n]*)", text.decode()))
                self.actions.append(action)
                if self.mute:
                    continue
                name = action.get("Action", "")
                answer = self.answers.get(name, getattr(self, f"_{name.lower()}", self._unknown))
                said = answer(action) if name != "Login" or name in self.answers else self._login(action, challenge)
                if said is None:
                    continue
                if self.greets_late and len(self.actions) == 1:
                    session.sendall(self.greeting or b"")
                with self._lock:
                    if action.get("ActionID"):
                        head, rest = said.split(b"\r\n", 1)
                        said = head + f"\r\nActionID: {action['ActionID']}\r\n".encode() + rest
                    if name == "Login" and b"Success" in said:
                        self.logins.append(time.monotonic())
                        self._sessions.append(session)
                        said += self.on_login
                    session.sendall(said)
                    if name == "Login" and b"Error" in said:
                        session.close()
                        return

    def _login(self, action: dict[str, str], challenge: str) -> bytes:
        proof = hashlib.md5((challenge + self.secret).encode(), usedforsecurity=False).hexdigest()
        if action.get("Secret") == self.secret or action.get("Key") == proof:
            return b"Response: Success\r\nMessage: Authentication accepted\r\n\r\n"
        return b"Response: Error\r\nMessage: Authentication failed\r\n\r\n"

    def _challenge(self, action: dict[str, str]) -> bytes:
        return b"Response: Success\r\nChallenge: 314159265\r\n\r\n"

    def _ping(self, action: dict[str, str]) -> bytes:
        return b"Response: Success\r\nPing: Pong\r\nTimestamp: 1795289432.987059\r\n\r\n"

    def _getvar(self, action: dict[str, str]) -> bytes:
        return f"Response: Success\r\nVariable: ENTITYID\r\nValue: {self.entity_id}\r\n\r\n".encode()

    def _coresettings(self, action: dict[str, str]) -> bytes:
        return (
            f"Response: Success\r\nAMIversion: 11.0.0\r\nAsteriskVersion: {self.version}\r\n"
            f"SystemName: {self.system_name}\r\nCoreMaxCalls: 0\r\n\r\n"
        ).encode()

    def _corestatus(self, action: dict[str, str]) -> bytes:
        calls = "" if self.calls is None else f"CoreProcessedCalls: {self.calls}\r\n"
        return (
            f"Response: Success\r\nCoreStartupDate: {self.startup[0]}\r\nCoreStartupTime: {self.startup[1]}\r\n"
            f"CoreCurrentCalls: 0\r\n{calls}\r\n"
        ).encode()

    def _logoff(self, action: dict[str, str]) -> bytes:
        return b"Response: Goodbye\r\nMessage: Thanks for all the fish.\r\n\r\n"

    def _unknown(self, action: dict[str, str]) -> bytes:
        return b"Response: Error\r\nMessage: Permission denied\r\n\r\n"


def denied(action: dict[str, str]) -> bytes:
    """The answer to an action the account may not use."""
    return b"Response: Error\r\nMessage: Permission denied\r\n\r\n"


def silence(action: dict[str, str]) -> None:
    """No answer."""

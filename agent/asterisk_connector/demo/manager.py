"""A manager port on loopback that says the AMI events of the recording, as the Asterisk 22 said them that was recorded.

- It knows what a session of the agent asks: plain and MD5 login, Ping, Getvar, CoreSettings, CoreStatus, Logoff; to
  everything else it says what Asterisk says to an account without rights.
- An event goes to every session that is logged in at that moment, to nobody later (manager.c keeps none).
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import socket
import socketserver
import threading
from collections.abc import Iterator
from datetime import datetime

from asterisk_connector.clock import Clock
from asterisk_connector.demo.recording import Start, unpack

USER = "demo"
ENTITY_ID = "52:54:00:12:34:56"
_GREETING = b"Asterisk Call Manager/11.0.0\r\n"
_HEADER = re.compile(r"^([^:\r\n]+):[ ]?([^\r\n]*)", re.MULTILINE)
_EVENT_TIME = re.compile(rb"^EventTime: (\d+)", re.MULTILINE)


def events() -> Iterator[tuple[float, bytes]]:
    """(seconds after the start, the event as on the wire), in the order in which Asterisk said them."""
    for block in unpack("manager.gz").split(b"\n\n"):
        offset, _, lines = block.partition(b"\n")
        if lines:
            yield float(offset), lines.replace(b"\n", b"\r\n") + b"\r\n\r\n"


class ManagerPort:
    """Listens from construction on; answers from `start` to `stop`."""

    def __init__(self, clock: Clock, secret: str) -> None:
        self.said: list[bytes] = []
        """Every event that was said, in order."""
        self.logged_in = threading.Event()
        """Set once somebody has logged in."""
        self._clock = clock
        self._secret = secret
        self._since = datetime.fromtimestamp(clock.now() / 1_000_000)
        self._events = list(events())
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._sessions: list[socket.socket] = []
        talk = self._talk

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    talk(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo-manager", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def total(self) -> int:
        return len(self._events)

    def start(self) -> None:
        self._thread.start()

    def play(self, start: Start) -> None:
        """Says everything, or until `stop`."""
        for offset, recorded in self._events:
            if not start.wait(offset, self._stop):
                return
            self._say(_EVENT_TIME.sub(_local_date, start.moved(recorded)))

    def stop(self) -> None:
        """Falls silent, and closes."""
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()

    def _say(self, event: bytes) -> None:
        with self._lock:
            self.said.append(event)
            for session in list(self._sessions):
                try:
                    session.sendall(event)
                except OSError:  # it left
                    self._sessions.remove(session)
                    session.close()

    def _talk(self, session: socket.socket) -> None:
        session.sendall(_GREETING)
        challenge = str(secrets.randbelow(10**9))
        heard = b""
        try:
            while data := session.recv(4096):
                heard += data
                *requests, heard = heard.split(b"\r\n\r\n")
                for request in requests:
                    action = {name.lower(): value for name, value in _HEADER.findall(request.decode(errors="replace"))}
                    if not self._answer(session, action, challenge):
                        return
        finally:
            with self._lock, contextlib.suppress(ValueError):
                self._sessions.remove(session)

    def _answer(self, session: socket.socket, action: dict[str, str], challenge: str) -> bool:
        """Answers one action; False when the session is over."""
        name = action.get("action", "").lower()
        allowed = session in self._sessions
        entering = name == "login" and self._proven(action, challenge)
        response, lines = "Success", []
        match name:
            case "challenge":
                lines = [f"Challenge: {challenge}"]
            case "login" if entering:
                lines = ["Message: Authentication accepted"]
            case "login":
                response, lines = "Error", ["Message: Authentication failed"]
            case "logoff":
                response, lines = "Goodbye", ["Message: Thanks for all the fish."]
            case "ping" if allowed:
                lines = ["Ping: Pong", f"Timestamp: {self._clock.now() / 1_000_000:.6f}"]
            case "getvar" if allowed:
                variable = action.get("variable", "")
                lines = [f"Variable: {variable}", f"Value: {ENTITY_ID if variable == 'ENTITYID' else ''}"]
            case "coresettings" if allowed:
                lines = _core_settings()
            case "corestatus" if allowed:
                lines = self._core_status()
            case _:
                response, lines = "Error", ["Message: Permission denied"]
        head = [f"Response: {response}"] + ([f"ActionID: {action['actionid']}"] if action.get("actionid") else [])
        with self._lock:
            session.sendall(("\r\n".join([*head, *lines]) + "\r\n\r\n").encode())
            if entering:
                session.sendall(self._fully_booted())
                self._sessions.append(session)
        if entering:
            self.logged_in.set()
        return name != "logoff" and (name != "login" or entering)

    def _proven(self, action: dict[str, str], challenge: str) -> bool:
        proof = hashlib.md5((challenge + self._secret).encode(), usedforsecurity=False).hexdigest()
        given, wanted = (action.get("key"), proof) if "key" in action else (action.get("secret"), self._secret)
        return action.get("username") == USER and given == wanted

    def _core_status(self) -> list[str]:
        date, time = f"{self._since:%Y-%m-%d}", f"{self._since:%H:%M:%S}"
        return [
            *(f"CoreStartupDate: {date}", f"CoreStartupTime: {time}"),
            *(f"CoreReloadDate: {date}", f"CoreReloadTime: {time}"),
            *("CoreCurrentCalls: 0", "CoreProcessedCalls: 0"),
        ]

    def _fully_booted(self) -> bytes:
        """What Asterisk says to each login alone; no event for anybody else."""
        up = int(self._clock.now() / 1_000_000 - self._since.timestamp())
        return (
            f"Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: {up}\r\nLastReload: {up}\r\n"
            "Status: Fully Booted\r\n\r\n"
        ).encode()


def _core_settings() -> list[str]:
    return [
        *(
            "AMIversion: 11.0.0",
            "AsteriskVersion: 22.10.1",
            "SystemName: ",
            "CoreMaxCalls: 0",
            "CoreMaxLoadAvg: 0.000000",
        ),
        *("CoreRunUser: asterisk", "CoreRunGroup: asterisk", "CoreMaxFilehandles: 0", "CoreRealTimeEnabled: No"),
        *("CoreCDRenabled: Yes", "CoreHTTPenabled: No", "SoundsSearchCustomDir: No"),
    ]


def _local_date(match: re.Match[bytes]) -> bytes:
    """cel_manager writes the local date."""
    return f"EventTime: {datetime.fromtimestamp(int(match[1])):%Y-%m-%d %H:%M:%S}".encode()

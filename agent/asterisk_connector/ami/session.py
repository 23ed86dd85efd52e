"""The manager session: logged in, alive, back as soon as can be; everything Asterisk says is handed on at once.

- `round` reads and hands on, nothing else: whoever receives must not block (law 7: at a slow reader Asterisk's own
  memory grows, and after 100 ms of a full socket it cuts the session).
- What is handed on, in order: `Opened`, then `Read` for every broadcast event, `Alive` for answered pings, `Learned`
  for late answers, `Lost` at the end. Instants are taken when the bytes are read.
- A session is dead when nothing came for `ping_interval` and then nothing for `ping_timeout` after a ping: the answer
  must come from Asterisk itself, a live TCP connection proves nothing (F47).
- Not handed on: responses, and the FullyBooted that Asterisk says to each login alone (never broadcast, so the module
  never sees it); the broadcast one at boot is.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from asterisk_connector.ami.connection import Connection, Tls
from asterisk_connector.ami.handshake import Account, Answers, Handshake
from asterisk_connector.ami.reconnect import Reconnect
from asterisk_connector.ami.wire import Debris, Event, Frame, Framer, Greeting, Response
from asterisk_connector.clock import Clock
from asterisk_connector.errors import ConnectorError, Misconfigured, Transient
from asterisk_connector.notices import AmiConnected, AmiDamaged, AmiLost, AmiUnavailable, Notify
from asterisk_connector.records import Micros

_QUIET = 0.02
"""Seconds of silence after which an event is known to be whole (see `wire`)."""
_ANSWERS_WITHIN = 2.0
"""Seconds for which the first events wait until Asterisk has said who it is."""
_LONGEST_ROUND = 5.0
_TELL_AGAIN = 30.0
_CLOSED_EARLY = "closed before the login was answered (authlimit of manager.conf reached, or not permitted from here)"
_OWN_SERVICE = b"\r\nService: AMI\r\n"


class Opened(NamedTuple):
    """A session stands."""

    at: Micros
    peer: str
    answers: Answers


class Read(NamedTuple):
    """One broadcast event, byte for byte."""

    at: Micros
    body: bytes


class Alive(NamedTuple):
    """Asterisk answered a ping; `calls` is its count of calls since its start, where it tells."""

    at: Micros
    calls: int | None


class Learned(NamedTuple):
    """What Asterisk says of itself, answered after the session was opened."""

    at: Micros
    answers: Answers


class Lost(NamedTuple):
    """The session is over. `at` is when Asterisk was last heard."""

    at: Micros
    reason: str


Item = Opened | Read | Alive | Learned | Lost
Receive = Callable[[Sequence[Item]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the manager is and how patient we are; times in seconds."""

    host: str
    port: int
    account: Account
    tls: Tls | None = None
    connect_timeout: float = 10.0
    login_timeout: float = 60.0
    ping_interval: float = 15.0
    ping_timeout: float = 10.0
    hide_own_login: bool = False

    @property
    def peer(self) -> str:
        return f"{self.host}:{self.port}"


def said_to_login_alone(first: bytes) -> bool:
    """Whether the first event of a session is the FullyBooted each login gets: `Uptime` before `Status`, the broadcast
    one at boot has them the other way round (measured on 16 and 22)."""
    return first.startswith(b"Event: FullyBooted\r\n") and 0 < first.find(b"\r\nUptime: ") < first.find(b"\r\nStatus: ")


class Session:
    """The one session of this agent. `round` is called again and again by one thread; `wake` by any."""

    def __init__(
        self,
        settings: Settings,
        receive: Receive,
        *,
        clock: Clock,
        notify: Notify,
        dice: Callable[[], float] = random.random,
    ) -> None:
        settings.account.check()
        self._settings = settings
        self._receive = receive
        self._clock = clock
        self._notify = notify
        self._reconnect = Reconnect(dice)
        self._talk: _Talk | None = None
        self._due = clock.monotonic()
        self._woken = threading.Event()
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}
        self._sessions = 0

    @property
    def connected(self) -> bool:
        """Whether a session stands, logged in."""
        talk = self._talk
        return talk is not None and talk.opened

    def round(self) -> None:
        """Reads once, or tries to connect once, or waits a part of the time until the next attempt."""
        if self._talk is not None:
            self._converse(self._talk)
            return
        wait = self._due - self._clock.monotonic()
        if wait > 0:
            self._woken.wait(min(wait, _LONGEST_ROUND))
            self._woken.clear()
            return
        self._connect()

    def wake(self) -> None:
        self._woken.set()
        with self._lock:
            if self._talk is not None:
                self._talk.connection.wake()

    def close(self) -> None:
        """Ends the session politely; `round` would begin a new one."""
        talk = self._talk
        if talk is not None:
            if talk.opened:
                try:
                    talk.connection.write(b"Action: Logoff\r\n\r\n")
                except Transient as error:
                    self._end(talk, str(error))
                    return
            self._end(talk, "closed by us")

    def _connect(self) -> None:
        settings = self._settings
        try:
            connection = Connection(settings.host, settings.port, settings.tls, settings.connect_timeout)
        except Misconfigured as error:
            self._unavailable(str(error), error.hint, self._reconnect.refused())
            return
        except Transient as error:
            self._unavailable(str(error), "", self._reconnect.failed())
            return
        self._sessions += 1
        talk = _Talk(connection, Handshake(settings.account, f"asterisk-connector-{self._sessions}"), self._clock)
        with self._lock:
            self._talk = talk
        try:
            talk.write()
        except Transient as error:
            self._fail(talk, error)

    def _converse(self, talk: _Talk) -> None:
        now = self._clock.monotonic()
        try:
            data = talk.connection.read(
                _QUIET if talk.framer.holding else min(self._patience(talk, now), _LONGEST_ROUND)
            )
            if data:
                talk.heard = self._clock.monotonic()
                talk.pinged = None
                talk.last = self._clock.now()
                self._digest(talk, talk.framer.feed(data))
            elif data is None:
                if talk.framer.holding:
                    self._digest(talk, talk.framer.flush())
                self._keep(talk)
            else:
                self._digest(talk, talk.framer.close())
                raise Transient("Asterisk closed the session" if talk.opened else _CLOSED_EARLY)
        except ConnectorError as error:
            self._fail(talk, error)

    def _patience(self, talk: _Talk, now: float) -> float:
        """Seconds until something must be done if nothing is heard."""
        settings = self._settings
        if not talk.opened:
            deadline = talk.asked + _ANSWERS_WITHIN if talk.handshake.logged_in else talk.began + settings.login_timeout
        elif talk.pinged is None:
            deadline = talk.heard + settings.ping_interval
        else:
            deadline = talk.pinged + settings.ping_timeout
        return max(0.0, deadline - now)

    def _keep(self, talk: _Talk) -> None:
        """Nothing was heard for as long as `_patience` said, or we were woken."""
        if self._patience(talk, self._clock.monotonic()) > 0:
            return
        if not talk.opened:
            if not talk.handshake.logged_in:
                raise Transient(f"no answer to the login within {self._settings.login_timeout:g} s")
            self._open(talk)
        elif talk.pinged is None:
            talk.pinged = self._clock.monotonic()
            talk.handshake.ping()
            talk.write()
        else:
            raise Transient(f"Asterisk did not answer a ping within {self._settings.ping_timeout:g} s")

    def _digest(self, talk: _Talk, frames: list[Frame]) -> None:
        items: list[Item] = []
        for frame in frames:
            if isinstance(frame, Event):
                if self._wanted(talk, frame.body):
                    items.append(Read(talk.last, frame.body))
            elif isinstance(frame, Response):
                self._answered(talk, frame, items)
            elif isinstance(frame, Debris):
                if not talk.handshake.logged_in and not talk.greeted:
                    raise Misconfigured(
                        f"no Asterisk manager: {frame.body[:40]!r}", "compare ami.port with manager.conf"
                    )
                self._notify(AmiDamaged(self._settings.peer, frame.reason, len(frame.body)))
            elif isinstance(frame, Greeting):
                talk.greeted = True
        if not talk.opened:
            talk.held += items
            if talk.handshake.complete:
                self._open(talk)
        elif items:
            self._receive(items)

    def _answered(self, talk: _Talk, response: Response, items: list[Item]) -> None:
        handshake = talk.handshake
        before, logged_in = handshake.answers, handshake.logged_in
        handshake.take(response)
        if handshake.logged_in and not logged_in:
            talk.asked = self._clock.monotonic()
        if handshake.send:
            talk.write()
        if talk.opened and handshake.complete:
            if handshake.answers._replace(calls=None) != before._replace(calls=None):
                items.append(Learned(talk.last, handshake.answers))
            items.append(Alive(talk.last, handshake.answers.calls))

    def _wanted(self, talk: _Talk, body: bytes) -> bool:
        if not talk.spoken:
            talk.spoken = True
            if said_to_login_alone(body):
                return False
        if self._settings.hide_own_login and _OWN_SERVICE in body and b"\r\nPrivilege: security" in body:
            return b"\r\nAccountID: " + self._settings.account.user.encode() + b"\r\n" not in body
        return True

    def _open(self, talk: _Talk) -> None:
        talk.opened = True
        talk.since = self._clock.monotonic()
        answers = talk.handshake.answers
        held, talk.held = talk.held, []
        self._told.clear()
        self._notify(AmiConnected(self._settings.peer, answers.version or "", answers.entity_id or ""))
        self._receive([Opened(talk.last, self._settings.peer, answers), *held])

    def _fail(self, talk: _Talk, error: ConnectorError) -> None:
        if talk.opened:
            lasted = self._clock.monotonic() - talk.since
            retry_in = self._reconnect.lost(lasted)
            self._notify(AmiLost(self._settings.peer, str(error), lasted, retry_in))
            self._due = self._clock.monotonic() + retry_in
        elif isinstance(error, Misconfigured):
            self._unavailable(str(error), error.hint, self._reconnect.refused())
        else:
            self._unavailable(str(error), "", self._reconnect.failed())
        self._end(talk, str(error))

    def _end(self, talk: _Talk, reason: str) -> None:
        with self._lock:
            self._talk = None
        talk.connection.close()
        if talk.opened:
            self._digest(talk, talk.framer.flush())  # the event that waited for the line to be quiet was read
            self._receive([Lost(talk.last, reason)])

    def _unavailable(self, reason: str, hint: str, retry_in: float) -> None:
        """Told when the reason is new or has not been told for a while (an outage is many attempts)."""
        now = self._clock.monotonic()
        self._due = now + retry_in
        if now - self._told.get(reason, -_TELL_AGAIN) >= _TELL_AGAIN:
            self._told[reason] = now
            self._notify(AmiUnavailable(self._settings.peer, reason, hint, retry_in))


class _Talk:
    """One connection and what has been said on it."""

    def __init__(self, connection: Connection, handshake: Handshake, clock: Clock) -> None:
        self.connection = connection
        self.handshake = handshake
        self.framer = Framer()
        self.began = self.heard = self.asked = self.since = clock.monotonic()
        self.last = clock.now()
        self.pinged: float | None = None
        self.greeted = self.opened = self.spoken = False
        self.held: list[Item] = []

    def write(self) -> None:
        data, self.handshake.send = self.handshake.send, b""
        self.connection.write(data)

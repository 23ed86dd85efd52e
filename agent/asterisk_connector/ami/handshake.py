"""The talk before events count: greeting, login, and the questions by which an Asterisk is known.

- Sans I/O: responses in, requests out. Plain logins are sent before the greeting is read, which saves a round trip of
  lost events; Asterisk reads them all the same (measured on 16 to 22).
- Questions: `Getvar ENTITYID` and `CoreSettings` (who), `CoreStatus` (since when, how many calls). An account with
  `write = reporting` may ask them all; without, the session works and the identity comes from elsewhere.
- Responses belong to requests by ActionID, or by order where none is given back.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import NamedTuple

from asterisk_connector.ami.wire import Response
from asterisk_connector.errors import Misconfigured, Transient

CLASSES = (
    *("system", "call", "log", "verbose", "command", "agent", "user", "config", "dtmf", "reporting", "cdr", "dialplan"),
    *("originate", "agi", "cc", "aoc", "test", "security", "message", "all", "on", "off", "true", "false", "yes", "no"),
)
"""Words Asterisk knows in an event mask."""
_SETTING = re.compile(r"^\s*(Entity ID|Version):\s*(\S.*?)\s*$")
_LATER = ("shutting down", "too many", "full")


class Answers(NamedTuple):
    """What an Asterisk said of itself; None where it was not asked, may not say or has not answered yet."""

    entity_id: str | None = None
    version: str | None = None
    system_name: str | None = None
    startup: str | None = None
    calls: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom we log in as. `events` is the mask asked for: `on`, or classes of manager.conf separated by commas."""

    user: str
    secret: str
    md5: bool = True
    events: str = "on"

    def check(self) -> None:
        """Raises Misconfigured for what Asterisk would misread without a word."""
        for name, text in (("user", self.user), ("secret", self.secret), ("events", self.events)):
            if not text or any(c in text for c in "\r\n\0") or len(text.encode()) > 900:
                raise Misconfigured(f"ami.{name}: empty, too long or with a line break", "see manager.conf")
        unknown = [w for w in re.split(r"\s*,\s*", self.events.strip()) if w not in CLASSES and not w.isdigit()]
        if unknown:
            # Asterisk takes an unknown word for "Events: off" and says nothing.
            raise Misconfigured(f"ami.events: `{unknown[0]}` is no event class", f"classes are {', '.join(CLASSES)}")


class Refused(Misconfigured):
    """The manager does not let this account in."""


class Handshake:
    """One login. `send` collects what is to be written; `take` reads a response."""

    def __init__(self, account: Account, tag: str) -> None:
        self._account = account
        self._tag = tag
        self._count = 0
        self._asked: dict[str, str] = {}
        self.answers = Answers()
        self.logged_in = False
        self.send = b""
        if account.md5:
            self._ask("Challenge", AuthType="MD5")
        else:
            self._ask("Login", Username=account.user, Secret=account.secret, Events=account.events)

    @property
    def complete(self) -> bool:
        """Whether the session stands and every question is answered."""
        return self.logged_in and not self._asked

    def ping(self) -> None:
        """Asks for a sign of life, and for the number of calls where this Asterisk tells it."""
        self._asked.clear()
        self._ask("Ping")
        if self.answers.calls is not None:
            self._ask("CoreStatus")

    def take(self, response: Response) -> None:
        """Raises Refused for a login that will not be accepted, Transient for one not accepted now."""
        action = self._asked.pop(response.get("ActionID"), None)
        if action is None:
            if response.get("ActionID") or not self._asked:
                return
            action = self._asked.pop(next(iter(self._asked)))
        said = response.get("Response").lower()
        if action == "Challenge":
            challenge = response.get("Challenge")
            if said != "success" or not challenge:
                raise Refused(f"no MD5 login: {response.get('Message')}", "set `ami.login: plain`")
            proof = hashlib.md5((challenge + self._account.secret).encode(), usedforsecurity=False).hexdigest()
            self._ask("Login", AuthType="MD5", Username=self._account.user, Key=proof, Events=self._account.events)
        elif action == "Login":
            if said != "success":
                self._refuse(response.get("Message"))
            self.logged_in = True
            self._ask("Getvar", Variable="ENTITYID")
            self._ask("CoreSettings")
            self._ask("CoreStatus")
        elif said == "success":
            self._learn(action, response)
        elif action == "Getvar":
            self._ask("Command", Command="core show settings")

    def _learn(self, action: str, response: Response) -> None:
        get = response.get
        if action == "Getvar":
            self.answers = self.answers._replace(entity_id=get("Value") or None)
        elif action == "CoreSettings":
            self.answers = self.answers._replace(version=get("AsteriskVersion"), system_name=get("SystemName"))
        elif action == "CoreStatus":
            startup = f"{get('CoreStartupDate')} {get('CoreStartupTime')}".strip()
            calls = get("CoreProcessedCalls")
            self.answers = self.answers._replace(startup=startup or None, calls=int(calls) if calls.isdigit() else None)
        elif action == "Command":
            lines = (value for name, value in response.headers() if name == "Output")
            told = {match[1]: match[2] for match in map(_SETTING.match, lines) if match}
            self.answers = self.answers._replace(
                entity_id=self.answers.entity_id or told.get("Entity ID"),
                version=self.answers.version or told.get("Version"),
            )

    def _refuse(self, message: str) -> None:
        if any(word in message.lower() for word in _LATER):
            raise Transient(f"login: {message}")
        raise Refused(
            f"login as {self._account.user}: {message or 'refused'}",
            "compare user, secret, permit and deny with manager.conf; `manager show user` shows the account",
        )

    def _ask(self, action: str, **headers: str) -> None:
        self._count += 1
        action_id = f"{self._tag}-{self._count}"
        self._asked[action_id] = action
        lines = [f"Action: {action}", f"ActionID: {action_id}", *(f"{name}: {text}" for name, text in headers.items())]
        self.send += ("\r\n".join(lines) + "\r\n\r\n").encode()

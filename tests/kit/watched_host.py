"""A host worth watching: calls from outside, AMI events, a call API that can be taken away, an agent with a page.

Callers have numbers of full length, so that masking can be seen; calls are of today.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import Answer, CallApi
from tests.kit.fake_ami import FakeAmi
from tests.kit.mock_kafka import MockKafka
from tests.kit.server import hold_address
from tests.kit.traffic import NumberedCall

TOPIC = "asterisk_ami"
PORT = 8000
_EVENT = b"Event: Newstate\r\nPrivilege: call,all\r\nChannel: PJSIP/201-00000001\r\nLinkedid: 1795321139.1\r\n\r\n"


@dataclass(frozen=True)
class OutsideCall(NumberedCall):
    """Somebody outside calls one of our telephones."""

    @property
    def caller(self) -> str:
        return f"+1416555{self.number:04d}"


class WatchedHost:
    """A context manager; `url` is where the page is. The agent does not run before `start`."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self._held, address = hold_address()
        self.url = f"http://{address}:{PORT}"
        self.address = address
        self.cel = home / "Master.csv"
        self.api = CallApi()
        self.ami = FakeAmi()
        self.kafka = MockKafka()
        self.kafka.create(TOPIC, 1)
        self.calls = 0
        secret = home / "ami.secret"
        secret.touch(0o600)
        secret.write_text(self.ami.secret)
        self._base = int(time.time()) - 3600
        self._settings: dict[str, Any] = {
            "host": "pbx1.example",
            "start_at": "beginning",
            "api": {"url": self.api.url},
            "sources": {"cel_csv": [{"path": str(self.cel)}]},
            "calls": {"settle": "200ms"},
            "ami": {"host": "127.0.0.1", "port": self.ami.port, "user": "agent", "secret_file": str(secret)},
            "events": {"connection": "main", "topic": TOPIC},
            "kafka": {"connections": {"main": {"brokers": [self.kafka.brokers], "reconnect_backoff_max_ms": 500}}},
            "http": {"listen": f"{address}:{PORT}"},
            **settings,
        }
        self.agent = AgentProcess(home, self._settings)

    def configure(self, **settings: Any) -> None:
        """Writes the configuration with these settings over it; takes effect at the next start or reload."""
        self.agent.configure({**self._settings, **settings})

    def call(self, calls: int = 1) -> list[OutsideCall]:
        """So many calls begin and end."""
        began = [OutsideCall(self.calls + n, base=self._base) for n in range(calls)]
        self.calls += calls
        with self.cel.open("ab") as file:
            file.write(b"".join(row + b"\n" for call in began for _, row in call.rows()))
        return began

    def say(self, events: int) -> None:
        """Asterisk says so many events."""
        self.ami.say(_EVENT * events)

    def take_away(self) -> None:
        """The call API answers 503, until `bring_back`."""
        self.api.script = lambda _: Answer(503)

    def bring_back(self) -> None:
        self.api.script = lambda _: Answer()

    def __enter__(self) -> Self:
        self.api.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.agent.kill()
        self.ami.close()
        self.kafka.close()
        self.api.stop()
        self._held.close()

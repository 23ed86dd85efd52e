"""The relay from a manager port to Kafka, put together as the service does it; also as a process that can be killed.

`python -m tests.kit.relay PORT BROKERS TOPIC JOURNAL` runs it until it is killed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from asterisk_connector.ami.handshake import Account
from asterisk_connector.ami.session import Session, Settings
from asterisk_connector.clock import SystemClock
from asterisk_connector.notices import EventsPublished, Notice
from asterisk_connector.relay.encode import Encoder
from asterisk_connector.relay.filters import Filters
from asterisk_connector.relay.identity import identify
from asterisk_connector.relay.journal import Journal, Limits
from asterisk_connector.relay.publisher import Publisher
from asterisk_connector.relay.recorder import Recorder

N = TypeVar("N", bound=Notice)


class Relay:
    """Session, recorder, journal and publisher, each in its thread, from construction to `stop`."""

    def __init__(
        self,
        ami_port: int,
        brokers: str,
        path: Path,
        *,
        topic: str = "asterisk_ami",
        properties: dict[str, Any] | None = None,
        encoder: Encoder | None = None,
        limits: Limits | None = None,
        ping: float = 15.0,
        **publisher: Any,
    ) -> None:
        self.notices: list[Notice] = []
        clock, notify, encoder = SystemClock(), self.notices.append, encoder or Encoder()
        kafka = {
            "bootstrap.servers": brokers,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "reconnect.backoff.max.ms": 500,
            **(properties or {}),
        }
        self.journal = Journal(path, clock=clock, notify=notify, limits=limits)
        self.publisher = Publisher(self.journal, encoder, topic, kafka, "main", clock=clock, notify=notify, **publisher)
        self.recorder = Recorder(
            self.journal,
            Filters(),
            encoder,
            lambda answers, known: identify(answers, known=known, hostname="host"),
            self.publisher.wake,
            clock=clock,
            notify=notify,
        )
        self.session = Session(
            Settings(
                host="127.0.0.1",
                port=ami_port,
                account=Account(user="agent", secret="secret"),
                ping_interval=ping,
                ping_timeout=ping,
            ),
            self.recorder.receive,
            clock=clock,
            notify=notify,
        )
        self._stopping = threading.Event()
        parts = (self.session, self.recorder, self.publisher)
        self._threads = [threading.Thread(target=self._run, args=(part.round,), daemon=True) for part in parts]
        for thread in self._threads:
            thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            work()

    def told(self, kind: type[N]) -> list[N]:
        return [notice for notice in self.notices if isinstance(notice, kind)]

    @property
    def published(self) -> int:
        return sum(notice.events for notice in self.told(EventsPublished))

    def stop(self) -> None:
        """As the service stops: reading first, then what was read, then what is on its way."""
        self._stopping.set()
        for part in (self.session, self.recorder, self.publisher):
            part.wake()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        self.session.close()
        self.recorder.close()
        self.publisher.close()
        self.journal.close()


if __name__ == "__main__":
    Relay(int(sys.argv[1]), sys.argv[2], Path(sys.argv[4]), topic=sys.argv[3])
    while True:
        time.sleep(60)

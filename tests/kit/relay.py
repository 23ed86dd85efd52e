"""The relay from a manager port to Kafka, put together as the service does it; also as a process that can be killed.

`python -m tests.kit.relay PORT BROKERS TOPIC JOURNAL [careless]` runs it until it is killed; careless: without fsync.
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
from asterisk_connector.relay import relay
from asterisk_connector.relay.encode import Encoder
from asterisk_connector.relay.journal import Limits

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
        window: int = 10_000,
        host: str = "127.0.0.1",
        account: Account | None = None,
    ) -> None:
        self.notices: list[Notice] = []
        clock, notify = SystemClock(), self.notices.append
        kafka = {
            "bootstrap.servers": brokers,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "reconnect.backoff.max.ms": 500,
            **(properties or {}),
        }
        self._relay = relay.Relay(
            relay.Settings(
                topic=topic,
                connection="main",
                properties=kafka,
                encoder=encoder or Encoder(),
                limits=limits or Limits(),
                window=window,
            ),
            path,
            clock=clock,
            notify=notify,
        )
        self.journal, self.publisher = self._relay.journal, self._relay.publisher
        self.session = Session(
            Settings(
                host=host,
                port=ami_port,
                account=account or Account(user="agent", secret="secret"),
                ping_interval=ping,
                ping_timeout=ping,
            ),
            self._relay.receive,
            clock=clock,
            notify=notify,
        )
        self._stopping = threading.Event()
        rounds = (self.session.round, self._relay.record, self._relay.publish)
        self._threads = [threading.Thread(target=self._run, args=(round_,), daemon=True) for round_ in rounds]
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
        self.session.wake()
        self._relay.wake()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        self.session.close()
        self._relay.close()


if __name__ == "__main__":
    durable = sys.argv[5:] != ["careless"]
    Relay(int(sys.argv[1]), sys.argv[2], Path(sys.argv[4]), topic=sys.argv[3], limits=Limits(durable=durable))
    while True:
        time.sleep(60)

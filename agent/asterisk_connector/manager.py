"""The one manager session of the agent and what hangs on it: events to Kafka, CEL as a source.

- The session's thread only reads and hands on; journalling and publishing have threads of their own (law 7).
- It stops from the front: the session first, so that what it read is journalled before the journal closes.
"""

from __future__ import annotations

from collections.abc import Sequence

from asterisk_connector.ami.session import Item, Session, Settings
from asterisk_connector.clock import Clock
from asterisk_connector.errors import Transient
from asterisk_connector.notices import Notify
from asterisk_connector.relay.relay import Relay
from asterisk_connector.snapshot import EventsNow
from asterisk_connector.sources.cel_ami import CelAmi
from asterisk_connector.supervise import Worker


class Manager:
    """The session, the relay where events are published, the source where CEL is read over AMI."""

    def __init__(
        self, settings: Settings, relay: Relay | None, source: CelAmi | None, *, clock: Clock, notify: Notify
    ) -> None:
        self.source = source
        self.relay = relay
        self._peer = settings.peer
        self.session = Session(settings, self._receive, clock=clock, notify=notify)
        self._reading = Worker(
            "manager",
            self.session.round,
            wake=self.session.wake,
            clock=clock,
            notify=notify,
            close=self.session.close,
        )
        self._passing_on: list[Worker] = []
        if relay is not None:
            self._passing_on = [
                Worker(name, round_, wake=relay.wake, clock=clock, notify=notify)
                for name, round_ in (("recorder", relay.record), ("publisher", relay.publish))
            ]

    @property
    def workers(self) -> list[Worker]:
        return [self._reading, *self._passing_on]

    def start(self) -> None:
        for worker in self.workers:
            worker.start()

    def stop(self, deadline: float) -> None:
        """Ends within about `deadline` seconds; what was read is in the journal then."""
        self._reading.stop()
        self._reading.join(deadline / 2)
        if self.relay is not None:
            self.relay.publisher.retire()
        for worker in self._passing_on:
            worker.stop()
        if self.relay is not None:
            recorded, published = [worker.join(deadline / 4) for worker in self._passing_on]
            if recorded and published:
                self.relay.close()
            elif recorded:  # the publisher still waits for an answer of Kafka, and keeps what it works with
                self.relay.recorder.close()

    def now(self) -> EventsNow:
        """What session and relay are now; any thread may ask."""
        if self.relay is None:
            return EventsNow(self._peer, self.session.connected, "", 0, None, False)
        try:
            waiting = self.relay.journal.waiting()
        except Transient:
            waiting = None
        relay = self.relay
        return EventsNow(
            self._peer, self.session.connected, relay.topic, relay.publisher.in_flight, waiting, relay.recorder.blocked
        )

    def _receive(self, items: Sequence[Item]) -> None:
        if self.relay is not None:
            self.relay.receive(items)
        if self.source is not None:
            self.source.receive(items)

"""The rooms of the relay put together: what the session reads goes in, what Kafka acknowledged goes out.

Two threads beside the session's: one calls `record` again and again, one `publish`. `close` after all three have
stopped, the session first.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asterisk_connector.ami.handshake import Answers
from asterisk_connector.ami.session import Item
from asterisk_connector.clock import Clock
from asterisk_connector.notices import Notify
from asterisk_connector.relay.encode import Encoder, Identity
from asterisk_connector.relay.filters import Filter, Filters
from asterisk_connector.relay.identity import Facts, computed_entity_id, identify, is_this_host, read_asterisk_conf
from asterisk_connector.relay.journal import Journal, Limits
from asterisk_connector.relay.publisher import Publisher
from asterisk_connector.relay.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is published, in which form, where to. `group` is the time in seconds whose events share one fsync;
    `configured` overrules what Asterisk says of itself; `ami_host` says whether Asterisk runs on this host."""

    topic: str
    connection: str
    properties: Mapping[str, Any]
    encoder: Encoder = field(default_factory=Encoder)
    filters: Sequence[Filter] = ()
    gaps: bool = True
    group: float = 0.005
    limits: Limits = field(default_factory=Limits)
    configured: Facts = field(default_factory=Facts)
    ami_host: str = "127.0.0.1"
    window: int = 10_000


class Relay:
    """Open from construction to `close`. Raises BadFilter, and what `Journal` raises."""

    def __init__(self, settings: Settings, path: Path, *, clock: Clock, notify: Notify) -> None:
        filters = Filters(settings.filters)
        self.topic = settings.topic
        self.journal = Journal(path, clock=clock, notify=notify, limits=settings.limits)
        self.publisher = Publisher(
            self.journal,
            settings.encoder,
            settings.topic,
            settings.properties,
            settings.connection,
            clock=clock,
            notify=notify,
            window=settings.window,
        )
        self.recorder = Recorder(
            self.journal,
            filters,
            settings.encoder,
            _Identities(settings.configured, settings.ami_host),
            self.publisher.wake,
            clock=clock,
            notify=notify,
            gaps=settings.gaps,
            group=settings.group,
        )

    def receive(self, items: Sequence[Item]) -> None:
        """What the session read; never waits."""
        self.recorder.receive(items)

    def record(self) -> None:
        """One round of the thread that journals."""
        self.recorder.round()

    def publish(self) -> None:
        """One round of the thread that publishes."""
        self.publisher.round()

    def wake(self) -> None:
        """Ends waiting rounds; any thread."""
        self.recorder.wake()
        self.publisher.wake()

    def close(self) -> None:
        """Journals what was read, waits a little for Kafka, closes."""
        self.recorder.close()
        self.publisher.close()
        self.journal.close()


class _Identities:
    """Who the events come from, with what this host knows where Asterisk runs here; read anew at each session."""

    def __init__(self, configured: Facts, ami_host: str) -> None:
        self._configured = configured
        self._here = is_this_host(ami_host)
        self._hostname = socket.gethostname()

    def __call__(self, answers: Answers, known: Identity | None) -> Identity:
        return identify(
            answers,
            configured=self._configured,
            local=read_asterisk_conf() if self._here else Facts(),
            known=known,
            computed=computed_entity_id() if self._here else "",
            hostname=self._hostname,
        )

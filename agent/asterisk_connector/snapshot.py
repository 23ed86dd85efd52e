"""What a running agent is at one instant: facts of its parts, for those who tell and count.

- Plain frozen values; making them reads memory and cheap counters, never the whole state (`agent.Agent.snapshot`).
- None is what is not known: where nothing runs, the state was never counted, or could not be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from asterisk_connector.call import Call

if TYPE_CHECKING:
    from asterisk_connector.relay.journal import Waiting
    from asterisk_connector.sources.base import Extent
    from asterisk_connector.store.words import Counts


class SourceNow(NamedTuple):
    """A source that is configured. `kind` is the first part of its name; `extent` is None where it measures nothing."""

    name: str
    kind: str
    extent: Extent | None


class SinkNow(NamedTuple):
    """A sink that is configured. `state`: `down` in an outage, `paused` while only the operator can help."""

    name: str
    state: Literal["up", "down", "paused"]
    in_flight: int


class EventsNow(NamedTuple):
    """The manager session, and the relay where events are published (`topic` is empty where they are not)."""

    peer: str
    connected: bool
    topic: str
    in_flight: int
    waiting: Waiting | None
    journal_blocked: bool


class CallNow(NamedTuple):
    """A call that has ended; `delivered` when no sink is owed any of it and none refused it."""

    call: Call
    delivered: bool


class StateNow(NamedTuple):
    """The state on disk; what is counted may be some seconds old, `unaccounted` some minutes where much is owed."""

    directory: str
    free_bytes: int | None
    blocked: bool
    counts: Counts | None = None
    recent: tuple[CallNow, ...] = ()
    unaccounted: int | None = None


class Snapshot(NamedTuple):
    """Everything at once. `stuck` names parts that have not come round for too long."""

    sources: tuple[SourceNow, ...] = ()
    sinks: tuple[SinkNow, ...] = ()
    events: EventsNow | None = None
    state: StateNow | None = None
    stuck: tuple[str, ...] = ()

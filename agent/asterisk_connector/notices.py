"""Everything worth telling, one small frozen type each: what happened, never how it is shown.

The inside raises notices through a `Notify`; telemetry alone turns them into log lines, counters and status. A notice
carries facts, not sentences. Numbers of people stand in `caller`, `called`, `answered_by` and `path` alone; whoever
shows one of these masks it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened."""


Notify = Callable[[Notice], None]


def ignore(_: Notice) -> None:
    """A `Notify` for code that nobody listens to."""


@dataclass(frozen=True, slots=True)
class SourceOpened(Notice):
    """A source can be read."""

    source: str


@dataclass(frozen=True, slots=True)
class SourceFailed(Notice):
    """A source cannot be read; it will be tried again in `retry_in` seconds."""

    source: str
    reason: str
    hint: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class RowsRead(Notice):
    """Rows of a source were stored together with its position."""

    source: str
    rows: int
    set_aside: int
    newest: int | None


@dataclass(frozen=True, slots=True)
class RowSetAside(Notice):
    """A row could not be understood and was kept apart."""

    source: str
    ident: str
    reason: str


@dataclass(frozen=True, slots=True)
class FileRotated(Notice):
    """A followed file was renamed away and read to its end."""

    source: str
    path: str


@dataclass(frozen=True, slots=True)
class FileTruncated(Notice):
    """A followed file was cut; `unread` bytes could not be had back (0: none were owed, or a copy had them)."""

    source: str
    path: str
    unread: int


@dataclass(frozen=True, slots=True)
class FileMissing(Notice):
    """A followed file does not exist (yet)."""

    source: str
    path: str


@dataclass(frozen=True, slots=True)
class WatchOverflow(Notice):
    """The kernel dropped inotify events; everything watched is looked at again."""

    source: str


@dataclass(frozen=True, slots=True)
class WatchRefused(Notice):
    """inotify gives no more watches; polling instead. `hint` names the sysctl."""

    source: str
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class CallOpened(Notice):
    """First row of a call. It is named by that row; should an older linkedid turn up, the call takes that name."""

    call_id: str


@dataclass(frozen=True, slots=True)
class CallNews(Notice):
    """What there is to say of a call that is told.

    Absent facts are empty or None. `uniqueids` are those of its legs, `seconds` from its start to its end, `recordings`
    how many were found. `sinks` are owed what is told, none when nothing is new.
    """

    call_id: str
    revision: int
    linkedids: tuple[str, ...]
    uniqueids: tuple[str, ...]
    direction: str
    outcome: str
    caller: str
    called: str
    answered_by: str
    started_at: int
    seconds: float | None
    talk_seconds: float | None
    recordings: int
    sinks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallUpdated(CallNews):
    """A call that goes on is told."""


@dataclass(frozen=True, slots=True)
class CallCompleted(CallNews):
    """A call came to its end; `reason` says by which rule (see `assembly.completion`)."""

    complete: bool
    reason: str


@dataclass(frozen=True, slots=True)
class CallRevised(CallNews):
    """Evidence arrived after the end of a call was told and changed what is known of it."""


@dataclass(frozen=True, slots=True)
class RecordingLinked(Notice):
    """A recording turned out to be of this call, by a rule of `enrichment.attach_recordings`; `uniqueid` of its leg,
    or empty."""

    call_id: str
    uniqueid: str
    path: str
    rule: str


@dataclass(frozen=True, slots=True)
class EvidenceTooLate(Notice):
    """Rows of a call arrived after its other rows had left the state; what was told of it stays."""

    call_id: str


@dataclass(frozen=True, slots=True)
class EnrichmentFailed(Notice):
    """One step of enrichment raised on one call; the call goes on without it."""

    call_id: str
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class Delivered(Notice):
    """A sink took a delivery. `latency` in seconds from when it was owed."""

    sink: str
    call_id: str
    revision: int
    phase: str
    latency: float
    attempts: int


@dataclass(frozen=True, slots=True)
class DeliveryDeferred(Notice):
    """A delivery did not get through and is tried again in `retry_in` seconds."""

    sink: str
    call_id: str
    revision: int
    reason: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class DeliveryBuried(Notice):
    """A delivery became a dead letter: refused, or `expired` because nobody took it in time."""

    sink: str
    call_id: str
    revision: int
    reason: str
    expired: bool


@dataclass(frozen=True, slots=True)
class SinkDown(Notice):
    """A sink answers nobody; one probe is sent now and then."""

    sink: str
    reason: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class SinkUp(Notice):
    """A sink that was down takes deliveries again. `outage` in seconds."""

    sink: str
    outage: float


@dataclass(frozen=True, slots=True)
class SinkMisconfigured(Notice):
    """A sink refuses us as a whole (credentials, address); deliveries wait for the operator."""

    sink: str
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class StoreBlocked(Notice):
    """The state, or the `journal` of AMI events, cannot be written; reading pauses until the state can."""

    reason: str
    hint: str
    part: str = "state"


@dataclass(frozen=True, slots=True)
class StoreUnblocked(Notice):
    """It can be written again. `blocked` in seconds."""

    blocked: float
    part: str = "state"


@dataclass(frozen=True, slots=True)
class StoreRepaired(Notice):
    """A damaged state file was set aside; `kept` rows were saved from it."""

    path: str
    set_aside_as: str
    reason: str
    kept: int


@dataclass(frozen=True, slots=True)
class StoreTrimmed(Notice):
    """Old rows left the state by age or by size."""

    table: str
    rows: int
    reason: str


@dataclass(frozen=True, slots=True)
class ConfigReloaded(Notice):
    """A new configuration is in force; `changed` names the parts that were restarted."""

    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConfigRefused(Notice):
    """A reload was asked for, but the new configuration has problems; the old one stays."""

    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerFailed(Notice):
    """A thread met an error nobody expected; it starts again in `retry_in` seconds."""

    worker: str
    reason: str
    retry_in: float
    error: BaseException


@dataclass(frozen=True, slots=True)
class ClockStepped(Notice):
    """The host's clock jumped by `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AmiConnected(Notice):
    """A manager session stands; version and entity id are empty where Asterisk has not said them."""

    peer: str
    asterisk_version: str
    entity_id: str


@dataclass(frozen=True, slots=True)
class AmiLost(Notice):
    """A manager session that stood for `lasted` seconds is over; the next attempt is in `retry_in` seconds."""

    peer: str
    reason: str
    lasted: float
    retry_in: float


@dataclass(frozen=True, slots=True)
class AmiUnavailable(Notice):
    """No manager session could be had. `hint` is empty unless the operator has to act."""

    peer: str
    reason: str
    hint: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class AmiDamaged(Notice):
    """Bytes of a session were no whole message: `cut`, `fragment` or `oversized`."""

    peer: str
    reason: str
    size: int


@dataclass(frozen=True, slots=True)
class AmiGap(Notice):
    """Between two instants (UTC microseconds) no session stood; what Asterisk said then cannot be had."""

    start: int
    end: int
    reason: str
    restarted: bool | None


@dataclass(frozen=True, slots=True)
class HostRenamed(Notice):
    """Events go on under the entity id of before, from a host of another name: renamed, or cloned."""

    entity_id: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class EventsJournalled(Notice):
    """AMI events read, and left out by the filters; `kept` were committed, with our own records of gaps."""

    read: int
    kept: int
    filtered: int


@dataclass(frozen=True, slots=True)
class EventsDropped(Notice):
    """AMI events were lost here, not by Asterisk: `where` is `memory`, `journal` or the name of a source."""

    where: str
    events: int
    reason: str


@dataclass(frozen=True, slots=True)
class EventsPublished(Notice):
    """AMI events acknowledged by Kafka. `latency` in seconds from reading to acknowledgement, of the slowest."""

    topic: str
    events: int
    latency: float


@dataclass(frozen=True, slots=True)
class EventRefused(Notice):
    """One AMI event will never be taken and was kept apart."""

    topic: str
    type: str
    size: int
    reason: str


@dataclass(frozen=True, slots=True)
class PublishingPaused(Notice):
    """Nothing can be published; `hint` is empty unless the operator has to act. Tried again in `retry_in` seconds."""

    topic: str
    reason: str
    hint: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class PublishingResumed(Notice):
    """Events are acknowledged again after a pause of `paused` seconds."""

    topic: str
    paused: float


@dataclass(frozen=True, slots=True)
class KafkaSaid(Notice):
    """A line of librdkafka's own log; at most one per cause and half minute. `level` as in Python's logging."""

    connection: str
    level: int
    facility: str
    text: str


@dataclass(frozen=True, slots=True)
class TableRestarted(Notice):
    """A polled table is not the one it was: truncated, restored or swapped. Reading starts again at `since` (a second
    in the table's own time) so that nothing new in it is missed."""

    source: str
    table: str
    since: int


@dataclass(frozen=True, slots=True)
class ZoneDoubtful(Notice):
    """The times of a table do not agree with its rows' uniqueids in the zone `used`, but they do in `likely`."""

    source: str
    used: str
    likely: str
    hint: str


@dataclass(frozen=True, slots=True)
class CelUnseen(Notice):
    """The manager session is up and calls pass, but their CEL events cannot be seen."""

    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class ControlOpened(Notice):
    """Commands can ask over the socket at `path`."""

    path: str


@dataclass(frozen=True, slots=True)
class ControlUnavailable(Notice):
    """Commands cannot ask: the socket at `path` cannot be had; tried again in `retry_in` seconds."""

    path: str
    reason: str
    hint: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class OutboxChanged(Notice):
    """Somebody had dead letters owed again (`retried`) or deleted (`dropped`); `who` as far as the kernel told."""

    what: str
    letters: int
    who: str
    pid: int


@dataclass(frozen=True, slots=True)
class HttpListening(Notice):
    """Status page and metrics can be read at `address` (an IP address and a port)."""

    address: str


@dataclass(frozen=True, slots=True)
class HttpUnavailable(Notice):
    """Status page and metrics cannot be had at `address`; tried again every `retry_in` seconds."""

    address: str
    reason: str
    retry_in: float

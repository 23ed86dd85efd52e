"""What happened since the process began, counted from notices; and who complains now.

- Hears every notice beside the journal; one lock, no I/O, a few additions for each: it runs in the thread that tells.
- Counters are of this process; what is owed, dead or open is the store's to say.
- A complaint stands until its part says that it is well again, or `lasts` has passed where nobody ever says so. One
  that comes back soon goes on with its beginning and its count.
- Everything is bounded: parts are those configured, errors the last `ERRORS`.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from asterisk_connector import notices as n
from asterisk_connector.clock import Clock
from asterisk_connector.notices import Notice
from asterisk_connector.records import Micros
from asterisk_connector.telemetry.histogram import DELIVERY_BUCKETS, EVENT_BUCKETS, Histogram
from asterisk_connector.telemetry.sentences import WARNING, say

Fault = Literal["configuration", "host", "remote", "bug"]
"""Who can mend it: the operator in our settings, the operator on this host, somebody else, we."""

ERRORS = 20
LASTING = 300.0
"""Seconds for which a trouble that nobody ever calls mended is one of now."""
_COMES_BACK = 60_000_000


@dataclass(slots=True)
class SourceTally:
    """Of one source. `opened_at`, `failed_at`: when that was so last; `newest` is the latest instant of its rows."""

    rows: int = 0
    set_aside: int = 0
    errors: int = 0
    rotations: int = 0
    opened_at: Micros | None = None
    failed_at: Micros | None = None
    last_read_at: Micros | None = None
    newest: Micros | None = None


@dataclass(slots=True)
class SinkTally:
    """Of one sink: what became of deliveries, and how long they took from when they were owed."""

    delivered: int = 0
    deferred: int = 0
    refused: int = 0
    expired: int = 0
    latency: Histogram = field(default_factory=lambda: Histogram(DELIVERY_BUCKETS))


@dataclass(slots=True)
class CallsTally:
    """Of calls. `completed` counts all that came to an end, by direction and outcome; `incomplete` are those of them
    that were closed by a rule."""

    opened: int = 0
    completed: Counter[tuple[str, str]] = field(default_factory=Counter)
    incomplete: int = 0
    revised: int = 0


@dataclass(slots=True)
class EventsTally:
    """Of AMI events. `changed_at` is when the session began or ended last; `reconnects` are sessions after the first.
    `latency` of each event is that of the slowest acknowledged together with it."""

    asterisk_version: str = ""
    changed_at: Micros | None = None
    sessions: int = 0
    read: int = 0
    filtered: int = 0
    journalled: int = 0
    delivered: int = 0
    refused: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    gaps: int = 0
    gap_seconds: float = 0.0
    publishing_paused: bool = False
    latency: Histogram = field(default_factory=lambda: Histogram(EVENT_BUCKETS))


@dataclass(slots=True)
class Complaint:
    """Something that was wrong with a part. `mended_at` None: it still is, `until` some instant where nobody mends."""

    part: str
    fault: Fault
    text: str
    hint: str
    since: Micros
    at: Micros
    count: int = 1
    until: Micros | None = None
    mended_at: Micros | None = None

    def stands(self, now: Micros) -> bool:
        """Whether it is one of now."""
        return self.mended_at is None and (self.until is None or now < self.until)


class Told(NamedTuple):
    """An error that was told, over or not; so many `times` with the same cause, last at `at`."""

    at: Micros
    part: str
    text: str
    hint: str
    times: int


@dataclass(slots=True)
class Tallied:
    """All of it at one instant; `complaints` by what they are about, also those that are over; errors newest first.
    `config_in_force` is false, and `refused` says why, when the newest configuration that was asked for was refused."""

    sources: dict[str, SourceTally]
    sinks: dict[str, SinkTally]
    calls: CallsTally
    events: EventsTally
    worker_failures: Counter[str]
    complaints: dict[str, Complaint]
    errors: list[Told]
    config_in_force: bool
    refused: tuple[str, ...]


class Tally:
    """A listener for notices that counts them. Every method may be called from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sources: dict[str, SourceTally] = {}
        self._sinks: dict[str, SinkTally] = {}
        self._calls = CallsTally()
        self._events = EventsTally()
        self._worker_failures: Counter[str] = Counter()
        self._complaints: dict[str, Complaint] = {}
        self._errors: OrderedDict[str, Told] = OrderedDict()
        self._config_in_force = True
        self._refused: tuple[str, ...] = ()
        self._hearings: dict[type[Notice], Callable[[Any], None]] = {
            n.SourceOpened: self._source_opened,
            n.SourceFailed: self._source_failed,
            n.RowsRead: self._rows_read,
            n.FileRotated: self._file_rotated,
            n.WatchRefused: self._watch_refused,
            n.CallOpened: self._call_opened,
            n.CallCompleted: self._call_completed,
            n.CallRevised: self._call_revised,
            n.EnrichmentFailed: self._enrichment_failed,
            n.Delivered: self._delivered,
            n.DeliveryDeferred: self._delivery_deferred,
            n.DeliveryBuried: self._delivery_buried,
            n.SinkDown: self._sink_down,
            n.SinkUp: self._sink_up,
            n.SinkMisconfigured: self._sink_misconfigured,
            n.StoreBlocked: self._store_blocked,
            n.StoreUnblocked: self._store_unblocked,
            n.ConfigReloaded: self._config_taken,
            n.ConfigRefused: self._config_refused,
            n.WorkerFailed: self._worker_failed,
            n.ClockStepped: self._clock_stepped,
            n.AmiConnected: self._ami_connected,
            n.AmiLost: self._ami_lost,
            n.AmiUnavailable: self._ami_unavailable,
            n.AmiGap: self._ami_gap,
            n.HostRenamed: self._host_renamed,
            n.EventsJournalled: self._events_journalled,
            n.EventsDropped: self._events_dropped,
            n.EventsPublished: self._events_published,
            n.EventRefused: self._event_refused,
            n.PublishingPaused: self._publishing_paused,
            n.PublishingResumed: self._publishing_resumed,
            n.ZoneDoubtful: self._zone_doubtful,
            n.CelUnseen: self._cel_unseen,
            n.ControlUnavailable: self._control_unavailable,
            n.ControlOpened: lambda _: self._mend("control socket"),
            n.HttpUnavailable: self._http_unavailable,
            n.HttpListening: lambda _: self._mend("http"),
        }

    def hear(self, notice: Notice) -> None:
        """Counts a notice; returns at once."""
        kind = type(notice)
        hearing = self._hearings.get(kind)
        part = _ERRORS.get(kind)
        if hearing is None and part is None:
            return
        with self._lock:
            if hearing is not None:
                hearing(notice)
            if part is not None:
                self._tell(part(notice), notice)

    def read(self) -> Tallied:
        """All of it, as of now."""
        with self._lock:
            calls, events = self._calls, self._events
            return Tallied(
                sources={name: replace(each) for name, each in self._sources.items()},
                sinks={name: replace(each, latency=each.latency.copy()) for name, each in self._sinks.items()},
                calls=replace(calls, completed=calls.completed.copy()),
                events=replace(events, dropped=events.dropped.copy(), latency=events.latency.copy()),
                worker_failures=self._worker_failures.copy(),
                complaints={about: replace(each) for about, each in self._complaints.items()},
                errors=list(reversed(self._errors.values())),
                config_in_force=self._config_in_force,
                refused=self._refused,
            )

    # Complaints and errors

    def _complain(
        self, about: str, part: str, fault: Fault, text: str, hint: str = "", *, lasts: float | None = None
    ) -> None:
        now = self._clock.now()
        until = None if lasts is None else now + round(lasts * 1_000_000)
        known = self._complaints.get(about)
        over = None if known is None or known.stands(now) else known.mended_at or known.until
        if known is None or (over is not None and now - over > _COMES_BACK):
            self._complaints[about] = Complaint(part, fault, text, hint, now, now, until=until)
            return
        known.part, known.fault, known.text, known.hint = part, fault, text, hint
        known.at, known.until, known.mended_at = now, until, None
        known.count += 1

    def _mend(self, *abouts: str) -> None:
        for about in abouts:
            known = self._complaints.get(about)
            if known is not None and known.mended_at is None:
                known.mended_at = self._clock.now()

    def _tell(self, part: str, notice: Notice) -> None:
        sentence = say(notice)
        if sentence is None or sentence.priority > WARNING:
            return
        hint = str(getattr(notice, "hint", ""))
        text = sentence.text.removesuffix(f". {hint}") if hint else sentence.text
        cause = sentence.cause or text
        before = self._errors.pop(cause, None)
        self._errors[cause] = Told(self._clock.now(), part, text, hint, 1 + (before.times if before else 0))
        if len(self._errors) > ERRORS:
            self._errors.popitem(last=False)

    # Sources

    def _source(self, name: str) -> SourceTally:
        return self._sources.setdefault(name, SourceTally())

    def _source_opened(self, x: n.SourceOpened) -> None:
        self._source(x.source).opened_at = self._clock.now()
        self._mend(f"watch {x.source}", f"zone {x.source}")

    def _source_failed(self, x: n.SourceFailed) -> None:
        source = self._source(x.source)
        source.errors += 1
        source.failed_at = self._clock.now()
        here: Fault = "remote" if x.source.partition(":")[0] in _ELSEWHERE else "host"
        self._complain(
            f"source {x.source}", f"source {x.source}", "configuration" if x.hint else here, x.reason, x.hint
        )

    def _rows_read(self, x: n.RowsRead) -> None:
        source = self._source(x.source)
        source.rows += x.rows
        source.set_aside += x.set_aside
        if x.rows or x.set_aside:
            source.last_read_at = self._clock.now()
        if x.newest is not None and (source.newest is None or x.newest > source.newest):
            source.newest = x.newest

    def _file_rotated(self, x: n.FileRotated) -> None:
        self._source(x.source).rotations += 1

    def _watch_refused(self, x: n.WatchRefused) -> None:
        text = f"no file events ({x.reason}); polling instead"
        self._complain(f"watch {x.source}", f"source {x.source}", "host", text, x.hint)

    def _zone_doubtful(self, x: n.ZoneDoubtful) -> None:
        text = f"times do not agree with their uniqueids in {x.used}, but in {x.likely}"
        self._complain(f"zone {x.source}", f"source {x.source}", "configuration", text, x.hint)

    # Calls

    def _call_opened(self, _: n.CallOpened) -> None:
        self._calls.opened += 1

    def _call_completed(self, x: n.CallCompleted) -> None:
        self._calls.completed[x.direction or "unknown", x.outcome or "unknown"] += 1
        self._calls.incomplete += not x.complete

    def _call_revised(self, _: n.CallRevised) -> None:
        self._calls.revised += 1

    def _enrichment_failed(self, x: n.EnrichmentFailed) -> None:
        text = f"step {x.step} failed on a call ({x.reason}); calls go on without it"
        self._complain(f"enrichment {x.step}", "calls", "bug", text, _REPORT, lasts=LASTING)

    # Sinks

    def _sink(self, name: str) -> SinkTally:
        return self._sinks.setdefault(name, SinkTally())

    def _delivered(self, x: n.Delivered) -> None:
        sink = self._sink(x.sink)
        sink.delivered += 1
        sink.latency.observe(x.latency)

    def _delivery_deferred(self, x: n.DeliveryDeferred) -> None:
        self._sink(x.sink).deferred += 1
        about = f"sink {x.sink}"
        known = self._complaints.get(about)
        if known is not None and known.mended_at is None and not known.hint:
            self._complain(about, about, known.fault, x.reason)

    def _delivery_buried(self, x: n.DeliveryBuried) -> None:
        sink = self._sink(x.sink)
        if x.expired:
            sink.expired += 1
        else:
            sink.refused += 1

    def _sink_down(self, x: n.SinkDown) -> None:
        self._complain(f"sink {x.sink}", f"sink {x.sink}", "host" if x.sink in _FILES else "remote", x.reason)

    def _sink_up(self, x: n.SinkUp) -> None:
        self._mend(f"sink {x.sink}")

    def _sink_misconfigured(self, x: n.SinkMisconfigured) -> None:
        self._complain(f"sink {x.sink}", f"sink {x.sink}", "configuration", x.reason, x.hint)

    # The state and the service

    def _store_blocked(self, x: n.StoreBlocked) -> None:
        self._complain(x.part, x.part, "host", x.reason, x.hint)

    def _store_unblocked(self, x: n.StoreUnblocked) -> None:
        self._mend(x.part)

    def _config_taken(self, x: n.ConfigReloaded) -> None:
        self._config_in_force, self._refused = True, ()
        self._mend("configuration", "control socket", "http")
        self._mend(*(f"sink {name}" for name in x.changed), *(f"source {name}" for name in x.changed))
        if "everything" in x.changed:
            self._mend(*self._complaints)
        if "manager" in x.changed:
            self._mend("session", "publishing", "journal", "cel-unseen")
            self._events.publishing_paused = False

    def _config_refused(self, x: n.ConfigRefused) -> None:
        self._config_in_force, self._refused = False, x.problems
        text = "the new configuration was refused, the old one stays: " + "; ".join(x.problems)
        self._complain("configuration", "configuration", "configuration", text, "asterisk-connector check")

    def _worker_failed(self, x: n.WorkerFailed) -> None:
        self._worker_failures[x.worker] += 1
        text = f"met an error nobody expected ({x.reason}) and starts again"
        self._complain(f"worker {x.worker}", f"worker {x.worker}", "bug", text, _REPORT, lasts=LASTING + x.retry_in)

    def _clock_stepped(self, x: n.ClockStepped) -> None:
        text = f"the clock of this host was stepped by {x.seconds:+.1f} s"
        self._complain("clock", "host", "host", text, "let chrony or systemd-timesyncd slew it", lasts=LASTING)

    def _control_unavailable(self, x: n.ControlUnavailable) -> None:
        text = f"commands cannot ask the service over {x.path}: {x.reason}"
        self._complain("control socket", "control socket", "host", text, x.hint)

    def _http_unavailable(self, x: n.HttpUnavailable) -> None:
        text = f"status page and metrics cannot be had at {x.address}: {x.reason}"
        hint = f"see who listens there (ss -ltnp), or set http.listen; tried again every {x.retry_in:.0f} s"
        self._complain("http", "http", "host", text, hint)

    # AMI

    def _ami_connected(self, x: n.AmiConnected) -> None:
        self._mend("session", "cel-unseen")
        self._events.changed_at = self._clock.now()
        self._events.sessions += 1
        self._events.asterisk_version = x.asterisk_version

    def _ami_lost(self, x: n.AmiLost) -> None:
        self._events.changed_at = self._clock.now()
        self._complain("session", "manager session", "remote", x.reason)

    def _ami_unavailable(self, x: n.AmiUnavailable) -> None:
        self._complain("session", "manager session", "configuration" if x.hint else "remote", x.reason, x.hint)

    def _ami_gap(self, x: n.AmiGap) -> None:
        self._events.gaps += 1
        self._events.gap_seconds += max(0, x.end - x.start) / 1_000_000

    def _cel_unseen(self, x: n.CelUnseen) -> None:
        self._complain("cel-unseen", "manager session", "configuration", x.reason, x.hint)

    def _host_renamed(self, x: n.HostRenamed) -> None:
        text = f"this host is {x.now}, but entity id {x.entity_id} and what is kept here come from {x.before}"
        hint = f"if {x.before} still runs, this is a clone: set events.entity_id here"
        self._complain("renamed", "events", "configuration", text, hint)

    def _events_journalled(self, x: n.EventsJournalled) -> None:
        events = self._events
        events.read += x.read
        events.journalled += x.kept
        events.filtered += x.filtered

    def _events_dropped(self, x: n.EventsDropped) -> None:
        where = x.where if x.where in ("memory", "journal") else x.where.partition(":")[0]
        self._events.dropped[where] += x.events
        text = f"{x.events} AMI events were dropped by {x.where}: {x.reason}"
        self._complain(f"dropped {where}", "events", "host", text, lasts=LASTING)

    def _events_published(self, x: n.EventsPublished) -> None:
        self._events.delivered += x.events
        self._events.latency.observe(x.latency, x.events)

    def _event_refused(self, _: n.EventRefused) -> None:
        self._events.refused += 1

    def _publishing_paused(self, x: n.PublishingPaused) -> None:
        self._events.publishing_paused = True
        self._complain("publishing", "publishing", "configuration" if x.hint else "remote", x.reason, x.hint)

    def _publishing_resumed(self, _: n.PublishingResumed) -> None:
        self._events.publishing_paused = False
        self._mend("publishing")


_REPORT = "please report it, with the lines of the journal around it"
_ELSEWHERE = {"cel_table", "cdr_table", "recordings_table", "cel_ami"}
_FILES = {"calls_file"}


def _of_source(notice: Any) -> str:
    return f"source {notice.source}"


def _of_sink(notice: Any) -> str:
    return f"sink {notice.sink}"


def _named(part: str) -> Callable[[Any], str]:
    return lambda _: part


_ERRORS: dict[type[Notice], Callable[[Any], str]] = {
    **dict.fromkeys(
        (
            n.SourceFailed,
            n.RowSetAside,
            n.FileTruncated,
            n.WatchOverflow,
            n.WatchRefused,
            n.TableRestarted,
            n.ZoneDoubtful,
        ),
        _of_source,
    ),
    **dict.fromkeys((n.DeliveryDeferred, n.DeliveryBuried, n.SinkDown, n.SinkMisconfigured), _of_sink),
    **dict.fromkeys((n.EvidenceTooLate, n.EnrichmentFailed), _named("calls")),
    **dict.fromkeys((n.StoreBlocked, n.StoreRepaired, n.StoreTrimmed), _named("state")),
    **dict.fromkeys((n.AmiLost, n.AmiUnavailable, n.AmiDamaged, n.AmiGap, n.CelUnseen), _named("manager session")),
    **dict.fromkeys((n.EventsDropped, n.EventRefused, n.HostRenamed), _named("events")),
    n.PublishingPaused: _named("publishing"),
    n.ConfigRefused: _named("configuration"),
    n.ClockStepped: _named("host"),
    n.ControlUnavailable: _named("control socket"),
    n.HttpUnavailable: _named("http"),
    n.WorkerFailed: lambda notice: f"worker {notice.worker}",
}
"""Notices that may be errors, and the part they are about; whether one is, its sentence's priority says."""

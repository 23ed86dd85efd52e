"""Facts into the status document: parts say whether they are well, complaints say what it is. Pure.

- A part's own state is the truth; a complaint only explains it. So what is mended is no problem any more, even where
  nobody said so, and what is broken is one, even where nobody said why.
- Where nothing runs the same is made of the state alone: an empty snapshot and an empty tally.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from asterisk_connector.records import Micros
from asterisk_connector.snapshot import SinkNow, Snapshot, SourceNow, StateNow
from asterisk_connector.telemetry.masking import masked
from asterisk_connector.telemetry.status import (
    PROBLEMS,
    CallsStatus,
    EventsStatus,
    JournalStatus,
    Latency,
    Problem,
    RecentCall,
    RecentError,
    Service,
    ServiceState,
    Severity,
    SinkStatus,
    SourceStatus,
    StateStatus,
    Status,
)
from asterisk_connector.telemetry.tally import Complaint, Fault, SinkTally, SourceTally, Tallied


class Process(Struct, frozen=True, kw_only=True):
    """What the service knows of itself. `phase` is where it is in its life; `down`: nobody runs."""

    version: str
    host: str
    directory: str
    config_file: str
    config_loaded_at: Micros | None = None
    config_problems: tuple[str, ...] = ()
    pid: int | None = None
    started_at: Micros | None = None
    phase: Literal["starting", "running", "stopping", "down"] = "running"
    log_lines_dropped: int = 0


def status(process: Process, snapshot: Snapshot, tallied: Tallied, now: Micros) -> Status:
    """How things are at `now`."""
    return _Report(process, snapshot, tallied, now).status()


_NOBODY = Complaint("", "bug", "", "", 0, 0)
_UNCONFIGURED = Complaint(
    "",
    "configuration",
    "it is owed calls, but no longer configured",
    "configure it again, or see `asterisk-connector outbox list`",
    0,
    0,
)
_KNOWN_BY_THEIR_PARTS = ("source ", "sink ", "state", "session", "journal")


class _Report:
    """One document in the making."""

    def __init__(self, process: Process, snapshot: Snapshot, tallied: Tallied, now: Micros) -> None:
        self._process = process
        self._snapshot = snapshot
        self._tallied = tallied
        self._now = now
        self._state = snapshot.state or StateNow(process.directory, None, False)
        self._counts = self._state.counts
        self._sources = tuple(self._source(source) for source in snapshot.sources)
        self._sinks = tuple(self._all_sinks())
        self._events = self._session()
        self._problems = tuple(sorted(self._wrong(), key=lambda problem: problem.severity))
        self._calls = self._of_calls()

    def status(self) -> Status:
        process, counts, journal = self._process, self._counts, self._events and self._events.journal
        return Status(
            at=_moment(self._now),
            service=self._service(),
            problems=self._problems[:PROBLEMS],
            sources=self._sources,
            calls=self._calls,
            sinks=self._sinks,
            events=self._events,
            state=StateStatus(
                directory=self._state.directory,
                bytes=counts.bytes if counts else None,
                journal_bytes=journal.bytes if journal else None,
                free_bytes=self._state.free_bytes,
                blocked=self._state.blocked,
                reason=self._standing("state").text if self._state.blocked else "",
                set_aside=counts.set_aside if counts else None,
                unlinked_recordings=counts.unlinked_recordings if counts else None,
            ),
            recent_calls=tuple(self._recent_calls()),
            recent_errors=tuple(RecentError(_at(e.at), e.part, e.text, e.hint, e.times) for e in self._tallied.errors),
            log_lines_dropped=process.log_lines_dropped,
        )

    def _service(self) -> Service:
        process = self._process
        looked_at = self._is_looked_at
        healthy = looked_at and process.phase == "running" and all(p.severity != "error" for p in self._problems)
        ready = healthy and all(sink.state == "up" for sink in self._sinks)
        ready = ready and (self._events is None or self._events.publishing != "paused")
        if process.phase != "running":
            state: ServiceState = process.phase
        elif self._state.blocked:
            state = "blocked"
        else:
            state = "ready" if ready else "degraded" if looked_at else "starting"
        return Service(
            version=process.version,
            host=process.host,
            pid=process.pid,
            started_at=_at(process.started_at),
            uptime=None if process.started_at is None else _seconds(self._now - process.started_at),
            state=state,
            alive=process.phase != "down" and not self._snapshot.stuck,
            healthy=healthy,
            ready=ready,
            sentence=self._sentence(state),
            config_file=process.config_file,
            config_loaded_at=_at(process.config_loaded_at),
            config_problems=self._tallied.refused or process.config_problems,
        )

    @property
    def _is_looked_at(self) -> bool:
        """Whether it is known of every source, and of the session, if it can be had."""
        sources = all(_is_looked_at(source, self._told(source)) for source in self._snapshot.sources)
        session = self._events is None or self._events.session == "up" or "session" in self._tallied.complaints
        return sources and session

    def _sentence(self, state: ServiceState) -> str:
        """`Ready: 2 sources, 3 open calls, 0 deliveries owed (call_api up)`; what is worst comes last."""
        owed = sum(sink.pending or 0 for sink in self._sinks)
        sinks = ", ".join(f"{sink.name} {sink.state}" for sink in self._sinks) or "no sink"
        said = f"{state.capitalize()}: {_many(len(self._sources), 'source')}, "
        said += f"{_many(self._calls.open or 0, 'open call')}, {owed} {'delivery' if owed == 1 else 'deliveries'} owed"
        said += f" ({sinks})"
        if self._events is not None:
            said += f", manager session {self._events.session}"
            if self._events.journal is not None:
                said += f", {_many(self._events.journal.events, 'event')} waiting for Kafka"
        if dead := sum(sink.dead or 0 for sink in self._sinks):
            said += f", {_many(dead, 'dead letter')}"
        worst = self._problems[0] if self._problems else None
        return said if worst is None or worst.severity != "error" else f"{said}; {worst.part}: {worst.text}"

    # Sources

    def _told(self, source: SourceNow) -> SourceTally | None:
        return self._tallied.sources.get(source.name)

    def _source(self, source: SourceNow) -> SourceStatus:
        told, extent = self._told(source) or SourceTally(), source.extent
        failing = _is_failing(source, told)
        complaint = self._tallied.complaints.get(f"source {source.name}", _NOBODY) if failing else _NOBODY
        waits_for = f"{extent.missing} does not exist yet" if extent and extent.missing else ""
        if not waits_for and not _is_looked_at(source, self._told(source)):
            waits_for = "not looked at yet"
        return SourceStatus(
            name=source.name,
            kind=source.kind,
            state="failing" if failing else "waiting" if waits_for else "reading",
            rows=told.rows,
            bytes=extent.read if extent else None,
            set_aside=told.set_aside,
            errors=told.errors,
            rotations=told.rotations,
            lag_seconds=self._lag(source, told, failing),
            lag_bytes=extent.unread if extent else None,
            last_read_at=_at(told.last_read_at),
            newest_at=_at(told.newest),
            reason=complaint.text or waits_for,
            hint=complaint.hint,
        )

    def _lag(self, source: SourceNow, told: SourceTally, failing: bool) -> float | None:
        extent = source.extent
        if extent is None:
            return None
        if extent.caught_up and not failing:
            return 0.0
        since = max((at for at in (extent.caught_up_at, told.newest) if at is not None), default=None)
        return None if since is None else _seconds(max(0, self._now - since))

    # Calls

    def _of_calls(self) -> CallsStatus:
        told, counts = self._tallied.calls, self._counts
        outcomes: dict[str, int] = {}
        for (_, outcome), count in sorted(told.completed.items()):
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        return CallsStatus(
            open=counts.open_calls if counts else None,
            opened=told.opened,
            completed=told.completed.total(),
            incomplete=told.incomplete,
            revised=told.revised,
            unaccounted=self._state.unaccounted,
            by_outcome=outcomes,
        )

    def _recent_calls(self) -> Iterator[RecentCall]:
        for call, delivered in self._state.recent:
            yield RecentCall(
                id=call.call_id,
                at=_at(call.started_at),
                direction=call.direction,
                caller=masked(call.caller.number),
                called=masked(call.dialled or call.did),
                outcome=call.outcome,
                duration=None if call.ended_at is None else _seconds(call.ended_at - call.started_at),
                complete=call.complete,
                revision=call.revision,
                delivered=delivered,
            )

    # Sinks

    def _all_sinks(self) -> Iterator[SinkStatus]:
        for sink in self._snapshot.sinks:
            about = self._tallied.complaints.get(f"sink {sink.name}", _NOBODY) if sink.state != "up" else _NOBODY
            yield self._sink(sink, about)
        counts = self._counts
        if counts and self._process.phase == "running":
            for name in sorted({*counts.backlog, *counts.dead} - {sink.name for sink in self._snapshot.sinks}):
                yield self._sink(SinkNow(name, "paused", 0), _UNCONFIGURED)

    def _sink(self, sink: SinkNow, about: Complaint) -> SinkStatus:
        told, counts = self._tallied.sinks.get(sink.name) or SinkTally(), self._counts
        backlog = counts.backlog.get(sink.name) if counts else None
        oldest = backlog.oldest if backlog else None
        return SinkStatus(
            name=sink.name,
            state=sink.state,
            delivered=told.delivered,
            deferred=told.deferred,
            refused=told.refused,
            expired=told.expired,
            dead=counts.dead.get(sink.name, 0) if counts else None,
            pending=(backlog.pending if backlog else 0) if counts else None,
            in_flight=sink.in_flight,
            oldest_unsent=None if oldest is None else _seconds(max(0, self._now - oldest)),
            latency=Latency(told.latency.quantile(0.5), told.latency.quantile(0.99)),
            fault=None if about is _NOBODY else about.fault,
            reason=about.text,
            hint=about.hint,
            since=_at(about.since or None),
        )

    # Events

    def _session(self) -> EventsStatus | None:
        events, told = self._snapshot.events, self._tallied.events
        if events is None:
            return None
        publishing: Literal["up", "paused"] | None = None
        if events.topic:
            publishing = "paused" if told.publishing_paused else "up"
        about = _NOBODY
        if not events.connected:
            about = self._standing("session")
        elif publishing == "paused":
            about = self._standing("publishing")
        waiting = events.waiting
        return EventsStatus(
            peer=events.peer,
            session="up" if events.connected else "down",
            since=_at(told.changed_at),
            asterisk_version=told.asterisk_version,
            read=told.read,
            filtered=told.filtered,
            journalled=told.journalled,
            delivered=told.delivered,
            refused=told.refused,
            dropped=told.dropped.total(),
            reconnects=max(0, told.sessions - 1),
            gaps=told.gaps,
            gap_seconds=round(told.gap_seconds, 3),
            journal=None if waiting is None else JournalStatus(waiting.events, waiting.bytes, _at(waiting.oldest)),
            topic=events.topic,
            publishing=publishing,
            in_flight=events.in_flight,
            reason=about.text,
            hint=about.hint,
        )

    # Problems

    def _standing(self, about: str) -> Complaint:
        """The complaint that stands about something, or an empty one."""
        known = self._tallied.complaints.get(about)
        return known if known is not None and known.stands(self._now) else _NOBODY

    def _wrong(self) -> Iterator[Problem]:
        """What is wrong now."""
        for name in self._snapshot.stuck:
            yield Problem(name, "error", "bug", "it does not come round any more", "please report it", None, 1)
        for source in self._sources:
            if source.state == "failing":
                yield self._problem("error", f"source {source.name}", f"source {source.name}", source.reason)
        for sink in self._sinks:
            yield from self._wrong_with(sink)
        if self._state.blocked:
            yield self._problem("error", "state", "state", "it cannot be written", "host")
        if self._state.unaccounted:
            text = f"{self._state.unaccounted} calls or deliveries are unaccounted for"
            yield Problem("state", "error", "bug", text, "please report it: asterisk-connector support", None, 1)
        if self._events is not None and self._events.session == "down":
            yield self._problem("error", "session", "manager session", "there is no session yet", "remote")
        if self._snapshot.events is not None and self._snapshot.events.journal_blocked:
            yield self._problem("error", "journal", "journal", "it cannot be written", "host")
        for about, known in self._tallied.complaints.items():
            if not about.startswith(_KNOWN_BY_THEIR_PARTS) and known.stands(self._now):
                ours = about == "publishing" and known.fault == "configuration"
                yield self._problem("error" if ours else "warning", about, known.part, known.text)

    def _wrong_with(self, sink: SinkStatus) -> Iterator[Problem]:
        name = f"sink {sink.name}"
        if sink.state != "up" and self._process.phase != "down":
            fault = sink.fault or "remote"
            severity: Severity = "warning" if fault == "remote" else "error"
            count = self._tallied.complaints.get(name, _NOBODY).count
            text = sink.reason or "it takes no calls"
            yield Problem(name, severity, fault, text, sink.hint, sink.since, count)
        if sink.dead:
            text = f"{_many(sink.dead, 'dead letter')}: refused, or not taken in time"
            yield Problem(name, "warning", "remote", text, "asterisk-connector outbox list --dead", None, sink.dead)

    def _problem(self, severity: Severity, about: str, part: str, text: str, fault: Fault = "bug") -> Problem:
        """With what was complained about, as far as anything was."""
        known = self._tallied.complaints.get(about)
        if known is None:
            return Problem(part, severity, fault, text, "", None, 1)
        return Problem(part, severity, known.fault, known.text or text, known.hint, _at(known.since), known.count)


def _is_looked_at(source: SourceNow, told: SourceTally | None) -> bool:
    if told is None:
        return False
    if told.failed_at is not None or source.extent is None or told.last_read_at is not None:
        return True
    return source.extent.caught_up_at is not None


def _is_failing(source: SourceNow, told: SourceTally) -> bool:
    """A source that was opened again may fail again when it is read: it is well when it has been."""
    if told.failed_at is None:
        return False
    read = (told.last_read_at, source.extent.caught_up_at if source.extent else told.opened_at)
    return not any(at is not None and at >= told.failed_at for at in read)


def _many(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def _at(micros: Micros | None) -> datetime | None:
    return None if micros is None else _moment(micros)


def _moment(micros: Micros) -> datetime:
    return datetime.fromtimestamp(micros // 1000 / 1000, UTC)


def _seconds(micros: Micros) -> float:
    return round(micros / 1_000_000, 3)

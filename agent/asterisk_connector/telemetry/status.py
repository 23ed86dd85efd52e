"""The one document of how things are: `status --json`, `/status`, the page, metrics and systemd's sentence are made of it.

- Made from a snapshot of the parts and the tally of notices; pure, cheap, the same for everybody who asks.
- What is wrong *now* stands in `problems` with who can mend it; what went wrong is in `recent_errors`.
- An error is what keeps the agent from its work here; a sink or Kafka that is away for a reason of its own is explained:
  a warning, healthy, not ready.
- Numbers of people are masked, always.

Every field with its meaning: docs/status.md, made from these types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from asterisk_connector.records import Micros
from asterisk_connector.snapshot import EventsNow, Snapshot, SourceNow, StateNow
from asterisk_connector.store.words import Counts
from asterisk_connector.telemetry.masking import masked
from asterisk_connector.telemetry.tally import Complaint, Fault, SinkTally, SourceTally, Tallied

VERSION = 1
_PROBLEMS = 50

At = Annotated[datetime | None, Meta(extra_json_schema={"x-unit": "RFC 3339, UTC"})]
Seconds = Annotated[float | None, Meta(extra_json_schema={"x-unit": "seconds"})]
Bytes = Annotated[int | None, Meta(extra_json_schema={"x-unit": "bytes"})]
ServiceState = Literal["starting", "ready", "degraded", "blocked", "stopping", "down"]


def _doc(text: str) -> Meta:
    return Meta(description=text)


class Service(Struct, frozen=True, kw_only=True):
    """The process and, in three words, how it is."""

    version: Annotated[str, _doc("Of the agent.")]
    host: Annotated[str, _doc("The PBX, as `host` in the configuration names it.")]
    pid: Annotated[int | None, _doc("Of the process; null when it does not run.")]
    started_at: Annotated[At, _doc("When the process began.")]
    uptime: Annotated[Seconds, _doc("Since then.")]
    state: Annotated[
        ServiceState,
        _doc(
            "`ready`: healthy, and everything gets through. `degraded`: running, but see `problems`. `blocked`: the state "
            "cannot be written, reading pauses. `starting`: not every source was looked at yet. `down`: told from the "
            "state alone, nobody runs."
        ),
    ]
    alive: Annotated[bool, _doc("Every part comes round: what the watchdog sees.")]
    healthy: Annotated[
        bool,
        _doc(
            "Every source is read or waits for its file, the state can be written, the manager session stands, no sink "
            "and no Kafka refuses us for our settings. Away for a reason of its own is healthy."
        ),
    ]
    ready: Annotated[bool, _doc("Healthy, every sink takes calls, and events are published.")]
    sentence: Annotated[str, _doc("All of it in a sentence, as `systemctl status` shows it.")]
    config_file: Annotated[str, _doc("The configuration in force.")]
    config_loaded_at: Annotated[At, _doc("When it was put in force.")]
    config_problems: Annotated[
        tuple[str, ...], _doc("Its warnings; or the errors of a newer one that was refused, so that this one stays.")
    ]


class Problem(Struct, frozen=True):
    """Something that is wrong now."""

    part: Annotated[str, _doc("What it is about: `source …`, `sink …`, `manager session`, `publishing`, `state`, …")]
    severity: Annotated[
        Literal["error", "warning"], _doc("`error`: keeps the agent from its work. `warning`: explained, or a hint.")
    ]
    fault: Annotated[
        Fault, _doc("Who can mend it: our `configuration`, this `host`, somebody `remote`, or a `bug` of ours.")
    ]
    text: Annotated[str, _doc("What is wrong.")]
    hint: Annotated[str, _doc("What to do; empty where waiting is enough.")]
    since: Annotated[At, _doc("When it began, as far as this process saw it.")]
    count: Annotated[int, _doc("How often it was met since.")]


class SourceStatus(Struct, frozen=True, kw_only=True):
    """One source. Counters are of this process."""

    name: Annotated[str, _doc("As in the configuration: kind and place.")]
    kind: Annotated[str, _doc("`cel_csv`, `cdr_csv`, `cel_table`, `cdr_table`, `cel_ami`, `recordings`, …")]
    state: Annotated[
        Literal["reading", "waiting", "failing"],
        _doc("`waiting`: for a file to appear, or to be looked at for the first time. `failing`: it cannot be read."),
    ]
    rows: Annotated[int, _doc("Rows kept.")]
    bytes: Annotated[Bytes, _doc("Bytes read of what was kept; null where it is not measured.")]
    set_aside: Annotated[int, _doc("Rows that could not be understood; they are kept apart.")]
    errors: Annotated[int, _doc("Times it could not be read.")]
    rotations: Annotated[int, _doc("Files renamed away and read to their end.")]
    lag_seconds: Annotated[
        Seconds,
        _doc(
            "0 while nothing waits; else for how long something may have waited, by the newest row read or the last time "
            "all was read. Null where that is not known."
        ),
    ]
    lag_bytes: Annotated[
        Bytes,
        _doc("Bytes not yet kept, of the file and its rotated rest (compressed ones as they lie on the disk)."),
    ]
    last_read_at: Annotated[At, _doc("When rows were kept last.")]
    newest_at: Annotated[At, _doc("Latest time that a row bears.")]
    reason: Annotated[str, _doc("Why it fails or what it waits for.")]
    hint: Annotated[str, _doc("What to do about it.")]


class CallsStatus(Struct, frozen=True, kw_only=True):
    """Calls. Counters are of this process; `open` and `unaccounted` are of the state."""

    open: Annotated[int | None, _doc("Calls that go on, or whose last rows are awaited.")]
    opened: Annotated[int, _doc("Calls that began.")]
    completed: Annotated[int, _doc("Calls that came to their end.")]
    incomplete: Annotated[int, _doc("Of these, calls closed by a rule because their end was never written.")]
    revised: Annotated[int, _doc("Calls told again because evidence came late.")]
    unaccounted: Annotated[
        int | None,
        _doc(
            "Calls and deliveries whose books do not balance: not open, not owed, not delivered, no dead letter, not let "
            "go by age. Must be 0."
        ),
    ]
    by_outcome: Annotated[dict[str, int], _doc("`completed` by outcome.")]


class Latency(Struct, frozen=True):
    """Of the latest 512 deliveries, from when they were owed to the answer."""

    p50: Annotated[Seconds, _doc("Half were this fast.")]
    p99: Annotated[Seconds, _doc("Of a hundred 99.")]


class SinkStatus(Struct, frozen=True, kw_only=True):
    """One sink. Counters are of this process; what is owed and dead is of the state."""

    name: Annotated[str, _doc("`call_api`, `recording_api`, `kafka_calls`, `calls_file`.")]
    state: Annotated[
        Literal["up", "down", "paused"],
        _doc("`down`: an outage, tried again by itself. `paused`: it refuses us, or is no longer configured."),
    ]
    delivered: Annotated[int, _doc("Deliveries taken.")]
    deferred: Annotated[int, _doc("Times a delivery was put off.")]
    refused: Annotated[int, _doc("Deliveries that will never be taken.")]
    expired: Annotated[int, _doc("Deliveries that nobody took within `shipping.retry_for`.")]
    dead: Annotated[int | None, _doc("Dead letters kept.")]
    pending: Annotated[int | None, _doc("Deliveries owed.")]
    in_flight: Annotated[int, _doc("Deliveries on their way now.")]
    oldest_unsent: Annotated[Seconds, _doc("Age of the oldest delivery owed; null when none is.")]
    latency: Annotated[Latency, _doc("How long deliveries take.")]
    fault: Annotated[Fault | None, _doc("Who can mend it, while it is not up.")]
    reason: Annotated[str, _doc("Why it is not up.")]
    hint: Annotated[str, _doc("What to do about it.")]
    since: Annotated[At, _doc("Since when it is not up.")]


class JournalStatus(Struct, frozen=True):
    """Events on disk that Kafka has not acknowledged."""

    events: Annotated[int, _doc("How many, by sequence.")]
    bytes: Annotated[Bytes, _doc("Of its file in use.")]
    oldest: Annotated[At, _doc("When the oldest was read.")]


class EventsStatus(Struct, frozen=True, kw_only=True):
    """The manager session, and AMI events to Kafka. Counters are of this process."""

    peer: Annotated[str, _doc("Address of the manager.")]
    session: Annotated[Literal["up", "down"], _doc("Whether a session stands, logged in.")]
    since: Annotated[At, _doc("Since when it is so.")]
    asterisk_version: Annotated[str, _doc("As Asterisk said at the last login.")]
    read: Annotated[int, _doc("Events read.")]
    filtered: Annotated[int, _doc("Events left out by filters.")]
    journalled: Annotated[int, _doc("Records put on disk: events kept, and our own of gaps.")]
    delivered: Annotated[int, _doc("Records acknowledged by Kafka.")]
    refused: Annotated[int, _doc("Events that will never be taken; they are kept apart.")]
    dropped: Annotated[int, _doc("Events lost here: the disk or memory was full.")]
    reconnects: Annotated[int, _doc("Sessions after the first.")]
    gaps: Annotated[int, _doc("Times without a session.")]
    gap_seconds: Annotated[Seconds, _doc("How long these were together; what Asterisk said then cannot be had.")]
    journal: Annotated[JournalStatus | None, _doc("What waits; null where no events are published.")]
    topic: Annotated[str, _doc("Kafka topic; empty where no events are published.")]
    publishing: Annotated[Literal["up", "paused"] | None, _doc("Null where no events are published.")]
    in_flight: Annotated[int, _doc("Records handed to Kafka and not acknowledged.")]
    reason: Annotated[str, _doc("Why there is no session, or nothing is published.")]
    hint: Annotated[str, _doc("What to do about it.")]


class StateStatus(Struct, frozen=True, kw_only=True):
    """The state on disk."""

    directory: Annotated[str, _doc("Where it is.")]
    bytes: Annotated[Bytes, _doc("Of `calls.db` in use.")]
    journal_bytes: Annotated[Bytes, _doc("Of `ami.db` in use; null where no events are published.")]
    free_bytes: Annotated[Bytes, _doc("Left on its file system.")]
    blocked: Annotated[bool, _doc("Whether it cannot be written now.")]
    reason: Annotated[str, _doc("Why.")]
    set_aside: Annotated[int | None, _doc("Rows kept apart because they could not be understood.")]
    unlinked_recordings: Annotated[int | None, _doc("Recordings that belong to no call yet.")]


class RecentCall(Struct, frozen=True, kw_only=True):
    """A call that ended lately; numbers are masked."""

    id: Annotated[str, _doc("For `asterisk-connector calls show`.")]
    at: Annotated[At, _doc("When it began.")]
    direction: Annotated[str | None, _doc("`inbound`, `outbound`, `internal`.")]
    caller: Annotated[str, _doc("Who called.")]
    called: Annotated[str, _doc("What was dialled, or the number called.")]
    outcome: Annotated[str | None, _doc("See docs/call-document.md.")]
    duration: Annotated[Seconds, _doc("From its beginning to its end.")]
    complete: Annotated[bool, _doc("Whether its end was written.")]
    revision: Annotated[int, _doc("How often it was told.")]
    delivered: Annotated[bool, _doc("Whether every sink has it.")]


class RecentError(Struct, frozen=True):
    """An error that was told, over or not."""

    at: Annotated[At, _doc("When it was told last.")]
    part: Annotated[str, _doc("What it was about.")]
    text: Annotated[str, _doc("What was wrong.")]
    hint: Annotated[str, _doc("What to do.")]
    count: Annotated[int, _doc("How often.")]


class Status(Struct, frozen=True, kw_only=True):
    """How things are. Instants are RFC 3339, durations seconds, sizes bytes; what is not known is null."""

    version: Annotated[int, _doc("Of this document; a field that changes its meaning raises it.")] = VERSION
    at: Annotated[datetime, _doc("When it was made; what is counted in the state may be some seconds older.")]
    service: Annotated[Service, _doc("The process.")]
    problems: Annotated[tuple[Problem, ...], _doc("What is wrong now, worst first.")]
    sources: Annotated[tuple[SourceStatus, ...], _doc("What is read.")]
    calls: Annotated[CallsStatus, _doc("Calls.")]
    sinks: Annotated[tuple[SinkStatus, ...], _doc("Where calls go.")]
    events: Annotated[EventsStatus | None, _doc("The manager session; null where there is none in the configuration.")]
    state: Annotated[StateStatus, _doc("The state on disk.")]
    recent_calls: Annotated[tuple[RecentCall, ...], _doc("Calls that ended lately, newest first, at most 20.")]
    recent_errors: Annotated[tuple[RecentError, ...], _doc("What went wrong lately, newest first, at most 20.")]
    log_lines_dropped: Annotated[int, _doc("Lines the journal did not take in time.")]


class Process(Struct, frozen=True, kw_only=True):
    """What the service knows of itself. `phase` is where it is in its life."""

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
    sources = tuple(_sources(snapshot.sources, tallied, now))
    sinks = tuple(_sinks(snapshot, tallied, now))
    events = None if snapshot.events is None else _events(snapshot.events, tallied, now)
    state = snapshot.state or StateNow(process.directory, None, False)
    problems = tuple(_problems(sources, sinks, events, state, snapshot.stuck, tallied, now))
    looked_at = all(_is_looked_at(source, tallied.sources.get(source.name)) for source in snapshot.sources)
    looked_at = looked_at and (events is None or events.session == "up" or "session" in tallied.complaints)
    healthy = looked_at and process.phase == "running" and not any(each.severity == "error" for each in problems)
    ready = healthy and _gets_through(sinks, events)
    counts = state.counts
    told = CallsStatus(
        open=counts.open_calls if counts else None,
        opened=tallied.calls.opened,
        completed=tallied.calls.completed.total(),
        incomplete=tallied.calls.incomplete,
        revised=tallied.calls.revised,
        unaccounted=counts.unaccounted if counts else None,
        by_outcome=_by_outcome(tallied),
    )
    name = _state(process, state, looked_at, ready)
    return Status(
        at=_moment(now),
        service=Service(
            version=process.version,
            host=process.host,
            pid=process.pid,
            started_at=_at(process.started_at),
            uptime=None if process.started_at is None else _seconds(now - process.started_at),
            state=name,
            alive=process.phase != "down" and not snapshot.stuck,
            healthy=healthy,
            ready=ready,
            sentence=_sentence(name, sources, sinks, told, events, problems),
            config_file=process.config_file,
            config_loaded_at=_at(process.config_loaded_at),
            config_problems=tallied.refused or process.config_problems,
        ),
        problems=problems[:_PROBLEMS],
        sources=sources,
        calls=told,
        sinks=sinks,
        events=events,
        state=StateStatus(
            directory=state.directory,
            bytes=counts.bytes if counts else None,
            journal_bytes=events.journal.bytes if events and events.journal else None,
            free_bytes=state.free_bytes,
            blocked=state.blocked,
            reason=_standing(tallied, "state", now).text if state.blocked else "",
            set_aside=counts.set_aside if counts else None,
            unlinked_recordings=counts.unlinked_recordings if counts else None,
        ),
        recent_calls=tuple(_recent_calls(state)),
        recent_errors=tuple(RecentError(_at(e.at), e.part, e.text, e.hint, e.times) for e in tallied.errors),
        log_lines_dropped=process.log_lines_dropped,
    )


def encode(document: Status) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document)


def decode(body: bytes) -> Status:
    """The inverse of `encode`. Raises msgspec.DecodeError for what is no such document."""
    return msgspec.json.decode(body, type=Status)


_NOBODY = Complaint("", "bug", "", "", 0, 0)


def _standing(tallied: Tallied, about: str, now: Micros) -> Complaint:
    """The complaint that stands about something, or an empty one."""
    known = tallied.complaints.get(about)
    return known if known is not None and known.stands(now) else _NOBODY


def _by_outcome(tallied: Tallied) -> dict[str, int]:
    found: dict[str, int] = {}
    for (_, outcome), count in sorted(tallied.calls.completed.items()):
        found[outcome] = found.get(outcome, 0) + count
    return found


# Sources


def _is_looked_at(source: SourceNow, told: SourceTally | None) -> bool:
    """Whether it is known if the source can be read."""
    if told is None:
        return False
    if told.failed_at is not None or source.extent is None or told.last_read_at is not None:
        return True
    return source.extent.caught_up_at is not None


def _is_failing(source: SourceNow, told: SourceTally) -> bool:
    """An opened source may fail again when it is first read: it is well again when it has been."""
    if told.failed_at is None:
        return False
    read = [told.last_read_at, source.extent.caught_up_at if source.extent else told.opened_at]
    return not any(at is not None and at >= told.failed_at for at in read)


def _sources(sources: Iterable[SourceNow], tallied: Tallied, now: Micros) -> Iterator[SourceStatus]:
    for source in sources:
        told, extent = tallied.sources.get(source.name) or SourceTally(), source.extent
        failing = _is_failing(source, told)
        complaint = tallied.complaints.get(f"source {source.name}", _NOBODY) if failing else _NOBODY
        missing = extent.missing if extent else ""
        waiting = "" if _is_looked_at(source, tallied.sources.get(source.name)) else "not looked at yet"
        yield SourceStatus(
            name=source.name,
            kind=source.kind,
            state="failing" if failing else "waiting" if missing or waiting else "reading",
            rows=told.rows,
            bytes=extent and extent.read,
            set_aside=told.set_aside,
            errors=told.errors,
            rotations=told.rotations,
            lag_seconds=_lag(source, told, failing, now),
            lag_bytes=extent and extent.unread,
            last_read_at=_at(told.last_read_at),
            newest_at=_at(told.newest),
            reason=complaint.text or (f"{missing} does not exist yet" if missing else waiting),
            hint=complaint.hint,
        )


def _lag(source: SourceNow, told: SourceTally, failing: bool, now: Micros) -> float | None:
    extent = source.extent
    if extent is None:
        return None
    if extent.caught_up and not failing:
        return 0.0
    since = max((at for at in (extent.caught_up_at, told.newest) if at is not None), default=None)
    return None if since is None else _seconds(max(0, now - since))


# Sinks


def _sinks(snapshot: Snapshot, tallied: Tallied, now: Micros) -> Iterator[SinkStatus]:
    counts = snapshot.state.counts if snapshot.state else None
    for sink in snapshot.sinks:
        about = tallied.complaints.get(f"sink {sink.name}", _NOBODY) if sink.state != "up" else _NOBODY
        yield _sink(sink.name, sink.state, sink.in_flight, about, counts, tallied, now)
    left = {*counts.backlog, *counts.dead} - {sink.name for sink in snapshot.sinks} if counts else set()
    for name in sorted(left):
        text = "it is owed calls, but no longer configured"
        hint = "configure it again, or see `asterisk-connector outbox list`"
        yield _sink(name, "paused", 0, Complaint("", "configuration", text, hint, 0, 0), counts, tallied, now)


def _sink(
    name: str,
    state: Literal["up", "down", "paused"],
    in_flight: int,
    about: Complaint,
    counts: Counts | None,
    tallied: Tallied,
    now: Micros,
) -> SinkStatus:
    told = tallied.sinks.get(name) or SinkTally()
    backlog = counts.backlog.get(name) if counts else None
    oldest = backlog.oldest if backlog else None
    return SinkStatus(
        name=name,
        state=state,
        delivered=told.delivered,
        deferred=told.deferred,
        refused=told.refused,
        expired=told.expired,
        dead=counts.dead.get(name, 0) if counts else None,
        pending=(backlog.pending if backlog else 0) if counts else None,
        in_flight=in_flight,
        oldest_unsent=None if oldest is None else _seconds(max(0, now - oldest)),
        latency=Latency(told.latency.quantile(0.5), told.latency.quantile(0.99)),
        fault=None if state == "up" else about.fault,
        reason=about.text,
        hint=about.hint,
        since=_at(about.since or None),
    )


# Events


def _events(events: EventsNow, tallied: Tallied, now: Micros) -> EventsStatus:
    told = tallied.events
    publishing: Literal["up", "paused"] | None = None
    if events.topic:
        publishing = "paused" if told.publishing_paused else "up"
    about = _NOBODY
    if not events.connected:
        about = _standing(tallied, "session", now)
    elif publishing == "paused":
        about = _standing(tallied, "publishing", now)
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
        journal=events.waiting
        and JournalStatus(events.waiting.events, events.waiting.bytes, _at(events.waiting.oldest)),
        topic=events.topic,
        publishing=publishing,
        in_flight=events.in_flight,
        reason=about.text,
        hint=about.hint,
    )


# Problems


def _problems(
    sources: Iterable[SourceStatus],
    sinks: Iterable[SinkStatus],
    events: EventsStatus | None,
    state: StateNow,
    stuck: Iterable[str],
    tallied: Tallied,
    now: Micros,
) -> list[Problem]:
    """What is wrong now, worst first: parts say whether they are well, complaints say what it is."""
    found: list[Problem] = []

    def add(severity: Literal["error", "warning"], part: str, fault: Fault, text: str, hint: str, about: str) -> None:
        known = tallied.complaints.get(about, _NOBODY)
        found.append(
            Problem(part, severity, fault, text, hint, _at(known.since or None), known.count if known.since else 1)
        )

    for name in stuck:
        add("error", name, "bug", "does not come round any more", "systemd restarts the service; please report it", "")
    for source in sources:
        if source.state == "failing":
            about = f"source {source.name}"
            known = tallied.complaints.get(about, _NOBODY)
            add("error", about, known.fault, source.reason, source.hint, about)
    for sink in sinks:
        if sink.state != "up":
            about = f"sink {sink.name}"
            ours = sink.state == "paused"
            add("error" if ours else "warning", about, sink.fault or "remote", sink.reason, sink.hint, about)
        if sink.dead:
            text = f"{sink.dead} dead letters: it refused them, or did not take them in time"
            add("warning", f"sink {sink.name}", "remote", text, "asterisk-connector outbox list --dead", "")
    if state.blocked:
        about_state = _standing(tallied, "state", now)
        add("error", "state", "host", about_state.text or "it cannot be written", about_state.hint, "state")
    if state.counts and state.counts.unaccounted:
        text = f"{state.counts.unaccounted} calls or deliveries are unaccounted for"
        add("error", "state", "bug", text, "please report it: asterisk-connector support", "")
    if events is not None and events.session == "down":
        known = _standing(tallied, "session", now)
        add("error", "manager session", known.fault if known.since else "remote", *_session(known), "session")
    parts = {about for about in tallied.complaints if about.startswith(("source ", "sink "))} | {"state", "session"}
    for about, known in tallied.complaints.items():
        if about not in parts and known.stands(now):
            severity: Literal["error", "warning"] = "error" if _is_an_error(about, known) else "warning"
            add(severity, known.part, known.fault, known.text, known.hint, about)
    return sorted(found, key=lambda each: each.severity)


def _session(known: Complaint) -> tuple[str, str]:
    return known.text or "there is no session yet", known.hint


def _is_an_error(about: str, known: Complaint) -> bool:
    return about == "journal" or (about == "publishing" and known.fault == "configuration")


def _gets_through(sinks: Iterable[SinkStatus], events: EventsStatus | None) -> bool:
    return all(sink.state == "up" for sink in sinks) and (events is None or events.publishing != "paused")


# The rest


def _recent_calls(state: StateNow) -> Iterator[RecentCall]:
    for call, delivered in state.recent:
        ended = call.ended_at
        yield RecentCall(
            id=call.call_id,
            at=_at(call.started_at),
            direction=call.direction,
            caller=masked(call.caller.number),
            called=masked(call.dialled or call.did),
            outcome=call.outcome,
            duration=None if ended is None else _seconds(ended - call.started_at),
            complete=call.complete,
            revision=call.revision,
            delivered=delivered,
        )


def _state(process: Process, state: StateNow, looked_at: bool, ready: bool) -> ServiceState:
    if process.phase != "running":
        return process.phase
    if state.blocked:
        return "blocked"
    if ready:
        return "ready"
    return "degraded" if looked_at else "starting"


def _sentence(
    name: ServiceState,
    sources: tuple[SourceStatus, ...],
    sinks: tuple[SinkStatus, ...],
    calls: CallsStatus,
    events: EventsStatus | None,
    problems: tuple[Problem, ...],
) -> str:
    """`Ready: 2 sources, 3 open calls, 0 deliveries owed (call_api up)`; what is worst comes last."""
    owed = sum(sink.pending or 0 for sink in sinks)
    states = ", ".join(f"{sink.name} {sink.state}" for sink in sinks) or "no sink"
    said = f"{name}: {_many(len(sources), 'source')}, {_many(calls.open or 0, 'open call')}, "
    said += f"{_many(owed, 'delivery', 'deliveries')} owed ({states})"
    if events is not None:
        said += f", manager session {events.session}"
        if events.journal is not None:
            said += f", {_many(events.journal.events, 'event')} waiting for Kafka"
    if dead := sum(sink.dead or 0 for sink in sinks):
        said += f", {_many(dead, 'dead letter')}"
    if problems and problems[0].severity == "error":
        said += f"; {problems[0].part}: {problems[0].text}"
    return said[0].upper() + said[1:]


def _many(count: int, one: str, several: str = "") -> str:
    return f"{count} {one if count == 1 else several or one + 's'}"


def _at(micros: Micros | None) -> datetime | None:
    return None if micros is None else _moment(micros)


def _moment(micros: Micros) -> datetime:
    return datetime.fromtimestamp(micros // 1000 / 1000, UTC)


def _seconds(micros: Micros) -> float:
    return round(micros / 1_000_000, 3)

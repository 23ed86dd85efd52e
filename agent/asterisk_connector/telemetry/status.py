"""The one document of how things are: `status --json`, `/status`, the page, metrics and systemd's sentence are made of
it.

- Made by `report.status` from a snapshot of the parts and the tally of notices; the same for everybody who asks.
- What is wrong *now* stands in `problems` with who can mend it; what went wrong is in `recent_errors`.
- An error is what keeps the agent from its work here; a sink or Kafka that is away for a reason of its own is
  explained: a warning, healthy, not ready.
- Numbers of people are masked, always.

Every field with its meaning: docs/status.md, made from these types.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from asterisk_connector.telemetry.tally import Fault

VERSION = 1
PROBLEMS = 50
"""Told at most."""

Moment = Annotated[datetime, Meta(extra_json_schema={"x-unit": "RFC 3339, UTC"})]
At = Annotated[datetime | None, Meta(extra_json_schema={"x-unit": "RFC 3339, UTC"})]
Seconds = Annotated[float | None, Meta(extra_json_schema={"x-unit": "seconds"})]
Bytes = Annotated[int | None, Meta(extra_json_schema={"x-unit": "bytes"})]
Severity = Literal["error", "warning"]
SinkState = Literal["up", "down", "paused"]
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
            "`ready`: healthy, and everything gets through. `degraded`: running, but see `problems`. `blocked`: the "
            "state cannot be written, reading pauses. `starting`: not every source was looked at yet. `down`: told "
            "from the state alone, nobody runs."
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
    severity: Annotated[Severity, _doc("`error`: keeps the agent from its work. `warning`: explained, or a hint.")]
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
            "0 while nothing waits; else for how long something may have waited, by the newest row read or the last "
            "time all was read. Null where that is not known."
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
            "Calls and deliveries whose books do not balance: not open, not owed, not delivered, no dead letter, not "
            "let go by age. Must be 0."
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
        SinkState,
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
    at: Annotated[Moment, _doc("When it was made; what is counted in the state may be some seconds older.")]
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


def encode(document: Status) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document)


def decode(body: bytes) -> Status:
    """The inverse of `encode`. Raises msgspec.DecodeError for what is no such document."""
    return msgspec.json.decode(body, type=Status)

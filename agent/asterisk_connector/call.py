"""One call, told once: the frozen result of assembly and enrichment, and the call document it is published as.

- Every part is immutable; enrichment makes new ones with `msgspec.structs.replace`.
- Absent facts are None or empty, never a guess; what was inferred is named in `evidence.inferred`.
- Instants inside are UTC microseconds, durations seconds; `document` turns instants into RFC 3339 with milliseconds.
- `encode`/`decode` are for our own state; `document` is for the world, versioned by `SCHEMA_VERSION`.

Values and meaning of every field: docs/call-document.md.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from asterisk_connector.records import Micros

SCHEMA_VERSION = 1


class Party(Struct, frozen=True, omit_defaults=True):
    """Someone who takes part. `number` and `name` as Asterisk wrote them; `e164` what normalisation made of it."""

    number: str | None = None
    name: str | None = None
    extension: str | None = None
    e164: str | None = None


class Talk(Struct, frozen=True, omit_defaults=True):
    """Two people in one mixing bridge for one stretch; `a` was there first or called."""

    a: str
    b: str
    seconds: float
    start: Micros


class Transfer(Struct, frozen=True, omit_defaults=True):
    """A transfer or a park, with its result."""

    kind: str
    by: str | None
    transferee: str | None
    target: str | None
    result: str | None
    at: Micros
    seconds: float | None = None


class QueueAttempt(Struct, frozen=True, omit_defaults=True):
    """One agent rung by a queue."""

    agent: str
    ring_seconds: float | None
    answered: bool


class QueueVisit(Struct, frozen=True, omit_defaults=True):
    """A stay in a queue."""

    name: str | None
    wait_seconds: float | None
    attempts: tuple[QueueAttempt, ...] = ()
    result: str | None = None


class Ivr(Struct, frozen=True, omit_defaults=True):
    """Menus the caller went through, and what was chosen."""

    name: str | None
    choices: tuple[str, ...] = ()


class Voicemail(Struct, frozen=True, omit_defaults=True):
    """A mailbox that took the call."""

    mailbox: str | None
    seconds: float | None = None


class Conference(Struct, frozen=True, omit_defaults=True):
    """A conference room and the people who were in it."""

    room: str | None
    participants: tuple[str, ...] = ()


class Trunk(Struct, frozen=True, omit_defaults=True):
    """Names of the trunks by which the call came in and went out."""

    inbound: str | None = None
    outbound: str | None = None


class Leg(Struct, frozen=True, omit_defaults=True):
    """One channel of the call: the caller's or one dial attempt. Local channel halves are wires, not legs.

    `role`: caller, dialled, agent (rung by a queue), originated, recall. `result`: answered, no_answer, busy, declined,
    cancelled, failed, answered_elsewhere, forwarded, or None while open. `cause` is the Q.850 hangup cause.
    """

    uniqueid: str
    channel: str
    role: str
    party: str | None
    name: str | None = None
    started_at: Micros | None = None
    answered_at: Micros | None = None
    ended_at: Micros | None = None
    ring_seconds: float | None = None
    result: str | None = None
    cause: int | None = None
    trunk: str | None = None


class Recording(Struct, frozen=True, omit_defaults=True):
    """A recording of this call, and how it was linked."""

    path: str
    size: int | None = None
    seconds: float | None = None
    format: str | None = None
    started_at: Micros | None = None
    ended_at: Micros | None = None
    leg: str | None = None
    linked_by: str = ""


class Evidence(Struct, frozen=True, omit_defaults=True):
    """Which source said what. `rows` counts records by kind; `inferred` names fields that no event states outright;
    `incomplete` says by which rule an unfinished call was closed; `notes` are remarks of single steps; `explain` maps a
    field to the rule that decided it."""

    rows: dict[str, int] = {}
    inferred: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    incomplete: str | None = None
    notes: tuple[str, ...] = ()
    explain: dict[str, str] = {}


class ThreadEvent(Struct, frozen=True, omit_defaults=True):
    """One line of the call API's `call_threads`: a CEL event or a CDR row of the call, nearly raw."""

    at: Micros
    event: str
    uniqueid: str
    channel: str = ""
    exten: str = ""
    context: str = ""
    peer: str = ""
    extra: str = ""
    src: str = ""
    dst: str = ""
    dstchannel: str = ""
    duration: float | None = None
    billsec: float | None = None
    disposition: str = ""


class Call(Struct, frozen=True, omit_defaults=True):
    """All that is known of one call.

    `parties` maps an extension or number to what is known of that person, `announced` are recordings that rows speak
    of, found or not; like `thread`, which only the call API speaks, they do not appear in the document.
    """

    call_id: str
    linkedids: tuple[str, ...]
    complete: bool
    started_at: Micros
    answered_at: Micros | None = None
    ended_at: Micros | None = None
    revision: int = 0
    host: str = ""
    direction: str | None = None
    caller: Party = Party()
    dialled: str | None = None
    did: str | None = None
    outcome: str | None = None
    disposition: str | None = None
    cause: int | None = None
    answered_by: str | None = None
    final_party: str | None = None
    talk: tuple[Talk, ...] = ()
    talk_seconds: float | None = None
    ring_seconds: float | None = None
    wait_seconds: float | None = None
    hold_seconds: float | None = None
    transfers: tuple[Transfer, ...] | None = ()
    queue: QueueVisit | None = None
    ivr: Ivr | None = None
    voicemail: Voicemail | None = None
    forwarded: tuple[tuple[str, str], ...] = ()
    picked_up: tuple[str, str] | None = None
    conference: Conference | None = None
    click_to_call: bool = False
    ended_by: str | None = None
    trunk: Trunk = Trunk()
    tenant: str | None = None
    account_code: str | None = None
    user_field: str | None = None
    legs: tuple[Leg, ...] = ()
    recordings: tuple[Recording, ...] = ()
    evidence: Evidence = Evidence()
    parties: dict[str, Party] = {}
    announced: tuple[Recording, ...] = ()
    thread: tuple[ThreadEvent, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Call)


def encode(call: Call) -> bytes:
    """The call as our state keeps it."""
    return _encoder.encode(call)


def decode(body: bytes) -> Call:
    """The inverse of `encode`. Raises msgspec.DecodeError for what `encode` did not write."""
    return _decoder.decode(body)


def rfc3339(at: Micros | None) -> str | None:
    """`2026-11-21T19:32:40.982Z`: UTC with milliseconds, rounded down."""
    if at is None:
        return None
    moment = datetime.fromtimestamp(at // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at % 1_000_000 // 1000:03d}Z"


def document(call: Call) -> dict[str, Any]:
    """The call document (schema 1), ready for JSON, in the field order of docs/call-document.md."""
    seconds = _seconds
    return {
        "schema": SCHEMA_VERSION,
        "call_id": call.call_id,
        "linkedids": list(call.linkedids),
        "revision": call.revision,
        "complete": call.complete,
        "host": call.host,
        "started_at": rfc3339(call.started_at),
        "answered_at": rfc3339(call.answered_at),
        "ended_at": rfc3339(call.ended_at),
        "direction": call.direction,
        "caller": _party(call.caller),
        "dialled": call.dialled,
        "did": call.did,
        "outcome": call.outcome,
        "disposition": call.disposition,
        "cause": call.cause,
        "answered_by": call.answered_by,
        "final_party": call.final_party,
        "talk": [{"a": t.a, "b": t.b, "seconds": seconds(t.seconds), "from": rfc3339(t.start)} for t in call.talk],
        "talk_seconds": seconds(call.talk_seconds),
        "ring_seconds": seconds(call.ring_seconds),
        "wait_seconds": seconds(call.wait_seconds),
        "hold_seconds": seconds(call.hold_seconds),
        "transfers": None
        if call.transfers is None
        else [
            {
                "kind": t.kind,
                "by": t.by,
                "transferee": t.transferee,
                "target": t.target,
                "result": t.result,
                "at": rfc3339(t.at),
                "seconds": seconds(t.seconds),
            }
            for t in call.transfers
        ],
        "queue": None
        if call.queue is None
        else {
            "name": call.queue.name,
            "wait_seconds": seconds(call.queue.wait_seconds),
            "attempts": [
                {"agent": a.agent, "ring_seconds": seconds(a.ring_seconds), "answered": a.answered}
                for a in call.queue.attempts
            ],
            "result": call.queue.result,
        },
        "ivr": None if call.ivr is None else {"name": call.ivr.name, "choices": list(call.ivr.choices)},
        "voicemail": None
        if call.voicemail is None
        else {"mailbox": call.voicemail.mailbox, "seconds": seconds(call.voicemail.seconds)},
        "forwarded": [list(pair) for pair in call.forwarded],
        "picked_up": None if call.picked_up is None else list(call.picked_up),
        "conference": None
        if call.conference is None
        else {"room": call.conference.room, "participants": list(call.conference.participants)},
        "click_to_call": call.click_to_call,
        "ended_by": call.ended_by,
        "trunk": {"inbound": call.trunk.inbound, "outbound": call.trunk.outbound},
        "tenant": call.tenant,
        "accountcode": call.account_code,
        "userfield": call.user_field,
        "legs": [
            {
                "uniqueid": leg.uniqueid,
                "channel": leg.channel,
                "role": leg.role,
                "party": leg.party,
                "name": leg.name,
                "started_at": rfc3339(leg.started_at),
                "answered_at": rfc3339(leg.answered_at),
                "ended_at": rfc3339(leg.ended_at),
                "ring_seconds": seconds(leg.ring_seconds),
                "result": leg.result,
                "cause": leg.cause,
                "trunk": leg.trunk,
            }
            for leg in call.legs
        ],
        "recordings": [
            {
                "path": r.path,
                "size": r.size,
                "seconds": seconds(r.seconds),
                "format": r.format,
                "started_at": rfc3339(r.started_at),
                "ended_at": rfc3339(r.ended_at),
                "leg": r.leg,
                "linked_by": r.linked_by,
            }
            for r in call.recordings
        ],
        "evidence": {
            "rows": call.evidence.rows,
            "inferred": list(call.evidence.inferred),
            "missing": list(call.evidence.missing),
            "incomplete": call.evidence.incomplete,
            "notes": list(call.evidence.notes),
        },
    }


def _party(party: Party) -> dict[str, str | None]:
    return {"number": party.number, "name": party.name, "extension": party.extension, "e164": party.e164}


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)

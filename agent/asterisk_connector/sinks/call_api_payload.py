"""The call as the call API wants it: one flat object, `Call` → `dict`. Pure.

- Keys, values and omissions are those of the wire contract, written down field by field in docs/call-api-mapping.md.
- The same item gives the same bytes on every attempt: "now" is the instant at which the delivery was owed, so a
  receiver that compares bodies under one idempotency key never sees two.
- Every instant is UTC with microseconds and a `Z`: fixed width, so sorting the text is sorting the time (D-10, D-14).
- Keys whose value is unknown are left out; nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from asterisk_connector.call import Call, Leg, Party, ThreadEvent
from asterisk_connector.records import Micros

COMPLETE = "complete"

THREAD_EVENTS = frozenset(
    {
        "CDR",
        "CHAN_START",
        "ANSWER",
        "BRIDGE_ENTER",
        "BRIDGE_EXIT",
        "BLINDTRANSFER",
        "ATTENDEDTRANSFER",
        "HANGUP",
        "LINKEDID_END",
    }
)
"""The only events the API has ever been sent in `call_threads`."""

_DIRECTIONS = {"inbound": "i", "outbound": "o"}
_DISPOSITIONS = {"busy": "BUSY", "failed": "FAILED"}
_LONGEST_EXTENSION = 6
_SEPARATORS = str.maketrans("", "", " ()-./")


@dataclass(frozen=True, slots=True)
class PayloadSettings:
    """What the payload says of this host. `tenant` and `hostname` stand in where the call itself names none."""

    connector_version: str
    customer_id: int = 0
    tenant: str = ""
    hostname: str = ""


class Address(NamedTuple):
    """One end of a call as the API keeps it: a public number, an extension, either or both."""

    number: str | None = None
    extension: str | None = None


def payload(call: Call, phase: str, settings: PayloadSettings, now: Micros) -> dict[str, Any]:
    """The body of one POST; `now` is when the delivery was owed.

    Raises ValueError, OverflowError or OSError for instants outside of the years 1 to 9999.
    """
    source, destination = _source(call), _destination(call)
    thread = [_thread_event(event) for event in sorted(call.thread, key=_at) if event.event in THREAD_EVENTS]
    body = {
        "connector_version": settings.connector_version,
        "connector": "asterisk",
        "customer_id": settings.customer_id,
        "tenant": call.tenant or settings.tenant,
        "hostname": call.host or settings.hostname,
        "linkedid": call.call_id,
        "is_complete": phase == COMPLETE,
        "call_time": instant(call.started_at),
        "duration_seconds": _duration(call, phase, now),
        "disposition": _disposition(call),
        "direction": _DIRECTIONS.get(call.direction or "", "x"),
        "src_number": source.number,
        "src_extension": source.extension,
        "src_name": call.caller.name,
        "src_extension_name": _name(call, source.extension) or (call.caller.name if source.extension else None),
        "dst_number": destination.number,
        "dst_extension": destination.extension,
        "dst_name": _name(call, destination.number),
        "dst_extension_name": _name(call, destination.extension),
        "call_threads": thread,
        "call_threads_count": len(thread),
        "recording_files": [
            {
                "filename": PurePosixPath(recording.path).name,
                "file_path": recording.path,
                "file_size": recording.size,
                "source": "filesystem_search",
            }
            for recording in call.recordings
        ]
        or None,
        "ship_phase": phase,
        "shipped_at": instant(now),
    }
    return {key: value for key, value in body.items() if value is not None}


def instant(at: Micros) -> str:
    """`2026-11-21T19:57:22.374804Z`."""
    return f"{_second(at // 1_000_000)}.{at % 1_000_000:06d}Z"


@lru_cache(maxsize=256)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _at(event: ThreadEvent) -> Micros:
    return event.at


def _duration(call: Call, phase: str, now: Micros) -> int:
    end = call.ended_at if call.ended_at is not None else now
    if phase == COMPLETE and call.ended_at is None:
        # Given up as incomplete: it lasted at least until the last thing seen of it.
        end = max((event.at for event in call.thread), default=call.started_at)
    return max(0, end - call.started_at) // 1_000_000


def _disposition(call: Call) -> str:
    if call.disposition:
        return call.disposition
    if call.answered_at is not None:
        return "ANSWERED"
    return _DISPOSITIONS.get(call.outcome or "", "NO ANSWER")


def _source(call: Call) -> Address:
    caller = call.caller
    if caller.extension or caller.e164:
        return Address(_digits(caller.e164), caller.extension)
    return _address(call, caller.number, outside=call.direction in {"inbound", "tandem"})


def _destination(call: Call) -> Address:
    """Who was called: for a call from outside the DID and the extension that took it or was first rung."""
    if call.direction == "inbound":
        number = _address(call, call.did or call.dialled, outside=True).number
        return Address(number, _reached(call))
    if call.direction in {"outbound", "tandem"}:
        # Short public numbers (112, 911) are numbers here, feature codes (*97) are extensions (D-16).
        return _address(call, call.dialled, outside=True)
    reached = _reached(call)
    return Address(None, reached) if reached else _address(call, call.dialled, outside=False)


def _reached(call: Call) -> str | None:
    """The extension that answered, else the one that was rung first."""
    for party in (call.answered_by, *(leg.party for leg in call.legs if leg.role in {"dialled", "agent"})):
        extension = _address(call, party, outside=False).extension
        if extension:
            return extension
    return None


def _address(call: Call, text: str | None, *, outside: bool) -> Address:
    """What `text`, as Asterisk wrote it, names: first what enrichment found, else its shape."""
    if not text:
        return Address()
    known = call.parties.get(text, Party())
    if known.e164 or known.extension:
        return Address(_digits(known.e164), known.extension)
    digits = _digits(text)
    if digits and (outside or len(digits) > _LONGEST_EXTENSION):
        return Address(digits, None)
    return Address(None, text)


def _digits(text: str | None) -> str | None:
    """The digits of a written number, without `+` and separators; None when it holds anything else."""
    bare = (text or "").translate(_SEPARATORS).removeprefix("+")
    return bare if bare.isascii() and bare.isdigit() else None


def _name(call: Call, who: str | None) -> str | None:
    """The name of an extension or a number, from what is known of the people, then of the legs."""
    if who is None:
        return None
    party = call.parties.get(who)
    if party is not None and party.name:
        return party.name
    legs: tuple[Leg, ...] = call.legs
    return next((leg.name for leg in legs if leg.party == who and leg.name), None)


def _thread_event(event: ThreadEvent) -> dict[str, Any]:
    time = instant(event.at)
    if event.event == "CDR":
        return {
            "time": time,
            "event": "CDR",
            "src": event.src,
            "dst": event.dst,
            "duration": int(event.duration or 0),
            "billsec": int(event.billsec or 0),
            "disposition": event.disposition,
            "channel": event.channel,
            "dstchannel": event.dstchannel,
            "uniqueid": event.uniqueid,
        }
    told = {
        "time": time,
        "event": event.event,
        "channel": event.channel,
        "exten": event.exten,
        "context": event.context,
        "uniqueid": event.uniqueid,
    }
    if "BRIDGE" in event.event:
        told["peer"] = event.peer
    if "TRANSFER" in event.event:
        told["transferee"] = event.extra
    return told

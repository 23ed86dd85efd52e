"""The words a source speaks: what was seen, where it was seen, and how far reading has come.

- Every instant is UTC, in whole microseconds since the epoch (`int`); a source converts, nobody else does.
- Text is as Asterisk wrote it. An absent column and an empty one are both the empty string; absent numbers are None.
- A record has an identity inside its source (`Seen.ident`); reading it twice is not seeing it twice.
- Order of records is the order of arrival (file position, id), never time alone (call semantics, rule 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

Micros = int
"""An instant: UTC, microseconds since 1970-01-01."""


class CelEvent(Struct, frozen=True, tag_field="kind", tag="cel", array_like=True, gc=False):
    """One CEL row, from whichever backend (fields: Asterisk `include/asterisk/cel.h`, `main/cel.c`).

    `type` is the event's name (`CHAN_START` …), for USER_DEFINED events `USER_DEFINED` with the user's name in
    `user_defined_type`; names not known to us are carried as they are. `extra` is the column's text, JSON where
    Asterisk writes JSON, possibly cut by a narrow column. `resolution` is the backend's clock tick in microseconds:
    1 for full precision, 1_000 for milliseconds, 1_000_000 where only whole seconds were kept.
    """

    type: str
    at: Micros
    uniqueid: str
    linkedid: str
    channel: str = ""
    cid_num: str = ""
    cid_name: str = ""
    cid_ani: str = ""
    cid_rdnis: str = ""
    cid_dnid: str = ""
    exten: str = ""
    context: str = ""
    app_name: str = ""
    app_data: str = ""
    account_code: str = ""
    peer_account: str = ""
    user_field: str = ""
    user_defined_type: str = ""
    peer: str = ""
    extra: str = ""
    ama_flags: str = ""
    tenant_id: str = ""
    resolution: int = 1


class CdrRow(Struct, frozen=True, tag_field="kind", tag="cdr", array_like=True, gc=False):
    """One CDR row: one pair of parties, not one call (`main/cdr.c`, call semantics §2).

    `disposition` is the text form (`ANSWERED`, `NO ANSWER`, `BUSY`, `FAILED`, `CONGESTION`, `CANCEL`), numbers already
    translated. `duration` and `billsec` are seconds. `answer` and `end` are None where the schema does not keep them.
    `sequence` is Asterisk's counter since its start, None where the schema lacks it.
    """

    uniqueid: str
    linkedid: str = ""
    start: Micros | None = None
    answer: Micros | None = None
    end: Micros | None = None
    duration: float | None = None
    billsec: float | None = None
    disposition: str = ""
    src: str = ""
    dst: str = ""
    dcontext: str = ""
    clid: str = ""
    channel: str = ""
    dstchannel: str = ""
    last_app: str = ""
    last_data: str = ""
    account_code: str = ""
    peer_account: str = ""
    user_field: str = ""
    sequence: int | None = None
    ama_flags: str = ""
    did: str = ""
    recording_file: str = ""
    cnum: str = ""
    cnam: str = ""
    outbound_cnum: str = ""
    outbound_cnam: str = ""
    dst_cnam: str = ""


class RecordingFile(Struct, frozen=True, tag_field="kind", tag="recording", array_like=True, gc=False):
    """One finished recording on disk or in a recordings table.

    `path` is absolute. `uniqueid` and `linkedid` are empty unless the source knew them. `duration` in seconds from the
    file's header; None where the format does not tell. `replaces` is the path of the file it was moved or converted
    from, which is gone; empty when there is none.
    """

    path: str
    size: int
    uniqueid: str = ""
    linkedid: str = ""
    started_at: Micros | None = None
    ended_at: Micros | None = None
    duration: float | None = None
    format: str = ""
    origin: str = "file"
    replaces: str = ""


Record = CelEvent | CdrRow | RecordingFile


class Seen(NamedTuple):
    """A record and its identity inside its source: stable across restarts, unique for the life of the position."""

    ident: str
    record: Record


class SetAside(NamedTuple):
    """Input that could not be understood: kept with its reason, shown to the operator, never in the way of the rest."""

    ident: str
    reason: str
    raw: bytes


class Batch(NamedTuple):
    """What one read of a source brought. `position` is the source's own opaque value *after* these records.

    `history` is true when all these rows were there before the agent's first start: they complete calls in progress
    but a call known from history alone is never shipped (`start_at: now`).
    """

    source: str
    seen: Sequence[Seen]
    position: bytes
    set_aside: Sequence[SetAside] = ()
    history: bool = False


_CONFERENCE_APPS = frozenset({"ConfBridge", "Page", ""})
"""The empty name: a mapping without the application column."""


def connection_keys(record: Record) -> tuple[str, ...]:
    """Names by which records belong together: a call is a connected component over these.

    Uniqueid and linkedid (a linkedid *is* the uniqueid of its oldest channel, so both share one name space), and the id
    of a ConfBridge's mixing bridge: its members keep separate linkedids but are one conference (scenario s52). Holding
    bridges never connect: all parked calls of a lot share one.
    """
    if isinstance(record, CelEvent) and record.type == "BRIDGE_ENTER" and record.app_name in _CONFERENCE_APPS:
        bridge = conference_bridge(record.extra)
        if bridge:
            return (record.uniqueid, record.linkedid, bridge)
    ids = (record.uniqueid, record.linkedid)
    return tuple(i for i in ids if i)


def conference_bridge(extra: str) -> str:
    """`bridge:<uuid>` when the extra of a BRIDGE_ENTER names a softmix bridge, else the empty string."""
    if "softmix" not in extra:
        return ""
    start = extra.find('"bridge_id":"')
    if start < 0:
        return ""
    start += 13
    end = extra.find('"', start)
    return "bridge:" + extra[start:end] if end > start else ""

"""Whether a call is to be shipped now, as which phase and revision, and when to look again. Pure.

- Every delivery carries the whole call; the receiver keeps the latest revision (the call API upserts on `linkedid`).
- `complete` means: the call has come to its end. It is the last word on a call until more is known: evidence that
  arrives later ships a higher revision, again as `complete`. An `update` after it would tell the API that the call is
  open again, and the peer's API has only ever seen calls end with `complete` (docs/call-api-mapping.md).
- A call that was shipped as complete and gained an open channel is silent until it ends again or becomes a long call.
- Nothing is shipped twice unchanged: a phase is repeated only with a different digest. The one exception is the
  update of a long call, whose news is that it still lasts.
- A last delivery in the future (the clock was set back) never holds an update back: it counts as long ago (F56).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, NamedTuple

import msgspec

from asterisk_connector.call import Call
from asterisk_connector.records import Micros

INITIAL, UPDATE, COMPLETE = "initial", "update", "complete"

Mode = Literal["complete", "progressive"]

SECOND: Micros = 1_000_000


@dataclass(frozen=True, slots=True)
class ShippingPolicy:
    """`mode` complete: once, at the end; progressive: initial, update on change, complete. Intervals in seconds.

    `long_call_update_interval`: complete mode sends an update each time a call has lasted so long again; 0: never.
    `update_interval`: progressive mode waits at least so long between two deliveries of an open call.
    """

    mode: Mode = "complete"
    long_call_update_interval: float = 600.0
    update_interval: float = 60.0


class Shipped(NamedTuple):
    """What was shipped last: all defaults when nothing was. `phase` and `shipped_at` are None together."""

    revision: int = 0
    digest: bytes = b""
    phase: str | None = None
    shipped_at: Micros | None = None


class Plan(NamedTuple):
    """`phase` None: ship nothing now. `shipped` is what to remember from now on, unchanged when nothing is shipped.

    `look_again` is when this call may be due without any new record, None when only a record can change it.
    """

    phase: str | None
    shipped: Shipped
    look_again: Micros | None


_encoder = msgspec.msgpack.Encoder(order="deterministic")


def digest(call: Call) -> bytes:
    """16 bytes that differ when anything but the revision differs; the order of mappings does not matter."""
    return blake2b(_encoder.encode(msgspec.structs.replace(call, revision=0)), digest_size=16).digest()


def plan(shipped: Shipped, call: Call, *, ended: bool, now: Micros, policy: ShippingPolicy) -> Plan:
    """What to ship of `call`, of which `shipped` is known at the other side.

    `ended`: the call is over, whether it told so itself (`call.complete`) or was given up as incomplete.
    """
    current = digest(call)
    changed = current != shipped.digest
    if ended:
        phase = COMPLETE if changed or shipped.phase != COMPLETE else None
        return _plan(phase, shipped, current, now, None)
    if policy.mode == "progressive" and shipped.phase is None:
        return _plan(INITIAL, shipped, current, now, None)
    due = _next_update(shipped, call, changed, now, policy)
    if due is None or due > now:
        return _plan(None, shipped, current, now, due)
    again = now + round(policy.long_call_update_interval * SECOND) if policy.mode == "complete" else None
    return _plan(UPDATE, shipped, current, now, again)


def _next_update(shipped: Shipped, call: Call, changed: bool, now: Micros, policy: ShippingPolicy) -> Micros | None:
    """When this open call is due for an update, which may be in the past; None when it is not."""
    since = call.started_at if shipped.shipped_at is None else shipped.shipped_at
    if shipped.shipped_at is not None and since > now:
        since = 0
    if policy.mode == "progressive":
        owed = changed and shipped.phase != COMPLETE
        return since + round(policy.update_interval * SECOND) if owed else None
    interval = round(policy.long_call_update_interval * SECOND)
    return since + interval if interval > 0 else None


def _plan(phase: str | None, shipped: Shipped, current: bytes, now: Micros, look_again: Micros | None) -> Plan:
    if phase is None:
        return Plan(None, shipped, look_again)
    return Plan(phase, Shipped(shipped.revision + 1, current, phase, now), look_again)

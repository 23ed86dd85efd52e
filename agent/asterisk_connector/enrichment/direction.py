"""Which way a call went: inbound, outbound, internal or tandem.

- The caller's leg tells where it came from, the legs dialled for it by the dial plan tell where it went; a forward by
  an extension, a transfer or a park changes nothing of that.
- Where nothing was dialled, the dialled number decides; where the caller's leg does not tell, its number and context.
"""

from __future__ import annotations

from msgspec.structs import replace

from asterisk_connector.call import Call, Leg
from asterisk_connector.plan import Plan


def direction(call: Call, plan: Plan) -> Call:
    """The call with its direction and, in `evidence.explain`, why."""
    word, why = _decide(call, plan)
    evidence = replace(call.evidence, explain={**call.evidence.explain, "direction": why})
    return replace(call, direction=word, evidence=evidence)


def _decide(call: Call, plan: Plan) -> tuple[str, str]:
    outside = call.trunk.inbound is not None
    why = f"came in by trunk {call.trunk.inbound}"
    if not outside and _foreign(call, plan):
        outside, why = True, "the caller shows an outside number in an inbound context"
    legs = _planned(call)
    out = [leg for leg in legs if leg.trunk]
    went_out = bool(out) and len(out) == len(legs) and not call.forwarded
    if outside:
        if went_out:
            return "tandem", f"{why}, went out by trunk {out[0].trunk} by the dial plan"
        return "inbound", why
    if went_out:
        return "outbound", f"dialled by trunk {out[0].trunk}"
    if not legs and call.dialled and plan.external(call.dialled) and call.outcome in (None, "failed", "not_taken"):
        return "outbound", "the dialled number is outside"
    return "internal", "no trunk at either end"


def _planned(call: Call) -> list[Leg]:
    """Legs the dial plan dialled for the caller, before the first transfer."""
    moved = min((t.at for t in call.transfers or ()), default=None)
    return [
        leg
        for leg in call.legs
        if leg.role in ("dialled", "agent") and (moved is None or leg.started_at is None or leg.started_at < moved)
    ]


def _foreign(call: Call, plan: Plan) -> bool:
    first = next((event for event in call.thread if event.event in ("CHAN_START", "CDR")), None)
    number = call.caller.number or ""
    return first is not None and plan.inbound(first.context) and not plan.extension(number)

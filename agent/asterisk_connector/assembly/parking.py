"""Parking: who was parked where, by whom, for how long, and how it ended.

- PARK_START and PARK_END of one channel make one stay; an open one is still parked.
- A parked wire stands for the person at its other end.
"""

from __future__ import annotations

from dataclasses import dataclass

from asterisk_connector.assembly.bridges import Contact
from asterisk_connector.assembly.channels import Channel
from asterisk_connector.assembly.interpret import Scene
from asterisk_connector.assembly.parties import Cast
from asterisk_connector.records import Micros

RESULTS = {
    "ParkedCallUnparked": "retrieved",
    "ParkedCallTimeOut": "timed_out",
    "ParkedCallGiveUp": "abandoned",
    "ParkedCallFailed": "failed",
    "ParkedCallSwap": None,
}
"""Reasons of PARK_END (`res/parking/parking_bridge.c`) to results; a swap exchanges the channel, not the person."""


@dataclass(slots=True)
class Park:
    """One stay in a parking lot."""

    parked: Channel
    by: Channel | None
    by_label: str | None
    lot: str | None
    at: Micros
    until: Micros | None
    result: str | None
    main: Contact | None


def parks(cast: Cast, met: list[Contact]) -> list[Park]:
    """All stays in parking lots, oldest first."""
    scene: Scene = cast.scene
    ends = scene.of("PARK_END")
    found: list[Park] = []
    for told in scene.of("PARK_START"):
        main = _talk_before(told.channel, met, told.at)
        endpoint = told.fact("parker_dial_string").partition("/")[2]
        parked = told.channel
        by: Channel | None = None
        if main is not None:
            by = main.other(parked) if parked in (main.a, main.b) else _parker(cast, main, endpoint)
            if not parked.person:
                parked = main.other(by)
        end = next((e for e in ends if e.channel is told.channel and e.at >= told.at), None)
        reason = end.fact("reason") if end else ""
        found.append(
            Park(
                parked=parked,
                by=by,
                by_label=cast.label[by] if by else endpoint or None,
                lot=told.fact("parking_lot") or None,
                at=told.at,
                until=end.at if end else parked.over,
                result=RESULTS[reason] if reason in RESULTS else _unsaid(cast, met, parked, told.at),
                main=main,
            )
        )
    return found


def _unsaid(cast: Cast, met: list[Contact], parked: Channel, since: Micros) -> str | None:
    """How a stay ended whose reason is not in the rows: by whom the parked one met next."""
    following = next((c for c in met if parked in (c.a, c.b) and c.begin >= since), None)
    if following is None:
        return "abandoned" if parked.over is not None else None
    return "timed_out" if following.other(parked) in cast.parent else "retrieved"


def _talk_before(channel: Channel, met: list[Contact], at: Micros) -> Contact | None:
    before = [c for c in met if c.begin <= at and (channel in (c.a, c.b) or channel in c.via)]
    return max(before, key=lambda c: (c.end, c.begin), default=None)


def _parker(cast: Cast, main: Contact, endpoint: str) -> Channel:
    return main.a if main.a.endpoint == endpoint or cast.label[main.a] == endpoint else main.b

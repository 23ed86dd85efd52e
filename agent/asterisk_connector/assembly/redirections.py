"""Calls that went to somebody else while they rang: pickups and forwards.

- PICKUP and FORWARD say so; where they are not enabled, what happened does: a telephone that began a call of its own
  ends up with the caller at the moment another one stops ringing; a redirecting number names a leg that never answered.
"""

from __future__ import annotations

from asterisk_connector.assembly.bridges import Contact
from asterisk_connector.assembly.channels import Channel
from asterisk_connector.assembly.parties import Cast

TOGETHER = 1_000_000
"""The ringing leg ends and the one who picked up enters within this time."""


def pickup(cast: Cast, met: list[Contact]) -> tuple[Channel, Channel, bool] | None:
    """Who rang, who picked up, and whether that is inferred."""
    scene = cast.scene
    for told in scene.of("PICKUP"):
        taker = scene.behind(told.fact("pickup_channel_uniqueid"), told.fact("pickup_channel"))
        if taker is None:
            taker = next((o for _, o in _takers(cast, met, told.channel)), None)
        if taker is not None:
            return told.channel, taker, False
    if scene.of("PICKUP"):
        return None
    for ringing in cast.parent:
        if ringing.person and ringing.answered is None and ringing.cause in (26, 16, 0, None):
            for _, taker in _takers(cast, met, ringing):
                if taker.ran("Pickup", "PickupChan") or taker.exten.startswith("*"):
                    return ringing, taker, True
    return None


def forwards(cast: Cast) -> tuple[list[tuple[str, str]], set[Channel], bool]:
    """Pairs [who forwarded, to where], the legs that forwarded, and whether that is inferred."""
    scene = cast.scene
    pairs: list[tuple[str, str]] = []
    legs: set[Channel] = set()
    for told in scene.of("FORWARD"):
        target = told.fact("forward")
        if target.startswith("Local/"):
            target = target[6:].partition("@")[0]
        leg = _refuser(cast, told.rdnis, told.at)
        who = cast.label[leg] if leg else told.rdnis
        if who and target:
            pairs.append((who, target))
            if leg:
                legs.add(leg)
    if pairs:
        return pairs, legs, False
    for channel in scene.channels.values():
        if not channel.rdnis or channel.half != "2":
            continue
        leg = _refuser(cast, channel.rdnis, channel.started)
        pair = (cast.label[leg], channel.endpoint) if leg else None
        if leg and pair and pair not in pairs:
            pairs.append(pair)
            legs.add(leg)
    return pairs, legs, bool(pairs)


def _refuser(cast: Cast, rdnis: str, at: int) -> Channel | None:
    """The leg that answered with a redirection around this instant."""
    near = [
        c
        for c in cast.parent
        if c.person
        and c.answered is None
        and c.started <= at + TOGETHER
        and (c.over is None or abs(c.over - at) <= TOGETHER)
    ]
    return next((c for c in near if cast.label[c] == rdnis), near[-1] if near and not rdnis else None)


def _takers(cast: Cast, met: list[Contact], ringing: Channel) -> list[tuple[Contact, Channel]]:
    """Telephones with a call of their own that met the ringing leg's caller when it stopped ringing."""
    caller = cast.root(ringing)
    if caller is None or ringing.over is None:
        return []
    found = []
    for contact in met:
        if caller not in (contact.a, contact.b) or abs(contact.begin - ringing.over) > TOGETHER:
            continue
        other = contact.other(caller)
        if other.own and other not in cast.parent:
            found.append((contact, other))
    return found

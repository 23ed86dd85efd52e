"""Who was together with whom, from when until when: stays in bridges, joined through Local pairs, become contacts.

- Two people are in contact while their bridges are one: the same bridge, or bridges joined by both halves of a Local
  channel. Holding bridges, music and prompts join nobody.
- Only overlapping time counts; which of two rows of one instant came first never matters (law 4).
- Membership comes from the bridge's id. Where a mapping lost the id, `peer` names stand in for it; `peer` is never used
  otherwise, it is computed late and may be incomplete (call semantics §1.3).
"""

from __future__ import annotations

from collections.abc import Iterable

from asterisk_connector.assembly.channels import Channel, Stay
from asterisk_connector.assembly.interpret import SECOND, Scene
from asterisk_connector.records import Micros

NOISE = 50_000
"""Shorter contacts are rows of a swap crossing each other, not people meeting (measured: up to 1.2 ms)."""
SEAM = 300_000
"""A gap between two contacts of the same two that is only a channel being moved to another bridge."""


class Contact:
    """Two channels with people on them in contact for one stretch. `via` are the wires between and around them."""

    __slots__ = ("a", "b", "begin", "end", "held", "softmix", "via")

    def __init__(self, a: Channel, b: Channel, begin: Micros, end: Micros, softmix: bool) -> None:
        self.a = a
        self.b = b
        self.begin = begin
        self.end = end
        self.softmix = softmix
        self.via: set[Channel] = set()
        self.held = 0

    def other(self, channel: Channel) -> Channel:
        """The one who is not `channel`."""
        return self.b if channel is self.a else self.a


def contacts(scene: Scene, twins: dict[Channel, Channel], until: Micros) -> list[Contact]:
    """All contacts of a call, oldest first; those still open end at `until`."""
    stays = [stay for channel in scene.channels.values() for stay in channel.stays]
    if len(stays) < 2:
        return []
    _name_bridges(scene, stays)
    _mark_parking(scene, stays)
    moments: dict[Micros, tuple[list[Stay], list[Stay]]] = {}
    brief: list[Stay] = []
    for stay in stays:
        if stay.holding:
            continue
        end = until + NOISE if stay.left is None else stay.left
        if end <= stay.entered:
            brief.append(stay)
            continue
        moments.setdefault(stay.entered, ([], []))[0].append(stay)
        moments.setdefault(end, ([], []))[1].append(stay)
    found = _sweep(moments, twins)
    if brief and scene.tick >= SECOND:
        found.extend(_instants(brief, stays, until))
    for contact in found:
        contact.end = min(contact.end, max(until, contact.begin))
    found.sort(key=lambda c: (c.begin, c.end, c.a.age, c.b.age))
    return found


def _sweep(moments: dict[Micros, tuple[list[Stay], list[Stay]]], twins: dict[Channel, Channel]) -> list[Contact]:
    active: dict[Stay, None] = {}
    running: dict[tuple[Channel, Channel], Contact] = {}
    done: dict[tuple[Channel, Channel], list[Contact]] = {}
    for at in sorted(moments):
        entered, left = moments[at]
        for stay in left:
            active.pop(stay, None)
        for stay in entered:
            active[stay] = None
        now = _together(active, twins)
        for pair in [p for p in running if p not in now]:
            contact = running.pop(pair)
            contact.end = at
            done.setdefault(pair, []).append(contact)
        for pair, (softmix, via) in now.items():
            open_contact = running.get(pair)
            if open_contact is None:
                before = done.get(pair)
                if before and at - before[-1].end <= SEAM:
                    open_contact = before.pop()
                else:
                    open_contact = Contact(pair[0], pair[1], at, at, softmix)
                running[pair] = open_contact
            open_contact.via.update(via)
    return [c for group in done.values() for c in group if c.end - c.begin >= NOISE]


def _together(
    active: Iterable[Stay], twins: dict[Channel, Channel]
) -> dict[tuple[Channel, Channel], tuple[bool, list[Channel]]]:
    """All pairs of people in contact, each with whether they are in a conference and the wires of their bridges."""
    members: dict[str, list[Stay]] = {}
    where: dict[Channel, str] = {}
    for stay in active:
        members.setdefault(stay.bridge, []).append(stay)
        where[stay.channel] = stay.bridge
    joined = {bridge: bridge for bridge in members}
    for channel, bridge in where.items():
        twin = twins.get(channel)
        if twin is not None and twin in where:
            left, right = _root(joined, bridge), _root(joined, where[twin])
            if left != right:
                joined[max(left, right)] = min(left, right)
    rooms: dict[str, list[Stay]] = {}
    for bridge, present in members.items():
        rooms.setdefault(_root(joined, bridge), []).extend(present)
    pairs: dict[tuple[Channel, Channel], tuple[bool, list[Channel]]] = {}
    for present in rooms.values():
        people = sorted((s for s in present if s.channel.person), key=lambda s: s.channel.age)
        if len(people) < 2:
            continue
        wires = [s.channel for s in present if not s.channel.person]
        for index, one in enumerate(people):
            for two in people[index + 1 :]:
                if one.channel is not two.channel:
                    pairs[one.channel, two.channel] = (one.softmix and two.softmix, wires)
    return pairs


def _instants(brief: list[Stay], stays: list[Stay], until: Micros) -> list[Contact]:
    """Contacts of no measurable length, where only whole seconds are kept: who was there when a short stay was."""
    found: dict[tuple[Channel, Channel], Contact] = {}
    for stay in brief:
        if not stay.channel.person:
            continue
        at = stay.entered
        for other in stays:
            if other.bridge != stay.bridge or not other.channel.person or other.channel is stay.channel:
                continue
            end = until if other.left is None else other.left
            if other.entered <= at <= end:
                a, b = sorted((stay.channel, other.channel), key=lambda c: c.age)
                found.setdefault((a, b), Contact(a, b, at, at, stay.softmix))
    return list(found.values())


def _mark_parking(scene: Scene, stays: list[Stay]) -> None:
    """A stay that begins with PARK_START is in the lot's holding bridge, also where the technology was not written."""
    for told in scene.of("PARK_START"):
        for stay in stays:
            if stay.channel is told.channel and 0 <= stay.entered - told.at <= NOISE:
                stay.holding = True


def _name_bridges(scene: Scene, stays: list[Stay]) -> None:
    """Gives stays without a bridge id one of their own, shared with the overlapping stays of the peers they name."""
    nameless = [stay for stay in stays if not stay.bridge]
    if not nameless:
        return
    label: dict[Stay, str] = {stay: f"?{index}" for index, stay in enumerate(nameless)}
    joined = {name: name for name in label.values()}
    for stay in nameless:
        for at, peer_name in stay.peers:
            peer = scene.names.get(peer_name)
            for other in peer.stays if peer is not None else ():
                if other in label and other.entered <= at and (other.left is None or at <= other.left):
                    one, two = _root(joined, label[stay]), _root(joined, label[other])
                    joined[max(one, two)] = min(one, two)
    for stay in nameless:
        stay.bridge = _root(joined, label[stay])


def _root(joined: dict[str, str], name: str) -> str:
    while joined[name] != name:
        name = joined[name]
    return name

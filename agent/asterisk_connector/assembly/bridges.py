"""Who was together with whom, from when until when: stays in bridges, joined through Local pairs, become contacts.

- Two people are in contact while their bridges are one: the same bridge, or bridges joined by both halves of a Local
  channel. Holding bridges, music and prompts join nobody.
- Only overlapping time counts; which of two rows of one instant came first never matters (law 4).
- Membership comes from the bridge's id. Where a mapping lost the id, `peer` names stand in for it; `peer` is never used
  otherwise, it is computed late and may be incomplete (call semantics §1.3).
"""

from __future__ import annotations

from asterisk_connector.assembly.channels import Channel, Stay
from asterisk_connector.assembly.interpret import Scene
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
    if brief:
        found.extend(_instants(brief, stays, until))
    for contact in found:
        contact.end = min(contact.end, max(until, contact.begin))
    found.sort(key=lambda c: (c.begin, c.end, c.a.age, c.b.age))
    return found


def _sweep(moments: dict[Micros, tuple[list[Stay], list[Stay]]], twins: dict[Channel, Channel]) -> list[Contact]:
    """Walks through time; at each moment only those are looked at who came, went, or whose room became another."""
    present: dict[Channel, Stay] = {}
    room: dict[Channel, str] = {}
    running: dict[Channel, dict[Channel, Contact]] = {}
    done: dict[tuple[Channel, Channel], list[Contact]] = {}
    for at in sorted(moments):
        entered, left = moments[at]
        for stay in left:
            if present.get(stay.channel) is stay:
                del present[stay.channel]
        for stay in entered:
            present[stay.channel] = stay
        members = _rooms(present, twins)
        now = {stay.channel: name for name, stays in members.items() for stay in stays}
        touched = {s.channel for s in (*entered, *left)}
        touched.update(c for c, name in now.items() if room.get(c) != name)
        room = now
        for one in touched:
            partners = running.get(one)
            for two in list(partners or ()):
                if one not in now or now.get(two) != now[one]:
                    contact = running[one].pop(two)
                    del running[two][one]
                    contact.end = at
                    done.setdefault((contact.a, contact.b), []).append(contact)
        for name in sorted({now[c] for c in touched if c in now}):
            _meet(members[name], touched, at, running, done)
    return [c for group in done.values() for c in group if c.end - c.begin >= NOISE]


def _meet(
    stays: list[Stay],
    touched: set[Channel],
    at: Micros,
    running: dict[Channel, dict[Channel, Contact]],
    done: dict[tuple[Channel, Channel], list[Contact]],
) -> None:
    """Begins the contacts of those in one room who are not in contact yet; notes the wires of the room on all."""
    people = sorted((s for s in stays if s.channel.person), key=lambda s: s.channel.age)
    wires = [s.channel for s in stays if not s.channel.person]
    for index, one in enumerate(people):
        for two in people[index + 1 :]:
            if not wires and one.channel not in touched and two.channel not in touched:
                continue
            contact = running.setdefault(one.channel, {}).get(two.channel)
            if contact is None:
                before = done.get((one.channel, two.channel))
                if before and at - before[-1].end <= SEAM:
                    contact = before.pop()
                else:
                    contact = Contact(one.channel, two.channel, at, at, one.softmix and two.softmix)
                running[one.channel][two.channel] = contact
                running.setdefault(two.channel, {})[one.channel] = contact
            contact.via.update(wires)


def _rooms(present: dict[Channel, Stay], twins: dict[Channel, Channel]) -> dict[str, list[Stay]]:
    """Who is in which room: a bridge, or bridges joined by both halves of a Local channel."""
    joined = {stay.bridge: stay.bridge for stay in present.values()}
    for channel, stay in present.items():
        twin = present.get(twins[channel]) if channel in twins else None
        if twin is not None:
            left, right = _root(joined, stay.bridge), _root(joined, twin.bridge)
            if left != right:
                joined[max(left, right)] = min(left, right)
    members: dict[str, list[Stay]] = {}
    for stay in present.values():
        members.setdefault(_root(joined, stay.bridge), []).append(stay)
    return members


def _instants(brief: list[Stay], stays: list[Stay], until: Micros) -> list[Contact]:
    """Contacts of no measurable length (whole seconds, a clock set back): who was there when a short stay was."""
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

"""The story of one call: its people, meetings, moves and services, and who of them the call is about.

- The caller is who began the oldest channel. Asked for by a machine (click to call), it is the telephone rung first.
- The line is the one whose partner matters: the caller, or whoever was left when the caller transferred himself away.
"""

from __future__ import annotations

from asterisk_connector.assembly import bridges, parking, queues, redirections, services, talk
from asterisk_connector.assembly.bridges import Contact
from asterisk_connector.assembly.channels import NOWHERE, Channel
from asterisk_connector.assembly.interpret import Scene
from asterisk_connector.assembly.parties import Cast
from asterisk_connector.assembly.transfers import Move, Moves
from asterisk_connector.plan import Plan
from asterisk_connector.records import Micros

UNMET = frozenset({"no_answer", "busy", "declined", "failed", "abandoned", None})


class Story:
    """Everything that is known of a call before it is said in words. `until` is where open stays end."""

    def __init__(self, scene: Scene, plan: Plan, until: Micros) -> None:
        self.scene = scene
        self.plan = plan
        self.until = until
        self.cast = cast = Cast(scene, plan)
        self.met = bridges.contacts(scene, cast.twins, until)
        self.parks = parking.parks(cast, self.met)
        self.moves = Moves(cast, self.met, self.parks).find()
        self.hold = talk.settle(cast, self.met, self.moves, self.parks)
        self.visits = queues.visits(cast, self.met)
        self.agents = {phone for visit in self.visits for phone in visit.phones}
        self.room = services.room(cast)
        self.pickup = redirections.pickup(cast, self.met)
        self.forwards, self.forwarders, self.forwards_inferred = redirections.forwards(cast)
        self.main = self._main()
        self.click_to_call = self.main is not None and cast.originated(self.main)
        self.caller = self._caller()
        self.line = self._line()
        self.consulted = {c for m in self.moves for c in m.consulted}
        self.talks = self._talks()
        self.served = [c for c in dict.fromkeys((self.caller, self.main, self.line)) if c is not None]
        self.menu = next((m for c in self.served if (m := services.menu(c, plan))), None)

    def name(self, channel: Channel | None) -> str | None:
        """The party on a channel, as the document calls it."""
        if channel is None or (channel.tech == "Local" and channel.endpoint in NOWHERE):
            return None
        return self.cast.label.get(channel) or None

    def _main(self) -> Channel | None:
        channels = self.scene.ordered()
        return next((c for c in channels if c.person or c.tech == "Local"), channels[0] if channels else None)

    def _caller(self) -> Channel | None:
        main = self.main
        if main is None or main.person:
            return main
        twin = self.cast.twins.get(main)
        rung = self.cast.real_children(twin) if twin is not None else []
        return next((c for c in rung if c.answered is not None), rung[0] if rung else main)

    def _line(self) -> Channel | None:
        line = self.caller
        for move in self.moves:
            if move.by is line and move.result == "completed":
                line = move.transferee
        return line

    def _talks(self) -> list[Contact]:
        """Meetings of the caller, then of the line, without consultations and conferences; oldest first."""
        found = []
        for contact in self.met:
            if contact in self.consulted or contact.softmix:
                continue
            if self.caller in (contact.a, contact.b) or self.line in (contact.a, contact.b):
                found.append(contact)
        return found

    def partner(self, contact: Contact) -> Channel:
        """The other one of a talk, seen from the caller, else from the line."""
        if self.caller is not None and self.caller in (contact.a, contact.b):
            return contact.other(self.caller)
        return contact.b if contact.a is self.line else contact.a

    @property
    def last_talk(self) -> Contact | None:
        """The talk that ended last, of those the line took part in."""
        mine = [c for c in self.talks if self.line in (c.a, c.b)]
        return max(mine, key=lambda c: (c.end, c.begin, c.b.age), default=None)

    @property
    def last_move(self) -> Move | None:
        """The last transfer that took the line, or was made by it."""
        mine = [m for m in self.moves if m.transferee is self.line or m.by is self.line]
        return mine[-1] if mine else None

    def ended_away(self) -> bool:
        """Did the call end away from a person: parked, or in a transfer that nobody took?"""
        last = self.last_talk
        if last is None:
            return True
        move = self.last_move
        if move is not None and move.by is not self.line and move.at >= last.begin:
            if move.result in UNMET and not (move.kind != "blind" and move.result == "abandoned" and move.inferred):
                return True
            if move.result == "completed" and move.by in (last.a, last.b):
                return True
        park = next((p for p in reversed(self.parks) if p.parked is self.line), None)
        return park is not None and park.at >= last.begin and park.result != "retrieved"

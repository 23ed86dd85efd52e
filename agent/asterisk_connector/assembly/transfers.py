"""Transfers: who sent whom to whom, by which way, and what came of it.

- What happened decides, events confirm: an attended transfer is a consultation after which the one who waited talks
  with the one who was consulted, whichever side was moved and whether or not ATTENDEDTRANSFER is enabled.
- BLINDTRANSFER is taken at its word; without it, a caller who goes on by himself after his partner was taken off is
  blind transferred (call semantics §3.1). What no event states is `inferred`.
- Failed attempts write no event (`main/cel.c` publishes success only); aborted consultations are seen all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from asterisk_connector.assembly.bridges import NOISE, Contact
from asterisk_connector.assembly.channels import Channel
from asterisk_connector.assembly.interpret import Told
from asterisk_connector.assembly.parking import Park
from asterisk_connector.assembly.parties import Cast
from asterisk_connector.records import Micros

NEAR = 2_000_000
"""Rows of one transfer are at most this far apart."""
UNREACHABLE = frozenset({1, 2, 3, 20, 22, 27, 28, 34, 38, 41, 42, 44, 58})
"""Q.850 causes that mean the other end could not be reached."""

PLAIN = frozenset({"", "Dial", "AppDial", "AppDial2", "Hangup", "Park", "ParkedCall"})
"""Applications that say nothing of where a caller was sent."""


@dataclass(slots=True)
class Move:
    """One transfer. `main` is the talk it ended, `consulted` the talks with the target before it, `left` when the
    transferer turned away from the transferee."""

    kind: str
    by: Channel
    transferee: Channel
    target: str | None
    result: str | None
    at: Micros
    left: Micros
    main: Contact | None = None
    consulted: list[Contact] = field(default_factory=list)
    dialled_at: Micros | None = None
    inferred: bool = False


class Moves:
    """Finds the transfers of a call."""

    def __init__(self, cast: Cast, met: list[Contact], parks: list[Park]) -> None:
        self.cast = cast
        self.scene = cast.scene
        self.slack = max(cast.scene.tick, NOISE)
        self.parks = parks
        self.met: dict[Channel, list[Contact]] = {}
        self.via: dict[Channel, list[Contact]] = {}
        for contact in met:
            self.met.setdefault(contact.a, []).append(contact)
            self.met.setdefault(contact.b, []).append(contact)
            for wire in contact.via:
                self.via.setdefault(wire, []).append(contact)

    def find(self) -> list[Move]:
        """All transfers, oldest first."""
        found = self._by_second_line()
        found += self._by_feature_code()
        found += self._told_only(found)
        blind = self.scene.of("BLINDTRANSFER")
        found += [m for m in map(self._blind, blind) if m is not None] if blind else self._unseen_blind(found)
        return sorted(found, key=lambda m: (m.at, m.by.age))

    def _by_second_line(self) -> list[Move]:
        """Consultations on a second channel of the same telephone (SIP REFER with Replaces, and before it)."""
        lines: dict[str, list[Channel]] = {}
        for channel in self.cast.people:
            if not self.cast.trunk[channel]:
                lines.setdefault(self.cast.label[channel], []).append(channel)
        found: list[Move] = []
        taken: set[tuple[Channel, Channel]] = set()
        for channels in lines.values():
            if len(channels) < 2:
                continue
            talks = [(first, main) for first in channels for main in self.met.get(first, ()) if not main.softmix]
            for second in channels if talks else ():
                for first, main in talks:
                    if first is second or not self._during(main, second):
                        continue
                    move = self._joined(main, first, second)
                    if move is not None and (move.transferee, second) not in taken:
                        taken.add((move.transferee, second))
                        found.append(move)
        return found

    def _during(self, main: Contact, second: Channel) -> bool:
        """Did the second line begin while the first was talking?"""
        begin = second.started
        if second in self.cast.parent:
            talks = self.met.get(second)
            if not talks:
                return False
            begin = talks[0].begin
        return main.begin <= begin <= main.end

    def _joined(self, main: Contact, first: Channel, second: Channel) -> Move | None:
        waiting = main.other(first)
        consulted = list(self.met.get(second, ()))
        others = [c.other(second) for c in consulted]
        others += [c for c in self.cast.real_children(second) if c not in others]
        others = [c for c in others if c is not waiting]
        told = self._told(first, second)
        for target in others:
            after = self._meeting(waiting, target, main.begin)
            if after is None:
                continue
            at = told.at if told else max(min(main.end, after.begin), main.begin)
            return self._consultation(
                main, first, second, target, result="completed", at=at, consulted=consulted, inferred=told is None
            )
        if told is None or not others:
            return None
        target = next((c for c in others if c.answered is not None), others[-1])
        result = self._fate(waiting, first, told.at, [target])
        return self._consultation(
            main, first, second, target, result=result, at=told.at, consulted=consulted, inferred=False
        )

    def _consultation(
        self,
        main: Contact,
        first: Channel,
        second: Channel,
        target: Channel,
        *,
        result: str | None,
        at: Micros,
        consulted: list[Contact],
        inferred: bool,
    ) -> Move:
        spoken = [c for c in consulted if c.other(second) is target]
        return Move(
            kind="attended" if spoken else "semi_attended",
            by=first,
            transferee=main.other(first),
            target=self.cast.label[target],
            result=result,
            at=at,
            left=main.end,
            main=main,
            consulted=spoken,
            dialled_at=None if second in self.cast.parent else second.started,
            inferred=inferred,
        )

    def _by_feature_code(self) -> list[Move]:
        """Consultations over a Local channel that the transferer's own channel is moved to (DTMF, `*2`)."""
        found = []
        for wire in self.scene.channels.values():
            if not self.cast.made_consultation(wire):
                continue
            stay = wire.stays[0]
            by = next((c for c in self.cast.people if any(s.bridge == stay.bridge for s in c.stays)), None)
            if by is None:
                continue
            index = next(i for i, s in enumerate(by.stays) if s.bridge == stay.bridge)
            if index == 0:
                continue
            before = by.stays[index - 1]
            left = before.left if before.left is not None else by.last
            twin = self.cast.twins.get(wire)
            targets = self.cast.real_children(twin) if twin else []
            talks = [c for c in self.met.get(by, ()) if c.other(by) not in targets]
            mains = [c for c in talks if c.begin <= left and c.end <= left + self.slack]
            if not mains:
                continue
            main = mains[-1]
            waiting = main.other(by)
            spoken = [c for c in self.met.get(by, ()) if c.begin >= left and c.other(by) in targets]
            told = self._told(by, by)
            at = told.at if told else (by.stays[index].left or by.last)
            if any(s.bridge == before.bridge for s in by.stays[index + 1 :]):
                result: str | None = "returned"
            elif any(self._meeting(waiting, t, left) for t in targets):
                result = "completed"
            else:
                result = self._fate(waiting, by, left, targets)
            answered = next((t for t in targets if t.answered is not None), targets[0] if targets else None)
            found.append(
                Move(
                    kind="attended" if spoken else "semi_attended",
                    by=by,
                    transferee=waiting,
                    target=self.cast.label[answered] if answered else wire.endpoint,
                    result=result,
                    at=at,
                    left=left,
                    main=main,
                    consulted=spoken,
                    inferred=told is None,
                )
            )
        return found

    def _told_only(self, known: list[Move]) -> list[Move]:
        """Attended transfers that an event states and nothing else showed."""
        found = []
        for told in self.scene.of("ATTENDEDTRANSFER"):
            by = told.channel
            second = self.scene.behind(told.fact("channel2_uniqueid"), told.fact("channel2_name")) or by
            if any(m.by in (by, second) and m.kind in ("attended", "semi_attended") for m in known):
                continue
            waiting = self._person(
                self.scene.behind(told.fact("transferee_channel_uniqueid"), told.fact("transferee_channel_name")),
                by,
                told.at,
            )
            target = self._person(
                self.scene.behind(
                    told.fact("transfer_target_channel_uniqueid"), told.fact("transfer_target_channel_name")
                ),
                second,
                told.at,
            )
            if waiting is None:
                continue
            legs = [target] if target else self.cast.real_children(second)
            met = next((m for t in legs if (m := self._meeting(waiting, t, told.at - NEAR))), None)
            label = self.cast.label[target] if target else second.place_at(told.at) or None
            spoken = [c for c in self.met.get(second, ()) if c.other(second) in legs]
            found.append(
                Move(
                    kind="attended" if spoken else "semi_attended",
                    by=by,
                    transferee=waiting,
                    target=label,
                    result="completed" if met else self._fate(waiting, by, told.at, legs),
                    at=told.at,
                    left=told.at,
                    main=self._last_talk(by, waiting, told.at),
                    consulted=spoken,
                )
            )
        return found

    def _blind(self, told: Told) -> Move | None:
        by = told.channel
        sent = self.scene.behind(told.fact("transferee_channel_uniqueid"), told.fact("transferee_channel_name"))
        waiting = self._person(sent, by, told.at)
        if waiting is None:
            return None
        if any(p.parked is waiting and abs(p.at - told.at) <= NEAR for p in self.parks):
            return None
        main = self._last_talk(by, waiting, told.at)
        left = main.end if main else told.at
        return self._sent(by, waiting, sent or waiting, exten=told.fact("extension"), at=told.at, left=left, main=main)

    def _unseen_blind(self, known: list[Move]) -> list[Move]:
        """Blind transfers without their event: the partner was taken off, and the other went on dialling by himself."""
        found = []
        for contact in {c for group in self.met.values() for c in group}:
            if contact.softmix:
                continue
            for by in (contact.a, contact.b):
                waiting = contact.other(by)
                end = contact.end
                if (
                    by.over is None
                    or by.over - end > NEAR
                    or by.source is None
                    or by.source in (by.name, waiting.name, "dialplan/builtin")
                    or (waiting.over is not None and waiting.over <= end + self.slack)
                    or any(m.by is by or (m.transferee is waiting and abs(m.left - end) <= NEAR) for m in known)
                    or any(p.parked is waiting and abs(p.at - end) <= NEAR for p in self.parks)
                ):
                    continue
                legs = [c for c in self.cast.real_children(waiting) if c.started >= end - self.slack and c is not by]
                queued = [s for s in waiting.app_spans("Queue") if s[0] >= end - self.slack]
                served = any(since >= end - self.slack and app not in PLAIN for since, app, _ in waiting.apps)
                if legs or queued or served:
                    move = self._sent(by, waiting, waiting, exten="", at=end, left=end, main=contact)
                    move.inferred = True
                    found.append(move)
        return found

    def _sent(
        self,
        by: Channel,
        waiting: Channel,
        sent: Channel,
        *,
        exten: str,
        at: Micros,
        left: Micros,
        main: Contact | None,
    ) -> Move:
        """A blind transfer and what became of it; `sent` may be the wire that was sent on in the person's place."""
        since = at - self.slack
        met = next((c for c in self.met.get(waiting, ()) if c.begin >= since and c.other(waiting) is not by), None)
        last = met.begin if met else self.scene.last or at
        legs = [c for c in self.cast.real_children(sent) if since <= c.started <= last and c is not by]
        queue = next((s for s in sent.app_spans("Queue") if s[0] >= since), None)
        if queue is None and legs and any(leg.ran("AppQueue") for leg in legs):
            queue = next(iter(sent.app_spans("Queue")), None)
        target: str | None = exten or None
        if queue is not None:
            target = queue[2].partition(",")[0]
        elif not exten:
            later = sent.place_at(max((leg.over or leg.last for leg in legs), default=sent.last))
            target = later if len(legs) > 1 and later else self.cast.label[legs[0]] if legs else later or None
        boxes = any(app in ("VoiceMail", "ConfBridge", "MeetMe") and begun >= since for begun, app, _ in sent.apps)
        result = "completed" if met or boxes else self._fate(waiting, by, at, legs)
        return Move("blind", by, waiting, target, result, at, left, main)

    def _fate(self, waiting: Channel, by: Channel, after: Micros, legs: list[Channel]) -> str | None:
        """What came of a transfer after which the two never talked."""
        name = self.cast.label[by]
        for contact in self.met.get(waiting, ()):
            other = contact.other(waiting)
            if contact.begin >= after and other is not by and self.cast.label[other] == name:
                return "recalled"
        if waiting.over is not None and waiting.source == waiting.name:
            return "abandoned"
        causes = [leg.cause for leg in legs if leg.over is not None]
        if not causes:
            return None if waiting.over is None else "failed" if not legs else None
        if 17 in causes:
            return "busy"
        if 21 in causes:
            return "declined"
        if all(cause in UNREACHABLE for cause in causes):
            return "failed"
        return "no_answer"

    def _told(self, first: Channel, second: Channel) -> Told | None:
        return next((t for t in self.scene.of("ATTENDEDTRANSFER") if t.channel in (first, second)), None)

    def _meeting(self, one: Channel, two: Channel, after: Micros) -> Contact | None:
        return next((c for c in self.met.get(one, ()) if c.other(one) is two and c.begin >= after), None)

    def _last_talk(self, by: Channel, waiting: Channel, at: Micros) -> Contact | None:
        talks = [c for c in self.met.get(by, ()) if c.other(by) is waiting and c.begin <= at]
        return talks[-1] if talks else None

    def _person(self, channel: Channel | None, by: Channel, at: Micros) -> Channel | None:
        """The person an event means: the channel itself, whoever is behind a wire, or the last one `by` talked with."""
        if channel is not None and channel.person:
            return channel
        near = [c for c in self.met.get(by, ()) if c.begin <= at and (channel is None or channel in c.via)]
        if near:
            return near[-1].other(by)
        return None

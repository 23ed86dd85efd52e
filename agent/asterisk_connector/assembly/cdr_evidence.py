"""CDR rows: evidence beside CEL, and all there is where CEL is missing.

- A row is one pair of parties, not one call: rows are read together, by age of channel and sequence.
- Traps that are stepped around (call semantics §2.2): a `dst` overwritten by a transfer, ring time inside billsec, rows
  for what the dial plan did after Dial(), rows of Local halves, ANSWERED rows of an IVR or an abandoned queue.
- CDR rows carry no transfers: they are None, not an empty list.
"""

from __future__ import annotations

from dataclasses import dataclass

from asterisk_connector.assembly.bridges import SEAM
from asterisk_connector.assembly.channels import NOWHERE, Channel, age
from asterisk_connector.assembly.interpret import ROOMS, Scene
from asterisk_connector.assembly.parties import number_dialled
from asterisk_connector.assembly.recordings import recordings
from asterisk_connector.assembly.services import MENUS
from asterisk_connector.assembly.thread import thread
from asterisk_connector.call import (
    Call,
    Conference,
    Evidence,
    Leg,
    Party,
    QueueAttempt,
    QueueVisit,
    Talk,
    Trunk,
    Voicemail,
)
from asterisk_connector.plan import Plan
from asterisk_connector.records import CdrRow, Micros

DIALLERS = frozenset({"Dial", "RetryDial", "Queue", "FollowMe", "AppDial", "AppQueue"})
DISPOSITIONS = {"BUSY": "busy", "FAILED": "failed", "CONGESTION": "failed", "CANCEL": "cancelled"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What CDR rows alone know."""

    did: str = ""
    account_code: str = ""
    user_field: str | None = None


def facts(scene: Scene) -> Facts:
    """The first value of each field that only CDR rows carry."""
    rows = scene.cdrs
    return Facts(
        did=next((r.did for r in rows if r.did), ""),
        account_code=next((r.account_code for r in rows if r.account_code), ""),
        user_field=next((r.user_field for r in rows if r.user_field), None),
    )


def call(scene: Scene, plan: Plan, *, host: str, call_id: str | None, incomplete: str | None, ended: bool) -> Call:
    """A call known from CDR rows alone (or, with nothing but recordings, hardly at all)."""
    rows = _by_time(scene.cdrs)
    if not rows:
        return _recording_only(scene, host, call_id)
    return _Ledger(scene, plan, rows).call(host, call_id, incomplete, ended)


class _Ledger:
    """The rows of one call, read together."""

    def __init__(self, scene: Scene, plan: Plan, rows: list[CdrRow]) -> None:
        self.scene = scene
        self.plan = plan
        self.rows = rows
        self.first = min(rows, key=lambda r: (r.start or 0, age(r.uniqueid)))
        self.names: dict[str, Channel] = {}
        for row in rows:
            for name in (row.channel, row.dstchannel):
                if name and name not in self.names:
                    self.names[name] = Channel(name, row.linkedid, name, row.start or 0)
        self.lines: dict[str, str] = {}
        for row in rows:
            if row.dstchannel and (line := self._trunk(row.dstchannel, row=row)) and row.dst not in NOWHERE:
                self.lines.setdefault(line, row.dst)
        self.origin = self._origin()
        caller = self.origin.dstchannel if self.origin else self.first.channel
        number = "" if self.clicked else self.first.cnum or self.first.src
        self.caller = self._label(caller, number, caller=not self.clicked)
        self.pairs = [r for r in rows if r.dstchannel and self._person(r.channel) and self._person(r.dstchannel)]
        self.dialled = [r for r in rows if r.dstchannel and self._person(r.dstchannel) and r is not self.origin]

    @property
    def clicked(self) -> bool:
        """Was the call asked for from outside the dial plan?"""
        return self.origin is not None or self.first.last_app == "AppDial2"

    def _origin(self) -> CdrRow | None:
        """The row by which click to call over a Local channel rang its own telephone."""
        first = self.names[self.first.channel] if self.first.channel else None
        if first is None or first.half != "1" or self.first.uniqueid != self.first.linkedid:
            return None
        other = self.first.channel[:-1] + "2"
        return next((r for r in self.rows if r.channel == other and r.dstchannel), None)

    def call(self, host: str, call_id: str | None, incomplete: str | None, ended: bool) -> Call:
        rows, first = self.rows, self.first
        known = facts(self.scene)
        talk = self._talk()
        room = next((r for r in rows if r.last_app in ROOMS), None)
        box = next((r for r in rows if r.last_app == "VoiceMail"), None)
        queue = self._queue(talk)
        outcome, rule = self._outcome(talk, room, box, queue)
        inbound = self._trunk(first.channel, caller=True)
        starts = [r.start for r in rows if r.start is not None]
        ends = [e for r in rows if (e := _end(r)) is not None]
        with_caller = [t for t in talk if self.caller in (t.a, t.b)]
        partner = [t.b if t.a == self.caller else t.a for t in with_caller]
        linkedids = tuple(sorted({r.linkedid or r.uniqueid for r in rows}, key=age))
        dialled = known.did if inbound and known.did else first.dst if first.dst not in NOWHERE else None
        if self.clicked and dialled is None and first.src != self.caller:
            dialled = first.src
        answered = outcome == "answered"
        return Call(
            call_id=call_id or linkedids[0],
            linkedids=linkedids,
            complete=ended and incomplete is None,
            started_at=min(starts, default=0),
            answered_at=talk[0].start if talk else None,
            ended_at=max(ends, default=None),
            host=host,
            caller=Party(
                number=self.caller or None,
                name=_name(first.clid) or first.cnam or None,
                extension=None if inbound else self.caller or None,
            ),
            dialled=dialled or None,
            did=known.did or (dialled if inbound else None) or None,
            outcome=outcome,
            disposition="ANSWERED" if any(r.disposition == "ANSWERED" for r in rows) else first.disposition or None,
            answered_by=partner[0] if answered and partner else None,
            final_party=partner[-1] if answered and partner and not self._left_alone(talk) else None,
            talk=talk,
            talk_seconds=sum(t.seconds for t in talk) if talk else None,
            transfers=None,
            queue=queue,
            wait_seconds=queue.wait_seconds if queue else None,
            voicemail=Voicemail(_box(box), box.billsec) if box else None,
            conference=self._conference(room, talk) if room else None,
            click_to_call=self.clicked,
            trunk=Trunk(
                inbound,
                next((t for r in reversed(self.dialled) if (t := self._trunk(r.dstchannel, row=r))), None),
            ),
            account_code=known.account_code or None,
            user_field=known.user_field,
            legs=self._legs(inbound),
            recordings=recordings(self.scene),
            evidence=Evidence(
                rows={"CDR": len(rows)},
                inferred=("talk", "answered_by", "final_party"),
                missing=("cel",),
                incomplete=incomplete,
                explain={"outcome": rule},
            ),
            parties=self._parties(),
            thread=thread(self.scene),
        )

    def _person(self, name: str) -> bool:
        return bool(name) and self.names[name].person

    def _trunk(self, name: str, *, caller: bool = False, row: CdrRow | None = None) -> str | None:
        """The trunk's name when this channel is one. CDR rows show the context of the caller's channel only."""
        channel = self.names.get(name)
        if channel is None or not channel.person:
            return None
        known = self.plan.trunk(channel.tech, channel.endpoint, self.first.dcontext if caller else "")
        if known is None and row is not None:
            number = number_dialled(row.last_data, channel.endpoint)
            known = True if number and not self.plan.extension(number) else None
        if known is None and caller:
            known = self.plan.external(self.first.src) or None
        return channel.endpoint if known or (known is None and channel.endpoint in self.lines) else None

    def _label(self, name: str, number: str, *, caller: bool = False, row: CdrRow | None = None) -> str:
        channel = self.names.get(name)
        if channel is None:
            return number
        if self._trunk(name, caller=caller, row=row):
            return self.lines.get(channel.endpoint, number) if not caller else number
        return channel.endpoint if self.plan.extension(channel.endpoint) or not number else number

    def _pair(self, row: CdrRow) -> tuple[str, str]:
        a = self.caller if row.channel == self.first.channel else self._label(row.channel, row.src, row=row)
        return a, self._label(row.dstchannel, row.dst, row=row)

    def _talk(self) -> tuple[Talk, ...]:
        """Answered pairs. Of a queue's row billsec holds the wait, of a transfer's the ringing: both are left in."""
        found: list[Talk] = []
        rows = self.pairs or [r for r in self.dialled if r.disposition == "ANSWERED"]
        for row in rows:
            if row.disposition != "ANSWERED" or not row.billsec:
                continue
            a, b = self._pair(row)
            if not self._person(row.channel):
                a = self.caller
            end = _end(row) or 0
            start = end - int(row.billsec * 1e6)
            last = found[-1] if found else None
            if (
                last is not None
                and {last.a, last.b} == {a, b}
                and start - (last.start + int(last.seconds * 1e6)) < SEAM
            ):
                until = max(end, last.start + int(last.seconds * 1e6))
                found[-1] = Talk(last.a, last.b, (until - last.start) / 1e6, last.start)
            elif a != b:
                found.append(Talk(a, b, row.billsec, start))
        return tuple(sorted(found, key=lambda t: (t.start, t.a, t.b)))

    def _queue(self, talk: tuple[Talk, ...]) -> QueueVisit | None:
        rows = [r for r in self.rows if r.last_app == "Queue"]
        if not rows:
            return None
        agents = [r for r in rows if r.dstchannel]
        attempts = tuple(
            QueueAttempt(
                self._label(r.dstchannel, self.names[r.dstchannel].endpoint),
                None,
                r.disposition == "ANSWERED",
            )
            for r in agents
        )
        answered = any(r.disposition == "ANSWERED" for r in agents) and bool(talk)
        last = rows[-1]
        gave_up = not answered and not any(r.last_app != "Queue" for r in self.rows[self.rows.index(last) :])
        wait = None if answered else max((r.billsec or r.duration or 0.0) for r in rows)
        result = "answered" if answered else "abandoned" if gave_up else "timeout"
        return QueueVisit(rows[0].last_data.partition(",")[0] or None, wait, attempts, result)

    def _outcome(
        self, talk: tuple[Talk, ...], room: CdrRow | None, box: CdrRow | None, queue: QueueVisit | None
    ) -> tuple[str, str]:
        if self.clicked and not talk and not self.dialled:
            return "not_taken", "the telephone rung for click to call did not answer"
        if room is not None and not any(r.last_app in DIALLERS and r.billsec for r in self.pairs):
            return "conference", "lastapp is a conference"
        if talk:
            return "answered", "an ANSWERED row between two people"
        if box is not None:
            return "voicemail", "lastapp VoiceMail"
        if queue is not None:
            return ("abandoned" if queue.result == "abandoned" else "queue_timeout"), "lastapp Queue without an answer"
        attempts = [r for r in self.rows if r.dstchannel]
        if attempts:
            words = [DISPOSITIONS.get(r.disposition, "no_answer") for r in attempts]
            if any(r.disposition == "ANSWERED" for r in attempts):
                return "answered", "an ANSWERED row, of no length"
            return ("no_answer" if "no_answer" in words else words[-1]), "disposition of the attempts"
        if any(r.last_app in MENUS or self.plan.ivr(r.dcontext) or r.dst in ("t", "i") for r in self.rows):
            return "ivr_only", "only a menu's rows"
        if self.first.last_app in DIALLERS:
            return DISPOSITIONS.get(self.first.disposition, "failed"), "Dial without a leg"
        return "service", "no leg, an application served the caller"

    def _left_alone(self, talk: tuple[Talk, ...]) -> bool:
        """Was somebody else dialled after the last talk, in vain?"""
        until = max(t.start + int(t.seconds * 1e6) for t in talk) - 1_000_000
        return any(r.disposition != "ANSWERED" and (r.start or 0) >= until for r in self.dialled)

    def _conference(self, room: CdrRow, talk: tuple[Talk, ...]) -> Conference:
        labels = dict.fromkeys([self.caller, *(name for t in talk for name in (t.a, t.b))])
        labels.update(dict.fromkeys(self._label(r.channel, r.src) for r in self.rows if r.last_app in ROOMS))
        return Conference(room.last_data.partition(",")[0] or None, tuple(n for n in labels if n))

    def _legs(self, inbound: str | None) -> tuple[Leg, ...]:
        first = self.first
        legs = [
            Leg(first.uniqueid, first.channel, "caller", self.caller or None, started_at=first.start, trunk=inbound)
        ]
        for row in self.dialled:
            word = "answered" if row.disposition == "ANSWERED" else DISPOSITIONS.get(row.disposition, "no_answer")
            role = "agent" if row.last_app == "Queue" else "dialled"
            legs.append(
                Leg(
                    row.uniqueid,
                    row.dstchannel,
                    role,
                    self._pair(row)[1] or None,
                    started_at=row.start,
                    answered_at=row.answer,
                    ended_at=_end(row),
                    result=word,
                    trunk=self._trunk(row.dstchannel, row=row),
                )
            )
        return tuple(legs)

    def _parties(self) -> dict[str, Party]:
        first = self.first
        found = {self.caller: Party(self.caller, _name(first.clid) or first.cnam or None)} if self.caller else {}
        for row in self.dialled:
            label = self._pair(row)[1]
            if label:
                found.setdefault(label, Party(label, row.dst_cnam or None))
        return found


def _by_time(rows: list[CdrRow]) -> list[CdrRow]:
    return sorted(rows, key=lambda r: (r.start or 0, r.sequence if r.sequence is not None else 0, r.dstchannel))


def _end(row: CdrRow) -> Micros | None:
    if row.end is not None or row.start is None or row.duration is None:
        return row.end
    return row.start + int(row.duration * 1e6)


def _box(row: CdrRow) -> str | None:
    return row.last_data.partition(",")[0].partition("@")[0] or None


def _name(clid: str) -> str:
    """`"Alice" <100>` → `Alice`."""
    return clid.rpartition("<")[0].strip().strip('"').replace('""', '"')


def _recording_only(scene: Scene, host: str, call_id: str | None) -> Call:
    """Recordings whose call is not known. Raises ValueError for no records at all."""
    if not scene.recordings:
        raise ValueError("a call needs at least one record")
    ids = tuple(sorted({r.linkedid or r.uniqueid for r in scene.recordings} - {""}, key=age))
    starts = [r.started_at for r in scene.recordings if r.started_at is not None]
    return Call(
        call_id=call_id or (ids[0] if ids else ""),
        linkedids=ids,
        complete=False,
        started_at=min(starts, default=0),
        host=host,
        transfers=None,
        recordings=recordings(scene),
        evidence=Evidence(rows={"RECORDING": len(scene.recordings)}, missing=("cel", "cdr")),
    )

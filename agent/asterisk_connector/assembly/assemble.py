"""Records of one call in, the call out: says in words what the story of the rows is.

- Pure: the same records give the same call, in whatever order the channels were interleaved, read once or twice.
- What no row states outright is named in `evidence.inferred`; what the source cannot tell is None.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from asterisk_connector.assembly import cdr_evidence, services, talk
from asterisk_connector.assembly import outcome as outcomes
from asterisk_connector.assembly.channels import NOWHERE, Channel, age
from asterisk_connector.assembly.interpret import read
from asterisk_connector.assembly.legs import legs
from asterisk_connector.assembly.recordings import recordings
from asterisk_connector.assembly.story import Story
from asterisk_connector.assembly.thread import thread
from asterisk_connector.call import (
    Call,
    Evidence,
    Party,
    QueueVisit,
    Transfer,
    Trunk,
)
from asterisk_connector.plan import Plan
from asterisk_connector.records import Micros, Record


@dataclass(frozen=True, slots=True)
class AssemblyRules:
    """What assembly must know beyond the rows: the dial plan, and this host's name for the document."""

    plan: Plan = field(default_factory=Plan)
    host: str = ""


def assemble(
    records: Iterable[Record],
    rules: AssemblyRules | None = None,
    *,
    call_id: str | None = None,
    incomplete: str | None = None,
    as_of: Micros | None = None,
) -> Call:
    """The call these records are of.

    `call_id`: keeps an id given earlier; else the oldest linkedid. `incomplete`: the rule that closed the call without
    its end, None if it ended. `as_of`: now, while the call runs; stays in bridges that are still open are counted up to
    it, and the call is not complete. Raises ValueError for no records.
    """
    rules = rules or AssemblyRules()
    scene = read(records)
    if not scene.channels:
        return cdr_evidence.call(
            scene, rules.plan, host=rules.host, call_id=call_id, incomplete=incomplete, ended=as_of is None
        )
    assert scene.first is not None
    assert scene.last is not None
    until = max(scene.last, as_of or 0)
    story = Story(scene, rules.plan, until)
    return _Telling(story, rules, call_id, incomplete, as_of).call()


class _Telling:
    """One call being put into words; notes which rule decided what."""

    def __init__(
        self, story: Story, rules: AssemblyRules, call_id: str | None, incomplete: str | None, as_of: Micros | None
    ) -> None:
        self.story = story
        self.scene = story.scene
        self.rules = rules
        self.call_id = call_id
        self.incomplete = incomplete
        self.as_of = as_of
        self.why: dict[str, str] = {}
        self.inferred: list[str] = []

    def call(self) -> Call:
        story, scene = self.story, self.scene
        cdr = cdr_evidence.facts(scene)
        ends = [c.over for c in scene.channels.values()]
        over = all(end is not None for end in ends)
        result, ended_by = self._ending(running=self.as_of is not None and not over)
        caller = story.caller
        dialled, did = self._dialled(cdr.did)
        talks = talk.stretches(story.cast, story.met)
        answered = story.talks[0] if story.talks and result == "answered" else None
        told_legs = legs(story)
        queue, wait = self._queue()
        linkedids = tuple(sorted(scene.linkedids or {c.linkedid for c in scene.channels.values()}, key=age))
        assert scene.first is not None
        box = next((b for c in story.served if (b := services.mailbox(c, story.until))), None)
        return Call(
            call_id=self.call_id or linkedids[0],
            linkedids=linkedids,
            complete=self.incomplete is None and self.as_of is None and over,
            started_at=scene.first,
            answered_at=self._answered_at(result),
            ended_at=max(e for e in ends if e is not None) if over else None,
            host=self.rules.host,
            caller=self._party(caller),
            dialled=dialled,
            did=did,
            outcome=result,
            disposition=outcomes.disposition(story, result),
            cause=outcomes.cause(story),
            answered_by=story.name(story.partner(answered)) if answered else None,
            final_party=self._final(result),
            talk=talks,
            talk_seconds=self._talk_seconds(),
            ring_seconds=self._ring_seconds(),
            wait_seconds=wait,
            hold_seconds=self._hold(),
            transfers=self._transfers(),
            queue=queue,
            ivr=story.menu,
            voicemail=box[0] if box else None,
            forwarded=self._forwarded(),
            picked_up=self._picked_up(),
            conference=story.room[0] if story.room else None,
            click_to_call=story.click_to_call,
            ended_by=ended_by,
            trunk=self._trunks(),
            account_code=(caller.account if caller else "") or cdr.account_code or None,
            user_field=cdr.user_field or next((e.user_field for e in scene.events if e.user_field), None),
            legs=told_legs,
            recordings=recordings(scene),
            evidence=self._evidence(),
            parties=self._parties(),
            thread=thread(scene),
        )

    def _ending(self, *, running: bool) -> tuple[str | None, str | None]:
        """Outcome and who ended it; while a call runs, only what cannot change any more."""
        result, why = outcomes.outcome(self.story)
        if running:
            final = result in ("answered", "conference", "page")
            self.why["outcome"] = why if final else "the call is still running"
            return (result if final else None), None
        self.why["outcome"] = why
        ended_by, self.why["ended_by"] = outcomes.ended_by(self.story, result)
        return result, ended_by

    def _party(self, channel: Channel | None) -> Party:
        if channel is None:
            return Party()
        label = self.story.name(channel)
        own = channel.person and not self.story.cast.trunk[channel]
        number = label if own or channel.num or channel in self.story.cast.parent else None
        return Party(number=number, name=channel.person_name or None, extension=label if own else None)

    def _parties(self) -> dict[str, Party]:
        found: dict[str, Party] = {}
        for channel in self.story.cast.people:
            label = self.story.name(channel)
            if label and label not in found:
                found[label] = self._party(channel)
        return found

    def _dialled(self, did: str) -> tuple[str | None, str | None]:
        story = self.story
        caller, main = story.caller, story.main
        if caller is None or main is None:
            return None, did or None
        if story.click_to_call:
            self.why["dialled"] = "where click to call went on after its telephone answered"
            return self._click_target(main, caller), did or None
        number = next((exten for _, exten, _ in caller.places if exten not in NOWHERE), None)
        inbound = story.cast.trunk.get(caller, False)
        self.why["dialled"] = "first extension of the caller's channel"
        if inbound:
            return number or did or None, did or number
        return number, did or None

    def _click_target(self, main: Channel, caller: Channel) -> str | None:
        places = main.places
        if main.half:
            first = places[0] if places else None
            number = next((e for _, e, c in places if e not in NOWHERE and first and (e, c) != first[1:]), None)
            twin = self.story.cast.twins.get(main)
            if number is None and twin is not None:
                number = twin.num_later or twin.num or None
            return number
        number = main.place_at(main.last)
        return number or next((n for n in (main.num_later, main.num) if n and n != self.story.name(caller)), None)

    def _answered_at(self, result: str | None) -> Micros | None:
        story = self.story
        if story.talks:
            return story.talks[0].begin
        if result in ("conference", "page", "service") and story.caller is not None:
            return story.caller.answered
        return None

    def _final(self, result: str | None) -> str | None:
        story = self.story
        last = story.last_talk
        if result != "answered" or last is None or story.ended_away():
            return None
        if story.line is story.caller:
            return story.name(story.partner(last))
        move = next((m for m in reversed(story.moves) if m.transferee is story.line and m.result == "completed"), None)
        self.why["final_party"] = "the target of the transfer by the caller"
        return move.target if move and story.last_move is move else story.name(last.other(story.line or last.a))

    def _talk_seconds(self) -> float | None:
        spans = [(c.begin, c.end) for c in self.story.met if c not in self.story.consulted]
        if not spans:
            return None
        held = sum(c.held for c in self.story.met if c not in self.story.consulted)
        return max(0, talk.union(spans) - held) / 1e6

    def _ring_seconds(self) -> float | None:
        story = self.story
        first = story.talks[0].begin if story.talks else None
        spans = []
        for leg in outcomes.dialled(story):
            if first is not None and leg.started > first:
                continue
            stop = leg.answered if leg.answered is not None else leg.over
            spans.append((leg.started, story.until if stop is None else stop))
        return talk.union(spans) / 1e6 if spans else None

    def _hold(self) -> float | None:
        hold = self.story.hold
        if hold.inferred and not hold.seen:
            self.inferred.append("hold_seconds")
        return hold.micros / 1e6 if hold.micros or hold.seen else None

    def _queue(self) -> tuple[QueueVisit | None, float | None]:
        visits = self.story.visits
        if not visits:
            return None, None
        if any(v.inferred for v in visits):
            self.inferred.append("queue.wait_seconds")
        taken = next((v for v in visits if v.told.result == "answered"), visits[-1])
        waits = [v.told.wait_seconds for v in visits if v.told.wait_seconds is not None]
        return taken.told, sum(waits) if waits else None

    def _transfers(self) -> tuple[Transfer, ...]:
        story = self.story
        found = []
        for move in story.moves:
            if move.inferred and move.result != "returned":
                self.inferred.append("transfers")
            found.append(
                Transfer(
                    move.kind,
                    story.name(move.by),
                    story.name(move.transferee),
                    move.target,
                    move.result,
                    move.at,
                )
            )
        for park in story.parks:
            seconds = None if park.until is None else max(0, park.until - park.at) / 1e6
            found.append(
                Transfer("park", park.by_label, story.name(park.parked), park.lot, park.result, park.at, seconds)
            )
        return tuple(sorted(found, key=lambda t: t.at))

    def _forwarded(self) -> tuple[tuple[str, str], ...]:
        if self.story.forwards_inferred:
            self.inferred.append("forwarded")
        return tuple(self.story.forwards)

    def _picked_up(self) -> tuple[str, str] | None:
        if self.story.pickup is None:
            return None
        ringing, taker, inferred = self.story.pickup
        if inferred:
            self.inferred.append("picked_up")
        label = self.story.cast.label
        return label[ringing], label[taker]

    def _trunks(self) -> Trunk:
        story = self.story
        trunk = story.cast.trunk
        inbound = story.caller.endpoint if story.caller is not None and trunk.get(story.caller) else None
        lines = [c for c in story.cast.parent if c is not story.caller and trunk.get(c)]
        taken = next((c for c in lines if c.answered is not None), lines[-1] if lines else None)
        return Trunk(inbound, taken.endpoint if taken else None)

    def _evidence(self) -> Evidence:
        scene = self.scene
        rows = dict(sorted(scene.counts.items()))
        if scene.cdrs:
            rows["CDR"] = len(scene.cdrs)
        if scene.recordings:
            rows["RECORDING"] = len(scene.recordings)
        missing = []
        if not scene.with_extra:
            missing.append("extra")
        if "APP_START" not in scene.counts:
            missing.append("APP_START")
        if scene.counts.get("CHAN_START", 0) < len(scene.channels):
            missing.append("CHAN_START")
        return Evidence(
            rows=rows,
            inferred=tuple(dict.fromkeys(self.inferred)),
            missing=tuple(missing),
            incomplete=self.incomplete,
            explain=self.why,
        )

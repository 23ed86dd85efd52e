"""The thread between the store and the pure middle: when a call is looked at, and what comes of it.

- Memory holds one small `Progress` per open call; rows are read back from the store when a call is due.
- Nothing is decided here: completion, assembly, enrichment and shipping are pure and handed in. A restart
  asks them again about the same rows and gets the same answers (law 4), so nothing but the store needs to be durable.
- A settlement names the last row it looked at; when newer rows came meanwhile the store refuses it and the call, which
  those rows touch, is looked at again.
"""

from __future__ import annotations

import heapq
import queue
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import msgspec

from asterisk_connector.assembly.restarts import Restarts
from asterisk_connector.call import Call, decode, encode
from asterisk_connector.clock import Clock
from asterisk_connector.delivery.shipping import COMPLETE, Plan, Shipped, ShippingPolicy, plan
from asterisk_connector.enrichment.attach_recordings import RecordingRules, uniqueids
from asterisk_connector.linker import Linker
from asterisk_connector.notices import (
    CallCompleted,
    CallRevised,
    CallUpdated,
    EvidenceTooLate,
    Notice,
    Notify,
    RecordingLinked,
)
from asterisk_connector.records import CelEvent, Micros, Record
from asterisk_connector.store.store import Store
from asterisk_connector.store.words import Appended, KnownCall, Owed, Settlement
from asterisk_connector.supervise import ROUND_SECONDS, Worker

_BATCHES_WAITING = 64
_OFFERED_FOR = 1.0
_SETTLED_AT_ONCE = 200
_TAKEN_UP = 30.0
"""Seconds after a start before an open call may be told as lasting: its end may stand in what is still to be read."""
_LOOKS_APART: Micros = 1_000_000
"""An open call that changes all the time is assembled at most once in this time: its cost grows with its rows."""

_NAMED = 50
"""How many channels of a call its notices name."""


class Verdict(Protocol):
    """What completion says of a call: `ended` by `reason`, or to be asked again at `look_again` (None: on new rows)."""

    ended: bool
    complete: bool
    reason: str
    look_again: Micros | None


class Progress(Protocol):
    """How far a call has come (`assembly.completion`)."""

    def observe(self, record: Record, now: Micros) -> None:
        """A row of the call arrived at `now`."""

    def restarted(self, at: Micros) -> None:
        """Asterisk started anew at this instant."""

    def verdict(self, now: Micros) -> Verdict:
        """Whether the call has ended."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The pure middle, as configured. `sinks` are owed each call that is shipped, `audio_sinks` those that are complete
    and recorded."""

    progress: Callable[[], Progress]
    tell: Callable[[Sequence[Record], str | None, Micros | None], Call]
    """Records of a call, the rule that closed it as incomplete, and now while it runs: the call, enriched."""
    shipping: ShippingPolicy
    sinks: tuple[str, ...]
    audio_sinks: tuple[str, ...] = ()
    recordings: RecordingRules = field(default_factory=RecordingRules)


@dataclass(slots=True)
class _Open:
    """An open call, its times by the monotonic clock: `due` in the heap, `update_at` when shipping wants to look."""

    progress: Progress
    due: Micros | None = None
    update_at: Micros | None = None
    looked_at: Micros = 0


@dataclass(frozen=True, slots=True)
class _Look:
    settlement: Settlement
    notices: Sequence[Notice] = ()


class Assembler:
    """Looks at open calls.

    `owed` is called after something new is owed to the sinks, `ended` with the uniqueids of calls that seem to be over.
    """

    def __init__(
        self,
        store: Store,
        rules: Rules,
        *,
        owed: Callable[[], None],
        clock: Clock,
        notify: Notify,
        ended: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        self.rules = rules
        self._store = store
        self._owed = owed
        self._ended = ended
        self._clock = clock
        self._notify = notify
        self._batches: queue.Queue[Appended | None] = queue.Queue(_BATCHES_WAITING)
        self._open: dict[int, _Open] = {}
        self._due: list[tuple[Micros, int]] = []
        self._restarts = Restarts()
        self._linker = Linker(store, clock=clock)
        self.worker = Worker(
            "assembler", self._round, wake=self._wake, clock=clock, notify=notify, reset=self._remember
        )

    @property
    def open_calls(self) -> int:
        return len(self._open)

    def follow(self, appended: Appended) -> bool:
        """Takes what a committed batch changed; False when too much was waiting for a second."""
        try:
            self._batches.put(appended, timeout=_OFFERED_FOR)
        except queue.Full:
            return False
        return True

    def _wake(self) -> None:
        try:
            self._batches.put_nowait(None)
        except queue.Full:
            return

    def _remember(self) -> None:
        """Takes up every open call of the store, as after a restart."""
        self._open.clear()
        self._due.clear()
        for call in self._store.open_calls():
            self._take_up(call, watch=True)
            self.worker.beat()
            if self.worker.stopping:
                return
        self._linker.remember(self.rules.recordings)

    def _round(self) -> None:
        changed = self._next_batches()
        for appended in changed:
            self._take(appended)
        self._watch_restarts()
        self._search_recordings()
        self._settle_due()

    def _watch_restarts(self) -> None:
        """What a process of Asterisk that is gone left open will never end (call semantics, rule 4)."""
        tick = self._tick()
        at = self._restarts.proven(tick)
        if at is not None:
            for call, known in self._open.items():
                known.progress.restarted(at)
                self._schedule(call, known, tick)

    def _search_recordings(self) -> None:
        due = self._linker.search_at
        if due is not None and due <= self._clock.now():
            self._revisit(self._linker.search(self.rules.recordings))

    def _revisit(self, calls: Iterable[int]) -> None:
        """A recording was linked to these; those that were settled are open again."""
        for call in calls:
            if call not in self._open:
                self._take_up(call)

    def _next_batches(self) -> list[Appended]:
        wait = ROUND_SECONDS
        if self._due:
            wait = min(wait, max(0.0, (self._due[0][0] - self._tick()) / 1_000_000))
        if self._linker.search_at is not None:
            wait = min(wait, max(0.0, (self._linker.search_at - self._clock.now()) / 1_000_000))
        batches = []
        try:
            first = self._batches.get(timeout=wait) if wait > 0 else self._batches.get_nowait()
            while True:
                if first is not None:
                    batches.append(first)
                first = self._batches.get_nowait()
        except queue.Empty:
            return batches

    def _take(self, appended: Appended) -> None:
        for absorbed, into in appended.merged:
            self._open.pop(absorbed, None)
            self._open.pop(into, None)
        merged = {into for _, into in appended.merged}
        new = set(appended.new)
        tick = self._tick()
        ended = [r.uniqueid for rs in appended.touched.values() for r in rs if _is(r, "CHAN_END")]
        if ended:
            self._ended(ended)
        for call, records in appended.touched.items():
            known = self._open.get(call)
            if known is None and (call not in new or call in merged):
                self._take_up(call)
                continue
            if known is None:
                known = self._open[call] = _Open(self.rules.progress(), update_at=self._first_update(tick))
            for record in records:
                known.progress.observe(record, tick)
                if _is(record, "CHAN_START"):
                    self._restarts.observe(record.uniqueid, tick)
            if self.rules.shipping.mode == "progressive":
                known.update_at = min(known.update_at or tick, max(tick, known.looked_at + _LOOKS_APART))
            self._schedule(call, known, tick)
        self._revisit(self._linker.take(appended.recordings, self.rules.recordings))

    def _take_up(self, call: int, *, watch: bool = False) -> None:
        """Builds the progress of a call from its rows. `watch`: its channels tell how far Asterisk had counted."""
        tick = self._tick()
        known = self._open[call] = _Open(self.rules.progress(), update_at=self._first_update(tick, _TAKEN_UP))
        for _, record in self._store.rows(call):
            known.progress.observe(record, tick)
            if watch and _is(record, "CHAN_START"):
                self._restarts.observe(record.uniqueid, tick)
        self._schedule(call, known, tick)

    def _tick(self) -> Micros:
        """Now, for waiting: it never jumps when somebody sets the host's clock (F56)."""
        return int(self._clock.monotonic() * 1_000_000)

    def _first_update(self, tick: Micros, soonest: float | None = None) -> Micros | None:
        """When shipping first wants to look at a call that is still open."""
        policy = self.rules.shipping
        if policy.mode == "progressive":
            return tick + _LOOKS_APART
        interval = policy.long_call_update_interval
        if interval <= 0:
            return None
        return tick + round(min(interval, soonest if soonest is not None else interval) * 1_000_000)

    def _schedule(self, call: int, known: _Open, tick: Micros) -> None:
        verdict = known.progress.verdict(tick)
        looks = [at for at in (verdict.look_again, known.update_at) if at is not None]
        due = tick if verdict.ended else min(looks, default=None)
        if due != known.due:
            known.due = due
            if due is not None:
                heapq.heappush(self._due, (due, call))

    def _settle_due(self) -> None:
        tick = self._tick()
        calls: list[int] = []
        while self._due and self._due[0][0] <= tick and len(calls) < _SETTLED_AT_ONCE:
            due, call = heapq.heappop(self._due)
            known = self._open.get(call)
            if known is not None and known.due == due:
                known.due = None
                calls.append(call)
        if calls:
            self._settle(calls)
            self.worker.beat()

    def _settle(self, calls: Iterable[int]) -> None:
        looked = [look for call in calls if (look := self._look(call)) is not None]
        written = self._store.settle_all([look.settlement for look in looked])
        owed = False
        for look, done in zip(looked, written, strict=True):
            if not done:
                continue  # newer rows came; they touch the call again
            if look.settlement.state != "open":
                self._open.pop(look.settlement.call, None)
            for notice in look.notices:
                self._notify(notice)
            owed = owed or bool(look.settlement.owed)
        if owed:
            self._owed()

    def _look(self, call: int) -> _Look | None:
        """Asks the pure middle about a call; None when there is nothing to write."""
        try:
            known = self._store.known(call)
        except LookupError:  # merged into an older call, which was touched
            self._open.pop(call, None)
            return None
        now, tick = self._clock.now(), self._tick()
        verdict = self._open[call].progress.verdict(tick)
        rows = self._store.rows(call)
        if not rows:
            self._open.pop(call, None)
            return None
        last = rows[-1][0]
        if verdict.ended and not known.fresh:
            return _Look(_unchanged(known, last, "history"))
        if known.trimmed:
            # The rows still there tell less than what was told already.
            return _Look(_unchanged(known, last, "settled"), (EvidenceTooLate(known.call_id),))
        told = self._tell(rows, verdict, now)
        if self._linker.claim(call, told, self.rules.recordings):
            rows = self._store.rows(call)
            last = rows[-1][0]
            told = self._tell(rows, verdict, now)
        before = Shipped(known.revision, known.digest, known.phase, known.shipped_at)
        decision = plan(before, told, ended=verdict.ended, now=now, policy=self.rules.shipping)
        if not verdict.ended:
            self._open[call].looked_at = tick
            self._open[call].update_at = None if decision.look_again is None else tick + decision.look_again - now
            self._schedule(call, self._open[call], tick)
        told = msgspec.structs.replace(told, revision=decision.shipped.revision)
        settlement = settle(call, last, told, decision, ended=verdict.ended, rules=self.rules)
        return _Look(settlement, tuple(_news(known, told, verdict, settlement.owed, decision.phase)))

    def _tell(self, rows: Sequence[tuple[int, Record]], verdict: Verdict, now: Micros) -> Call:
        return self.rules.tell(
            [record for _, record in rows],
            verdict.reason if verdict.ended and not verdict.complete else None,
            None if verdict.ended else now,
        )


def settle(call: int, last: int, told: Call, decision: Plan, *, ended: bool, rules: Rules) -> Settlement:
    """What to write of a call that was told from its rows up to `last`, and to whom it is owed.

    `told` bears the revision of `decision`.
    """
    recorded = decision.phase == COMPLETE and any(recording.size is not None for recording in told.recordings)
    sinks = (*rules.sinks, *(rules.audio_sinks if recorded else ()))
    body = encode(told)
    return Settlement(
        call=call,
        last_record=last,
        state="settled" if ended else "open",
        call_id=told.call_id,
        complete=told.complete,
        revision=decision.shipped.revision,
        digest=decision.shipped.digest,
        body=encode(msgspec.structs.replace(told, thread=())),
        owed=() if decision.phase is None else tuple(Owed(sink, decision.phase, body) for sink in sinks),
        phase=decision.shipped.phase,
    )


def _is(record: Record, event: str) -> bool:
    return isinstance(record, CelEvent) and record.type == event


def _unchanged(known: KnownCall, last: int, state: str) -> Settlement:
    return Settlement(
        call=known.call,
        last_record=last,
        state=state,
        call_id=known.call_id,
        complete=known.complete,
        revision=known.revision,
        digest=known.digest,
        body=known.body,
        phase=known.phase,
    )


def _news(known: KnownCall, told: Call, verdict: Verdict, owed: Sequence[Owed], phase: str | None) -> Iterable[Notice]:
    before = {recording.path for recording in decode(known.body).recordings} if known.body and told.recordings else ()
    for recording in told.recordings:
        if recording.path not in before and recording.size is not None:
            yield RecordingLinked(told.call_id, recording.leg or "", recording.path, recording.linked_by)
    facts = _facts(told, tuple(each.sink for each in owed))
    if verdict.ended and known.phase != COMPLETE:
        yield CallCompleted(**facts, complete=verdict.complete, reason=verdict.reason)
    elif phase is not None:
        yield CallRevised(**facts) if known.phase == COMPLETE else CallUpdated(**facts)


def _facts(told: Call, sinks: tuple[str, ...]) -> dict[str, Any]:
    """The fields of `CallNews`."""
    return {
        "call_id": told.call_id,
        "revision": told.revision,
        "linkedids": told.linkedids,
        "uniqueids": tuple(islice(uniqueids(told), _NAMED)),
        "direction": told.direction or "",
        "outcome": told.outcome or "",
        "caller": told.caller.number or "",
        "called": told.dialled or told.did or "",
        "answered_by": told.answered_by or "",
        "started_at": told.started_at,
        "seconds": None if told.ended_at is None else (told.ended_at - told.started_at) / 1_000_000,
        "talk_seconds": told.talk_seconds,
        "recordings": sum(recording.size is not None for recording in told.recordings),
        "sinks": sinks,
    }

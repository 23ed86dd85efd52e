"""Owes calls of the past that nobody was told of.

- A call is owed only if one of its names is unknown to the state, or known from history alone; what was shipped stays
  as it is. Its revision, and so its idempotency key, are those the agent itself would have given it.
- Rows go into the state as the agent's own reading would have put them there, so that late evidence still finds its
  call; a row the call has already is not added. A kill leaves calls that the service settles when it starts.
- How far a period has come is kept in the state under the period's name, after what was owed for it: interrupted, it
  goes on with the slice it was in; finished, it begins anew when asked again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import msgspec

from asterisk_connector.assembler import Rules, settle
from asterisk_connector.call import rfc3339
from asterisk_connector.clock import Clock
from asterisk_connector.delivery.shipping import Shipped, plan
from asterisk_connector.errors import Misconfigured
from asterisk_connector.linker import Linker
from asterisk_connector.past_calls import PastCall, Period
from asterisk_connector.records import Batch, Micros, Record, Seen
from asterisk_connector.store.store import Store
from asterisk_connector.store.words import KnownCall, Settlement

_encode = msgspec.msgpack.Encoder().encode


class Backfill:
    """Of one period into a store that nobody else is writing. Raises Misconfigured where calls go nowhere."""

    def __init__(self, store: Store, rules: Rules, period: Period, *, clock: Clock) -> None:
        if not rules.sinks:
            raise Misconfigured("calls go nowhere", "configure `api`, `calls.kafka` or `calls.file`")
        self._store = store
        self._rules = rules
        self._clock = clock
        self._period = period
        self._name = f"backfill:{rfc3339(period.since)}:{rfc3339(period.until)}"
        self._linker = Linker(store, clock=clock)
        self._linker.remember(rules.recordings)

    @property
    def begun(self) -> Micros:
        """Where to go on: every call that began before has been looked at."""
        position = self._store.position(self._name)
        return self._period.since if position is None else int(position)

    def looked_at(self, upto: Micros) -> None:
        """Every call that began before `upto` has been owed, or needed not."""
        self._append((), self._period.since if upto >= self._period.until else upto)

    def owe(self, calls: Sequence[PastCall]) -> int:
        """Owes these with one wait for the disk; of how many there was something to owe."""
        self._append([seen for call in calls for seen in self._missing(call)], self.begun)
        found: dict[int, PastCall] = {}
        for call in calls:
            known = self._known(call)
            # Rows that are left of a call that was told tell less than what was told.
            if known is not None and not (known.trimmed and known.phase):
                found[known.call] = call
        settlements = [self._settlement(call, past) for call, past in found.items()]
        written = self._store.settle_all(settlements)
        return sum(done and bool(each.owed) for done, each in zip(written, settlements, strict=True))

    def _missing(self, call: PastCall) -> Iterable[Seen]:
        """Its rows that the state does not have. A row is named by what it says and how often it was said."""
        numbers = {known.call for name in call.names if (known := self._store.find(name)) is not None}
        have = Counter(record for number in numbers for _, record in self._store.rows(number))
        met: Counter[Record] = Counter()
        for record in call.records:
            met[record] += 1
            if met[record] > have[record]:
                yield Seen(f"{blake2b(_encode(record), digest_size=12).hexdigest()}.{met[record]}", record)

    def _known(self, call: PastCall) -> KnownCall | None:
        return next((known for name in call.names if (known := self._store.find(name)) is not None), None)

    def _settlement(self, call: int, past: PastCall) -> Settlement:
        rules, verdict = self._rules, past.verdict
        known = self._store.known(call)
        rows = self._store.rows(call)
        incomplete = None if verdict.complete else verdict.reason
        told = rules.tell([record for _, record in rows], incomplete, None)
        if self._linker.claim(call, told, rules.recordings):
            rows = self._store.rows(call)
            told = rules.tell([record for _, record in rows], incomplete, None)
        before = Shipped(known.revision, known.digest, known.phase, known.shipped_at)
        decision = plan(before, told, ended=True, now=self._clock.now(), policy=rules.shipping)
        told = msgspec.structs.replace(told, revision=decision.shipped.revision)
        return settle(call, rows[-1][0], told, decision, ended=True, rules=rules)

    def _append(self, seen: Sequence[Seen], upto: Micros) -> None:
        self._store.append(Batch(self._name, seen, str(upto).encode()))

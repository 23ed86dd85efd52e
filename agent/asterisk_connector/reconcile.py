"""Every linkedid of a time past beside what the state knows of it: accounted for, or not, or owed now.

- Without a `Backfill` nothing is changed anywhere. With one, what is not accounted for is owed as it is found.
- A call that has not ended is left to the service: it counts as open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from asterisk_connector.backfill import Backfill
from asterisk_connector.past_calls import PastCall, PastCalls, Period, part_of
from asterisk_connector.records import Micros
from asterisk_connector.standing import Standing, standing
from asterisk_connector.store.store import Store

_AT_ONCE = 200
LISTED = 10_000


class Difference(NamedTuple):
    """A linkedid that was not simply shipped, or not yet."""

    name: str
    began: Micros
    standing: Standing


class Reconciliation:
    """Of a period. The counts are of all; of those that are missing and of the others the first LISTED are listed."""

    def __init__(self, past: PastCalls, store: Store, backfill: Backfill | None = None) -> None:
        self.calls = 0
        self.counts: Counter[Standing] = Counter()
        """Linkedids by what was found."""
        self.missing = 0
        """Calls that nobody was told of."""
        self.owed = 0
        """Of these, owed now."""
        self._listed: dict[bool, list[Difference]] = {False: [], True: []}
        self._past = past
        self._store = store
        self._backfill = backfill

    def run(self, period: Period, done: Callable[[float], None], looked_at: Callable[[Micros], None]) -> None:
        """Goes through a period slice by slice; `done` is told which part is done, `looked_at` each slice's end."""
        length = period.until - period.since
        for piece in period.slices():
            start, share = (piece.since - period.since) / length, (piece.until - piece.since) / length
            self._slice(self._past.read(piece, part_of(done, start, share)))
            looked_at(piece.until)

    @property
    def accounted(self) -> bool:
        """Whether somebody has, or will have, every call, or said no to it."""
        return self.missing == 0 or self._backfill is not None

    @property
    def differences(self) -> list[Difference]:
        """Linkedids that were not simply shipped, those not accounted for first."""
        return [*self._listed[False], *self._listed[True]]

    def _slice(self, calls: Iterator[PastCall]) -> None:
        missing: list[PastCall] = []
        for call in calls:
            self.calls += 1
            found = self._standings(call)
            self._count(call, found)
            if all(each.accounted for each in found.values()):
                continue
            self.missing += 1
            missing.append(call)
            if len(missing) == _AT_ONCE:
                self._owe(missing)
        self._owe(missing)

    def _standings(self, call: PastCall) -> Mapping[str, Standing]:
        found = {name: standing(self._store, name) for name in call.names}
        if call.verdict.ended:
            return found
        return {name: each if each.accounted else Standing.OPEN for name, each in found.items()}

    def _count(self, call: PastCall, found: Mapping[str, Standing]) -> None:
        self.counts.update(found.values())
        for name, each in found.items():
            listed = self._listed[each.accounted]
            if each is not Standing.SHIPPED and len(listed) < LISTED:
                listed.append(Difference(name, call.began, each))

    def _owe(self, calls: list[PastCall]) -> None:
        if self._backfill is not None and calls:
            self.owed += self._backfill.owe(calls)
        calls.clear()

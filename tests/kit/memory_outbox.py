"""An outbox in memory with the store's delivery methods, for tests of the courier alone."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, replace

from asterisk_connector.clock import Clock
from asterisk_connector.records import Micros
from asterisk_connector.sinks.base import Item


@dataclass(slots=True)
class Owed:
    item: Item
    due_at: Micros
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Dead:
    item: Item
    reason: str
    request: str
    answer: str


class MemoryOutbox:
    """One sink's deliveries. `fail` is raised by the next writing call when it is set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], Owed] = {}
        self._count = 0
        self.done: list[Item] = []
        self.dead: list[Dead] = []
        self.fail: Exception | None = None

    def owe(self, call_id: str, body: bytes, *, revision: int = 1, phase: str = "complete", age: float = 0.0) -> Item:
        now = self._clock.now()
        with self._lock:
            self._count += 1
            item = Item(self._count, call_id, revision, phase, body, 0, now - round(age * 1e6), "pbx1")
            self._pending[item.call_id, item.revision] = Owed(item, now)
        return item

    def pending(self) -> list[Owed]:
        with self._lock:
            return list(self._pending.values())

    def lease(self, sink: str, limit: int, *, busy: Collection[int] = ()) -> list[Item]:
        now = self._clock.now()
        with self._lock:
            due = sorted((o for o in self._first() if o.due_at <= now), key=lambda o: (o.due_at, o.item.id))
            return [o.item for o in due if o.item.id not in busy][:limit]

    def next_due(self, sink: str, *, busy: Collection[int] = ()) -> Micros | None:
        with self._lock:
            return min((o.due_at for o in self._first() if o.item.id not in busy), default=None)

    def delivered(self, item: Item) -> None:
        self._trip()
        with self._lock:
            del self._pending[item.call_id, item.revision]
            self.done.append(item)

    def defer(self, item: Item, due_at: Micros, reason: str, *, counts: bool = True) -> None:
        self._trip()
        with self._lock:
            owed = self._pending[item.call_id, item.revision]
            owed.item = replace(owed.item, attempts=owed.item.attempts + counts)
            owed.due_at, owed.reason = due_at, reason

    def bury(self, item: Item, reason: str, request: str = "", answer: str = "") -> None:
        self._trip()
        with self._lock:
            del self._pending[item.call_id, item.revision]
            self.dead.append(Dead(item, reason, request, answer))

    def close(self) -> None:
        """Nothing to give back."""

    def _first(self) -> list[Owed]:
        first: dict[str, Owed] = {}
        for owed in self._pending.values():
            first.setdefault(owed.item.call_id, owed)
        return list(first.values())

    def _trip(self) -> None:
        error, self.fail = self.fail, None
        if error is not None:
            raise error

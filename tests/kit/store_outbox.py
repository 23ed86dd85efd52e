"""The real store behind the words of `MemoryOutbox`: what is leased comes out of SQLite, the rest is told twice.

The shadow it inherits only answers what a test asks (`pending`, `done`, `dead`).
"""

from __future__ import annotations

from collections.abc import Collection

from asterisk_connector.notices import ignore
from asterisk_connector.records import Batch, CelEvent, Micros, Seen
from asterisk_connector.sinks.base import Item
from asterisk_connector.store.store import Store
from asterisk_connector.store.words import Owed, Settlement
from tests.kit.clock import FakeClock
from tests.kit.memory_outbox import MemoryOutbox

SINK = "scripted"


class StoreOutbox(MemoryOutbox):
    """A store in memory with one row and one settlement per delivery owed."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self._fake = clock
        self.store = Store.in_memory(clock=clock, notify=ignore)

    def owe(self, call_id: str, body: bytes, *, revision: int = 1, phase: str = "complete", age: float = 0.0) -> Item:
        item = super().owe(call_id, body, revision=revision, phase=phase, age=age)
        row = CelEvent("CHAN_START", self._clock.now(), call_id, call_id)
        appended = self.store.append(Batch("test", [Seen(f"{call_id} {revision}", row)], b""))
        (call,) = appended.touched
        self._fake.step(-age)
        assert self.store.settle(
            Settlement(
                call=call,
                last_record=self.store.rows(call)[-1][0],
                state="settled",
                call_id=call_id,
                complete=True,
                revision=revision,
                digest=b"",
                body=body,
                owed=(Owed(SINK, phase, body),),
                phase=phase,
            )
        )
        self._fake.step(age)
        return item

    def lease(self, sink: str, limit: int, *, busy: Collection[int] = ()) -> list[Item]:
        return self.store.lease(sink, limit, busy=busy)

    def next_due(self, sink: str, *, busy: Collection[int] = ()) -> Micros | None:
        return self.store.next_due(sink, busy=busy)

    def delivered(self, item: Item) -> None:
        self._trip()
        self.store.delivered(item)
        super().delivered(item)

    def defer(self, item: Item, due_at: Micros, reason: str, *, counts: bool = True) -> None:
        self._trip()
        self.store.defer(item, due_at, reason, counts=counts)
        super().defer(item, due_at, reason, counts=counts)

    def bury(self, item: Item, reason: str, request: str = "", answer: str = "") -> None:
        self._trip()
        self.store.bury(item, reason, request, answer)
        super().bury(item, reason, request, answer)

    def close(self) -> None:
        self.store.close()

"""One courier per sink: takes what is owed from the outbox to the sink, and writes down what came of it.

- A delivery leaves the outbox by an answer only: delivered, buried (refused, or too old), else it stays (law 2). What
  was in flight when the process died is still owed and goes again under the same idempotency key (law 3).
- Revisions of one call go one after the other: the outbox leases only the oldest, and nothing that is in flight.
- A poisoned item is deferred or buried by itself; an outage opens the sink's breaker and burns no attempts; a wrong
  setting pauses the sink until the operator acts, with a rare probe (law 6). After an outage the backlog is paced.
- One dispatcher thread and `workers` sending threads; never more than `workers` items are with the sink. The dispatcher
  sleeps until something is owed (`wake`), due or answered, and looks after itself every few seconds.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal, Protocol

from asterisk_connector.clock import Clock
from asterisk_connector.delivery.breaker import Breaker, BreakerPolicy, State
from asterisk_connector.delivery.pace import Pace
from asterisk_connector.delivery.retry import SECOND, Again, GiveUp, RetryPolicy, after_failure, age, wish
from asterisk_connector.errors import Stopping
from asterisk_connector.notices import (
    Delivered,
    DeliveryBuried,
    DeliveryDeferred,
    Notify,
    SinkDown,
    SinkMisconfigured,
    SinkUp,
    WorkerFailed,
)
from asterisk_connector.records import Micros
from asterisk_connector.sinks.base import Deferred, Item, Outcome, Paused, Refused, Sink

GIVEN_UP = "given up after"
"""How the reason of a dead letter begins that nobody took in time; all others were refused."""
_PULSE = 5.0
"""Seconds between two rounds of an idle dispatcher: what its heartbeat may be late by, and how soon a delivery is seen
that another process owed (`outbox retry`)."""
_BLINK = 0.05
_STUMBLE = 5.0
_AHEAD = 4
"""Items leased per worker, so that the outbox is asked for many at once."""


class Outbox(Protocol):
    """The delivery part of the store."""

    def lease(self, sink: str, limit: int, *, busy: Collection[int] = ()) -> list[Item]:
        """What is due, oldest first: of each call only the oldest pending revision, and nothing of `busy`."""

    def next_due(self, sink: str, *, busy: Collection[int] = ()) -> Micros | None:
        """When the next delivery that `lease` would return is due; None when there is none."""

    def delivered(self, item: Item) -> None:
        """The sink took it."""

    def defer(self, item: Item, due_at: Micros, reason: str, *, counts: bool = True) -> None:
        """Not before `due_at`; `counts` is False when the failure says nothing about the item."""

    def bury(self, item: Item, reason: str, request: str = "", answer: str = "") -> None:
        """It becomes a dead letter."""


@dataclass(frozen=True, slots=True)
class CourierPolicy:
    """`workers` items are offered at once. `max_rate` is how many a second go out after an outage until the
    backlog is gone (0: no limit)."""

    workers: int = 8
    max_rate: float = 100.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)


class Courier:
    """Delivers for one sink from `start` to `stop`. `chance` is a source of uniform numbers in [0, 1)."""

    def __init__(
        self,
        sink: Sink,
        outbox: Outbox,
        *,
        clock: Clock,
        notify: Notify,
        policy: CourierPolicy | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.sink = sink
        self._outbox = outbox
        self._clock = clock
        self._notify = notify
        self._policy = policy or CourierPolicy()
        self._chance = chance
        self._changed = threading.Condition()
        # All of the following is covered by the condition's lock.
        self._breaker = Breaker(self._policy.breaker)
        self._pace = Pace(self._policy.max_rate)
        self._queue: deque[Item] = deque()
        self._busy: set[int] = set()
        self._failed_last: int | None = None
        self._complaint = ""
        self._woken = False
        self._stopping = False
        self._heartbeat = clock.monotonic()
        self._threads = [
            threading.Thread(target=self._dispatch, name=f"courier-{sink.name}", daemon=True),
            *(
                threading.Thread(target=self._work, name=f"courier-{sink.name}-{n}", daemon=True)
                for n in range(self._policy.workers)
            ),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something is owed (again); safe from any thread."""
        with self._changed:
            self._wake()

    def resume(self) -> None:
        """The operator acted (a reload): a paused or silent sink is probed at once."""
        with self._changed:
            self._breaker.hurry(self._clock.monotonic())
            self._wake()

    def stop(self, deadline: float) -> bool:
        """Sends nothing more and waits up to `deadline` seconds for what is in flight. True when all was answered."""
        until = self._clock.monotonic() + deadline
        with self._changed:
            self._stopping = True
            self._drop_queue()
            self._wake()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - self._clock.monotonic()))
        self.sink.close()
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def heartbeat(self) -> float:
        """Monotonic time at which the dispatcher last went round; it does so every few seconds or it hangs."""
        return self._heartbeat

    @property
    def state(self) -> Literal["up", "down", "paused"]:
        """`down` in an outage, `paused` while only the operator can help."""
        with self._changed:
            if self._breaker.state is State.CLOSED:
                return "up"
            return "paused" if self._breaker.paused else "down"

    @property
    def in_flight(self) -> int:
        """Items that are with the sink or next in line for it."""
        return len(self._busy)

    def _wake(self) -> None:
        self._woken = True
        self._changed.notify_all()

    def _drop_queue(self) -> None:
        """Nothing is lost: what is not in flight is still pending in the outbox."""
        self._busy.difference_update(item.id for item in self._queue)
        self._queue.clear()

    # The dispatcher

    def _dispatch(self) -> None:
        while True:
            self._heartbeat = self._clock.monotonic()
            try:
                wait = self._hand_out()
            except Stopping:
                return
            except Exception as error:
                self._stumbled(error)
                wait = _STUMBLE
            with self._changed:
                if not self._woken and not self._stopping:
                    self._changed.wait(min(wait, _PULSE))
                if self._stopping:
                    return

    def _hand_out(self) -> float:
        """Leases what may be sent now and queues it. Returns the seconds until the next look, if nothing wakes us."""
        with self._changed:
            self._woken = False
            room, wait = self._room(self._clock.monotonic())
            if room < 1:
                return wait
            probing = self._breaker.state is not State.CLOSED
            busy = set(self._busy)
        items = self._lease(room, busy, probing)
        with self._changed:
            if self._stopping:
                return 0.0
            if items and not self._admit(items, probing):
                return 0.0
            if len(items) == room:
                return _PULSE if self._pace.wait == 0 else self._pace.wait
            if not items:
                self._pace.end()
            busy = set(self._busy)
        due = self._outbox.next_due(self.sink.name, busy=busy)
        return _PULSE if due is None else max(_BLINK, (due - self._clock.now()) / SECOND)

    def _room(self, now: float) -> tuple[int, float]:
        """How many items may be leased, and how long to wait when none may."""
        breaker, workers = self._breaker, self._policy.workers
        if breaker.state is State.OPEN and not self._busy:
            return (1, 0.0) if breaker.ready(now) else (0, breaker.until - now)
        if breaker.state is not State.CLOSED or len(self._queue) >= workers:
            return 0, _PULSE
        return self._pace.room(now, workers * _AHEAD - len(self._busy)), self._pace.wait or _PULSE

    def _lease(self, room: int, busy: set[int], probing: bool) -> list[Item]:
        if probing and self._failed_last is not None:
            # Another item first: the one that failed last may be the trouble itself.
            items = self._outbox.lease(self.sink.name, room, busy={*busy, self._failed_last})
            if items:
                return items
        return self._outbox.lease(self.sink.name, room, busy=busy)

    def _admit(self, items: list[Item], probing: bool) -> bool:
        """Queues what was leased, unless the breaker opened meanwhile."""
        if probing:
            self._breaker.probe()
        elif self._breaker.state is not State.CLOSED:
            return False
        self._pace.spend(len(items))
        self._busy.update(item.id for item in items)
        self._queue.extend(items)
        self._changed.notify_all()
        return True

    # The workers

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                item = self._queue.popleft()
            record = self._judge(item, self._offer(item))
            if not self._write(record):
                return
            with self._changed:
                self._busy.discard(item.id)
                if len(self._queue) < self._policy.workers:
                    self._wake()

    def _offer(self, item: Item) -> Outcome:
        try:
            return self.sink.deliver(item)
        except Exception as error:
            self._stumbled(error)
            return Deferred(f"{type(error).__name__} in the sink {self.sink.name}")

    def _write(self, record: Callable[[], None]) -> bool:
        """Writes an answer down, however long the outbox cannot be written. False when the service stops first."""
        while True:
            try:
                record()
            except Stopping:
                return False
            except Exception as error:
                self._stumbled(error)
                with self._changed:
                    if self._changed.wait_for(lambda: self._stopping, _STUMBLE):
                        return False
            else:
                return True

    def _judge(self, item: Item, outcome: Outcome) -> Callable[[], None]:
        """Tells the breaker, raises the sink's notices, and returns what is to be written about the item."""
        if isinstance(outcome, Deferred):
            return self._deferred(item, outcome)
        if isinstance(outcome, Paused):
            return self._paused(item, outcome)
        self._answered()
        if isinstance(outcome, Refused):
            return lambda: self._bury(item, outcome.reason, outcome.request, outcome.answer)
        return lambda: self._delivered(item)

    def _answered(self) -> None:
        with self._changed:
            now = self._clock.monotonic()
            outage = self._breaker.succeeded(now)
            if outage is None:
                return
            self._failed_last, self._complaint = None, ""
            self._pace.begin(now)
            self._wake()
        self._notify(SinkUp(self.sink.name, outage))

    def _paused(self, item: Item, outcome: Paused) -> Callable[[], None]:
        with self._changed:
            self._breaker.pause(self._clock.monotonic())
            self._failed_last = item.id
            self._drop_queue()
            news = self._complaint != outcome.reason
            self._complaint = outcome.reason
        if news:
            self._notify(SinkMisconfigured(self.sink.name, outcome.reason, outcome.hint))
        return lambda: self._defer(item, Again(self._clock.now(), self._policy.breaker.pause), outcome.reason, False)

    def _deferred(self, item: Item, outcome: Deferred) -> Callable[[], None]:
        asked = wish(outcome.after, self._policy.retry)
        verdict = after_failure(
            created_at=item.created_at,
            attempts=item.attempts,
            now=self._clock.now(),
            after=outcome.after,
            chance=self._chance(),
            policy=self._policy.retry,
        )
        with self._changed:
            now = self._clock.monotonic()
            opened = self._breaker.failed(now, item.id, outage=outcome.outage, after=asked, chance=self._chance())
            down = self._breaker.state is not State.CLOSED
            wait = self._breaker.until - now
            if down:
                self._failed_last = item.id
                self._drop_queue()
        if opened:
            self._notify(SinkDown(self.sink.name, outcome.reason, wait))
        if isinstance(verdict, GiveUp):
            reason = f"{GIVEN_UP} {verdict.age / 3600:.0f} h: {outcome.reason}"
            return lambda: self._bury(item, reason, expired=True)
        if down:
            # The breaker decides when the sink is tried again; the item itself only waits for what it was told.
            verdict = Again(self._clock.now() + round(asked * SECOND), wait)
        return lambda: self._defer(item, verdict, outcome.reason, not down)

    def _delivered(self, item: Item) -> None:
        self._outbox.delivered(item)
        latency = age(item.created_at, self._clock.now())
        self._notify(Delivered(self.sink.name, item.call_id, item.revision, item.phase, latency, item.attempts + 1))

    def _defer(self, item: Item, again: Again, reason: str, counts: bool) -> None:
        self._outbox.defer(item, again.due_at, reason, counts=counts)
        self._notify(DeliveryDeferred(self.sink.name, item.call_id, item.revision, reason, again.wait))

    def _bury(self, item: Item, reason: str, request: str = "", answer: str = "", *, expired: bool = False) -> None:
        self._outbox.bury(item, reason, request, answer)
        self._notify(DeliveryBuried(self.sink.name, item.call_id, item.revision, reason, expired))

    def _stumbled(self, error: Exception) -> None:
        self._notify(WorkerFailed(f"courier {self.sink.name}", f"{type(error).__name__}: {error}", _STUMBLE, error))

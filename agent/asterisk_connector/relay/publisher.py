"""From the journal to Kafka: in order, acknowledged, forgotten only then.

- What librdkafka holds is still in the journal; an event is forgotten by its delivery report, by nothing else (law 2).
- Order per key: one idempotent producer, events handed over by `seq`. After any failure but a record's own, everything
  not acknowledged is called back and sent again from the lowest `seq` (F44, F32): consumers may see an event twice,
  never two new ones of a key in the wrong order.
- librdkafka never gives up on its own (`message.timeout.ms` is 0): the journal decides how long an event lives (F43).
- Memory is bounded by `window` and `window_bytes`, whatever Kafka does (20, 45).
- A record that can never be taken is refused and its neighbours go on; wrong topic or rights pause everything and are
  told with what to do (31, F46).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from asterisk_connector.clock import Clock
from asterisk_connector.errors import Misconfigured, Transient
from asterisk_connector.kafka import Trouble, check_topic, hint, open_producer, trouble
from asterisk_connector.notices import EventRefused, EventsPublished, Notify, PublishingPaused, PublishingResumed
from asterisk_connector.relay.encode import Encoder, Identity
from asterisk_connector.relay.journal import Journal, Pack

_LONGEST_WAIT = 5.0
_LONGEST_POLL = 1.0
_SHORTEST_POLL = 0.01
_PAUSES = {Trouble.OPERATOR: 30.0, Trouble.OUTAGE: 1.0, Trouble.PRODUCER: 1.0}
_FLUSH = 5.0
_FORGET_WITHIN = 5.0
_TELL_AGAIN = 30.0


class _Flying:
    """A pack handed to librdkafka up to `next`; `done` are the indices acknowledged or refused."""

    __slots__ = ("done", "next", "pack", "size")

    def __init__(self, pack: Pack, done: set[int]) -> None:
        self.pack = pack
        self.done = done
        self.next = 0
        self.size = sum(len(event.value) for event in pack.events)


class Publisher:
    """One thread calls `round` again and again and `close` at the end; `wake` is free to all."""

    def __init__(
        self,
        journal: Journal,
        encoder: Encoder,
        topic: str,
        properties: Mapping[str, Any],
        connection: str,
        *,
        clock: Clock,
        notify: Notify,
        window: int = 10_000,
        window_bytes: int = 32 << 20,
        make_producer: Callable[..., Any] = open_producer,
    ) -> None:
        self._journal = journal
        self._encoder = encoder
        self._topic = topic
        self._properties = {**properties, "message.timeout.ms": 0}
        self._connection = connection
        self._clock = clock
        self._notify = notify
        self._window = window
        self._window_bytes = window_bytes
        self._make_producer = make_producer
        self._producer: Any = None
        self._woken = threading.Event()
        self._in_flight: dict[int, _Flying] = {}
        self._flying_events = self._flying_bytes = 0
        self._pack: _Flying | None = None
        self._cursor = 0
        self._landed: list[tuple[int, int]] = []
        self._acknowledged: dict[int, set[int]] = {}
        self._delivered = 0
        self._oldest = 0
        self._kafka_exception: type[Exception] = Exception
        self._failure: tuple[Trouble, str, str] | None = None
        self._due = 0.0
        self._poll = _SHORTEST_POLL
        self._identities: dict[int, Identity] = {}
        self._paused_since: float | None = None
        self._told: dict[str, float] = {}
        self._retired = False

    @property
    def in_flight(self) -> int:
        """Events handed to librdkafka and not yet acknowledged."""
        return self._flying_events

    def wake(self) -> None:
        self._woken.set()

    def retire(self) -> None:
        """Nothing more is handed over: what waits is for the next publisher, even while this one asks for its topic."""
        self._retired = True

    def round(self) -> None:
        """Hands over what fits, takes delivery reports, or waits a while for either."""
        wait = self._due - self._clock.monotonic()
        if wait > 0:
            self._woken.wait(min(wait, _LONGEST_WAIT))
            self._woken.clear()
            return
        if self._producer is None:
            if self._journal.due and self._clock.monotonic() < self._due + _FORGET_WITHIN:
                # What was acknowledged just now would be read, and sent, a second time.
                self._woken.wait(_SHORTEST_POLL)
                return
            if not self._begin():
                return
        self._woken.clear()
        try:
            sent = self._hand_over()
        except Transient as error:
            self._pause(Trouble.OUTAGE, str(error), "")
            sent = 0
        if self._in_flight:
            came = self._serve(0.0 if sent and not self._full else self._poll)
            self._poll = _SHORTEST_POLL if came or sent else min(self._poll * 2, _LONGEST_POLL)
        else:
            self._serve(0.0)
            if not sent:
                self._woken.wait(_LONGEST_WAIT)
        self._settle()

    def close(self) -> None:
        """Waits a little for reports, where any are to be hoped for; what was not acknowledged stays in the journal."""
        if self._producer is not None:
            if self._paused_since is None:
                self._flush()
            self._settle()
            self._producer = self._pack = None

    @property
    def _full(self) -> bool:
        return self._flying_events >= self._window or self._flying_bytes >= self._window_bytes

    def _begin(self) -> bool:
        try:
            self._producer = self._make_producer(
                self._properties, self._connection, clock=self._clock, notify=self._notify, on_error=self._on_error
            )
        except Misconfigured as error:
            self._pause(Trouble.OPERATOR, str(error), error.hint)
            return False
        from confluent_kafka import KafkaException

        self._kafka_exception = KafkaException
        wrong = check_topic(self._producer, self._topic)
        if wrong:
            reason, _, advice = wrong.partition("; ")
            self._tell_pause(reason, advice, _PAUSES[Trouble.OPERATOR])
        return True

    def _hand_over(self) -> int:
        sent = 0
        while self._failure is None and not self._retired:
            if self._pack is None:
                if self._full:
                    break
                pack = self._journal.read(self._cursor)
                if pack is None:
                    break
                self._pack = self._take_off(pack)
            if not self._produce(self._pack):
                break
            sent += 1
            self._pack = None
            self._serve(0.0)
        return sent

    def _take_off(self, pack: Pack) -> _Flying:
        flying = self._in_flight[pack.first] = _Flying(pack, self._acknowledged.pop(pack.first, set()))
        self._flying_events += len(pack.events)
        self._flying_bytes += flying.size
        return flying

    def _produce(self, flying: _Flying) -> bool:
        """Hands over what is left of a pack; False when some of it has to be tried again later."""
        pack = flying.pack
        identity = self._identities.get(pack.origin)
        if identity is None:
            identity = self._identities[pack.origin] = self._journal.origin(pack.origin)
        produce, headers = self._producer.produce, self._encoder.headers
        for index in range(flying.next, len(pack.events)):
            event = pack.events[index]
            if index not in flying.done:
                try:
                    produce(
                        self._topic,
                        event.value,
                        event.key,
                        headers=headers(event, identity),
                        on_delivery=partial(self._reported, flying, index),
                    )
                except BufferError:
                    return False
                except self._kafka_exception as error:
                    self._judge(flying, index, error.args[0])
                    if self._failure is not None:
                        return False
            flying.next = index + 1
        self._cursor = pack.first
        self._land(flying)
        return True

    def _reported(self, flying: _Flying, index: int, error: Any, _message: Any) -> None:
        if error is None:
            flying.done.add(index)
            self._delivered += 1
            at = flying.pack.events[index].at
            if not self._oldest or at < self._oldest:
                self._oldest = at
            self._land(flying)
        else:
            self._judge(flying, index, error)

    def _judge(self, flying: _Flying, index: int, error: Any) -> None:
        """A record's own trouble takes it out of the way; any other ends this producer."""
        kind = trouble(error)
        if kind is not Trouble.RECORD:
            self._fail(kind, error)
            return
        event = flying.pack.events[index]
        self._journal.refuse(flying.pack.first + index, event, error.str())
        self._notify(EventRefused(self._topic, event.type.decode(errors="replace"), len(event.value), error.str()))
        flying.done.add(index)
        self._land(flying)

    def _land(self, flying: _Flying) -> None:
        """Lets a pack go whose every event is acknowledged or refused."""
        first = flying.pack.first
        if len(flying.done) == len(flying.pack.events) and self._in_flight.get(first) is flying:
            del self._in_flight[first]
            self._landed.append((first, flying.pack.last))
            self._flying_events -= len(flying.pack.events)
            self._flying_bytes -= flying.size

    def _settle(self) -> None:
        """Lets the journal forget what was acknowledged; begins anew after a failure."""
        if self._landed:
            self._journal.forget(self._landed)
            self._landed = []
        if self._delivered:
            now = self._clock.monotonic()
            if self._paused_since is not None and self._failure is None:
                self._notify(PublishingResumed(self._topic, now - self._paused_since))
                self._paused_since = None
                self._told.clear()
            latency = max(0.0, (self._clock.now() - self._oldest) / 1e6)
            self._notify(EventsPublished(self._topic, self._delivered, latency))
            self._delivered, self._oldest = 0, 0
        if self._failure is not None:
            self._call_back(self._failure)

    def _call_back(self, failure: tuple[Trouble, str, str]) -> None:
        """Takes everything back from librdkafka and goes on behind a new producer, from the first not acknowledged."""
        self._producer.purge()
        self._flush()
        self._failure = None
        if self._in_flight:
            self._cursor = min(self._in_flight) - 1
        self._acknowledged.update((first, flying.done) for first, flying in self._in_flight.items() if flying.done)
        self._in_flight.clear()
        self._flying_events = self._flying_bytes = 0
        self._pack = self._producer = None
        self._settle()
        self._pause(*failure)

    def _serve(self, timeout: float) -> int:
        """Takes delivery reports for up to `timeout` seconds; gives back how many there were."""
        try:
            return int(self._producer.poll(timeout))
        except self._kafka_exception as error:  # a fatal error is raised at whoever polls next
            self._fail(trouble(error.args[0]), error.args[0])
            return 1

    def _flush(self) -> None:
        """Waits a little for what is on its way, or taken back."""
        deadline = self._clock.monotonic() + _FLUSH
        while len(self._producer) and self._clock.monotonic() < deadline:
            self._serve(_SHORTEST_POLL)

    def _fail(self, kind: Trouble, error: Any) -> None:
        if self._failure is None and error.name() not in ("_PURGE_QUEUE", "_PURGE_INFLIGHT"):
            self._failure = (kind, error.str(), hint(error, self._topic) if kind is Trouble.OPERATOR else "")

    def _on_error(self, error: Any) -> None:
        """librdkafka's own troubles, told here because no delivery report will come of them while it tries on."""
        kind = trouble(error)
        if kind is Trouble.PRODUCER:
            self._fail(kind, error)
        elif kind is Trouble.OPERATOR:
            self._tell_pause(error.str(), hint(error, self._topic), _PAUSES[kind])
        elif error.name() == "_ALL_BROKERS_DOWN":
            self._tell_pause("no broker can be reached", "", _PAUSES[kind])

    def _pause(self, kind: Trouble, reason: str, advice: str) -> None:
        self._due = self._clock.monotonic() + _PAUSES[kind]
        self._tell_pause(reason, advice, _PAUSES[kind])

    def _tell_pause(self, reason: str, advice: str, retry_in: float) -> None:
        now = self._clock.monotonic()
        if self._paused_since is None:
            self._paused_since = now
        if now - self._told.get(reason, -_TELL_AGAIN) >= _TELL_AGAIN:
            self._told[reason] = now
            self._notify(PublishingPaused(self._topic, reason, advice, retry_in))

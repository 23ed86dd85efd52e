"""The whole agent: builds its parts from the settings, starts and stops them in order, and changes them on reload.

- Order of start: store, couriers, assembler, readers: what is owed goes out first, nothing is read that cannot be kept.
- Order of stop: readers, assembler, couriers (what is in flight may finish), store. Nothing depends on a stop being
  orderly: a kill is a normal way to end (law 3).
- A reload restarts only the parts whose settings changed. A store that found itself damaged is opened anew, which
  repairs it.
- One thread calls `start`, `reload`, `tend` and `stop`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asterisk_connector import parts
from asterisk_connector.assembler import Assembler
from asterisk_connector.clock import SystemClock
from asterisk_connector.config.model import Settings
from asterisk_connector.counter import Counter
from asterisk_connector.delivery.courier import Courier
from asterisk_connector.errors import ConnectorError
from asterisk_connector.notices import ClockStepped, ConfigReloaded, Notify
from asterisk_connector.reader import Reader
from asterisk_connector.sinks.base import Sink
from asterisk_connector.snapshot import SinkNow, Snapshot, SourceNow, StateNow
from asterisk_connector.sources.base import FetchesCdr, Measured, Source
from asterisk_connector.store.store import Store
from asterisk_connector.supervise import STUCK_SECONDS, Worker

if TYPE_CHECKING:
    from asterisk_connector.manager import Manager

DRAIN_SECONDS = 8.0
_MANAGER = "manager"
_READING_ENDS_WITHIN = 2.0
_KEEPING_INTERVAL = 60.0
_SLEW = 0.5
_STEP_ADOPTED_AFTER = 600.0


class Agent:
    """One running agent. `start` raises what the store and the parts raise; after it, trouble is told in notices."""

    def __init__(self, settings: Settings, *, clock: SystemClock, notify: Notify) -> None:
        self.settings = settings
        self.store: Store
        self.assembler: Assembler
        self._clock = clock
        self._notify = notify
        self._readers: dict[str, Reader] = {}
        self._couriers: dict[str, Courier] = {}
        self._made_of: dict[str, object] = {}
        self._manager: Manager | None = None
        self._keeper: Worker
        self._nudge = threading.Event()
        self._stepped_at: float | None = None
        self._counter = Counter(clock)
        self._running = False

    def start(self) -> None:
        """Opens the state and begins to work."""
        sinks = parts.sinks(self.settings, self._clock, self._notify, lambda: self.store)
        sources = parts.sources(self.settings, self._clock, self._notify)
        built_sinks = {name: planned.build() for name, planned in sinks.items()}
        built_sources = {name: planned.build() for name, planned in sources.items()}
        rules = parts.rules(self.settings, self._notify)
        self.store = Store.open(
            self.settings.store.directory, clock=self._clock, notify=self._notify, limits=parts.limits(self.settings)
        )
        manager = parts.manager(self.settings, self._clock, self._notify)
        self._made_of = parts.made_of(sinks) | parts.made_of(sources) | _made_of(manager)
        for sink in built_sinks.values():
            self._start_courier(sink)
        self.assembler = Assembler(
            self.store, rules, owed=self.owed, ended=self._ended, clock=self._clock, notify=self._notify
        )
        self.assembler.worker.start()
        for source in built_sources.values():
            self._start_reader(source)
        if manager is not None:
            self._start_manager(manager.build())
        self._nudge.clear()
        self._keeper = Worker("keeper", self._keep, wake=self._nudge.set, clock=self._clock, notify=self._notify)
        self._keeper.start()
        self._running = True

    def stop(self, deadline: float = DRAIN_SECONDS) -> None:
        """Ends within about `deadline` seconds."""
        self._running = False
        until = self._clock.monotonic() + deadline
        self._stop_manager(deadline / 2)
        workers = self._workers()
        for worker in workers:
            worker.stop()
        reading_until = self._clock.monotonic() + min(_READING_ENDS_WITHIN, deadline)
        for worker in workers:
            worker.join(max(0.05, reading_until - self._clock.monotonic()))
        for courier in self._couriers.values():
            courier.stop(max(0.05, until - self._clock.monotonic()))
        self._readers.clear()
        self._couriers.clear()
        self.store.close()

    def reload(self, settings: Settings) -> None:
        """Puts new settings, which were checked, in force. Raises Misconfigured, and then nothing has changed."""
        if settings.store != self.settings.store:
            self._move(settings)
            self._notify(ConfigReloaded(("everything",)))
            return
        sinks = parts.sinks(settings, self._clock, self._notify, lambda: self.store)
        sources = parts.sources(settings, self._clock, self._notify)
        manager = parts.manager(settings, self._clock, self._notify)
        planned = parts.made_of(sinks) | parts.made_of(sources) | _made_of(manager)
        changed = sorted(name for name in {*planned, *self._made_of} if planned.get(name) != self._made_of.get(name))
        new_sinks = [plan.build() for name, plan in sinks.items() if name in changed]
        new_sources = [plan.build() for name, plan in sources.items() if name in changed]
        rules = parts.rules(settings, self._notify)
        for name in changed:
            if courier := self._couriers.pop(name, None):
                courier.stop(DRAIN_SECONDS)
            if reader := self._readers.pop(name, None):
                reader.worker.stop()
                reader.worker.join(_READING_ENDS_WITHIN)
        if parts.rules_made_of(settings) != parts.rules_made_of(self.settings):
            changed.append("assembler")
        self.settings, self._made_of, self.assembler.rules = settings, planned, rules
        for sink in new_sinks:
            self._start_courier(sink)
        for source in new_sources:
            self._start_reader(source)
        if _MANAGER in changed:
            self._stop_manager(DRAIN_SECONDS)
            if manager is not None:
                self._start_manager(manager.build())
        for courier in self._couriers.values():
            courier.resume()
        self._notify(ConfigReloaded(tuple(changed)))

    def _move(self, settings: Settings) -> None:
        """Begins anew, with the state elsewhere; where that cannot be used, with the settings and state of before."""
        before = self.settings
        self.stop()
        self.settings = settings
        try:
            self.start()
        except ConnectorError:
            self.settings = before
            self.start()
            raise

    def tend(self) -> None:
        """Looks after the parts, from time to time."""
        if self.store.broken:
            self.stop(deadline=1.0)
            self.start()

    @property
    def stuck(self) -> tuple[str, ...]:
        """Parts that have not come round for too long; who waits for room on the disk is not stuck."""
        if not self._running or self.store.blocked:
            return ()
        now = self._clock.monotonic()
        workers = [worker.name for worker in self._workers() if worker.silent_for > STUCK_SECONDS]
        couriers = list(self._couriers.items())
        return (*workers, *(f"courier {n}" for n, c in couriers if now - c.heartbeat > STUCK_SECONDS))

    def snapshot(self) -> Snapshot:
        """What everything is now; any thread may ask, as often as it likes."""
        if not self._running:
            return Snapshot()
        manager = self._manager  # a reload may take it away meanwhile
        return Snapshot(
            sources=tuple(_source_now(reader.source) for reader in list(self._readers.values())),
            sinks=tuple(SinkNow(n, c.state, c.in_flight) for n, c in list(self._couriers.items())),
            events=None if manager is None else manager.now(),
            state=self._state_now(),
            stuck=self.stuck,
        )

    def _state_now(self) -> StateNow:
        directory = self.settings.store.directory
        counted = self._counter.counted(self.store)
        return StateNow(str(directory), _free_bytes(directory), self.store.blocked, *counted)

    def _workers(self) -> list[Worker]:
        manager = self._manager  # whoever asks for the status is another thread than the one that reloads
        passing_on = [] if manager is None else manager.workers
        readers = [reader.worker for reader in list(self._readers.values())]
        return [*readers, *passing_on, self.assembler.worker, self._keeper]

    def _start_courier(self, sink: Sink) -> None:
        policy = parts.courier_policy(self.settings, sink.name)
        courier = Courier(sink, self.store, clock=self._clock, notify=self._notify, policy=policy)
        self._couriers[sink.name] = courier
        courier.start()

    def _start_reader(self, source: Source) -> None:
        reader = Reader(source, self.store, follow=self.assembler.follow, clock=self._clock, notify=self._notify)
        self._readers[source.name] = reader
        reader.worker.start()

    def _start_manager(self, manager: Manager) -> None:
        self._manager = manager
        if manager.source is not None:
            self._start_reader(manager.source)
        manager.start()

    def _stop_manager(self, deadline: float) -> None:
        manager, self._manager = self._manager, None
        if manager is None:
            return
        manager.stop(deadline)
        if manager.source is not None and (reader := self._readers.pop(manager.source.name, None)):
            reader.worker.stop()
            reader.worker.join(_READING_ENDS_WITHIN)

    def _ended(self, uniqueids: Sequence[str]) -> None:
        """Channels have ended: their CDR rows are asked for at once instead of at the next poll."""
        for reader in list(self._readers.values()):
            if isinstance(reader.source, FetchesCdr):
                reader.source.fetch(uniqueids)

    def owed(self) -> None:
        """Something is owed (again): those who deliver look at once."""
        for courier in list(self._couriers.values()):
            courier.wake()

    def _keep(self) -> None:
        """Lets old rows go, and watches the host's clock."""
        self._nudge.wait(_KEEPING_INTERVAL)
        self._watch_clock()
        while not self._keeper.stopping and self.store.trim():
            self._keeper.beat()

    def _watch_clock(self) -> None:
        """Follows small corrections; a step is adopted when it has stayed for a while (F56)."""
        drift = self._clock.drift()
        if abs(drift) < _SLEW:
            self._clock.resync()
            self._stepped_at = None
        elif self._stepped_at is None:
            self._stepped_at = self._clock.monotonic()
            self._notify(ClockStepped(drift))
        elif self._clock.monotonic() - self._stepped_at > _STEP_ADOPTED_AFTER:
            self._clock.resync()
            self._stepped_at = None


def _made_of(manager: parts.Planned[Manager] | None) -> dict[str, object]:
    return {} if manager is None else {_MANAGER: manager.made_of}


def _source_now(source: Source) -> SourceNow:
    extent = source.extent() if isinstance(source, Measured) else None
    return SourceNow(source.name, source.name.partition(":")[0], extent)


def _free_bytes(directory: Path) -> int | None:
    try:
        disk = os.statvfs(directory)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize

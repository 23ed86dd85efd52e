"""The store against a model in memory: whatever happens in whatever order, both tell the same."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asterisk_connector.notices import ignore
from asterisk_connector.records import Batch, CelEvent, Seen, connection_keys
from asterisk_connector.store import Limits, Store, writer
from tests.kit.clock import FakeClock
from tests.kit.rows import cel, settlement

NAMES = st.sampled_from(["1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9", "1.10", "1.11", "1.12", ""])
SOURCES = st.sampled_from(["csv", "table"])
SINKS = ("api", "kafka")
LIMITS = Limits(reserve_bytes=0)


@dataclass
class Model:
    """Rows by identity in order of arrival; calls are recomputed from nothing each time they are asked for."""

    rows: dict[str, CelEvent] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    unsettled: set[str] = field(default_factory=set)
    positions: dict[str, bytes] = field(default_factory=dict)
    owed: dict[tuple[str, str, int], str] = field(default_factory=dict)  # (sink, call id, revision) → a row of the call
    dead: set[tuple[str, str, int]] = field(default_factory=set)

    def calls(self) -> list[list[str]]:
        """Connected components, naively: join until nothing changes."""
        parts = [({mark}, set(connection_keys(row))) for mark, row in self.rows.items()]
        joined = True
        while joined:
            joined = False
            for i, (marks, keys) in enumerate(parts):
                for other in parts[i + 1 :]:
                    if keys & other[1]:
                        marks |= other[0]
                        keys |= other[1]
                        parts.remove(other)
                        joined = True
                        break
        order = {mark: n for n, mark in enumerate(self.rows)}
        return sorted(sorted(marks, key=order.__getitem__) for marks, _ in parts)

    def call_of(self, mark: str) -> list[str]:
        return next(call for call in self.calls() if mark in call)


class StoreAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="store-"))
        self.lives = 0
        self.clock = FakeClock()
        self.model = Model()
        self.open()

    def open(self) -> None:
        self.lives += 1
        self.store = Store.open(self.directory, clock=self.clock, notify=ignore, limits=LIMITS)

    @property
    def directory(self) -> Path:
        return self.base / str(self.lives)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.base)

    @rule(
        source=SOURCES,
        rows=st.lists(st.tuples(st.integers(0, 30), NAMES, NAMES), max_size=5),
        history=st.booleans(),
        fail=st.booleans(),
    )
    def append(self, source: str, rows: list[tuple[int, str, str]], history: bool, fail: bool) -> None:
        seen = []
        touched: list[str] = []
        for ident, uniqueid, linkedid in rows:
            mark = f"{source}/{ident}"
            row = CelEvent("CHAN_START", 1, uniqueid, linkedid, user_field=mark)
            seen.append(Seen(str(ident), row))
            if mark not in self.model.rows:
                self.model.rows[mark] = row
                touched.append(mark)
        position = str(len(self.model.rows)).encode()
        self.model.positions[source] = position
        if fail:
            self.fail_next_commit()
        appended = self.store.append(Batch(source, seen, position, history=history))
        if not history:
            self.model.fresh.update(touched)
        self.model.unsettled.update(touched)
        marks = [r.user_field for rows in appended.touched.values() for r in rows if isinstance(r, CelEvent)]
        assert sorted(marks) == sorted(touched)
        for call, records in appended.touched.items():
            stored = [r.user_field for _, r in self.store.rows(call) if isinstance(r, CelEvent)]
            new = [r.user_field for r in records if isinstance(r, CelEvent)]
            assert [mark for mark in stored if mark in new] == new
        for _, into in appended.merged:
            assert into in appended.touched

    @precondition(lambda self: self.model.unsettled)
    @rule(data=st.data(), sinks=st.sets(st.sampled_from(SINKS)), stale=st.booleans(), fail=st.booleans())
    def settle(self, data: st.DataObject, sinks: set[str], stale: bool, fail: bool) -> None:
        number = data.draw(st.sampled_from(list(self.store.open_calls())))
        rows = self.store.rows(number)
        marks = [row.user_field for _, row in rows if isinstance(row, CelEvent)]
        name = min(key for mark in marks for key in (*connection_keys(self.model.rows[mark]), mark))
        offered = settlement(
            self.store,
            number,
            sinks=sorted(sinks),
            call_id=name,
            last_record=rows[-1][0] - 1 if stale else None,
        )
        if fail:
            self.fail_next_commit()
        assert self.store.settle(offered) is not stale
        if not stale:
            self.model.unsettled.difference_update(marks)
            for sink in sinks:
                self.model.owed[sink, name, offered.revision] = marks[0]

    @rule(
        sink=st.sampled_from(SINKS),
        limit=st.integers(1, 4),
        outcomes=st.lists(st.sampled_from(["delivered", "deferred", "buried", "killed"]), min_size=4, max_size=4),
        fail=st.booleans(),
    )
    def deliver(self, sink: str, limit: int, outcomes: list[str], fail: bool) -> None:
        items = self.store.lease(sink, limit)
        offered = [tuple(self.model.call_of(self.model.owed[sink, i.call_id, i.revision])) for i in items]
        assert len(set(offered)) == len(offered)
        for item, outcome, call in zip(items, outcomes, offered, strict=False):
            key = (sink, item.call_id, item.revision)
            owed_first = next(o for o, mark in self.model.owed.items() if o[0] == sink and mark in call)
            assert key == owed_first
            if fail:
                self.fail_next_commit()
            match outcome:
                case "delivered":
                    self.store.delivered(item)
                    del self.model.owed[key]
                case "deferred":
                    self.store.defer(item, self.clock.now() + 10_000_000, "later")
                case "buried":
                    self.store.bury(item, "no")
                    del self.model.owed[key]
                    self.model.dead.add(key)

    @rule()
    def time_passes(self) -> None:
        self.clock.advance(7)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = Store.open(self.directory, clock=self.clock, notify=ignore, limits=LIMITS)

    @rule()
    def killed(self) -> None:
        """What is on disk at this moment is all the next life gets."""
        image = self.base / str(self.lives + 1)
        shutil.copytree(self.directory, image)
        self.store.close()
        self.open()

    @rule()
    def tended(self) -> None:
        assert not self.store.trim()

    def fail_next_commit(self) -> None:
        inner = self.store._writer
        assert inner is not None
        commit = inner._commit

        def fail() -> None:
            inner._commit = commit  # type: ignore[method-assign]
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
            raise error

        inner._pause = 0.001
        inner._commit = fail  # type: ignore[method-assign]

    @invariant()
    def calls_are_the_connected_components(self) -> None:
        stored: list[list[str]] = []
        for known in self.store.calls(1000):
            rows = self.store.rows(known.call)
            assert [n for n, _ in rows] == sorted(n for n, _ in rows)
            marks = [row.user_field for _, row in rows if isinstance(row, CelEvent)]
            stored.append(marks)
            assert known.fresh == any(mark in self.model.fresh for mark in marks)
            assert (known.state == "open") == any(mark in self.model.unsettled for mark in marks)
        assert sorted(stored) == self.model.calls()

    @invariant()
    def nothing_owed_is_lost_or_doubled(self) -> None:
        counts = self.store.counts()
        pending = {sink: backlog.pending for sink, backlog in counts.backlog.items()}
        for sink in SINKS:
            assert pending.get(sink, 0) == sum(other == sink for other, _, _ in self.model.owed)
        assert {(d.sink, d.call_id, d.revision) for d in self.store.dead_letters()} == self.model.dead
        never_told = [k for k in self.store.calls(1000) if k.state == "settled" and k.fresh and not k.revision]
        assert self.store.unaccounted() == len(never_told)

    @invariant()
    def positions_follow_the_rows(self) -> None:
        assert self.store.positions() == self.model.positions


TestStoreAgainstModel = StoreAgainstModel.TestCase
TestStoreAgainstModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_SHORTEST_PAUSE", 0.001)


def test_a_name_shared_by_one_row_is_enough_to_be_one_call() -> None:
    store = Store.in_memory(clock=FakeClock(), notify=ignore)
    store.append(Batch("csv", [Seen(str(n), cel(f"1.{n}", f"1.{n + 1}")) for n in range(50)], b"1"))
    assert len(list(store.open_calls())) == 1
    store.close()

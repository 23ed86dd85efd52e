"""Polling against a model: whatever happens to a table between two questions, every row comes out."""

from __future__ import annotations

from hashlib import blake2b

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asterisk_connector.errors import Transient
from asterisk_connector.sources.tables import cursor, window
from asterisk_connector.sources.tables.cursor import Cursor, Pace
from asterisk_connector.sources.tables.database import Row
from asterisk_connector.sources.tables.window import Sight, Window
from tests.kit.clock import FakeClock
from tests.kit.model_table import Line, ModelTable

PACE = Pace(page=4, grace=60.0, lookback=500, lookback_rows=20)
SIGHT = Sight(page=4, window=400, recent=10)
START = 1_800_000_000


def digest(row: Row) -> int:
    return int.from_bytes(blake2b(repr(row[1:]).encode(), digest_size=8).digest(), "big")


class Polled(RuleBasedStateMachine):
    """What both kinds of polling have in common: a clock, a table, a store that knows what it has."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(now=START * 1_000_000)
        self.table = ModelTable()
        self.expected: set[str] = set()
        self.past: set[str] = set()
        self.stored: dict[str, str] = {}
        self.fresh: set[str] = set()

    def today(self) -> int:
        return self.clock.now() // 1_000_000

    def make(self, line: Line) -> None:
        self.expected.add(line.uniqueid)

    @rule(statements=st.integers(1, 6))
    def the_connection_will_be_lost(self, statements: int) -> None:
        self.table.fails_in = statements

    def keep(self, page: cursor.Page) -> None:
        """As the store does: what it has under this ident is not looked at again."""
        for ident, row in page.rows:
            if ident not in self.stored:
                self.stored[ident] = row[2] or ""
                if not page.history:
                    self.fresh.add(row[2] or "")


class PolledById(Polled):
    """Transactions take ids and commit in any order; the table is archived and truncated; the agent is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[Line, float]] = []
        self.resets = 0

    @initialize(rows=st.integers(0, 30), open_ones=st.integers(0, 2))
    def first_start(self, rows: int, open_ones: int) -> None:
        for number in range(rows):
            self.clock.advance(3)
            line = self.table.insert(self.today())
            if rows - number <= open_ones:
                line.committed = False
                self.open.append((line, self.clock.monotonic()))
            else:
                self.past.add(line.uniqueid)
        self.state = cursor.first_state(
            self.table, PACE, digest=digest, today=self.today(), start=None, beginning=False
        )
        self.connect()

    def connect(self) -> None:
        self.cursor = Cursor(
            self.table,
            self.state,
            PACE,
            digest=digest,
            monotonic=self.clock.monotonic,
            today=self.today,
            reset=lambda _: setattr(self, "resets", self.resets + 1),
        )

    @rule(rows=st.integers(1, 12), committed=st.booleans(), seconds=st.sampled_from([0, 0, 1, 30]))
    def write(self, rows: int, committed: bool, seconds: int) -> None:
        for _ in range(rows):
            line = self.table.insert(self.today(), committed=committed)
            if committed:
                self.make(line)
            else:
                self.open.append((line, self.clock.monotonic()))
        self.commit_what_is_older_than_the_grace(seconds)
        self.clock.advance(seconds)

    @rule()
    def write_a_row_dated_2038(self) -> None:
        line = self.table.insert(2_145_916_800)
        self.make(line)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        line, _ = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        line.committed = True
        self.make(line)

    @precondition(lambda self: self.open)
    @rule()
    def roll_back(self) -> None:
        line, _ = self.open.pop()
        self.table.remove(line)

    @rule(polls=st.integers(1, 6), seconds=st.integers(0, 20))
    def poll(self, polls: int, seconds: int) -> None:
        for _ in range(polls):
            self.poll_once()
        self.commit_what_is_older_than_the_grace(seconds)
        self.clock.advance(seconds)

    def poll_once(self) -> bool:
        """A lost connection is made again where the store says; whether there was a page."""
        try:
            page = self.cursor.poll()
        except Transient:
            self.connect()
            return True
        if page is not None:
            self.keep(page)
            self.state = self.cursor.state
        return page is not None

    def commit_what_is_older_than_the_grace(self, seconds: int) -> None:
        due = self.clock.monotonic() + seconds - PACE.grace
        for line, since in [x for x in self.open if x[1] <= due]:
            line.committed = True
            self.make(line)
            self.open.remove((line, since))

    @rule()
    def kill(self) -> None:
        self.connect()

    @rule()
    def archive_what_was_read(self) -> None:
        read = set(self.stored.values())
        old = self.today() - PACE.grace
        for line in [x for x in self.table.lines if x.uniqueid in read and x.at < old][:10]:
            self.table.remove(line)

    @precondition(lambda self: not self.open)
    @rule()
    def truncate_after_reading_everything(self) -> None:
        self.read_to_the_end()
        self.table.truncate()
        self.clock.advance(1)

    def read_to_the_end(self) -> None:
        rounds = 0
        while rounds < 2:
            rounds += not self.poll_once()

    def teardown(self) -> None:
        if not hasattr(self, "cursor"):
            return
        for line, _ in self.open:
            line.committed = True
            self.make(line)
        self.read_to_the_end()
        assert self.expected <= set(self.stored.values())
        assert self.expected <= self.fresh
        assert not self.past & self.fresh

    @invariant()
    def gaps_stay_bounded(self) -> None:
        if hasattr(self, "state"):
            assert len(self.state.gaps) <= 1_000


class PolledByTime(Polled):
    """Calls start, and their rows are written when they end; rows are archived; the agent is killed."""

    calls: list[int]

    @initialize(rows=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 200)), max_size=25))
    def first_start(self, rows: list[tuple[int, int]]) -> None:
        self.calls = []
        self.clock.advance(300)
        for ago, duration in rows:
            start = self.today() - ago
            line = self.table.insert(start, duration=min(duration, ago))
            self.past.add(line.uniqueid)
        self.state = window.first_state(
            self.table,
            SIGHT,
            lookback=SIGHT.window,
            lookback_rows=1_000,
            today=self.today(),
            start=None,
            beginning=False,
        )
        self.clock.advance(1)
        self.connect()

    def connect(self) -> None:
        self.window = Window(
            self.table,
            self.state,
            SIGHT,
            digest=digest,
            age=lambda row: float(row[3] or 0),
            channel=lambda row: row[2] or "",
            today=self.today,
            monotonic=self.clock.monotonic,
        )

    @rule(calls=st.integers(1, 9))
    def start_calls(self, calls: int) -> None:
        self.calls += [self.today()] * calls

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def end_a_call(self, data: st.DataObject) -> None:
        self.write(self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1))))

    @rule(data=st.data())
    def write_a_row_like_another(self, data: st.DataObject) -> None:
        if self.calls:
            start = self.calls[0]
            for _ in range(data.draw(st.integers(2, 3))):
                line = self.table.insert(start, duration=self.today() - start)
                line.uniqueid = f"{start}.twin"
            self.make(line)

    def write(self, start: int) -> None:
        self.make(self.table.insert(start, duration=self.today() - start))

    @rule(seconds=st.integers(1, 90))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.calls.sort()
        while self.calls and self.today() - self.calls[0] > SIGHT.window // 2:
            self.write(self.calls.pop(0))

    @rule()
    def write_a_row_dated_2038(self) -> None:
        self.make(self.table.insert(2_145_916_800))

    @rule(polls=st.integers(1, 8))
    def poll(self, polls: int) -> None:
        for _ in range(polls):
            self.poll_once()

    def poll_once(self) -> bool:
        """A lost connection is made again and what is known of the table kept; whether there was a page."""
        try:
            page = self.window.poll()
        except Transient:
            return True
        if page is not None:
            self.keep(page)
            self.state = self.window.state
        return page is not None

    @rule(data=st.data())
    def wish(self, data: st.DataObject) -> None:
        ids = [line.uniqueid for line in self.table.lines]
        if ids:
            self.window.want(data.draw(st.lists(st.sampled_from(ids), max_size=5)), 300.0)

    @rule()
    def kill(self) -> None:
        self.connect()

    @rule()
    def archive_what_was_read(self) -> None:
        read = set(self.stored.values())
        for line in [x for x in self.table.lines if x.uniqueid in read and x.at < self.today() - SIGHT.window]:
            self.table.remove(line)

    def teardown(self) -> None:
        if not hasattr(self, "window"):
            return
        for start in self.calls:
            self.write(start)
        rounds = 0
        while rounds < 2 * SIGHT.window // SIGHT.recent:
            rounds += not self.poll_once()
        assert self.expected <= set(self.stored.values())
        assert self.expected <= self.fresh
        assert not self.past & self.fresh
        twins = sum(line.uniqueid.endswith("twin") for line in self.table.lines)
        assert sum(uniqueid.endswith("twin") for uniqueid in self.stored.values()) >= twins


TestPolledById = PolledById.TestCase
TestPolledById.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestPolledByTime = PolledByTime.TestCase
TestPolledByTime.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

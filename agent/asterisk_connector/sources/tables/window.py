"""Reading a table without an id, by the time column alone: look back again and again, return only what is new.

- A CDR row carries its call's *start* and is written at its *end*, batches later still: no cursor on time can be right.
  Rows of any second of the window may still come; the window is the longest call, the batch time and an hour for the
  night when clocks go back.
- First counts, then rows: the database counts rows per second from its index; only seconds whose count is not what we
  know are read. All rows of a second are read at once, so equal times have no page border (F38).
- Poll number n looks back by its lowest set bit: every poll over `recent` seconds, every second one over twice that,
  and so on up to the whole window. What is looked at grows with the logarithm of the window; a row is found late in
  proportion to the length of its call. `want` finds rows of known channels at once, where uniqueid is indexed.
- Everything before `since` has been read and is final. Known rows are 8 bytes each in memory and not kept over a
  restart: the window is read once more then, and the store ignores what it has.
- Identical rows are told apart by their number among themselves in their second.
"""

from __future__ import annotations

import zlib
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple, Protocol

import msgspec
from msgspec import Struct

from asterisk_connector.sources.tables.cursor import Page
from asterisk_connector.sources.tables.database import Row
from asterisk_connector.sources.tables.gaps import Span, contiguous
from asterisk_connector.sources.tables.table import FOREVER

_ZONES_APART = 26 * 3600
"""Farther from today than this no zone explains: a clock's mistake, looked at by full sweeps only."""
_MOST_WANTED, _WANTED_AT_ONCE = 10_000, 500
_SECONDS_AT_ONCE = 200
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


class WindowState(Struct, frozen=True, array_like=True, tag="window"):
    """How far a window has come: all that a restart needs. `since`: everything before this second is final.

    `present` is only there while history is being read: how many rows each second had before the first start, packed.
    """

    since: int
    present: bytes = b""


class Rows(Protocol):
    """What a window asks of a table."""

    def newest_second(self, up_to: int) -> int | None: ...
    def counts(self, since: int, until: int) -> list[tuple[int, int]]: ...
    def from_second(self, since: int, limit: int) -> list[Row]: ...
    def seconds(self, spans: Sequence[Span]) -> list[Row]: ...
    def channels(self, uniqueids: Sequence[str]) -> list[Row]: ...
    def second(self, row: Row) -> int | None: ...


class Sight(NamedTuple):
    """How far a window looks, in seconds: `window` in all, `recent` with every poll; `page` in rows."""

    page: int
    window: int
    recent: int


class _Wish:
    """A channel whose rows are asked for, again after a growing pause."""

    __slots__ = ("due", "pause", "until")

    def __init__(self, now: float, patience: float) -> None:
        self.due, self.pause, self.until = now, _FIRST_PAUSE, now + patience


class Window:
    """Polls a table by its time column. `digest` names a row by its content, `age` puts rows of one second in the order
    they were written (a CDR's duration), `channel` tells its uniqueid, `today` the present second of the table's frame.
    """

    def __init__(
        self,
        table: Rows,
        state: WindowState,
        sight: Sight,
        *,
        digest: Callable[[Row], int],
        age: Callable[[Row], float],
        channel: Callable[[Row], str],
        today: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self.table = table
        self._sight = sight
        self._digest = digest
        self._age = age
        self._channel = channel
        self._today = today
        self._monotonic = monotonic
        self.state = state
        """The state after the last page."""
        self._present = _unpack(state.present)
        self._known: dict[int, array[int]] = {}
        self._walk: int | None = state.since
        self._walk_final: int | None = None
        self._polls = 0
        self._sweep: _Sweep | None = None
        self._swept = False
        self._wishes: dict[str, _Wish] = {}
        self._ready: deque[tuple[Page, WindowState]] = deque()

    def want(self, uniqueids: Iterable[str], patience: float) -> None:
        """Looks for rows of these channels from now on, for at most `patience` seconds. The sweeps would find them
        too; this is only sooner."""
        now = self._monotonic()
        for uniqueid in uniqueids:
            if len(self._wishes) < _MOST_WANTED:
                self._wishes.setdefault(uniqueid, _Wish(now, patience))

    def poll(self) -> Page | None:
        """The next rows; None when there are none at the moment, which ends the round."""
        while not self._ready and self._walk is not None:
            self._step(self._walk)
        while not self._ready and not self._swept:
            self._look()
        if not self._ready:
            self._grant()
        if not self._ready:
            self._swept = False
            return None
        page, self.state = self._ready.popleft()
        return page

    # the walk: everything from `since` on, once after every start

    def _step(self, walk: int) -> None:
        if self._walk_final is None:
            self._walk_final = self._final(self.table.newest_second(self._today()))
        rows = self.table.from_second(walk, self._sight.page)
        following: int | None = None
        if len(rows) >= self._sight.page:  # the last second may go on behind the page: take it whole, or next time
            last = self._of(rows[-1], walk)
            whole = [row for row in rows if self._of(row, walk) != last]
            rows, following = (whole, last) if whole else (self.table.seconds([(last, last)]), last + 1)
        self._walk = following
        reached = self._walk_final if following is None else min(following, self._walk_final)
        self._bring(self._unseen(rows, walk, known_from=self._walk_final), max(self.state.since, reached))

    # the sweeps: count, then read the seconds that are not as they were

    def _look(self) -> None:
        if self._sweep is None:
            self._sweep = self._begin()
        sweep = self._sweep
        if not sweep.changed:
            self._sweep, self._swept = None, True
            if sweep.full:
                since = max(self.state.since, self._final(sweep.anchor))
                self.state = WindowState(since, self._packed())
                self._known = {s: rows for s, rows in self._known.items() if s >= since}
            return
        seconds: list[int] = []
        rows = 0
        for second, count in sweep.changed:
            if len(seconds) == _SECONDS_AT_ONCE or rows >= self._sight.page:
                break
            seconds.append(second)
            rows += count
        read = self.table.seconds(contiguous(seconds))
        for _ in seconds:  # only now: a lost connection must not make a sweep look complete
            sweep.changed.popleft()
        self._bring(self._unseen(read, seconds[0], known_from=self.state.since), self.state.since)

    def _begin(self) -> _Sweep:
        anchor = self.table.newest_second(self._today())
        # The lowest set bit: 1 2 1 4 1 2 1 8 … times `recent`; the first poll after the walk sees all.
        depth = self._sight.recent * (self._polls & -self._polls) if self._polls else self._sight.window
        self._polls += 1
        full = anchor is None or depth >= self._sight.window
        since, until = self.state.since, FOREVER
        if anchor is not None and not full:
            since, until = max(since, anchor - depth), anchor + _ZONES_APART
        counts = self.table.counts(since, until) if since < until else []
        changed = deque((s, n) for s, n in counts if n != len(self._known.get(s, ())))
        return _Sweep(changed, full, anchor)

    # wishes: rows of channels that are known to have ended

    def _grant(self) -> None:
        now = self._monotonic()
        due = [u for u, wish in self._wishes.items() if wish.due <= now][: 4 * _WANTED_AT_ONCE]
        for first in range(0, len(due), _WANTED_AT_ONCE):
            asked = due[first : first + _WANTED_AT_ONCE]
            rows = self.table.channels(asked)
            found = {self._channel(row) for row in rows}
            for uniqueid in asked:
                wish = self._wishes[uniqueid]
                if uniqueid in found or wish.until <= now:
                    del self._wishes[uniqueid]
                else:
                    wish.due, wish.pause = now + wish.pause, min(wish.pause * 2, _LONGEST_PAUSE)
            since = self.state.since
            self._bring(self._unseen(rows, since, known_from=since, whole=False), since)

    # what is new

    def _unseen(
        self, rows: Iterable[Row], otherwise: int, *, known_from: int, whole: bool = True
    ) -> list[tuple[int, int, Row]]:
        """Rows we do not know yet as (second, name, row). `whole`: these are all rows of their seconds.

        What was read before `known_from` is not remembered: no sweep will look there again.
        """
        unseen: list[tuple[int, int, Row]] = []
        by_second: dict[int, list[Row]] = {}
        for row in rows:
            by_second.setdefault(self._of(row, otherwise), []).append(row)
        for second, together in by_second.items():
            names = _names([self._digest(row) for row in together])
            known = frozenset(self._known.get(second, ()))
            unseen += [(second, name, row) for name, row in zip(names, together, strict=True) if name not in known]
            if second >= known_from:
                self._known[second] = array("Q", names if whole else known.union(names))
        return unseen

    def _bring(self, unseen: list[tuple[int, int, Row]], since: int) -> None:
        """Makes pages: what was there before the first start as history, the rest as new.

        A second that holds more rows now than then got the younger ones since. They come first: killed in between, we
        read the second again and judge it the same.
        """
        if not unseen:
            self.state = WindowState(since, self._packed())
            return
        new: list[tuple[str, Row]] = []
        past: list[tuple[str, Row]] = []
        before = self._packed()
        if self._present:
            for second, group in groupby(unseen, key=lambda u: u[0]):
                rows = sorted(((f"{name:016x}", row) for _, name, row in group), key=lambda r: self._age(r[1]))
                then = self._present.pop(second, 0)
                past += rows[:then]
                new += rows[then:]
        else:
            new = [(f"{name:016x}", row) for _, name, row in unseen]
        if self._walk is None:
            self._present.clear()
        if new:
            self._ready.append((Page(new), WindowState(self.state.since if past else since, before)))
        if past:
            self._ready.append((Page(past, history=True), WindowState(since, self._packed())))

    def _packed(self) -> bytes:
        return _pack(self._present)

    def _final(self, anchor: int | None) -> int:
        return self.state.since if anchor is None else anchor - self._sight.window

    def _of(self, row: Row, otherwise: int) -> int:
        second = self.table.second(row)
        return otherwise if second is None else second


class _Sweep(NamedTuple):
    changed: deque[tuple[int, int]]
    full: bool
    anchor: int | None


def first_state(
    table: Rows, sight: Sight, *, lookback: int, lookback_rows: int, today: int, start: int | None, beginning: bool
) -> WindowState:
    """Where to begin on a table never read before.

    `beginning`: with the first row. Else what is there now is history, or, with `start`, what is older than that
    second. Of history as much is read as `lookback` seconds and `lookback_rows` allow, but always the window.
    """
    if beginning:
        return WindowState(0)
    newest = table.newest_second(today)
    latest = 0 if newest is None else newest if start is None else start
    since = max(latest - max(lookback, sight.window), 0)
    counts = table.counts(since, FOREVER if start is None else start)
    rows = sum(n for _, n in counts)
    for second, n in counts:
        if rows <= lookback_rows or second >= latest - sight.window:
            break
        rows -= n
        since = second + 1
    return WindowState(since, _pack({s: n for s, n in counts if s >= since}))


def _names(digests: Sequence[int]) -> list[int]:
    """Names of rows: their digests, made different for identical ones by their number."""
    seen: Counter[int] = Counter()
    names = []
    for digest in digests:
        names.append((digest + seen[digest] * 0x9E3779B97F4A7C15) % 2**64)
        seen[digest] += 1
    return names


def _pack(present: dict[int, int]) -> bytes:
    if not present:
        return b""
    flat: list[int] = []
    last = 0
    for second in sorted(present):
        flat += (second - last, present[second])
        last = second
    return zlib.compress(msgspec.msgpack.encode(flat))


def _unpack(packed: bytes) -> dict[int, int]:
    if not packed:
        return {}
    flat = msgspec.msgpack.decode(zlib.decompress(packed), type=list[int])
    present: dict[int, int] = {}
    second = 0
    for gap, rows in zip(flat[::2], flat[1::2], strict=True):
        second += gap
        present[second] = rows
    return present

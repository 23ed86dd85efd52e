"""Reading a table by its id: a cursor, the ids passed over, and the row the cursor stands on.

- Nothing at or below `high` is unread except the ids in `gaps`, each waited for `grace` seconds (F37). A row is told by
  its id, so equal times at a page border (F38), future dates and nights when clocks go back mean nothing here.
- Every question by id starts *at* the cursor: the row it stands on should still be there and say the same. If it says
  something else, or is gone while young rows are before it, the table was truncated, restored or swapped (F39): reading
  starts again at the rows that can be new. A row's ident is its id and what it says, so what is read again is not seen
  again.
- Statements per round: one; two while ids are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from asterisk_connector.sources.tables.database import Row
from asterisk_connector.sources.tables.gaps import Gaps, Span

_SPANS = 200
_PROBE = 9


class Page(NamedTuple):
    """Rows with their idents, in order of arrival. `history`: they were there before the first start."""

    rows: Sequence[tuple[str, Row]]
    history: bool = False


class CursorState(Struct, frozen=True, array_like=True, tag="cursor"):
    """Where a cursor stands: all that a restart needs.

    `mark` is the digest of the row at `high`, None before any. `newest` is the latest second seen that was not in the
    future. Rows up to `history` were there before the first start.
    """

    high: int
    mark: int | None
    newest: int
    history: int = 0
    gaps: tuple[Span, ...] = ()


class Rows(Protocol):
    """What a cursor asks of a table."""

    def bounds(self) -> Span | None: ...
    def from_id(self, number: int, limit: int) -> list[Row]: ...
    def last_up_to(self, number: int) -> Row | None: ...
    def ids(self, spans: Sequence[Span], limit: int) -> list[Row]: ...
    def second(self, row: Row) -> int | None: ...


class Pace(NamedTuple):
    """How a table is read. `page` in rows; `grace` (late commits) and `lookback` (the longest call and its row) in
    seconds; `lookback_rows` bounds what a first start reads of the past."""

    page: int
    grace: float
    lookback: int
    lookback_rows: int


class Cursor:
    """Polls a table by id. `digest` names a row by its content; `today` tells the present second of the table's frame;
    `reset` is told when the table turned out to be another, and from which second on it is read again."""

    def __init__(
        self,
        table: Rows,
        state: CursorState,
        pace: Pace,
        *,
        digest: Callable[[Row], int],
        monotonic: Callable[[], float],
        today: Callable[[], int],
        reset: Callable[[int], None],
    ) -> None:
        self._table = table
        self._pace = pace
        self._digest = digest
        self._monotonic = monotonic
        self._today = today
        self._reset = reset
        self._high, self._mark, self._newest, self._history = state.high, state.mark, state.newest, state.history
        self._gaps = Gaps(state.gaps, now=monotonic())
        self._looked_back = False

    @property
    def state(self) -> CursorState:
        """The state after the last page."""
        return CursorState(self._high, self._mark, self._newest, self._history, tuple(self._gaps.spans()))

    def poll(self) -> Page | None:
        """The next rows; None when there are none at the moment, which ends the round."""
        if self._gaps and not self._looked_back:
            late = self._late()
            if late:
                return Page(late)
        self._looked_back = True
        page = self._next()
        if page is None:
            self._looked_back = False
        return page

    def _late(self) -> list[tuple[str, Row]]:
        spans = self._gaps.spans()
        asked = self._monotonic()
        for first in range(0, len(spans), _SPANS):
            rows = self._table.ids(spans[first : first + _SPANS], self._pace.page)
            found = [(self._ident(row), row) for row in rows]
            for row in rows:
                self._gaps.fill(_number(row))
            if found:
                return found  # the next poll asks again, before any gap is given up
        self._looked_back = True
        self._gaps.give_up(asked - self._pace.grace)
        return []

    def _next(self) -> Page | None:
        rows = self._table.from_id(self._high, self._pace.page + 1)
        if self._is_another_table(rows):
            self._start_again()
            rows = self._table.from_id(self._high, self._pace.page + 1)
        if self._mark is not None:
            rows = [row for row in rows if _number(row) != self._high]
        rows = rows[: self._pace.page]
        past = [row for row in rows if _number(row) <= self._history]
        rows, history = (past, True) if past else (rows, False)
        if not rows:
            return None
        self._gaps.passed(self._high, [_number(row) for row in rows], self._monotonic())
        self._stand_on(rows[-1])
        today = self._today() + _DAY
        self._newest = max(self._newest, *(s for row in rows if (s := self._table.second(row)) and s < today), 0)
        return Page([(self._ident(row), row) for row in rows], history)

    def _is_another_table(self, rows: Sequence[Row]) -> bool:
        """Judges by the row the cursor stands on, given what was read from there on.

        It may have been archived. But if it says something else now, or rows up to it are as young as any we saw, then
        ids are given out anew.
        """
        if self._mark is None:
            return False
        if rows and _number(rows[0]) == self._high:
            return self._digest(rows[0]) != self._mark
        last = self._table.last_up_to(self._high)
        if last is None:
            # Nothing is left up to here. What may yet appear there is new, even if it commits late.
            self._gaps = Gaps([(1, self._high)], now=self._monotonic())
            return False
        return (self._table.second(last) or 0) >= self._newest

    def _start_again(self) -> None:
        since = max(self._newest - self._pace.lookback, 0)
        self._reset(since)
        before = before_second(self._table, since)
        self._gaps = Gaps(now=self._monotonic())
        self._history = 0
        self._high, self._mark = 0, None
        if before is not None:
            self._stand_on(before)

    def _stand_on(self, row: Row) -> None:
        self._high, self._mark = _number(row), self._digest(row)

    def _ident(self, row: Row) -> str:
        return f"{_number(row)}.{self._digest(row) & 0xFFFFFFFF:08x}"


_DAY = 86_400 + 50_400
"""What is dated later than tomorrow, in any zone, is a clock's mistake."""


def first_state(
    table: Rows, pace: Pace, *, digest: Callable[[Row], int], today: int, start: int | None, beginning: bool
) -> CursorState:
    """Where to begin on a table never read before.

    `beginning`: with the first row. Else what is there now is history, or, with `start`, what is older than that
    second; of history as much is read as calls in progress need.
    """
    bounds = table.bounds()
    if beginning or bounds is None:
        return CursorState(0, None, 0)
    newest_row = table.last_up_to(bounds[1])
    newest = min((newest_row and table.second(newest_row)) or 0, today)
    history = bounds[1]
    since = newest
    if start is not None:
        row = before_second(table, start)
        history, since = (_number(row) if row else 0), start
    before = before_second(table, since - pace.lookback)
    least = max(history - pace.lookback_rows, 0)
    if before is None or _number(before) < least:
        before = table.last_up_to(least)
    if before is None:
        return CursorState(0, None, newest, history)
    return CursorState(_number(before), digest(before), newest, history)


def before_second(table: Rows, second: int) -> Row | None:
    """The last row before those of this second and later, in order of ids; None when all are.

    Ids ascend with time only by and large, so it halves by the middle one of a few times: one row dated 2038 or
    1970 misleads nobody.
    """
    bounds = table.bounds()
    if bounds is None:
        return None
    low, high = bounds[0] - 1, bounds[1] + 1  # up to low: before; from high on: later
    while high - low > 1:
        middle = (low + high) // 2
        rows = [r for r in table.from_id(middle, _PROBE) if _number(r) < high]
        times = sorted(s for r in rows if (s := table.second(r)) is not None)
        if not times or times[len(times) // 2] >= second:
            high = middle
        else:
            low = _number(rows[0])
    last = table.last_up_to(low)
    for row in table.from_id(low + 1, _PROBE):  # the middle one was right by a few rows only
        at = table.second(row)
        if at is None or at >= second:
            break
        last = row
    return last


def _number(row: Row) -> int:
    return int(row[0] or 0)

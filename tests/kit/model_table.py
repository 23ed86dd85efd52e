"""A table in memory that answers what polling asks, with transactions that commit when the test says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from asterisk_connector.errors import Transient
from asterisk_connector.sources.tables.database import Row
from asterisk_connector.sources.tables.gaps import Span


@dataclass(eq=False)
class Line:
    """One row: its id, its second, its channel, and whether it is committed."""

    id: int
    at: int
    uniqueid: str
    duration: int = 0
    committed: bool = True

    @property
    def row(self) -> Row:
        return (str(self.id), str(self.at), self.uniqueid, str(self.duration))


class ModelTable:
    """Rows in order of insertion. `asked` counts statements, `read` rows, since they were last put to zero.

    The statement number `fails_in` from now on is not answered.
    """

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.next_id = 1
        self.made = 0
        self.asked = 0
        self.read = 0
        self.fails_in = 0

    def insert(self, at: int, *, committed: bool = True, duration: int = 0) -> Line:
        line = Line(self.next_id, at, f"{at}.{self.made}", duration, committed)
        self.next_id += 1
        self.made += 1
        self.lines.append(line)
        return line

    def remove(self, line: Line) -> None:
        self.lines.remove(line)

    def truncate(self) -> None:
        self.lines.clear()
        self.next_id = 1

    @property
    def visible(self) -> list[Line]:
        return [line for line in self.lines if line.committed]

    def _ask(self) -> None:
        self.asked += 1
        self.fails_in -= 1
        if self.fails_in == 0:
            raise Transient("the connection is lost")

    def _answer(self, lines: list[Line]) -> list[Row]:
        self._ask()
        self.read += len(lines)
        return [line.row for line in lines]

    def bounds(self) -> Span | None:
        ids = [line.id for line in self.visible]
        return (min(ids), max(ids)) if ids else None

    def from_id(self, number: int, limit: int) -> list[Row]:
        return self._answer(sorted((x for x in self.visible if x.id >= number), key=lambda x: x.id)[:limit])

    def last_up_to(self, number: int) -> Row | None:
        rows = self._answer(sorted((x for x in self.visible if x.id <= number), key=lambda x: x.id)[-1:])
        return rows[0] if rows else None

    def ids(self, spans: Sequence[Span], limit: int) -> list[Row]:
        found = [x for x in self.visible if any(low <= x.id <= high for low, high in spans)]
        return self._answer(sorted(found, key=lambda x: x.id)[:limit])

    def newest_second(self, up_to: int) -> int | None:
        self._ask()
        return max((x.at for x in self.visible if x.at <= up_to), default=None)

    def counts(self, since: int, until: int) -> list[tuple[int, int]]:
        self._ask()
        return sorted(Counter(x.at for x in self.visible if since <= x.at < until).items())

    def from_second(self, since: int, limit: int) -> list[Row]:
        return self._answer(sorted((x for x in self.visible if x.at >= since), key=lambda x: x.at)[:limit])

    def seconds(self, spans: Sequence[Span]) -> list[Row]:
        found = [x for x in self.visible if any(low <= x.at <= high for low, high in spans)]
        return self._answer(sorted(found, key=lambda x: x.at))

    def channels(self, uniqueids: Sequence[str]) -> list[Row]:
        return self._answer([x for x in self.visible if x.uniqueid in uniqueids])

    def second(self, row: Row) -> int | None:
        return int(row[1] or 0)

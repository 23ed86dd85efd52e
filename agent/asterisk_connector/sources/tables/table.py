"""One table, and the few questions it is ever asked: all SQL of polling is here.

- Every statement goes by the id or by the time column (or by uniqueid, where indexed) and is bounded; none depends on
  how many calls there are. Identifiers come from the catalogue or the configuration and are always quoted.
- Rows come as text in the order of `fields`. Where there is an id, it is the first.
- Seconds are of the time column's own frame (`zones`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from asterisk_connector.sources.tables.columns import ID, Columns
from asterisk_connector.sources.tables.database import Connection, Plan, Row
from asterisk_connector.sources.tables.gaps import Span
from asterisk_connector.sources.tables.zones import SECOND, parse

FOREVER = 253_402_214_400
"""9999-12-31: an upper bound keeps PostgreSQL's `infinity` out of arithmetic."""


class Question(NamedTuple):
    """A statement with its parameters."""

    sql: str
    parameters: Sequence[int | str]


class Table:
    """Asks one table through one connection; raises what the connection raises."""

    def __init__(self, connection: Connection, name: Sequence[str], columns: Columns) -> None:
        self._connection = connection
        self.columns = columns
        self.fields = tuple(sorted(columns.fields, key=lambda f: f != ID))
        """Names of a row's values, in their order."""
        # With the table's name before it: alone, PostgreSQL would order by the selected text of that name.
        quoted = {f: "t." + connection.quote(c.name) for f, c in columns.fields.items()}
        self._from = " FROM " + ".".join(connection.quote(part) for part in name) + " AS t"
        self._select = "SELECT " + ", ".join(connection.shown(quoted[f]) for f in self.fields) + self._from
        self._id = quoted.get(ID, "")
        self._time = quoted[columns.layout.time]
        self._uniqueid = quoted.get("uniqueid", "")
        self._time_at = self.fields.index(columns.layout.time)
        self._second = connection.second(self._time, columns.time)

    def second(self, row: Row) -> int | None:
        """The second a row was written for, in its column's frame."""
        stamp = parse(row[self._time_at] or "")
        return stamp.local // SECOND if stamp else None

    # by id

    def bounds(self) -> Span | None:
        """Smallest and largest id; None for an empty table."""
        shown = self._connection.shown
        row = self._connection.query(f"SELECT {shown(f'min({self._id})')}, {shown(f'max({self._id})')}{self._from}")[0]
        return (int(row[0]), int(row[1])) if row[0] is not None and row[1] is not None else None

    def from_id(self, number: int, limit: int) -> list[Row]:
        """Rows with this id and after, ascending."""
        return self._ask(self.by_id(number, limit))

    def by_id(self, number: int, limit: int) -> Question:
        """The question that polling by id asks again and again."""
        return Question(f"{self._select} WHERE {self._id} >= %s ORDER BY {self._id} LIMIT %s", (number, limit))

    def last_up_to(self, number: int) -> Row | None:
        """The row with the largest id up to this one."""
        sql = f"{self._select} WHERE {self._id} <= %s ORDER BY {self._id} DESC LIMIT 1"
        return next(iter(self._ask(Question(sql, (number,)))), None)

    def ids(self, spans: Sequence[Span], limit: int) -> list[Row]:
        """Rows whose ids lie in the spans, ascending."""
        wanted = " OR ".join(f"{self._id} BETWEEN %s AND %s" for _ in spans)
        parameters = [bound for span in spans for bound in span]
        return self._ask(Question(f"{self._select} WHERE {wanted} ORDER BY {self._id} LIMIT %s", [*parameters, limit]))

    # by time

    def newest_second(self, up_to: int) -> int | None:
        """The latest second any row has, not after `up_to`: what lies in the future tells nothing of today."""
        mark, value = self._connection.bound(self.columns.time, up_to + 1)
        shown = self._connection.shown(f"max({self._time})")
        row = self._connection.query(f"SELECT {shown}{self._from} WHERE {self._time} < {mark}", (value,))[0]
        stamp = parse(row[0] or "")
        return stamp.local // SECOND if stamp else None

    def counts(self, since: int, until: int) -> list[tuple[int, int]]:
        """How many rows each second has, from `since` to before `until`, ascending; seconds without rows are left out.

        Answered from the index of the time column alone.
        """
        rows = self._ask(self.by_second(since, until))
        return sorted((int(second), int(rows)) for second, rows in rows if second is not None and rows is not None)

    def by_second(self, since: int, until: int) -> Question:
        """The question that polling by time asks again and again."""
        low, since_value = self._connection.bound(self.columns.time, since)
        high, until_value = self._connection.bound(self.columns.time, until)
        shown = self._connection.shown
        return Question(
            f"SELECT {shown(self._second)}, {shown('count(*)')}{self._from}"
            f" WHERE {self._time} >= {low} AND {self._time} < {high} GROUP BY {self._second}",
            (since_value, until_value),
        )

    def from_second(self, since: int, limit: int) -> list[Row]:
        """Rows of this second and after, ascending by time; equal ones as the database keeps them."""
        low, since_value = self._connection.bound(self.columns.time, since)
        high, until_value = self._connection.bound(self.columns.time, FOREVER)
        return self._ask(
            Question(
                f"{self._select} WHERE {self._time} >= {low} AND {self._time} < {high} ORDER BY {self._time} LIMIT %s",
                (since_value, until_value, limit),
            )
        )

    def seconds(self, spans: Sequence[Span]) -> list[Row]:
        """All rows of these seconds, ascending by time; equal ones as the database keeps them."""
        wanted: list[str] = []
        parameters: list[int | str] = []
        for first, last in spans:
            low, since = self._connection.bound(self.columns.time, first)
            high, until = self._connection.bound(self.columns.time, last + 1)
            wanted.append(f"({self._time} >= {low} AND {self._time} < {high})")
            parameters += [since, until]
        # Sorted here, where equal times stay as they came: a server's sort may shuffle them.
        rows = self._ask(Question(f"{self._select} WHERE {' OR '.join(wanted)}", parameters))
        return sorted(rows, key=lambda row: row[self._time_at] or "")

    # by channel

    @property
    def finds_channels(self) -> bool:
        """Whether rows can be found by uniqueid at a cost worth asking."""
        column = self.columns.fields.get("uniqueid")
        return column is not None and column.indexed

    def channels(self, uniqueids: Sequence[str]) -> list[Row]:
        """All rows of these channels, ascending by time."""
        marks = ", ".join(["%s"] * len(uniqueids))
        rows = self._ask(Question(f"{self._select} WHERE {self._uniqueid} IN ({marks})", list(uniqueids)))
        return sorted(rows, key=lambda row: row[self._time_at] or "")

    def plan(self, question: Question) -> Plan:
        """How the server would answer a question."""
        return self._connection.plan(question.sql, question.parameters)

    def _ask(self, question: Question) -> list[Row]:
        return self._connection.query(question.sql, question.parameters)

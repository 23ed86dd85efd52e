"""What `check` says of a table: everything an operator should know before the agent polls it.

- Only reads, and asks nothing that costs more than polling does; every finding stands for itself, so that one bad
  answer hides no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Literal, NamedTuple

from asterisk_connector.errors import ConnectorError, Misconfigured
from asterisk_connector.records import Micros
from asterisk_connector.sources.tables.columns import Columns, Layout, match
from asterisk_connector.sources.tables.database import Connection, Row, Server, connect, table_name
from asterisk_connector.sources.tables.poller import Polling
from asterisk_connector.sources.tables.rows import reader
from asterisk_connector.sources.tables.table import Table
from asterisk_connector.sources.tables.table_zone import named
from asterisk_connector.sources.tables.zones import SECOND, Sample, Zone, agreement, host_zone, likely_zone

_DAY = 86_400
_SAMPLE = 200


class Finding(NamedTuple):
    """One remark about a table; `hint` says what to do."""

    level: Literal["error", "warning", "ok"]
    message: str
    hint: str = ""


def inspect(layout: Layout, server: Server, polling: Polling, now: Micros) -> Iterator[Finding]:
    """Looks at one table as it would be polled. Raises nothing that the database or a setting is to blame for."""
    try:
        connection = connect(server)
    except ConnectorError as error:
        yield _failed(error)
        return
    try:
        yield Finding("ok", f"{server} answers")
        yield from _look(connection, layout, polling, now)
    except ConnectorError as error:
        yield _failed(error)
    finally:
        connection.close()


def _look(connection: Connection, layout: Layout, polling: Polling, now: Micros) -> Iterator[Finding]:
    name = table_name(polling.table)
    yield _rights(connection, name, polling.table)
    columns = match(layout, polling.table, connection.columns(name), polling.columns)
    table = Table(connection, name, columns)
    yield from _columns(columns, polling.table)
    yield from _index(table, polling, now)
    rows = _youngest(table, now)
    yield _pace(table, polling.table, now)
    yield from _zone(connection, columns, table, rows, polling)


def _rights(connection: Connection, name: Sequence[str], table: str) -> Finding:
    access = connection.access(name)
    if access.writes:
        return Finding(
            "warning",
            f"account {access.account} may change table {table} ({', '.join(access.writes)})",
            "SELECT is all the agent needs: give it an account of its own",
        )
    return Finding("ok", f"account {access.account} may only read table {table}")


def _columns(columns: Columns, table: str) -> Iterator[Finding]:
    found = ", ".join(f if f == c.name else f"{f} ({c.name})" for f, c in columns.fields.items())
    yield Finding("ok", f"table {table} has {found}")
    if columns.unknown:
        yield Finding("ok", f"table {table}: not used: {', '.join(columns.unknown)}")
    if columns.missing:
        yield Finding("ok", f"table {table} does not have {', '.join(columns.missing)}")
    for field, why in (
        ("linkedid", "parts of one call are told to belong together"),
        ("uniqueid", "rows find their call"),
    ):
        if field in columns.missing:
            yield Finding("warning", f"table {table} has no column {field}, by which {why}", f"add it to {table}")
    if columns.layout.what == "CEL" and columns.time.tick == SECOND and columns.time.kind in {"local", "instant"}:
        yield Finding(
            "warning",
            f"column {columns.time.name} of table {table} keeps whole seconds, so talk times are rounded",
            "a column with fractions (MySQL datetime(6), PostgreSQL timestamp) keeps microseconds",
        )


def _index(table: Table, polling: Polling, now: Micros) -> Iterator[Finding]:
    columns = table.columns
    if columns.key is not None:
        polled, question = columns.key, table.by_id((table.bounds() or (0, 0))[1], polling.page)
    else:
        polled = columns.time
        today = now // SECOND
        newest = table.newest_second(today + _DAY) or today
        question = table.by_second(newest - 60, newest + _DAY)
        yield Finding(
            "ok",
            f"table {polling.table} has no id: rows are found by {polled.name},"
            f" looking back {polling.longest_call:.0f} s",
            "calls longer than `longest_call` are found by CEL only",
        )
        if not table.finds_channels:
            yield Finding(
                "warning",
                f"table {polling.table} has no index on uniqueid: rows of long calls are found late",
                f"CREATE INDEX cdr_uniqueid ON {polling.table} (uniqueid)",
            )
    plan = table.plan(question)
    if polled.indexed:
        by = f"by index {plan.by_index}" if plan.by_index else "without its index while the table is small"
        yield Finding("ok", f"polling goes {by} ({plan.text})")
    else:
        yield Finding(
            "warning",
            f"column {polled.name} of table {polling.table} has no index: every poll reads the whole table",
            f"CREATE INDEX {polling.table.split('.')[-1]}_{polled.name} ON {polling.table} ({polled.name})",
        )


def _youngest(table: Table, now: Micros) -> list[Row]:
    if table.columns.key is not None:
        bounds = table.bounds()
        return table.from_id(max(bounds[1] - _SAMPLE, 0), _SAMPLE) if bounds else []
    newest = table.newest_second(now // SECOND + _DAY)
    return table.from_second(newest - 3600, _SAMPLE) if newest is not None else []


def _pace(table: Table, name: str, now: Micros) -> Finding:
    if table.columns.time.kind == "text":
        return Finding("ok", f"table {name}: times are text in column {table.columns.time.name}")
    newest = table.newest_second(now // SECOND + _DAY)
    if newest is None:
        return Finding(
            "warning", f"table {name} is empty", "does Asterisk write to it? `cdr show status`, `cel show status`"
        )
    if not table.columns.time.indexed:
        return Finding("ok", f"table {name}: the youngest row is {_ago(now // SECOND - newest)}")
    rows = sum(n for _, n in table.counts(newest - _DAY, newest + 1))
    return Finding("ok", f"table {name}: {rows} rows in its last day, the youngest {_ago(now // SECOND - newest)}")


def _ago(seconds: int) -> str:
    """The difference is of a table's own frame: a zone's width is no sign of anything."""
    return f"about {seconds // 3600} h old" if seconds > 50_400 else "of today"


def _zone(
    connection: Connection, columns: Columns, table: Table, rows: Sequence[Row], polling: Polling
) -> Iterator[Finding]:
    reading = reader(table.fields, columns)
    if not reading.needs_zone:
        yield Finding("ok", f"times of table {polling.table} name instants; no zone is needed")
        return
    samples: dict[int, Sample] = {}
    for row in rows:
        sample = reading.sample(row)
        if sample is not None:
            samples.setdefault(sample.epoch, sample)
    heard = list(samples.values())
    first = polling.zone or host_zone()
    if not heard:
        yield Finding("ok", f"times of table {polling.table} are read in zone {first}; no rows to compare with yet")
        return
    if agreement(Zone(first), heard) * 2 >= len(heard):
        yield Finding("ok", f"times of table {polling.table} are in zone {first}, as the uniqueids confirm")
        return
    likely = likely_zone(heard, [z for z in (named(connection.session_zone()), UTC) if z])
    level: Literal["warning", "error"] = "error" if polling.zone else "warning"
    speak_for = f"they speak for {likely}" if likely else "they fit no zone: are the host's clocks right?"
    yield Finding(
        level,
        f"times of table {polling.table} are not in zone {first}: its uniqueids contradict; {speak_for}",
        "set `zone` to the zone that Asterisk writes in",
    )


def _failed(error: ConnectorError) -> Finding:
    return Finding("error", str(error), error.hint if isinstance(error, Misconfigured) else "")

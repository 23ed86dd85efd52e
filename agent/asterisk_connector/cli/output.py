"""How verbs tell what they found: tables for people, one JSON object a line for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import click
import msgspec

from asterisk_connector.records import Micros


def print_json(values: Iterable[object]) -> None:
    """One object a line."""
    for value in values:
        click.echo(msgspec.json.encode(value))


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as they must be; the last one as it is."""
    table = [tuple(map(str, head)), *(tuple(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        click.echo("  ".join([*cells, row[-1]]).rstrip())


def local_time(at: Micros | str | None) -> str:
    """An instant, or what `rfc3339` made of one, in this host's time zone; `-` for none."""
    if at is None:
        return "-"
    instant = datetime.fromisoformat(at).astimezone() if isinstance(at, str) else datetime.fromtimestamp(at / 1_000_000)
    return f"{instant:%Y-%m-%d %H:%M:%S}"

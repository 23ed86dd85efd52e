"""The state as verbs get at it, and how it is told: tables for people, one JSON object a line for programs.

- Looking is possible whether the service runs or not and changes nothing.
- Changing takes the lock of the state directory: while the service runs it is refused with the service's pid (75).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click
import msgspec

from asterisk_connector.cli.configuration import settings_of
from asterisk_connector.clock import SystemClock
from asterisk_connector.notices import Notice
from asterisk_connector.records import Micros
from asterisk_connector.store.store import Store
from asterisk_connector.telemetry.sentences import say


@contextmanager
def looking(config_file: Path) -> Iterator[Store]:
    """The state, for reading. Raises Misconfigured where there is none."""
    store = Store.read_only(settings_of(config_file).store.directory, clock=SystemClock())
    try:
        yield store
    finally:
        store.close()


@contextmanager
def changing(config_file: Path) -> Iterator[Store]:
    """The state, for writing. Raises AlreadyRunning while the service has it."""
    store = Store.open(settings_of(config_file).store.directory, clock=SystemClock(), notify=_tell)
    try:
        yield store
    finally:
        store.close()


def _tell(notice: Notice) -> None:
    sentence = say(notice)
    if sentence is not None:
        click.echo(sentence.text, err=True)


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


def local_time(at: Micros | None) -> str:
    """In this host's time zone; `-` for none."""
    return "-" if at is None else f"{datetime.fromtimestamp(at / 1_000_000):%Y-%m-%d %H:%M:%S}"

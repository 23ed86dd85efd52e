"""`set-aside`: rows that could not be understood, with the reason and their bytes, newest first."""

from __future__ import annotations

from pathlib import Path

import click

from asterisk_connector.cli.asking import Row, ask
from asterisk_connector.cli.configuration import config_option
from asterisk_connector.cli.output import local_time, print_json, print_table
from asterisk_connector.control.questions import RowsSetAside

_SHOWN = 60


@click.command("set-aside")
@config_option
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Rows shown at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with the whole row.")
def set_aside(config_file: Path, limit: int, as_json: bool) -> None:
    """Rows that could not be understood, newest first. They are kept, and the rest was read on."""
    rows = list(ask(config_file, RowsSetAside(limit)))
    if as_json:
        print_json(rows)
    elif rows:
        print_table(("seen", "source", "reason", "begins with"), map(_line, rows))
    else:
        click.echo("no row was set aside")


def _line(row: Row) -> tuple[str, ...]:
    # What is not text is written as \xff already.
    begins = row["raw"][:_SHOWN].encode("unicode_escape").decode().replace("\\\\x", "\\x")
    return local_time(row["seen_at"]), row["source"], row["reason"], begins

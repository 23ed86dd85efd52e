"""`set-aside`: rows that could not be understood, with the reason and their bytes, newest first."""

from __future__ import annotations

from pathlib import Path

import click

from asterisk_connector.call import rfc3339
from asterisk_connector.cli.configuration import config_option
from asterisk_connector.cli.state import local_time, looking, print_json, print_table

_SHOWN = 60


@click.command("set-aside")
@config_option
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Rows shown at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with the whole row.")
def set_aside(config_file: Path, limit: int, as_json: bool) -> None:
    """Rows that could not be understood, newest first. They are kept, and the rest was read on."""
    with looking(config_file) as store:
        rows = store.set_aside(limit)
    if as_json:
        print_json(
            {
                "source": row.source,
                "ident": row.ident,
                "seen_at": rfc3339(row.seen_at),
                "reason": row.reason,
                "raw": row.raw.decode("utf-8", "backslashreplace"),
            }
            for row in rows
        )
    elif rows:
        print_table(
            ("seen", "source", "reason", "begins with"),
            [(local_time(row.seen_at), row.source, row.reason, ascii(row.raw[:_SHOWN])[2:-1]) for row in rows],
        )
    else:
        click.echo("no row was set aside")

"""`recordings`: recordings that were seen but belong to no call yet, oldest first."""

from __future__ import annotations

from pathlib import Path

import click

from asterisk_connector.cli.asking import ask
from asterisk_connector.cli.configuration import config_option
from asterisk_connector.cli.output import local_time, print_json, print_table
from asterisk_connector.control.questions import UnlinkedRecordings


@click.command()
@config_option
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Recordings shown at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def recordings(config_file: Path, limit: int, as_json: bool) -> None:
    """Recordings that belong to no call yet, oldest first. They are linked as soon as a call claims them."""
    astray = list(ask(config_file, UnlinkedRecordings(limit)))
    if as_json:
        print_json(astray)
    elif astray:
        rows = [(local_time(file["ended_at"]), file["size"], ascii(file["path"])[1:-1]) for file in astray]
        print_table(("finished", "bytes", "path"), rows)
    else:
        click.echo("every recording seen is on its call")

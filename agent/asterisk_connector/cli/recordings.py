"""`recordings`: recordings that were seen but belong to no call yet, oldest first."""

from __future__ import annotations

from pathlib import Path

import click

from asterisk_connector.call import rfc3339
from asterisk_connector.cli.configuration import config_option
from asterisk_connector.cli.state import local_time, looking, print_json, print_table


@click.command()
@config_option
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Recordings shown at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def recordings(config_file: Path, limit: int, as_json: bool) -> None:
    """Recordings that belong to no call yet, oldest first. They are linked as soon as a call claims them."""
    with looking(config_file) as store:
        astray = store.unlinked_recordings(limit)
    if as_json:
        print_json(
            {
                "path": file.path,
                "size": file.size,
                "seconds": file.duration,
                "started_at": rfc3339(file.started_at),
                "ended_at": rfc3339(file.ended_at),
            }
            for file in astray
        )
    elif astray:
        rows = [(local_time(file.ended_at), file.size, ascii(file.path)[1:-1]) for file in astray]
        print_table(("finished", "bytes", "path"), rows)
    else:
        click.echo("every recording seen is on its call")

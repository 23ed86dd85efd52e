"""`asterisk-connector version`."""

from __future__ import annotations

import click

from asterisk_connector import __version__


@click.command()
def version() -> None:
    """Prints the version."""
    click.echo(f"asterisk-connector {__version__}")

"""`asterisk-connector config …`: everything that is made from the model of the configuration."""

from __future__ import annotations

from pathlib import Path

import click

from asterisk_connector.cli import imports
from asterisk_connector.cli.configuration import config_option, settings_of
from asterisk_connector.config import reference as written


@click.group()
def config() -> None:
    """Example, schema, reference and effective values of the configuration; other programs' settings as ours."""


@config.command()
def example() -> None:
    """Prints a commented configuration with every setting."""
    click.echo(written.example(), nl=False)


@config.command()
def schema() -> None:
    """Prints the JSON schema, for editors."""
    click.echo(written.schema(), nl=False)


@config.command()
def reference() -> None:
    """Prints the reference page (Markdown)."""
    click.echo(written.reference(), nl=False)


@config.command()
@config_option
def show(config_file: Path) -> None:
    """Prints what is in force.

    File, environment and credentials together; secrets are shown as where they come from.
    """
    click.echo(written.show(settings_of(config_file)), nl=False)


config.add_command(imports.ami_kafka)
config.add_command(imports.env)

"""The command `asterisk-connector`: one verb, one file."""

from __future__ import annotations

import click

from asterisk_connector import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="asterisk-connector")
def main() -> None:
    """Ships every call of an Asterisk to the call API and every AMI event to Kafka."""

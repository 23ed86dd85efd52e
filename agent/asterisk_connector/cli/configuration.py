"""How a verb gets its settings: `--config`, and one sentence per problem when there are any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from asterisk_connector.config.load import load
from asterisk_connector.config.model import DEFAULT_FILE, Settings
from asterisk_connector.errors import Misconfigured

F = TypeVar("F", bound=Callable[..., Any])


def config_option(command: F) -> F:
    """`--config FILE`, handed over as `config_file`."""
    option = click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        default=DEFAULT_FILE,
        show_default=True,
        envvar="ASTERISK_CONNECTOR_CONFIG",
        help="The configuration.",
    )
    return option(command)


def settings_of(config_file: Path) -> Settings:
    """The settings in force. Warnings go to stderr; raises Misconfigured with every problem, one a line."""
    loaded = load(config_file)
    if loaded.settings is None:
        problems = "\n".join(str(finding) for finding in loaded.findings if finding.level == "error")
        raise Misconfigured(
            f"the configuration has problems\n{problems}", f"asterisk-connector check --config {config_file}"
        )
    for finding in loaded.findings:
        click.echo(f"warning: {finding}", err=True)
    return loaded.settings

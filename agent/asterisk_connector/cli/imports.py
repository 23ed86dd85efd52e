"""`config import-ami-kafka` and `config import-env`: another program's settings as ours, remarks on stderr."""

from __future__ import annotations

from pathlib import Path

import click

from asterisk_connector.config.import_ami_kafka import Import, import_ami_kafka
from asterisk_connector.config.import_env import import_env
from asterisk_connector.errors import Misconfigured


@click.command("import-ami-kafka", short_help="Prints our form of ami_kafka.conf and kafka.conf.")
@click.argument("ami_kafka_conf", type=click.Path(path_type=Path))
@click.argument("kafka_conf", type=click.Path(path_type=Path))
def ami_kafka(ami_kafka_conf: Path, kafka_conf: Path) -> None:
    """Prints our configuration for what the modules app_ami_kafka and res_kafka did.

    AMI_KAFKA_CONF and KAFKA_CONF are their files. What is not taken over, had no effect there or means something else
    here is remarked on stderr.
    """
    _print(import_ami_kafka(_text(ami_kafka_conf), _text(kafka_conf)))


@click.command("import-env", short_help="Prints our form of the SIPSTACK container's .env.")
@click.argument("env", type=click.Path(path_type=Path))
def env(env: Path) -> None:
    """Prints our configuration for the settings of the SIPSTACK container.

    ENV is its .env. What is not taken over, had no effect there or means something else here is remarked on stderr.
    """
    _print(import_env(_text(env)))


def _print(imported: Import) -> None:
    click.echo(imported.yaml, nl=False)
    for remark in imported.remarks:
        click.echo(f"remark: {remark}", err=True)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise Misconfigured(f"{file}: {error.strerror}", "name a file that can be read") from None

"""`status`: how everything is, from the running service; where none runs, what its state holds."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec
from rich.console import Console

from asterisk_connector.cli import exit_codes
from asterisk_connector.cli.asking import ask_service, ask_state
from asterisk_connector.cli.configuration import config_option
from asterisk_connector.cli.output import print_json
from asterisk_connector.cli.screen import screen
from asterisk_connector.control.questions import StatusNow
from asterisk_connector.errors import ConnectorError, Misconfigured, NotRunning, Transient
from asterisk_connector.telemetry.status import Status

_LOOKED_EVERY = 0.5


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document (docs/status.md).")
@click.option(
    "--wait", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait until it is healthy, at most so long."
)
def status(config_file: Path, as_json: bool, wait: float | None) -> int:
    """How everything is: sources, calls, sinks, events, state, and what is wrong.

    Ends with 0 when it is ready (everything is read and delivered), 1 when it runs and is not, 75 when it does not run;
    then it shows what the state holds. With --wait it ends with 0 as soon as it is healthy (a receiver that is away for
    a reason of its own does not count), else after that time with 1, or 75.
    """
    why = ""
    try:
        found = of_service(config_file) if wait is None else _healthy(config_file, wait)
    except NotRunning as error:
        why = f"{error}\n  {error.hint}"
        try:
            (row,) = ask_state(config_file, StatusNow())
        except ConnectorError:  # never started, or another user's
            raise error from None
        found = read(row["status"])
    if as_json:
        print_json([found])
    else:
        console = Console(highlight=False)
        console.print(screen(found, console.width))
    if why:
        click.echo(f"asterisk-connector: {why}", err=True)
        return exit_codes.TRY_AGAIN
    good = found.service.ready if wait is None else found.service.healthy
    return exit_codes.OK if good else exit_codes.DIFFERENT


def of_service(config_file: Path) -> Status:
    """The running service's own word. Raises NotRunning, and what asking raises."""
    for row in ask_service(config_file, StatusNow()):
        return read(row["status"])
    raise Transient("the service gave no status")


def read(told: object) -> Status:
    """Raises Misconfigured for a document of another version."""
    try:
        return msgspec.convert(told, Status)
    except msgspec.ValidationError as error:
        said = f"the running service tells its status as another version does ({error})"
        raise Misconfigured(said, "systemctl restart asterisk-connector") from error


def _healthy(config_file: Path, patience: float) -> Status:
    """The first healthy status, or the last one of any kind."""
    until = time.monotonic() + patience
    while True:
        last = time.monotonic() >= until
        try:
            found = of_service(config_file)
        except (NotRunning, Transient):
            if last:
                raise
        else:
            if found.service.healthy or last:
                return found
        time.sleep(min(_LOOKED_EVERY, max(0.0, until - time.monotonic())))

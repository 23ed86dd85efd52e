"""The command `asterisk-connector`: one verb, one file, imported when it is used.

- `asterisk-connector --help` and `version` import no verb: `VERBS` names them all with their sentence.
- Every expected error becomes one line with what to do and an exit code of `exit_codes`; tracebacks are for bugs and
  for `--debug`.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem

from asterisk_connector import __version__
from asterisk_connector.cli import exit_codes
from asterisk_connector.errors import AlreadyRunning, ConnectorError, Misconfigured, NotRunning, Stopping, Transient


class Verb(NamedTuple):
    """Where a verb lives (`module:command`) and what it does, in the words of `--help`."""

    place: str
    help: str


VERBS: dict[str, Verb] = {
    "setup": Verb("setup:setup", "Finds the Asterisk of this host and proposes a configuration for it."),
    "run": Verb("run:run", "Runs the service."),
    "check": Verb("check:check", "Names every problem of the configuration, the host and what is reached from it."),
    "config": Verb("config:config", "Example, schema, reference and effective values of the configuration; imports."),
    "status": Verb("status:status", "How everything is, and what is wrong."),
    "top": Verb("top:top", "The status, live, with rates."),
    "calls": Verb("calls:calls", "Calls the agent knows: list, show, tail."),
    "outbox": Verb("outbox:outbox", "What is owed, and dead letters: list, show, retry, drop, export."),
    "recordings": Verb("recordings:recordings", "Recordings that belong to no call yet."),
    "set-aside": Verb("set_aside:set_aside", "Rows that could not be understood."),
    "backfill": Verb("backfill:backfill", "Ships calls of a time past that nobody was told of."),
    "reconcile": Verb("reconcile:reconcile", "What became of every call of a time past."),
    "replay": Verb("replay:replay", "Call documents from captures, one JSON object a line."),
    "events": Verb("events:events", "AMI events as they would be published, from a capture or live."),
    "support": Verb("support:support", "One file for somebody who helps, without secrets."),
    "completion": Verb("completion:completion", "The script by which bash, zsh or fish completes our commands."),
    "demo": Verb("demo:demo", "The whole agent for a minute, on embedded defaults."),
    "version": Verb("version:version", "Prints the version."),
}
"""All verbs, in the order of `--help`. A verb of another file is one line here."""


class Verbs(click.Group):
    """The group of all verbs; a verb's module is imported when the verb is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        module, _, name = verb.place.partition(":")
        command = getattr(importlib.import_module(f"asterisk_connector.cli.{module}"), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{verb.place} is not a command")
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Verbs by the table: importing all of them would take most of a second for each press of the key."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=verb.help) for name, verb in VERBS.items() if name.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="asterisk-connector")
@click.option("--debug", is_flag=True, expose_value=False, help="Show a traceback for every error.")
def commands() -> None:
    """Ships every call of an Asterisk to the call API and every AMI event to Kafka."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = commands.main(words, prog_name="asterisk-connector", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return exit_codes.USAGE
    except click.Abort:
        return exit_codes.INTERRUPTED
    except ConnectorError as error:
        if "--debug" in words:
            traceback.print_exc()
        return _told(error)
    except Exception:
        traceback.print_exc()
        _tell("this is a bug: please report it with the lines above")
        return exit_codes.BUG
    return result if isinstance(result, int) else exit_codes.OK


def _told(error: ConnectorError) -> int:
    """Says an expected error; returns the exit code of who has to act."""
    _tell(str(error), getattr(error, "hint", ""))
    match error:
        case Misconfigured():
            return exit_codes.CONFIGURATION
        case AlreadyRunning() | NotRunning() | Transient() | Stopping():
            return exit_codes.TRY_AGAIN
        case _:
            return exit_codes.BUG


def _tell(message: str, hint: str = "") -> None:
    click.echo(f"asterisk-connector: {message}", err=True)
    if hint:
        click.echo(f"  {hint}", err=True)

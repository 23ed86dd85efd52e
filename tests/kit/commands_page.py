"""The page about all commands, made from their own help: `python -m tests.kit.commands_page` writes it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from asterisk_connector.cli import exit_codes
from asterisk_connector.cli.examples import EXAMPLES
from asterisk_connector.cli.main import commands

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
NAME = "asterisk-connector"

_HEAD = """\
# Commands

<!-- Made by `python -m tests.kit.commands_page`; do not edit. -->

The same text is in `man asterisk-connector` and behind `--help`. `completion` makes them easier to type.

**Whom they ask.** `status`, `top`, `calls`, `outbox`, `recordings` and `set-aside` ask the running service over
`/run/asterisk-connector/control.sock`; members of group `asterisk-connector` may, without sudo. Where no service runs
they read its state themselves, with the rights of who asks (`top` waits for the service). `outbox retry` and
`outbox drop` are done by the service where it runs, which notes in its journal who asked.

**Output.** Tables are for people and may change; `--json` is for programs and stays: one object a line.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_examples(), *_codes(), *_below(commands, click.Context(commands, info_name=NAME))])


def paths() -> Iterator[tuple[str, ...]]:
    """The words of every command that does something, without our name."""
    yield from _paths(commands, click.Context(commands, info_name=NAME), ())


def _paths(group: click.Group, context: click.Context, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _paths(command, click.Context(command, info_name=name, parent=context), (*above, name))
        else:
            yield (*above, name)


def _examples() -> Iterator[str]:
    yield from ("## Worth knowing", "", "```sh")
    width = max(map(len, EXAMPLES))
    yield from (f"{words:<{width}}  # {meaning}" for words, meaning in EXAMPLES.items())
    yield from ("```", "")


def _codes() -> Iterator[str]:
    yield from ("## Exit codes", "", "| code | meaning |", "|---|---|")
    yield from (f"| {code} | {meaning} |" for code, meaning in exit_codes.MEANINGS.items())
    yield ""


def _below(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _below(command, inner)
        else:
            yield from _one(command, inner)


def _one(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from (f"## `{context.command_path.removeprefix(NAME).strip()}`", "", f"`{usage}`", "")
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        lines = paragraph.splitlines()
        # What click may not fill again begins with a backspace.
        yield from ("```", *lines[1:], "```", "") if lines[:1] == ["\b"] else (*lines, "")
    records = [option.get_help_record(context) for option in command.get_params(context)]
    told = [record for record in records if record is not None and record[1] and "--help" not in record[0]]
    if told:
        yield from ("| option | meaning |", "|---|---|")
        for option, meaning in told:
            cells = (f"`{option}`", " ".join(meaning.split()))
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page())

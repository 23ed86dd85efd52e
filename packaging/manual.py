"""Prints the manual page asterisk-connector(8), made from the commands' own help."""

from __future__ import annotations

from collections.abc import Iterator

import click

from asterisk_connector import __version__
from asterisk_connector.cli import exit_codes
from asterisk_connector.cli.examples import EXAMPLES
from asterisk_connector.cli.main import commands

NAME = "asterisk-connector"
FILES = {
    "/etc/asterisk-connector/config.yaml": "The configuration. The service does not start without it.",
    "/var/lib/asterisk-connector": "The state: what was read, what is known, what is owed.",
    "/run/asterisk-connector/control.sock": "Where commands ask and steer the running service; its group may.",
    "/usr/share/doc/asterisk-connector": "Reference of the configuration, examples, the call document.",
}


def escape(text: str) -> str:
    """Text as troff prints it unchanged."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def page() -> Iterator[str]:
    """The lines of the page."""
    root = click.Context(commands, info_name=NAME)
    yield f'.TH ASTERISK\\-CONNECTOR 8 "" "{NAME} {__version__}" "System administration"'
    yield ".SH NAME"
    yield f"{escape(NAME)} \\- ships the calls and events of an Asterisk"
    yield ".SH SYNOPSIS"
    yield f".B {escape(NAME)}"
    yield "[OPTIONS] COMMAND [ARGS]..."
    yield ".SH DESCRIPTION"
    yield escape(commands.help or "")
    yield from options(commands, root)
    yield ".SH COMMANDS"
    yield from below(commands, root)
    codes = {str(code): meaning for code, meaning in exit_codes.MEANINGS.items()}
    for title, entries in (("EXAMPLES", EXAMPLES), ("FILES", FILES), ("EXIT STATUS", codes)):
        yield f".SH {title}"
        for term, told in entries.items():
            yield from (".TP", f".B {escape(term)}", escape(told))
    yield ".SH SEE ALSO"
    yield escape("systemctl(1), journalctl(1), file:///usr/share/doc/asterisk-connector/configuration.md")


def below(group: click.Group, context: click.Context) -> Iterator[str]:
    """Every command of a group, and of the groups in it, with what it does and takes."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        pieces = " ".join(command.collect_usage_pieces(inner))
        yield f".SS {escape(inner.command_path.removeprefix(NAME).strip())} {escape(pieces)}"
        yield from (escape(line) for line in (command.help or "").replace("\b", "").splitlines())
        yield from options(command, inner)
        if isinstance(command, click.Group):
            yield from below(command, inner)


def options(command: click.Command, context: click.Context) -> Iterator[str]:
    """Options with their sentence; `--help` is everywhere and told once."""
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record is not None and record[1] and (context.parent is None or "--help" not in record[0]):
            yield from (".TP", f".B {escape(record[0])}", escape(record[1]))


if __name__ == "__main__":
    print("\n".join(line.strip() or ".PP" for line in page()))

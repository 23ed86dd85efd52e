"""`calls …`: what is known of calls: the newest, one of them in full, or each as it comes to its end."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec

from asterisk_connector.cli import exit_codes
from asterisk_connector.cli.asking import Row, ask
from asterisk_connector.cli.configuration import config_option
from asterisk_connector.cli.output import local_time, print_json, print_table
from asterisk_connector.clock import SystemClock
from asterisk_connector.control.questions import CallsSettled, NewestCalls, OneCall

_LOOKED_EVERY = 1.0
_HEAD = ("began", "call", "state", "direction", "from", "to", "what happened")
_json = click.option("--json", "as_json", is_flag=True, help="One call document a line.")


@click.group()
def calls() -> None:
    """Calls the agent knows: list, show, tail."""


@calls.command("list")
@config_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=30, show_default=True, help="Calls shown at most.")
@_json
def list_(config_file: Path, limit: int, as_json: bool) -> None:
    """The newest calls, newest first."""
    found = list(ask(config_file, NewestCalls(limit)))
    if as_json:
        print_json(row["document"] for row in found if row["document"] is not None)
    elif found:
        print_table(_HEAD, map(_line, found))
    else:
        click.echo("no call is known yet")


@calls.command()
@click.argument("name")
@config_option
@click.option("--explain", is_flag=True, help="Also its state, its channels, and the rows it was read from.")
def show(name: str, config_file: Path, explain: bool) -> int:
    """One call as a document, by its call id or the uniqueid or linkedid of any of its channels."""
    for found in ask(config_file, OneCall(name, explain)):
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
        return exit_codes.OK
    click.echo(f"no call {name} is known (any more); see `calls list`", err=True)
    return exit_codes.USAGE


@calls.command()
@config_option
@_json
def tail(config_file: Path, as_json: bool) -> None:
    """Each call as it comes to its end, until Ctrl-C."""
    after = (SystemClock().now(), 0)
    while True:
        settled = list(ask(config_file, CallsSettled(*after)))
        for row in settled:
            if as_json:
                print_json([row["document"]])
            else:
                click.echo("  ".join(_line(row)))
        if settled:
            after = (settled[-1]["settled_at"], settled[-1]["number"])
        else:
            time.sleep(_LOOKED_EVERY)


def _line(row: Row) -> tuple[str, ...]:
    head = (local_time(row["began"]), row["call_id"] or "-", row["state"])
    told = row["document"]
    if told is None:
        return (*head, "", "", "", "")
    return (*head, told["direction"] or "-", told["caller"]["number"] or "?", told["dialled"] or "?", row["story"])

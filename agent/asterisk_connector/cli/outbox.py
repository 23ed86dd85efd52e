"""`outbox …`: what sinks are owed, and the dead letters: what a sink refused or did not take within its time.

`retry` and `drop` are done by the service where it runs, which goes to work at once and notes in the journal who asked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import msgspec

from asterisk_connector.cli import exit_codes
from asterisk_connector.cli.asking import Row, ask
from asterisk_connector.cli.configuration import config_option
from asterisk_connector.cli.output import local_time, print_json, print_table
from asterisk_connector.control.questions import (
    DeadLetters,
    Drop,
    OneDeadLetter,
    Owed,
    PendingDeliveries,
    Retry,
    WholeDeadLetters,
)

_GLANCE = 10
"""Deliveries shown below the totals where nobody asked for more."""

_sink = click.option("--sink", help="Of this sink only.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
_numbers = click.argument("numbers", nargs=-1, type=int)
_all = click.option("--all", "everything", is_flag=True, help="All dead letters (of --sink).")


@click.group()
def outbox() -> None:
    """What is owed, and dead letters: list, show, retry, drop, export."""


@outbox.command("list")
@config_option
@click.option("--pending", is_flag=True, help="Deliveries that are owed, one by one, oldest first.")
@click.option("--newest", is_flag=True, help="With --pending: newest first.")
@click.option("--dead", is_flag=True, help="Dead letters, one by one.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Lines shown at most.")
@_sink
@_json
def list_(
    *, config_file: Path, pending: bool, newest: bool, dead: bool, limit: int, sink: str | None, as_json: bool
) -> None:
    """How much every sink is owed and what has waited longest; with --pending or --dead each delivery."""
    if pending and dead:
        raise click.UsageError("--pending or --dead, not both")
    if newest and not pending:
        raise click.UsageError("--newest goes with --pending")
    if dead:
        _list_dead(ask(config_file, DeadLetters(limit, sink)), as_json)
    elif pending:
        _list_pending(ask(config_file, PendingDeliveries(limit, sink, newest)), as_json)
    else:
        _list_owed(list(ask(config_file, Owed(sink))), as_json)
        if not as_json and (oldest := list(ask(config_file, PendingDeliveries(_GLANCE, sink)))):
            click.echo()
            _list_pending(oldest, as_json)


@outbox.command()
@click.argument("number", type=int)
@config_option
@_json
def show(number: int, config_file: Path, as_json: bool) -> int:
    """One dead letter: why, what was sent, what was answered, and the call."""
    for letter in ask(config_file, OneDeadLetter(number)):
        if as_json:
            print_json([letter])
        else:
            _show(letter)
        return exit_codes.OK
    return _no_such([number])


@outbox.command()
@_numbers
@_all
@_sink
@config_option
def retry(numbers: Sequence[int], everything: bool, sink: str | None, config_file: Path) -> int:
    """Owes dead letters again, from now on."""
    _chosen(numbers, everything, sink)
    return _change(config_file, Retry(tuple(numbers), sink), "owed again")


@outbox.command()
@_numbers
@_all
@_sink
@config_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(numbers: Sequence[int], everything: bool, sink: str | None, config_file: Path, yes: bool) -> int:
    """Deletes dead letters for good. `export` first keeps them."""
    _chosen(numbers, everything, sink)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask at: with --yes it is done without asking")
        click.confirm("These calls will never be delivered. Drop them?", abort=True)
    return _change(config_file, Drop(tuple(numbers), sink), "dropped")


@outbox.command()
@config_option
@_sink
def export(config_file: Path, sink: str | None) -> None:
    """Prints all dead letters with request, answer and call document, one JSON object a line."""
    print_json(ask(config_file, WholeDeadLetters(sink)))


def _list_owed(owed: Sequence[Row], as_json: bool) -> None:
    if as_json:
        print_json(owed)
    elif owed:
        rows = [(o["sink"], o["owed"], local_time(o["oldest"]), o["dead"]) for o in owed]
        print_table(("sink", "owed", "oldest", "dead letters"), rows)
    else:
        click.echo("nothing is owed, and there is no dead letter")


def _list_pending(pending: Iterable[Row], as_json: bool) -> None:
    if as_json:
        print_json(pending)
        return
    rows = [
        (p["number"], p["sink"], p["call_id"], p["revision"], local_time(p["owed_at"]), p["attempts"], p["reason"])
        for p in pending
    ]
    if rows:
        print_table(("number", "sink", "call", "revision", "owed", "attempts", "said last"), rows)
    else:
        click.echo("nothing is owed")


def _list_dead(heads: Iterable[Row], as_json: bool) -> None:
    if as_json:
        print_json(heads)
        return
    rows = [
        (h["number"], h["sink"], h["call_id"], h["revision"], local_time(h["buried_at"]), _reason(h)) for h in heads
    ]
    if rows:
        print_table(("number", "sink", "call", "revision", "buried", "reason"), rows)
    else:
        click.echo("there is no dead letter")


def _reason(head: Row) -> str:
    return f"{head['reason']} (a later revision exists)" if head["superseded"] else str(head["reason"])


def _show(letter: Row) -> None:
    told = {"request", "answer", "call"}
    for name, value in letter.items():
        if name not in told:
            click.echo(f"{name}: {value}")
    for name in ("request", "answer"):
        click.echo(f"\n{name}:\n{letter[name] or '(none)'}")
    click.echo(f"\ncall:\n{msgspec.json.format(msgspec.json.encode(letter['call']), indent=2).decode()}")


def _chosen(numbers: Sequence[int], everything: bool, sink: str | None) -> None:
    """Raises UsageError unless it is plain which dead letters are meant."""
    if bool(numbers) is everything:
        raise click.UsageError("name dead letters by their numbers, or all of them with --all")
    if numbers and sink:
        raise click.UsageError("--sink goes with --all")


def _change(config_file: Path, change: Retry | Drop, done: str) -> int:
    (row,) = ask(config_file, change)
    if row["unknown"]:
        return _no_such(row["unknown"])
    click.echo(f"{row['changed']} {done}")
    return exit_codes.OK


def _no_such(numbers: Iterable[int]) -> int:
    click.echo(f"no dead letter {', '.join(map(str, numbers))}; see `outbox list --dead`", err=True)
    return exit_codes.USAGE

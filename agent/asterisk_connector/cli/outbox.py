"""`outbox …`: what sinks are owed, and the dead letters: what a sink refused or did not take within its time.

`list`, `show` and `export` look, whether the service runs or not; `retry` and `drop` need it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from asterisk_connector.call import decode, document, rfc3339
from asterisk_connector.cli import exit_codes
from asterisk_connector.cli.configuration import config_option
from asterisk_connector.cli.state import changing, local_time, looking, print_json, print_table
from asterisk_connector.store.store import Store
from asterisk_connector.store.words import DeadLetter, Letter

_PAGE = 500

_sink = click.option("--sink", help="Of this sink only.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
_numbers = click.argument("numbers", nargs=-1, type=int)
_all = click.option("--all", "everything", is_flag=True, help="All dead letters (of --sink).")


@click.group()
def outbox() -> None:
    """What is owed, and dead letters: list, show, retry, drop, export."""


@outbox.command("list")
@config_option
@click.option("--dead", is_flag=True, help="Dead letters, one by one.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Dead letters shown at most.")
@_sink
@_json
def list_(config_file: Path, dead: bool, limit: int, sink: str | None, as_json: bool) -> None:
    """How much every sink is owed; with --dead the dead letters."""
    with looking(config_file) as store:
        if dead:
            _list_dead(list(_letters(store, sink, limit)), as_json)
        else:
            _list_owed(store, sink, as_json)


@outbox.command()
@click.argument("number", type=int)
@config_option
@_json
def show(number: int, config_file: Path, as_json: bool) -> int:
    """One dead letter: why, what was sent, what was answered, and the call."""
    with looking(config_file) as store:
        letter = store.dead_letter(number)
    if letter is None:
        return _no_such(number)
    if as_json:
        print_json([_whole(letter)])
        return exit_codes.OK
    for name, value in _head(letter.head).items():
        click.echo(f"{name}: {value}")
    for name, text in (("request", letter.request), ("answer", letter.answer)):
        click.echo(f"\n{name}:\n{text or '(none)'}")
    click.echo(f"\ncall:\n{msgspec.json.format(msgspec.json.encode(_call(letter)), indent=2).decode()}")
    return exit_codes.OK


@outbox.command()
@_numbers
@_all
@_sink
@config_option
def retry(numbers: Sequence[int], everything: bool, sink: str | None, config_file: Path) -> int:
    """Owes dead letters again, from now on; the service must be stopped."""
    return _change(config_file, _Chosen(numbers, everything, sink), Store.retry, "owed again")


@outbox.command()
@_numbers
@_all
@_sink
@config_option
@click.confirmation_option(prompt="These calls will never be delivered. Drop them?")
def drop(numbers: Sequence[int], everything: bool, sink: str | None, config_file: Path) -> int:
    """Deletes dead letters for good; the service must be stopped. `export` first keeps them."""
    return _change(config_file, _Chosen(numbers, everything, sink), Store.drop, "dropped")


@outbox.command()
@config_option
@_sink
def export(config_file: Path, sink: str | None) -> None:
    """Prints all dead letters with request, answer and call document, one JSON object a line."""
    with looking(config_file) as store:
        whole = (store.dead_letter(head.id) for head in _letters(store, sink, None))
        print_json(_whole(letter) for letter in whole if letter is not None)


def _list_owed(store: Store, sink: str | None, as_json: bool) -> None:
    counts = store.counts()
    names = sorted(name for name in {*counts.backlog, *counts.dead} if sink in {None, name})
    owed = {name: counts.backlog.get(name) for name in names}
    if as_json:
        print_json(
            {
                "sink": name,
                "owed": backlog.pending if backlog else 0,
                "oldest": rfc3339(backlog.oldest) if backlog else None,
                "dead": counts.dead.get(name, 0),
            }
            for name, backlog in owed.items()
        )
    elif names:
        rows = [
            (name, b.pending if b else 0, local_time(b.oldest if b else None), counts.dead.get(name, 0))
            for name, b in owed.items()
        ]
        print_table(("sink", "owed", "oldest", "dead letters"), rows)
    else:
        click.echo("nothing is owed, and there is no dead letter")


def _list_dead(heads: Sequence[DeadLetter], as_json: bool) -> None:
    if as_json:
        print_json(map(_head, heads))
    elif heads:
        print_table(
            ("number", "sink", "call", "revision", "buried", "reason"),
            [(h.id, h.sink, h.call_id, h.revision, local_time(h.buried_at), _reason(h)) for h in heads],
        )
    else:
        click.echo("there is no dead letter")


def _reason(head: DeadLetter) -> str:
    return f"{head.reason} (a later revision exists)" if head.superseded else head.reason


class _Chosen(NamedTuple):
    """The dead letters an operator means: by number, or all (of one sink)."""

    numbers: Sequence[int]
    everything: bool
    sink: str | None


def _change(config_file: Path, chosen: _Chosen, work: Callable[[Store, Sequence[int]], int], done: str) -> int:
    if bool(chosen.numbers) is chosen.everything:
        raise click.UsageError("name dead letters by their numbers, or all of them with --all")
    if chosen.numbers and chosen.sink:
        raise click.UsageError("--sink goes with --all")
    with changing(config_file) as store:
        numbers = chosen.numbers or [head.id for head in _letters(store, chosen.sink, None)]
        unknown = [number for number in numbers if store.dead_letter(number) is None]
        if unknown:
            return _no_such(*unknown)
        click.echo(f"{work(store, numbers)} {done}")
    return exit_codes.OK


def _letters(store: Store, sink: str | None, limit: int | None) -> Iterator[DeadLetter]:
    after, left = 0, limit
    while left is None or left > 0:
        page = store.dead_letters(sink, after=after, limit=_PAGE if left is None else min(_PAGE, left))
        yield from page
        if not page:
            return
        after = page[-1].id
        left = None if left is None else left - len(page)


def _head(head: DeadLetter) -> dict[str, Any]:
    return {
        "number": head.id,
        "sink": head.sink,
        "call_id": head.call_id,
        "revision": head.revision,
        "phase": head.phase,
        "attempts": head.attempts,
        "owed_at": rfc3339(head.created_at),
        "buried_at": rfc3339(head.buried_at),
        "reason": head.reason,
        "superseded": head.superseded,
    }


def _whole(letter: Letter) -> dict[str, Any]:
    return {**_head(letter.head), "request": letter.request, "answer": letter.answer, "call": _call(letter)}


def _call(letter: Letter) -> dict[str, Any]:
    return document(decode(letter.body))


def _no_such(*numbers: int) -> int:
    click.echo(f"no dead letter {', '.join(map(str, numbers))}; see `outbox list --dead`", err=True)
    return exit_codes.USAGE

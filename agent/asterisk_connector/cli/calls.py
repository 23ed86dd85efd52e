"""`calls …`: what is known of calls: the newest, one of them in full, or each as it comes to its end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from asterisk_connector import parts
from asterisk_connector.call import Call, decode, document, rfc3339
from asterisk_connector.cli import exit_codes
from asterisk_connector.cli.configuration import config_option, settings_of
from asterisk_connector.cli.state import local_time, looking, print_json, print_table
from asterisk_connector.clock import SystemClock
from asterisk_connector.demo.story import story
from asterisk_connector.notices import ignore
from asterisk_connector.records import Record
from asterisk_connector.store.store import Store
from asterisk_connector.store.words import KnownCall

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
    with looking(config_file) as store:
        told = list(_told(store, (known.call for known in store.calls(limit))))
    if as_json:
        print_json(document(call) for _, call in told if call is not None)
    elif told:
        print_table(_HEAD, [_line(known, call) for known, call in told])
    else:
        click.echo("no call is known yet")


@calls.command()
@click.argument("name")
@config_option
@click.option("--explain", is_flag=True, help="Also its state, its channels, and the rows it was read from.")
def show(name: str, config_file: Path, explain: bool) -> int:
    """One call as a document, by its call id or the uniqueid or linkedid of any of its channels."""
    with looking(config_file) as store:
        known = store.find(name)
        if known is None:
            click.echo(f"no call {name} is known (any more); see `calls list`", err=True)
            return exit_codes.USAGE
        rows = [record for _, record in store.rows(known.call)]
        found: dict[str, Any] = document(_call(known, rows, config_file))
        if explain:
            found = {"call": found, **_explained(store, known, rows)}
    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    return exit_codes.OK


@calls.command()
@config_option
@_json
def tail(config_file: Path, as_json: bool) -> None:
    """Each call as it comes to its end, until Ctrl-C."""
    with looking(config_file) as store:
        after = (SystemClock().now(), 0)
        while True:
            settled = store.settled_after(*after)
            for known, call in _told(store, (known.call for known in settled)):
                if call is not None and as_json:
                    print_json([document(call)])
                elif call is not None:
                    click.echo("  ".join(_line(known, call)))
            if settled:
                after = (settled[-1].settled_at or 0, settled[-1].call)
            else:
                time.sleep(_LOOKED_EVERY)


def _told(store: Store, numbers: Iterable[int]) -> Iterator[tuple[KnownCall, Call | None]]:
    """What was told of these calls; None where a call is open and nothing was told of it yet."""
    for number in numbers:
        try:
            known = store.known(number)
        except LookupError:  # merged into another while we look
            continue
        yield known, decode(known.body) if known.body else None


def _line(known: KnownCall, call: Call | None) -> tuple[str, ...]:
    if call is None:
        return local_time(known.opened_at), known.call_id or "-", known.state, "", "", "", ""
    caller = call.caller.number or "?"
    began = local_time(call.started_at)
    return began, call.call_id, known.state, call.direction or "-", caller, call.dialled or "?", story(call)


def _call(known: KnownCall, rows: list[Record], config_file: Path) -> Call:
    """As it was told; before that, as it looks now."""
    if known.body:
        return decode(known.body)
    return parts.rules(settings_of(config_file), ignore).tell(rows, None, SystemClock().now())


def _explained(store: Store, known: KnownCall, rows: list[Record]) -> dict[str, Any]:
    return {
        "state": known.state,
        "revision": known.revision,
        "shipped": {"phase": known.phase, "at": rfc3339(known.shipped_at)} if known.phase else None,
        "settled_at": rfc3339(known.settled_at),
        "rows_trimmed": known.trimmed,
        "keys": store.keys(known.call),
        "rows": [_row(record) for record in rows],
    }


def _row(record: Record) -> dict[str, Any]:
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    said = {name: value for name, value in fields.items() if value not in ("", None)}
    if "at" in said:
        said["at"] = rfc3339(said["at"])
    return {"kind": record.__struct_config__.tag, **said}

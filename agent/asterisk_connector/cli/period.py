"""What verbs that look into the past have in common: which time, from where, beside which state."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import click

from asterisk_connector import parts
from asterisk_connector.call import rfc3339
from asterisk_connector.cli.output import local_time
from asterisk_connector.clock import SystemClock
from asterisk_connector.config.model import Settings
from asterisk_connector.errors import AlreadyRunning
from asterisk_connector.notices import Notice
from asterisk_connector.past_calls import PastCalls, Period
from asterisk_connector.records import Micros
from asterisk_connector.store.store import Store
from asterisk_connector.telemetry.sentences import WARNING, say

F = TypeVar("F", bound=Callable[..., Any])

_SECOND = 1_000_000
_SHOWN = 20
_SPANS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_HINT = (
    "systemctl stop asterisk-connector, run this again, systemctl start asterisk-connector;"
    " `backfill --dry-run` and `reconcile` without --repair only look, and do not mind the service"
)


def _when(_context: click.Context, _option: click.Parameter, text: str) -> Micros:
    """`2026-11-21`, `2026-11-21T18:00`, with a zone or of this host; `36h`, `7d` ago; `now`."""
    now = SystemClock().now() // _SECOND * _SECOND
    if text.strip() == "now":
        return now
    ago = re.fullmatch(r"\s*-?(\d{1,6})([mhdw])\s*", text)
    if ago:
        return now - int(ago[1]) * _SPANS[ago[2]] * _SECOND
    try:
        return round(datetime.fromisoformat(text.strip()).timestamp() * _SECOND)
    except (ValueError, OverflowError, OSError) as error:
        said = f"{text!r} is no time: write 2026-11-21T18:00, or 36h for so long ago, or now"
        raise click.BadParameter(said) from error


def _rate(_context: click.Context, _option: click.Parameter, text: str) -> float:
    """`2000/s` or `2000`."""
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d+)?)(?:/s)?\s*", text)
    if not found:
        raise click.BadParameter(f"{text!r} is no rate: write 2000/s")
    return float(found[1])


def period_options(command: F) -> F:
    """`--since`, `--until` and `--rate`."""
    options = (
        click.option(
            "--rate",
            callback=_rate,
            metavar="N/s",
            default="5000/s",
            show_default=True,
            help="Rows read a second at most; 0: no bound.",
        ),
        click.option(
            "--until",
            callback=_when,
            metavar="WHEN",
            default="now",
            show_default=True,
            help="Calls that began before this.",
        ),
        click.option(
            "--since",
            callback=_when,
            metavar="WHEN",
            required=True,
            help="Calls that began then or later: 2026-11-21, 2026-11-21T18:00, 36h (ago).",
        ),
    )
    for option in options:
        command = option(command)
    return command


def period(since: Micros, until: Micros, settings: Settings) -> Period:
    """The time asked for. Warns on stderr where it is longer ago than the state remembers."""
    if since >= until:
        raise click.UsageError(f"no time lies between {local_time(since)} and {local_time(until)}")
    if since < SystemClock().now() - settings.store.keep_calls * _SECOND:
        click.echo(
            f"warning: the state remembers calls for {settings.store.keep_calls / 86_400:g} days (store.keep_calls);"
            " older ones count as unknown, and are sent again under the idempotency key they had",
            err=True,
        )
    return Period(since, until)


@contextmanager
def past_calls(settings: Settings, rate: float) -> Iterator[PastCalls]:
    """The past, connected. Says at the end what of it could not be understood."""
    clock = SystemClock()
    past = PastCalls(
        parts.past(settings, clock, tell), parts.rules(settings, tell), clock=clock, notify=tell, rate=rate
    )
    try:
        past.open()
        yield past
    finally:
        past.close()
    for row in list(past.set_aside.values())[:_SHOWN]:
        click.echo(f"not understood: {row.reason}: {row.raw[:80]!r}", err=True)
    if len(past.set_aside) > _SHOWN:
        click.echo(f"{len(past.set_aside) - _SHOWN} more rows could not be understood", err=True)


@contextmanager
def state(settings: Settings, *, change: bool) -> Iterator[Store]:
    """The state; to change it, nobody else may have it."""
    directory, clock = settings.store.directory, SystemClock()
    try:
        store = (
            Store.open(directory, clock=clock, notify=tell, limits=parts.limits(settings))
            if change
            else Store.read_only(directory, clock=clock)
        )
    except AlreadyRunning as error:
        raise AlreadyRunning(str(error), _HINT) from error
    try:
        yield store
    finally:
        store.close()


@contextmanager
def progress(what: str) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal; takes the part that is done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda part: bar.update(task, completed=part)


def described(asked: Period) -> dict[str, str | None]:
    """A period in JSON."""
    return {"since": rfc3339(asked.since), "until": rfc3339(asked.until)}


def tell(notice: Notice) -> None:
    """Warnings and worse, on stderr."""
    sentence = say(notice)
    if sentence is not None and sentence.priority <= WARNING:
        click.echo(sentence.text, err=True)

"""`backfill`: ships calls of the past that nobody was told of, from the rows that tables and files still hold."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from asterisk_connector import parts
from asterisk_connector.backfill import Backfill
from asterisk_connector.cli.configuration import config_option, settings_of
from asterisk_connector.cli.output import local_time
from asterisk_connector.cli.period import described, past_calls, period, period_options, progress, state, tell
from asterisk_connector.clock import SystemClock
from asterisk_connector.past_calls import Period
from asterisk_connector.reconcile import Reconciliation
from asterisk_connector.records import Micros

_SHOWN = 20


@click.command()
@config_option
@period_options
@click.option("--dry-run", is_flag=True, help="Only say what would be done; works while the service runs.")
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object.")
def backfill(*, config_file: Path, since: Micros, until: Micros, rate: float, dry_run: bool, as_json: bool) -> None:
    """Owes the calls of a time past that the state does not know as shipped; the service sends them when it starts.

    Needs the service stopped, but for --dry-run. What was shipped is left alone. Interrupted and called again with the
    same times, it goes on where it was.
    """
    settings = settings_of(config_file)
    asked = period(since, until, settings)
    with state(settings, change=not dry_run) as store, past_calls(settings, rate) as past:
        work = None if dry_run else Backfill(store, parts.rules(settings, tell), asked, clock=SystemClock())
        begun = asked.since if work is None else work.begun
        if begun > asked.since:
            click.echo(f"going on where it was interrupted, with calls from {local_time(begun)} on", err=True)
        found = Reconciliation(past, store, work)
        with progress("looking" if dry_run else "owing") as done:
            found.run(Period(begun, asked.until), done, (lambda _: None) if work is None else work.looked_at)
    if as_json:
        summary = {
            **described(asked),
            "begun": described(Period(begun, asked.until))["since"],
            "dry_run": dry_run,
            "rows": past.rows,
            "unreadable": len(past.set_aside),
            "calls": found.calls,
            "missing": found.missing,
            "owed": found.owed,
        }
        click.echo(msgspec.json.encode(summary))
    else:
        _print(found, asked, dry_run)


def _print(found: Reconciliation, asked: Period, dry_run: bool) -> None:
    click.echo(
        f"{found.calls} calls began between {local_time(asked.since)} and {local_time(asked.until)},"
        f" {found.missing} of them nobody was told of"
    )
    if not dry_run:
        click.echo(f"{found.owed} are owed now: start the service, it sends them" if found.owed else "nothing to send")
        return
    missing = [each for each in found.differences if not each.standing.accounted]
    for each in missing[:_SHOWN]:
        click.echo(f"  {local_time(each.began)}  {each.name}  {each.standing}")
    if len(missing) > _SHOWN:
        click.echo("  …; `reconcile --json` lists them")

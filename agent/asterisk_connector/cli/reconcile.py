"""`reconcile`: every linkedid that tables and files hold of a time past, beside what became of it."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from asterisk_connector import parts
from asterisk_connector.backfill import Backfill
from asterisk_connector.call import rfc3339
from asterisk_connector.cli import exit_codes
from asterisk_connector.cli.configuration import config_option, settings_of
from asterisk_connector.cli.output import local_time, print_table
from asterisk_connector.cli.period import described, past_calls, period, period_options, progress, state, tell
from asterisk_connector.clock import SystemClock
from asterisk_connector.past_calls import Period
from asterisk_connector.reconcile import Reconciliation
from asterisk_connector.records import Micros
from asterisk_connector.standing import Standing

_SHOWN = 50
_MEANING = {
    Standing.SHIPPED: "taken by every sink",
    Standing.OWED: "not yet taken by every sink",
    Standing.OPEN: "not at its end, or still being put together",
    Standing.REFUSED: "a sink did not want it: `outbox list --dead`",
    Standing.EXPIRED: "a sink did not take it in time: `outbox list --dead`",
    Standing.HISTORY: "there before the first start, never sent",
    Standing.UNKNOWN: "never seen",
}


@click.command()
@config_option
@period_options
@click.option("--repair", is_flag=True, help="Owe what nobody was told of, as `backfill` does; the service must stop.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def reconcile(*, config_file: Path, since: Micros, until: Micros, rate: float, repair: bool, as_json: bool) -> int:
    """Says of every linkedid of a time past what became of it: shipped, owed, open, refused, expired, or nothing.

    Ends with 0 when each is accounted for (or was repaired), else with 1. A dead letter that was dropped counts as
    shipped: nothing tells of it any more.
    """
    settings = settings_of(config_file)
    asked = period(since, until, settings)
    with state(settings, change=repair) as store, past_calls(settings, rate) as past:
        work = Backfill(store, parts.rules(settings, tell), asked, clock=SystemClock()) if repair else None
        found = Reconciliation(past, store, work)
        with progress("reconciling") as done:
            found.run(asked, done, lambda _: None)
    if as_json:
        click.echo(msgspec.json.encode(_document(found, asked, past.rows, len(past.set_aside))))
    else:
        _print(found, asked, repair)
    return exit_codes.OK if found.accounted else exit_codes.DIFFERENT


def _document(found: Reconciliation, asked: Period, rows: int, unreadable: int) -> dict[str, object]:
    return {
        **described(asked),
        "accounted": found.accounted,
        "rows": rows,
        "unreadable": unreadable,
        "calls": found.calls,
        "linkedids": found.counts.total(),
        "counts": {each.value: found.counts[each] for each in Standing},
        "missing": found.missing,
        "owed": found.owed,
        "differences": [
            {"linkedid": each.name, "began": rfc3339(each.began), "standing": each.standing.value}
            for each in found.differences
        ],
    }


def _print(found: Reconciliation, asked: Period, repair: bool) -> None:
    click.echo(
        f"{found.counts.total()} linkedids of {found.calls} calls that began between {local_time(asked.since)}"
        f" and {local_time(asked.until)}"
    )
    counts = [(each.value, found.counts[each], _MEANING[each]) for each in Standing if found.counts[each]]
    if counts:
        print_table(("standing", "linkedids", ""), counts)
    if found.differences:
        click.echo()
        told = [(local_time(each.began), each.name, each.standing.value) for each in found.differences[:_SHOWN]]
        print_table(("began", "linkedid", "standing"), told)
        if found.counts.total() - found.counts[Standing.SHIPPED] > _SHOWN:
            click.echo("…; --json lists them")
    if repair and found.missing:
        click.echo(f"{found.owed} calls are owed now: start the service, it sends them")
    elif found.missing:
        click.echo(f"{found.missing} calls nobody was told of: `reconcile --repair` or `backfill` sends them")

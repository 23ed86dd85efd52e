"""`asterisk-connector check`: everything that is wrong, at once; what was looked at; 0 or 78."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from asterisk_connector.cli import exit_codes
from asterisk_connector.cli.configuration import config_option
from asterisk_connector.config.check import Report
from asterisk_connector.config.check import check as look
from asterisk_connector.config.finding import TIERS, Tier

_WORDS: dict[Tier, str] = {
    "syntax": "how it is written",
    "meaning": "what it means",
    "host": "this host",
    "reach": "what is reached from it",
}
_SIGNS = {"error": "error  ", "warning": "warning", "ok": "ok     "}


@click.command()
@config_option
@click.option("--tier", type=click.Choice(TIERS), default="reach", show_default=True, help="The last tier looked at.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def check(ctx: click.Context, config_file: Path, tier: Tier, as_json: bool) -> None:
    """Names every problem of the configuration, the host and what is reached from it.

    Ends with 0 when the agent can run, else with 78. Nothing is changed, and no call is sent.
    """
    report = look(config_file, tier)
    if as_json:
        document = {
            "good": report.good,
            "looked_at": report.looked_at,
            "findings": [asdict(finding) for finding in report.findings],
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _print(report, config_file)
    ctx.exit(exit_codes.OK if report.good else exit_codes.CONFIGURATION)


def _print(report: Report, config_file: Path) -> None:
    for finding in report.findings:
        head = "".join(f"{part}: " for part in (finding.place, finding.path) if part)
        click.echo(f"{_SIGNS[finding.level]} {head}{finding.message}")
        if finding.hint:
            click.echo(f"          {finding.hint}")
    looked_at = ", ".join(_WORDS[tier] for tier in report.looked_at)
    errors = sum(finding.level == "error" for finding in report.findings)
    warnings = sum(finding.level == "warning" for finding in report.findings)
    verdict = "the agent can run" if report.good else "the agent cannot run like this"
    click.echo(f"{config_file}: {_count(errors, 'error')}, {_count(warnings, 'warning')}: {verdict}")
    click.echo(f"looked at: {looked_at}")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"

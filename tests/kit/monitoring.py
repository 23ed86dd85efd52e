"""What monitoring/ holds, as tests read it: alert rules, and the queries of the dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

FOLDER = Path(__file__).parents[2] / "monitoring"
ALERTS = FOLDER / "prometheus" / "alerts.yml"
ALERTS_TEST = FOLDER / "prometheus" / "alerts_test.yml"
SCRAPE = FOLDER / "prometheus" / "scrape.yml"
DASHBOARD = FOLDER / "grafana" / "asterisk-connector.json"
_METRIC = re.compile(r"\b(?:asterisk_connector|process)_[a-z_]+")


class Query(NamedTuple):
    """One query of one panel."""

    panel: str
    expression: str


def alerts() -> list[dict[str, Any]]:
    """Every alert rule, as it stands in the file."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def queries(host: str = ".*", interval: str = "1m") -> Iterator[Query]:
    """Every query of the dashboard, its variables filled in."""
    told = dashboard()
    row = ""
    for panel in told["panels"]:
        row = panel["title"] if panel["type"] == "row" else row
        for target in panel.get("targets", ()):
            yield Query(f"{row}: {panel['title']}", _filled(target["expr"], host, interval))
    for annotation in told["annotations"]["list"]:
        yield Query(f"annotation: {annotation['name']}", _filled(annotation["expr"], host, interval))


def metrics(expression: str) -> set[str]:
    """Names of the metrics in an expression."""
    return set(_METRIC.findall(expression))


def _filled(expression: str, host: str, interval: str) -> str:
    filled = expression.replace("$host", host).replace("$__rate_interval", interval)
    assert "$" not in filled, f"{expression} has a variable that no test fills in"
    return filled

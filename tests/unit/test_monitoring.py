"""monitoring/ speaks of what there is: metrics, codes and commands; every alert is shown to fire."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
import yaml

from asterisk_connector.cli.main import VERBS
from asterisk_connector.telemetry.codes import CODES
from asterisk_connector.telemetry.metrics import PREFIX, TABLE
from tests.kit.monitoring import ALERTS_TEST, SCRAPE, alerts, dashboard, metrics, queries


def names() -> set[str]:
    """Every series the agent has."""
    found = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
    for family in TABLE:
        endings = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        found.update(PREFIX + family.name + ending for ending in endings)
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def test_alerts_and_dashboard_ask_for_metrics_that_exist() -> None:
    used = {name for rule in alerts() for name in metrics(rule["expr"])}
    used |= {name for query in queries() for name in metrics(query.expression)}
    used |= metrics(re.sub(r"#.*", "", ALERTS_TEST.read_text()))
    assert used - names() == set()


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name.removesuffix("_bucket") for query in queries() for name in metrics(query.expression)}
    assert {PREFIX + family.name for family in TABLE} - shown == set()


def test_every_alert_is_shown_to_fire() -> None:
    fired = set(re.findall(r'alertname="(\w+)"', ALERTS_TEST.read_text()))
    assert {rule["alert"] for rule in alerts()} == fired


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_means_and_what_to_run_first(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    told = rule["annotations"]
    assert set(told) - {"code"} == {"summary", "description", "runbook"}
    assert told.get("code", "AC-BUG") in CODES
    verbs = re.findall(r"(?<!-u )asterisk-connector ([a-z-]+)", told["runbook"])
    assert [verb for verb in verbs if verb not in VERBS] == []


def test_panels_do_not_overlap_and_fit_the_grid() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

    every = dashboard()["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    for one, other in combinations(every, 2):
        assert not cells(one) & cells(other), f"{one['title']} lies over {other['title']}"


def test_every_panel_takes_the_chosen_host_and_data_source_and_has_a_unit() -> None:
    def sources(panel: dict[str, Any]) -> Iterator[str]:
        yield panel["datasource"]["uid"]
        for target in panel["targets"]:
            yield target["datasource"]["uid"]

    for panel in panels():
        assert set(sources(panel)) == {"${datasource}"}, panel["title"]
        assert all("$host" in target["expr"] for target in panel["targets"]), panel["title"]
        assert panel["type"] in {"table", "state-timeline"} or panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_the_example_of_scraping_is_one_that_rules_and_dashboard_know() -> None:
    example = yaml.safe_load(SCRAPE.read_text())
    assert [job["job_name"] for job in example["scrape_configs"]] == ["asterisk-connector"]
    assert example["rule_files"] == ["alerts.yml"]

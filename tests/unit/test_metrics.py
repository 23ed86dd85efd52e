"""Metrics say what the status says, under the names that are documented."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asterisk_connector import notices as n
from asterisk_connector.snapshot import SinkNow, Snapshot
from asterisk_connector.telemetry.metrics import PREFIX, TABLE, Facts, render
from asterisk_connector.telemetry.report import status
from asterisk_connector.telemetry.tally import Tally
from tests.kit.clock import FakeClock
from tests.kit.facts import FILE, NOW, PROCESS, SECOND, counts, state, well
from tests.kit.metrics_page import PAGE, page
from tests.unit.test_tally import completed

HEARD = (
    n.SourceOpened(FILE),
    n.RowsRead(FILE, 10, 1, NOW - 5 * SECOND),
    n.FileRotated(FILE, "Master.csv"),
    n.CallOpened("1.1"),
    completed(),
    completed("busy", complete=False),
    n.Delivered("call_api", "1.1", 1, "complete", 0.4, 1),
    n.Delivered("call_api", "1.2", 1, "complete", 400_000.0, 7),
    n.DeliveryDeferred("call_api", "1.3", 1, "503", 2.0),
    n.AmiConnected("pbx:5038", "22.10.0", ""),
    n.EventsJournalled(100, 60, 40),
    n.EventsPublished("events", 50, 0.2),
    n.EventsDropped("journal", 7, "the journal is full"),
    n.WorkerFailed("assembler", "KeyError: 1", 1.0, KeyError(1)),
)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def facts(snapshot: Snapshot, heard: tuple[n.Notice, ...] = HEARD) -> Facts:
    clock = FakeClock(NOW)
    tally = Tally(clock)
    for notice in heard:
        tally.hear(notice)
    return Facts(status(PROCESS, snapshot, tally.read(), NOW), tally.read(), {("/metrics", 200): 4, ("other", 404): 1})


def samples(text: bytes) -> Samples:
    """Ours, by name without the prefix and labels."""
    families = text_string_to_metric_families(text.decode())
    return {
        (sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith(PREFIX)
    }


@pytest.fixture
def shown() -> Samples:
    owed = counts(pending=5, oldest=NOW - 90 * SECOND, dead=2)
    return samples(render(facts(well(on_disk=state(owed, unaccounted=1)))))


def test_every_metric_of_the_table_is_shown_and_no_other(shown: Samples) -> None:
    names = {re.sub(r"_(bucket|sum|count)$", "", name) if "_seconds_" in name else name for name, _ in shown}
    assert names == {family.name for family in TABLE}


def test_the_page_is_made_from_the_table() -> None:
    assert PAGE.read_text() == page(), "docs/metrics.md is stale: make docs"
    assert re.findall(rf"^\| `{PREFIX}(\w+)`", PAGE.read_text(), re.M) == [family.name for family in TABLE]


def test_labels_are_those_of_the_table(shown: Samples) -> None:
    labels = {family.name: set(family.labels) for family in TABLE}
    for name, found in shown:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert {label for label, _ in found} - {"le"} == labels.get(name, labels.get(base)), name


def test_values_are_those_of_the_status(shown: Samples) -> None:
    api, file = (("sink", "call_api"),), (("source", FILE),)
    assert shown["source_rows_total", file] == 10
    assert shown["source_bytes_total", file] == 1000
    assert shown["source_lag_seconds", file] == 0
    assert shown["source_last_read_timestamp_seconds", file] == NOW / 1e6
    assert shown["calls_completed_total", (("direction", "inbound"), ("outcome", "busy"))] == 1
    assert shown["calls_incomplete_total", ()] == 1
    assert shown["calls_unaccounted", ()] == 1
    assert (shown["sink_pending", api], shown["sink_dead_letters", api]) == (5, 2)
    assert shown["sink_oldest_unsent_seconds", api] == 90
    assert shown["events_filtered_total", ()] == 40
    assert shown["events_dropped_total", (("where", "journal"),)] == 7
    assert shown["events_dropped_total", (("where", "memory"),)] == 0
    assert shown["events_journal_events", ()] == 7
    assert shown["worker_failures_total", (("worker", "assembler"),)] == 1
    assert shown["http_requests_total", (("code", "404"), ("path", "other"))] == 1
    assert (shown["healthy", ()], shown["ready", ()]) == (0, 0)
    assert shown["config_reload_success", ()] == 1


def test_a_histogram_reaches_from_seconds_to_beyond_the_longest_outage(shown: Samples) -> None:
    def below(bound: str) -> float:
        return shown["sink_delivery_seconds_bucket", (("le", bound), ("sink", "call_api"))]

    assert (below("0.25"), below("0.5"), below("172800.0"), below("+Inf")) == (0, 1, 1, 2)
    assert shown["sink_delivery_seconds_count", (("sink", "call_api"),)] == 2
    assert shown["sink_delivery_seconds_sum", (("sink", "call_api"),)] == 400_000.4
    assert shown["events_delivery_seconds_count", ()] == 50


def test_what_is_not_there_has_no_sample() -> None:
    without = samples(render(facts(well(session=None), heard=())))
    assert not [name for name, _ in without if name.startswith("events_")]
    unknown = samples(render(facts(Snapshot(sinks=(SinkNow("call_api", "up", 0),)), heard=())))
    assert not [
        name for name, _ in unknown if name in {"calls_unaccounted", "sink_pending", "store_bytes", "calls_open"}
    ]
    assert ("calls_opened_total", ()) in unknown


def test_a_name_with_quotes_and_line_breaks_is_a_label_like_any() -> None:
    odd = 'cel_csv:/tmp/"odd"\nname\\.csv'
    text = render(facts(well(), heard=(n.WorkerFailed(odd, "x", 1.0, KeyError(1)),)))
    assert samples(text)["worker_failures_total", (("worker", odd),)] == 1

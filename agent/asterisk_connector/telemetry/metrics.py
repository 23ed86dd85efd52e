"""The facts of the status as Prometheus reads them.

- One table says every metric: name, kind, labels, meaning, and where in the status its values stand; docs/metrics.md is
  made from it. What is not known has no sample, rather than a zero.
- Counters begin with the process; what is owed, dead and unaccounted for is of the state and survives it.
- prometheus_client is imported when somebody asks: who is never scraped does not pay for it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

from asterisk_connector.telemetry.histogram import Histogram
from asterisk_connector.telemetry.status import EventsStatus, SinkStatus, SourceStatus, Status
from asterisk_connector.telemetry.tally import SinkTally, Tallied

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

PREFIX = "asterisk_connector_"


class Facts(NamedTuple):
    """What metrics are made of; `requests` are HTTP answers by path and code."""

    status: Status
    tallied: Tallied
    requests: Mapping[tuple[str, int], int] = MappingProxyType({})


Value = float | datetime | Histogram | None
Row = tuple[tuple[str, ...], Value]
"""Values of the labels, and the value; instants become seconds since 1970, None has no sample."""


class Family(NamedTuple):
    """One metric; `name` is without the prefix. Durations are seconds, sizes bytes."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    rows: Callable[[Facts], Iterable[Row]]

    @property
    def full_name(self) -> str:
        """As Prometheus shows it."""
        return PREFIX + self.name


Plain = Literal["counter", "gauge"]


def _one(name: str, kind: Plain, help: str, value: Callable[[Status], Value]) -> Family:
    return Family(name, kind, (), help, lambda facts: [((), value(facts.status))])


def _source(name: str, kind: Plain, help: str, value: Callable[[SourceStatus], Value]) -> Family:
    return Family(name, kind, ("source",), help, lambda facts: [((s.name,), value(s)) for s in facts.status.sources])


def _sink(name: str, kind: Plain, help: str, value: Callable[[SinkStatus], Value]) -> Family:
    return Family(name, kind, ("sink",), help, lambda facts: [((s.name,), value(s)) for s in facts.status.sinks])


def _events(name: str, kind: Plain, help: str, value: Callable[[EventsStatus], Value]) -> Family:
    def rows(facts: Facts) -> list[Row]:
        return [] if facts.status.events is None else [((), value(facts.status.events))]

    return Family(name, kind, (), help, rows)


def _build(facts: Facts) -> list[Row]:
    return [((facts.status.service.version, platform.python_version()), 1.0)]


def _completed(facts: Facts) -> list[Row]:
    return [(labels, count) for labels, count in facts.tallied.calls.completed.items()]


def _delivery_seconds(facts: Facts) -> list[Row]:
    return [((s.name,), facts.tallied.sinks.get(s.name, SinkTally()).latency) for s in facts.status.sinks]


def _dropped(facts: Facts) -> list[Row]:
    told = facts.tallied.events.dropped
    places = {"memory": 0, "journal": 0} | told if facts.status.events else told
    return [((where,), count) for where, count in places.items()]


def _event_seconds(facts: Facts) -> list[Row]:
    published = facts.status.events is not None and facts.status.events.publishing is not None
    return [((), facts.tallied.events.latency)] if published else []


def _worker_failures(facts: Facts) -> list[Row]:
    return [((worker,), count) for worker, count in facts.tallied.worker_failures.items()]


def _requests(facts: Facts) -> list[Row]:
    return [((path, str(code)), count) for (path, code), count in dict(facts.requests).items()]


TABLE: tuple[Family, ...] = (
    Family("build_info", "gauge", ("version", "python"), "Always 1; the version is in the labels.", _build),
    _one("start_time_seconds", "gauge", "When the process began.", lambda s: s.service.started_at),
    _one(
        "healthy",
        "gauge",
        "1 while everything that is ours works: what is read, the state, our settings.",
        lambda s: s.service.healthy,
    ),
    _one("ready", "gauge", "1 while healthy and every sink and Kafka take what is sent.", lambda s: s.service.ready),
    Family(
        "config_reload_success",
        "gauge",
        (),
        "1 when the newest configuration that was asked for is in force, 0 when it was refused.",
        lambda facts: [((), facts.tallied.config_in_force)],
    ),
    _one(
        "config_reload_timestamp_seconds",
        "gauge",
        "When the configuration was put in force.",
        lambda s: s.service.config_loaded_at,
    ),
    _source(
        "source_up", "gauge", "1 while it is read, or waits for its file to appear.", lambda s: s.state != "failing"
    ),
    _source("source_rows_total", "counter", "Rows kept.", lambda s: s.rows),
    _source("source_bytes_total", "counter", "Bytes of what was kept, where they are measured.", lambda s: s.bytes),
    _source(
        "source_lag_seconds",
        "gauge",
        "0 while nothing waits to be read, else for how long something may have waited.",
        lambda s: s.lag_seconds,
    ),
    _source(
        "source_lag_bytes", "gauge", "Bytes of a file, and of its rotated rest, not yet kept.", lambda s: s.lag_bytes
    ),
    _source("source_errors_total", "counter", "Times it could not be read.", lambda s: s.errors),
    _source("source_rotations_total", "counter", "Files renamed away and read to their end.", lambda s: s.rotations),
    _source("source_set_aside_total", "counter", "Rows that could not be understood.", lambda s: s.set_aside),
    _source("source_last_read_timestamp_seconds", "gauge", "When rows were kept last.", lambda s: s.last_read_at),
    _one("calls_open", "gauge", "Calls that go on, or whose last rows are awaited.", lambda s: s.calls.open),
    _one("calls_opened_total", "counter", "Calls that began.", lambda s: s.calls.opened),
    Family(
        "calls_completed_total",
        "counter",
        ("direction", "outcome"),
        "Calls that came to their end (docs/call-document.md has the values).",
        _completed,
    ),
    _one(
        "calls_incomplete_total",
        "counter",
        "Of these, calls closed by a rule because their end was never written.",
        lambda s: s.calls.incomplete,
    ),
    _one("calls_revised_total", "counter", "Calls told again because evidence came late.", lambda s: s.calls.revised),
    _one(
        "calls_unaccounted",
        "gauge",
        "Calls and deliveries whose books do not balance. Must be 0.",
        lambda s: s.calls.unaccounted,
    ),
    _sink("sink_up", "gauge", "1 while it takes calls.", lambda s: s.state == "up"),
    _sink("sink_delivered_total", "counter", "Deliveries taken.", lambda s: s.delivered),
    _sink("sink_deferred_total", "counter", "Times a delivery was put off.", lambda s: s.deferred),
    _sink("sink_refused_total", "counter", "Deliveries that will never be taken.", lambda s: s.refused),
    _sink("sink_expired_total", "counter", "Deliveries nobody took within shipping.retry_for.", lambda s: s.expired),
    _sink("sink_dead_letters", "gauge", "Dead letters kept.", lambda s: s.dead),
    _sink("sink_pending", "gauge", "Deliveries owed.", lambda s: s.pending),
    _sink("sink_in_flight", "gauge", "Deliveries on their way now.", lambda s: s.in_flight),
    _sink(
        "sink_oldest_unsent_seconds",
        "gauge",
        "Age of the oldest delivery owed; 0 when none is.",
        lambda s: None if s.pending is None else s.oldest_unsent or 0.0,
    ),
    Family(
        "sink_delivery_seconds",
        "histogram",
        ("sink",),
        "From when a delivery was owed to when it was taken, outages included.",
        _delivery_seconds,
    ),
    _events("events_session_up", "gauge", "1 while a manager session stands.", lambda e: e.session == "up"),
    _events("events_read_total", "counter", "AMI events read.", lambda e: e.read),
    _events("events_filtered_total", "counter", "AMI events left out by filters.", lambda e: e.filtered),
    _events(
        "events_journalled_total",
        "counter",
        "Records put on disk: events kept, and our own of gaps.",
        lambda e: e.journalled,
    ),
    _events("events_delivered_total", "counter", "Records acknowledged by Kafka.", lambda e: e.delivered),
    _events("events_refused_total", "counter", "AMI events that will never be taken.", lambda e: e.refused),
    Family(
        "events_dropped_total",
        "counter",
        ("where",),
        "AMI events lost here: `memory`, `journal`, or a kind of source that was not read fast enough.",
        _dropped,
    ),
    _events("events_reconnects_total", "counter", "Manager sessions after the first.", lambda e: e.reconnects),
    _events("events_gaps_total", "counter", "Times without a manager session.", lambda e: e.gaps),
    _events(
        "events_gap_seconds_total",
        "counter",
        "How long these were together; what Asterisk said then cannot be had.",
        lambda e: e.gap_seconds,
    ),
    _events(
        "events_publishing_up",
        "gauge",
        "1 while Kafka takes events; no sample where none are published.",
        lambda e: None if e.publishing is None else e.publishing == "up",
    ),
    _events(
        "events_in_flight",
        "gauge",
        "Records handed to Kafka and not acknowledged.",
        lambda e: None if e.publishing is None else e.in_flight,
    ),
    _events(
        "events_journal_events",
        "gauge",
        "Records that wait for Kafka.",
        lambda e: e.journal.events if e.journal else None,
    ),
    _events(
        "events_journal_bytes", "gauge", "Bytes of ami.db in use.", lambda e: e.journal.bytes if e.journal else None
    ),
    Family(
        "events_delivery_seconds",
        "histogram",
        (),
        "From reading an event to Kafka's acknowledgement; of those acknowledged together, that of the slowest.",
        _event_seconds,
    ),
    _one("store_bytes", "gauge", "Bytes of calls.db in use.", lambda s: s.state.bytes),
    _one("store_free_bytes", "gauge", "Bytes left on the file system of the state.", lambda s: s.state.free_bytes),
    _one(
        "store_blocked", "gauge", "1 while the state cannot be written; reading pauses then.", lambda s: s.state.blocked
    ),
    _one(
        "set_aside_rows", "gauge", "Rows kept apart because they could not be understood.", lambda s: s.state.set_aside
    ),
    _one(
        "unlinked_recordings",
        "gauge",
        "Recordings that belong to no call yet.",
        lambda s: s.state.unlinked_recordings,
    ),
    Family(
        "worker_failures_total",
        "counter",
        ("worker",),
        "Threads that met an error nobody expected and were started again.",
        _worker_failures,
    ),
    _one(
        "log_lines_dropped_total", "counter", "Lines the journal did not take in time.", lambda s: s.log_lines_dropped
    ),
    Family("http_requests_total", "counter", ("path", "code"), "HTTP answers.", _requests),
)
"""Every metric, in the order of docs/metrics.md. Beside them stand prometheus_client's own of the process."""


def render(facts: Facts) -> bytes:
    """All metrics in Prometheus' text format, version 0.0.4."""
    from prometheus_client import generate_latest

    return generate_latest(registry(lambda: facts))


def registry(facts: Callable[[], Facts]) -> CollectorRegistry:
    """A registry that asks for the facts anew each time it is collected."""
    from prometheus_client import CollectorRegistry, ProcessCollector

    found = CollectorRegistry(auto_describe=False)
    found.register(_Collector(facts))
    ProcessCollector(registry=found)
    return found


class _Collector:
    """What prometheus_client asks for metrics."""

    def __init__(self, facts: Callable[[], Facts]) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        facts = self._facts()
        for family in TABLE:
            yield _metric(family, family.rows(facts))


def _metric(family: Family, rows: Iterable[Row]) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    name = family.full_name
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(name, family.help, labels=family.labels)
        for labels, value in rows:
            if isinstance(value, Histogram):
                histogram.add_metric(labels, list(_buckets(value)), value.sum)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    plain = kind(name, family.help, labels=family.labels)
    for labels, value in rows:
        if value is not None and not isinstance(value, Histogram):
            plain.add_metric(labels, value.timestamp() if isinstance(value, datetime) else float(value))
    return plain


def _buckets(histogram: Histogram) -> Iterator[tuple[str, float]]:
    for bound, count in zip((*histogram.bounds, "+Inf"), accumulate(histogram.counts), strict=True):
        yield str(bound), count

"""The page about the metrics, made from their table: `python -m tests.kit.metrics_page` writes it."""

from __future__ import annotations

from asterisk_connector.telemetry.metrics import TABLE, Family
from tests.kit.document_page import DOCS

PAGE = DOCS / "metrics.md"

_HEAD = """\
# Metrics

`http://127.0.0.1:8000/metrics` serves them in Prometheus' text format; `http.listen` in the configuration moves or ends
that. This page is made from the table in the code that also makes the metrics.

- Counters begin with the process, as Prometheus expects: use `rate()` and `increase()`. What is owed, dead, open or
  unaccounted for is of the state on disk and survives a restart.
- A fact that is not known, or does not exist here, has no sample: without Kafka there is no `events_publishing_up`.
- Sources are named as in the configuration (`cel_csv:/var/log/asterisk/cel-custom/Master.csv`), sinks `call_api`,
  `recording_api`, `kafka_calls`, `calls_file`.
- Rules to be alerted by, and a dashboard, are in `monitoring/`.

What to look at first: `asterisk_connector_healthy` and `asterisk_connector_calls_unaccounted` (1 and 0, always),
`asterisk_connector_sink_oldest_unsent_seconds` (how late the worst call is), `asterisk_connector_source_lag_seconds`
(whether rows are read as they are written).

| metric | kind | labels | meaning |
|---|---|---|---|
"""

_TAIL = """
Beside them stand `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds` and the others that
every Prometheus client tells of its process.
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_row(family) for family in TABLE) + _TAIL


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.full_name}` | {family.kind} | {labels} | {family.help} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())

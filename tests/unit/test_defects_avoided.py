"""Defects of other connectors that no other test here holds, and the page that names the test of each."""

from __future__ import annotations

import re
from pathlib import Path

from asterisk_connector.assembly.completion import CompletionRules, Progress
from asterisk_connector.notices import ignore
from asterisk_connector.records import Batch, CdrRow, Seen
from asterisk_connector.store import Store
from tests.kit.captures import load
from tests.kit.clock import FakeClock

SECOND = 1_000_000
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "defects-avoided.md"


def test_a_cdr_row_ends_no_call_whose_channels_are_up() -> None:
    """D-04: a queue's first agent gives up, his row is there, the caller waits on."""
    scenario = "s35_queue_retry_second_agent"
    events, rows = load("22.10", scenario, "stock"), load("22.10", scenario, "CDR alone")
    assert events is not None
    assert rows is not None
    progress = Progress(CompletionRules(settle=2.0, cdr_settle=60.0, idle=14_400.0))
    now = 2_000_000_000 * SECOND
    for record in (*events[:-3], *rows):
        progress.observe(record, now)
        assert not progress.verdict(now + 120 * SECOND).ended
    for record in events[-3:]:
        progress.observe(record, now)
    assert progress.verdict(now + 2 * SECOND).complete


def test_calls_without_a_linkedid_are_calls_of_their_own() -> None:
    """D-17."""
    store = Store.in_memory(clock=FakeClock(), notify=ignore)
    rows = [CdrRow(uniqueid=f"1800000000.{n}", start=1_800_000_000 * SECOND, disposition="ANSWERED") for n in range(5)]
    appended = store.append(Batch("cdr", [Seen(row.uniqueid, row) for row in rows], b""))
    assert len(appended.new) == 5
    store.close()


def test_the_page_names_each_defect_once_and_tests_that_are_there() -> None:
    text = PAGE.read_text()
    rows = re.findall(r"^\| (D-\d\d[a-d]?) \|.*\|(.*)\|$", text, re.MULTILINE)
    named = [defect for defect, _ in rows]
    assert len(named) == len(set(named))
    assert {f"D-{number:02d}" for number in range(1, 28)} <= set(named)
    for defect, tests in rows:
        found = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tests)
        assert found, f"{defect} names no test"
        for file, name in found:
            assert f"def {name}(" in (ROOT / file).read_text(), f"{defect}: there is no {name} in {file}"

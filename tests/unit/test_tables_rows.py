"""Rows of text made into records: numbers, NULLs, narrow columns, and times in two columns at once."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asterisk_connector.records import CdrRow, CelEvent
from asterisk_connector.sources.tables.columns import CDR, CEL, Columns, Layout
from asterisk_connector.sources.tables.database import Column, Row
from asterisk_connector.sources.tables.rows import CdrReader, CelReader, Unreadable, disposition, reader
from asterisk_connector.sources.tables.zones import SECOND, Zone

EPOCH = 1_795_289_456
HERE = Zone(UTC)


def reading(layout: Layout, *fields: str, kind: str = "local", tick: int = 1) -> CelReader | CdrReader:
    return reader(fields, Columns(layout, {f: Column(f, kind, tick) for f in fields}))


@pytest.mark.parametrize(
    ("written", "meant"),
    [("8", "ANSWERED"), ("0", "NO ANSWER"), ("1", "NO ANSWER"), ("2", "FAILED"), ("4", "BUSY"), ("16", "CONGESTION"),
     ("32", "CANCEL"), ("answered", "ANSWERED"), ("NOANSWER", "NO ANSWER"), ("NO ANSWER", "NO ANSWER"), ("", ""),
     ("SOMETHING NEW", "SOMETHING NEW")],
)  # fmt: skip
def test_dispositions_are_numbers_or_names(written: str, meant: str) -> None:
    assert disposition(written) == meant


@pytest.mark.parametrize(
    ("written", "user", "kind"),
    [("1", "", "CHAN_START"), ("21", "", "DTMF"), ("13", "MINE", "USER_DEFINED"), ("99", "", "99"),
     ("MINE", "MINE", "USER_DEFINED"), ("BRIDGE_START", "", "BRIDGE_START"), ("NEWER_EVENT", "", "NEWER_EVENT")],
)  # fmt: skip
def test_event_types_are_numbers_of_cel_h_or_names(written: str, user: str, kind: str) -> None:
    rows = reading(CEL, "type", "at", "uniqueid", "user_defined_type")
    event = rows.record((written, "2026-11-21 19:30:56.5", f"{EPOCH}.1", user), HERE, None)
    assert isinstance(event, CelEvent)
    assert event.type == kind
    assert event.at == EPOCH * SECOND + 500_000


@pytest.mark.parametrize(("near", "at"), [(None, EPOCH), (EPOCH + 5, EPOCH + 5), (EPOCH - 5, EPOCH)])
def test_an_event_without_a_time_happened_after_what_is_known(near: int | None, at: int) -> None:
    rows = reading(CEL, "type", "at", "uniqueid")
    event = rows.record(("ANSWER", None, f"{EPOCH}.1"), HERE, None if near is None else near * SECOND)
    assert isinstance(event, CelEvent)
    assert (event.at, event.resolution) == (at * SECOND, SECOND)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((None, "2026-11-21 19:30:56", "1.1"), "no event type"),
        (("ANSWER", "2026-11-21 19:30:56", None), "neither uniqueid nor linkedid"),
        (("ANSWER", "never", "foreign"), "no time: 'never'"),
    ],
)
def test_a_row_that_says_too_little_is_unreadable_with_its_reason(row: Row, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        reading(CEL, "type", "at", "uniqueid").record(row, HERE, None)


def test_a_cdr_row_of_nulls_but_its_channel_is_a_row() -> None:
    fields = ("uniqueid", "start", "answer", "end", "duration", "billsec", "disposition", "dstchannel", "sequence")
    row = reading(CDR, *fields).record((f"{EPOCH}.1", *[None] * 8), HERE, None)
    assert row == CdrRow(uniqueid=f"{EPOCH}.1")


def test_answer_and_end_in_the_repeated_hour_follow_from_duration() -> None:
    zone = Zone(ZoneInfo("America/Toronto"))
    start = 1_793_511_000  # 2026-11-01 01:30 EDT
    fields = ("uniqueid", "start", "answer", "end", "duration", "billsec")
    times = ("2026-11-01 01:30:00", "2026-11-01 01:30:05", "2026-11-01 01:30:30")
    row = reading(CDR, *fields).record((f"{start}.1", *times, "3630", "25"), zone, None)
    assert isinstance(row, CdrRow)
    assert row.start == start * SECOND
    assert row.end == (start + 3630) * SECOND
    assert row.answer == (start + 3605) * SECOND


def test_what_scripts_fill_in_later_does_not_change_a_rows_identity() -> None:
    rows = reading(CDR, "start", "uniqueid", "sequence", "recording_file", "user_field")
    before, after = ("2026-11-21 19:30:56", "1.1", "4", "", None), ("2026-11-21 19:30:56", "1.1", "4", "in.wav", "x")
    assert rows.digest(before) == rows.digest(after)
    assert rows.digest(before) != rows.digest(("2026-11-21 19:30:56", "1.1", "5", "", None))


def test_a_column_added_to_the_table_does_not_change_the_identity_of_its_rows() -> None:
    before = reading(CDR, "start", "uniqueid").digest(("2026-11-21 19:30:56", "1.1"))
    fields = ("start", "uniqueid", "sequence", "answer")
    for added in (("0", None), ("", ""), (None, None)):
        assert reading(CDR, *fields).digest(("2026-11-21 19:30:56", "1.1", *added)) == before


def test_the_identity_of_a_row_is_the_same_in_every_version() -> None:
    rows = reading(CDR, "start", "uniqueid", "sequence")
    assert f"{rows.digest(('2026-11-21 19:30:56', '1795289456.87', '15')):016x}" == "da5bccc18f7aacc1"


_values = st.lists(st.one_of(st.none(), st.text(max_size=30), st.integers().map(str)), min_size=8, max_size=8)


@given(_values)
def test_no_values_make_a_reader_raise_anything_else(values: list[str | None]) -> None:
    for layout, fields in (
        (CEL, ("type", "at", "uniqueid", "linkedid", "extra", "ama_flags", "peer", "exten")),
        (CDR, ("start", "end", "uniqueid", "duration", "billsec", "sequence", "disposition", "answer")),
    ):
        rows = reading(layout, *fields)
        rows.digest(tuple(values))
        rows.sample(tuple(values))
        with suppress(Unreadable):
            rows.record(tuple(values), HERE, None)

"""Times of tables: what texts mean, which of two equal hours is meant, and how a wrong zone gives itself away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asterisk_connector.notices import Notice, ZoneDoubtful
from asterisk_connector.sources.tables.table_zone import TableZone
from asterisk_connector.sources.tables.zones import SECOND, Sample, Stamp, Zone, epoch_of, host_zone, likely_zone, parse

OSLO, TORONTO = ZoneInfo("Europe/Oslo"), ZoneInfo("America/Toronto")
NOON = 1_795_262_400 * SECOND


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("2026-11-21 12:00:00", Stamp(NOON, 0)),
        ("2026-11-21T12:00:00", Stamp(NOON, 0)),
        ("2026/11/21 12:00:00", Stamp(NOON, 0)),
        ("2026-11-21 12:00:00.5", Stamp(NOON + 500_000, 1)),
        ("2026-11-21 12:00:00.123456", Stamp(NOON + 123_456, 6)),
        ("2026-11-21 12:00:00.123456789", Stamp(NOON + 123_456, 6)),
        ("2026-11-21 12:00:00+00", Stamp(NOON, 0, 0)),
        ("2026-11-21 12:00:00.25-05:30", Stamp(NOON + 250_000, 2, -19_800 * SECOND)),
        ("2026-11-21T12:00:00Z", Stamp(NOON, 0, 0)),
        ("1795262400", Stamp(NOON, 0, 0)),
        ("1795262400.25", Stamp(NOON + 250_000, 2, 0)),
    ],
)
def test_every_form_in_which_a_time_is_kept_is_read(text: str, stamp: Stamp) -> None:
    assert parse(text) == stamp


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.000000", "0000-00-00 00:00:00", "2026-00-00 00:00:00", "2026-02-30 00:00:00", "infinity", "-infinity",
     "12026-01-01 00:00:00", "2026-11-21 25:00:00", "2026-11-21 12:00:00 PM", "yesterday at twelve o'clock"],
)  # fmt: skip
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse(text) is None


@given(st.text(max_size=40))
def test_no_text_makes_reading_a_time_raise(text: str) -> None:
    parse(text)
    epoch_of(text)


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2037, 1, 1)), st.sampled_from([OSLO, TORONTO]))
def test_an_instant_written_locally_and_anchored_is_that_instant(moment: datetime, zone: ZoneInfo) -> None:
    instant = int(moment.replace(tzinfo=UTC).timestamp()) * SECOND
    reading = Zone(zone)
    assert reading.instant(reading.local(instant), anchor=instant) == instant


def test_without_a_hint_the_first_of_two_equal_hours_is_meant_and_a_row_before_decides() -> None:
    zone = Zone(TORONTO)
    stamp = parse("2026-11-01 01:30:00")
    assert stamp is not None
    first = int(datetime(2026, 11, 1, 5, 30, tzinfo=UTC).timestamp()) * SECOND
    second = first + 3600 * SECOND
    assert zone.instant(stamp.local) == first
    assert zone.instant(stamp.local, near=second - 60 * SECOND) == second
    assert zone.instant(stamp.local, near=first + 60 * SECOND) == first
    assert zone.instant(stamp.local, near=2_145_916_800 * SECOND) == first
    assert zone.instant(stamp.local, anchor=first + 1800 * SECOND) == second


@pytest.mark.parametrize(
    ("uniqueid", "epoch"),
    [("1795289456.87", 1_795_289_456), ("pbx-1-1795289456.87", 1_795_289_456), ("1795289456", None), ("abc.1", None),
     ("", None), ("12.5", None), ("0000000000.1", None)],
)  # fmt: skip
def test_a_uniqueid_tells_when_its_channel_was_made(uniqueid: str, epoch: int | None) -> None:
    assert epoch_of(uniqueid) == (None if epoch is None else epoch * SECOND)


def samples(zone: tzinfo, count: int = 12, late: int = 1) -> list[Sample]:
    """Rows `late` seconds after their channels, written in a zone."""
    local = Zone(zone)
    epochs = [NOON + n * 37 * SECOND for n in range(count)]
    return [Sample(local.local(e + late * SECOND), e) for e in epochs]


@pytest.mark.parametrize("written", [OSLO, TORONTO, UTC])
def test_the_zone_most_channels_agree_with_is_found(written: tzinfo) -> None:
    found = likely_zone(samples(written), [OSLO, TORONTO, UTC])
    assert found is not None
    assert found.tz is written


def test_a_zone_nobody_named_is_found_as_an_offset() -> None:
    found = likely_zone(samples(ZoneInfo("Asia/Kathmandu")), [OSLO, UTC])
    assert found is not None
    assert found.tz == timezone(timedelta(hours=5, minutes=45))


def test_too_few_channels_speak_for_no_offset() -> None:
    assert likely_zone(samples(ZoneInfo("Asia/Kathmandu"), count=4), [OSLO, UTC]) is None


def test_a_configured_zone_stays_and_a_contradiction_is_told_once() -> None:
    told: list[Notice] = []
    zone = TableZone("cdr", OSLO, told.append)
    zone.candidates("", needed=True)
    for _ in range(3):
        assert zone.judge(samples(TORONTO)).tz is OSLO
    assert [(n.used, n.likely) for n in told if isinstance(n, ZoneDoubtful)] == [("Europe/Oslo", "UTC-05:00")]


def test_without_a_configured_zone_the_hosts_stands_until_enough_rows_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Oslo")
    told: list[Notice] = []
    zone = TableZone("cdr", None, told.append)
    zone.candidates("America/Toronto", needed=True)
    assert zone.judge(samples(TORONTO, count=2)).tz == OSLO
    assert zone.judge(samples(TORONTO)).tz == TORONTO
    assert not told


def test_late_rows_of_one_long_call_change_no_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/Toronto")
    zone = TableZone("cdr", None, lambda _: None)
    zone.candidates("", needed=True)
    late = [Sample(s.local, samples(TORONTO)[0].epoch) for s in samples(TORONTO, late=5 * 3600)]
    assert zone.judge(late).tz == TORONTO


def test_the_hosts_zone_is_tz_or_localtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Asia/Tokyo")
    assert str(host_zone()) == "Asia/Tokyo"
    monkeypatch.setenv("TZ", "Middle-earth/Shire")
    assert host_zone().utcoffset(datetime(2026, 1, 1)) is not None

"""CEL tables on real servers: captured calls written as Asterisk writes them come out as they were."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from asterisk_connector.notices import Notice, ZoneDoubtful
from asterisk_connector.records import CelEvent, Record
from asterisk_connector.sources.cel_table import CelTableSource
from asterisk_connector.sources.tables.poller import Polling
from tests.kit import captures
from tests.kit.clock import FakeClock
from tests.kit.follower import Follower
from tests.kit.pbx_tables import CEL_SCHEMAS, Pbx

SCENARIOS = ("s07_inbound_did_answered", "s25_attended_refer_by_callee", "s34_queue_ringall_answered", "s62_user_event")
ZONE = ZoneInfo("Europe/Oslo")


def captured(version: str, scenario: str) -> list[CelEvent]:
    """A captured call, without the columns these tables lack and with texts as their columns take them."""
    events = [r for r in captures.load(version, scenario, "stock") or () if isinstance(r, CelEvent)]
    assert events
    return events


def follow(pbx: Pbx, clock: FakeClock, notices: list[Notice], **polling: Any) -> Follower:
    settings = Polling(**{"table": "cel", "zone": pbx.zone, **polling})
    return Follower(lambda: CelTableSource("cel", pbx.server(), settings, clock=clock, notify=notices.append))


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=sorted(CEL_SCHEMAS))
def pbx(request: pytest.FixtureRequest, server: Any) -> Iterator[Pbx]:
    pbx = Pbx(server, "cel_test", CEL_SCHEMAS[request.param], ZONE)
    yield pbx
    pbx.close()


@pytest.mark.parametrize("version", captures.VERSIONS)
def test_captured_calls_come_out_as_they_were_written(pbx: Pbx, version: str) -> None:
    events = [event for scenario in SCENARIOS for event in captured(version, scenario)]
    clock = FakeClock(now=events[0].at)
    agent = follow(pbx, clock, [])
    agent.round()
    for event in events:
        pbx.write([event])
        clock.step((event.at - clock.now()) / 1e6)
        clock.advance(2)
        agent.round()
    for _ in range(40):
        clock.advance(2)
        agent.round()
    expected = [pbx.schema.kept(event) for event in events]
    if pbx.schema.has_id:
        assert agent.new == expected
    else:
        assert sorted(map(repr, agent.new)) == sorted(map(repr, expected))
    agent.close()


def test_ten_thousand_rows_at_once_come_in_the_order_of_their_ids(pbx: Pbx) -> None:
    call = captured("22.10", SCENARIOS[0])
    clock = FakeClock(now=call[0].at)
    agent = follow(pbx, clock, [])
    agent.round()
    events = [
        replace(event, uniqueid=f"{event.uniqueid}{number}", linkedid=f"{event.linkedid}{number}")
        for number in range(10_000 // len(call) + 1)
        for event in call
    ]
    pbx.write(events)
    for _ in range(4):
        clock.advance(2)
        agent.round()
    expected = [pbx.schema.kept(event) for event in events]
    key = (lambda r: 0) if pbx.schema.has_id else repr
    assert sorted(agent.new, key=key) == sorted(expected, key=key)
    agent.close()


def test_a_call_in_progress_at_the_first_start_is_whole_and_old_ones_are_history(pbx: Pbx) -> None:
    old, current = captured("22.10", SCENARIOS[0]), captured("22.10", SCENARIOS[1])
    shift = current[0].at - 3600 * 1_000_000 - old[0].at
    pbx.write([replace(event, at=event.at + shift) for event in old])
    pbx.write(current[:5])
    clock = FakeClock(now=current[5].at)
    agent = follow(pbx, clock, [])
    agent.round()
    pbx.write(current[5:])
    for _ in range(4):
        clock.advance(2)
        agent.round()
    assert len(agent.history) == len(old) + 5
    assert sorted(map(repr, agent.new)) == sorted(repr(pbx.schema.kept(event)) for event in current[5:])
    agent.close()


def test_the_agent_killed_while_it_reads_history_knows_where_history_ends(pbx: Pbx) -> None:
    old, new = captured("22.10", SCENARIOS[0]), captured("22.10", SCENARIOS[2])
    shift = new[0].at - 60 * 1_000_000 - old[0].at
    pbx.write([replace(event, at=event.at + shift) for event in old])
    clock = FakeClock(now=new[0].at)
    agent = follow(pbx, clock, [], page=3)
    agent.source.open(None)
    for _ in range(3):
        batch = agent.source.read(0)
        assert batch is not None
        agent.records.update(batch.seen)
        agent.history.update(seen.ident for seen in batch.seen if batch.history)
        agent.position = batch.position
    pbx.write(new)
    agent.kill()
    for _ in range(10):
        agent.round()
        clock.advance(2)
    assert len(agent.history) == len(old)
    assert sorted(map(repr, agent.new)) == sorted(repr(pbx.schema.kept(event)) for event in new)
    agent.close()


def test_start_at_an_hour_ago_and_start_at_the_beginning(pbx: Pbx) -> None:
    call = captured("22.10", SCENARIOS[0])
    times = [7200, 1800, 600]
    calls = [[replace(e, at=e.at - ago * 1_000_000, uniqueid=f"{ago}-{e.uniqueid}") for e in call] for ago in times]
    for events in calls:
        pbx.write(events)
    for start_at, expected in (
        (timedelta(hours=1), calls[1] + calls[2]),
        ("beginning", [*calls[0], *calls[1], *calls[2]]),
    ):
        clock = FakeClock(now=call[-1].at)
        agent = follow(pbx, clock, [], start_at=start_at, page=7)
        for _ in range(3):
            agent.round()
            clock.advance(2)
        assert sorted(map(repr, agent.new)) == sorted(repr(pbx.schema.kept(event)) for event in expected)
        agent.close()


@pytest.mark.parametrize("schema", ["sipstack", "freepbx"])
@pytest.mark.parametrize(
    ("written", "configured", "told"),
    [(ZoneInfo("America/New_York"), None, True), (UTC, None, False), (ZoneInfo("America/New_York"), UTC, True)],
    ids=["other zone, none set", "utc, none set", "other zone, wrong one set"],
)
def test_the_zone_is_told_by_the_uniqueids(
    server: Any, monkeypatch: pytest.MonkeyPatch, schema: str, written: tzinfo, configured: tzinfo | None, told: bool
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    pbx = Pbx(server, "cel_zone", CEL_SCHEMAS[schema], written)
    events = [event for scenario in captures.truths("22.10") for event in captured("22.10", scenario)][:200]
    pbx.write(events)
    notices: list[Notice] = []
    clock = FakeClock(now=events[-1].at)
    agent = follow(pbx, clock, notices, zone=configured, start_at="beginning")
    agent.round()
    doubts = [n for n in notices if isinstance(n, ZoneDoubtful)]
    assert bool(doubts) is told
    if configured is None:
        assert agent.new == [pbx.schema.kept(event) for event in events]
    else:
        assert "-05:00" in doubts[0].likely
    agent.close()
    pbx.close()


def test_rows_that_say_too_little_are_set_aside_and_the_rest_goes_on(pbx: Pbx) -> None:
    call = captured("22.10", SCENARIOS[0])
    clock = FakeClock(now=call[0].at)
    agent = follow(pbx, clock, [])
    agent.round()
    pbx.write(call[:1], type=None)
    pbx.write(call[1:2], uniqueid=None, linkedid=None)
    pbx.write(call[2:])
    for _ in range(3):
        clock.advance(2)
        agent.round()
    assert sorted(row.reason for row in agent.set_aside.values()) == [
        "neither uniqueid nor linkedid",
        "no event type",
    ]
    assert len(agent.new) == len(call) - 2
    agent.close()


def test_numbers_for_events_narrow_extras_and_bad_times_are_read(server: Any) -> None:
    schema = CEL_SCHEMAS["sipstack"]
    pbx = Pbx(server, "cel_odd", schema, UTC)
    call = captured("22.10", "s25_attended_refer_by_callee")
    clock = FakeClock(now=call[0].at)
    agent = follow(pbx, clock, [])
    agent.round()
    pbx.write(call[:1], type="1")
    pbx.write(call[1:2], at="0000-00-00 00:00:00" if pbx.driver == "mysql" else "infinity")
    pbx.write([replace(event, extra=event.extra[:40]) for event in call[2:]])
    clock.advance(2)
    agent.round()
    assert [e.type for e in agent.new if isinstance(e, CelEvent)] == [e.type for e in call]
    second: Record = agent.new[1]
    assert isinstance(second, CelEvent)
    assert second.at == call[0].at
    assert not agent.set_aside
    agent.close()
    pbx.close()


def test_a_column_added_while_reading_disturbs_nobody_and_a_renamed_one_is_found_again(server: Any) -> None:
    pbx = Pbx(server, "cel_alter", CEL_SCHEMAS["freepbx"], UTC)
    call = captured("22.10", SCENARIOS[0])
    clock = FakeClock(now=call[0].at)
    agent = follow(pbx, clock, [])
    agent.round()
    pbx.write(call[:4])
    clock.advance(2)
    agent.round()
    pbx.run("ALTER TABLE cel ADD COLUMN tenantid varchar(20)")
    pbx.write(call[4:8])
    clock.advance(2)
    agent.round()
    assert not agent.failures
    pbx.run(f"ALTER TABLE cel RENAME COLUMN {pbx.quoted('channame')} TO {pbx.quoted('channel')}")
    row = "('HANGUP', '2026-11-21 19:31:00', '1795289456.87', 'PJSIP/1')"
    pbx.run(f"INSERT INTO cel (eventtype, eventtime, uniqueid, channel) VALUES {row}")
    for _ in range(3):
        clock.advance(2)
        agent.round()
    assert len(agent.failures) == 1
    assert "columns of the table changed" in agent.failures[0]
    last = agent.new[-1]
    assert isinstance(last, CelEvent)
    assert last.channel == "PJSIP/1"
    assert len(agent.new) == 9
    agent.close()
    pbx.close()

"""The bench itself: real servers start, do what the tests will ask of them, and come back after a kill."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.kit import calls
from tests.kit.asterisk import Asterisk
from tests.kit.office import Office
from tests.kit.rush import burst, local_calls
from tests.kit.wait import until


@pytest.fixture(params=[22, 16], ids=lambda release: f"asterisk{release}")
def office(request: pytest.FixtureRequest) -> Office:
    found: Office = request.getfixturevalue(f"office{request.param}")
    return found


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines())) if path.exists() else []


def ends(path: Path) -> list[str]:
    return [row[15] for row in rows(path) if row[0] == "LINKEDID_END"]


def test_asterisk_says_the_release_that_was_asked_for(office: Office) -> None:
    assert f"Asterisk {office.asterisk.release}." in office.asterisk.cli("core show version")


def test_a_call_between_phones_is_told_by_cel_and_cdr(office: Office) -> None:
    cel, cdr = office.asterisk.cel_csv, office.asterisk.cdr_custom_csv
    before, cdrs = len(rows(cel)), len(rows(cdr))
    told = calls.plain(office, seconds=0.5)
    until(lambda: ends(cel) and rows(cel)[-1][0] == "LINKEDID_END", what="the call's last row")
    new = rows(cel)[before:]
    assert {"CHAN_START", "ANSWER", "BRIDGE_ENTER", "BRIDGE_EXIT", "HANGUP", "CHAN_END", "LINKEDID_END"} <= {
        row[0] for row in new
    }
    assert {len(row) for row in new} == {20}
    assert {row[3] for row in new} >= {told.caller, told.dialled}
    until(lambda: len(rows(cdr)) > cdrs, what="the CDR row")
    assert rows(cdr)[-1][14] == "ANSWERED"


def test_an_attended_transfer_joins_the_other_two(office: Office) -> None:
    cel = office.asterisk.cel_csv
    before = len(rows(cel))
    told = calls.attended_transfer(office, seconds=0.3)
    assert told.transfers[0]["kind"] == "attended"
    until(lambda: "ATTENDEDTRANSFER" in [row[0] for row in rows(cel)[before:]], what="the transfer's row")


@pytest.mark.parametrize(
    ("told", "event"),
    [
        (calls.busy, "LINKEDID_END"),
        (calls.blind_transfer, "BLINDTRANSFER"),
        (calls.parked, "PARK_END"),
        (calls.picked_up, "PICKUP"),
        (calls.forwarded, "FORWARD"),
        (calls.click_to_call, "LOCAL_OPTIMIZE"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_other_ways_of_calling_leave_their_rows(office: Office, told: calls.Scenario, event: str) -> None:
    cel = office.asterisk.cel_csv
    before = len(rows(cel))
    told(office, 0.3) if told is not calls.busy else told(office)
    until(lambda: event in [row[0] for row in rows(cel)[before:]], what=event)


def test_a_recorded_call_leaves_a_file_with_sound(office: Office) -> None:
    calls.recorded(office, seconds=0.5)
    until(lambda: [path for path in office.asterisk.monitor.rglob("*.wav") if path.stat().st_size > 4000])


def test_a_burst_of_callers_all_reach_their_party(office: Office) -> None:
    cel = office.asterisk.cel_csv
    before = len(ends(cel))
    told = burst(office, 20)
    assert len({one.caller for one in told}) == 20
    until(lambda: len(ends(cel)) == before + 20, what="20 ends")


def test_bulk_calls_between_local_ends_all_complete(office: Office) -> None:
    cel = office.asterisk.cel_csv
    before = len(ends(cel))
    assert len(set(local_calls(office.asterisk, 20))) == 20
    until(lambda: len(ends(cel)) == before + 20, what="20 ends")


def test_two_instances_run_side_by_side_and_a_killed_one_comes_back(asterisk22: Asterisk, tmp_path: Path) -> None:
    with Asterisk(22, tmp_path, system_name="pbx-b") as second:
        assert second.address != asterisk22.address
        local_calls(second, 1)
        assert until(lambda: ends(second.cel_csv), what="the call's end")[0].startswith("pbx-b-")
        second.kill()
        second.start()
        local_calls(second, 1)
        until(lambda: len(ends(second.cel_csv)) == 2, what="the second call's end")

"""The bench itself: real servers start, do what the tests will ask of them, and come back after a kill."""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import MySQLdb
import psycopg
import pytest

from tests.kit import calls
from tests.kit.asterisk import Asterisk
from tests.kit.cache import CannotRun, cached
from tests.kit.kafka import Kafka
from tests.kit.mariadb import MariaDB
from tests.kit.office import Office
from tests.kit.postgresql import PostgreSQL
from tests.kit.rush import burst, local_calls
from tests.kit.wait import until


@pytest.fixture(params=["office22", "office16"])
def office(request: pytest.FixtureRequest) -> Office:
    found: Office = request.getfixturevalue(request.param)
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
        (calls.attended_transfer_by_keys, "ATTENDEDTRANSFER"),
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


CEL_TABLE = """CREATE TABLE cel (eventtype text, eventtime timestamp, userdeftype text, cid_name text, cid_num text,
cid_ani text, cid_rdnis text, cid_dnid text, exten text, context text, channame text, appname text, appdata text,
accountcode text, peeraccount text, uniqueid text, linkedid text, amaflags text, userfield text, peer text,
extra text)"""
CDR_TABLE = """CREATE TABLE cdr (calldate timestamp, clid text, src text, dst text, dcontext text, channel text,
dstchannel text, disposition text, uniqueid text, linkedid text)"""


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request: pytest.FixtureRequest) -> MariaDB | PostgreSQL:
    found: MariaDB | PostgreSQL = request.getfixturevalue(request.param)
    return found


def test_a_database_server_answers_its_owner_and_lets_the_reader_only_read(server: MariaDB | PostgreSQL) -> None:
    database = server.create("smoke")
    server.query("CREATE TABLE t (n int)", database)
    server.query("INSERT INTO t VALUES (1)", database)
    reader = replace(database, user=database.reader)
    assert server.query("SELECT n FROM t", reader) == [(1,)]
    with pytest.raises((MySQLdb.OperationalError, psycopg.errors.InsufficientPrivilege)):
        server.query("INSERT INTO t VALUES (2)", reader)


def test_a_killed_database_server_comes_back_with_what_was_committed(server: MariaDB | PostgreSQL) -> None:
    database = server.create("crash")
    server.query("CREATE TABLE t (n int)", database)
    server.query("INSERT INTO t VALUES (7)", database)
    server.kill()
    with pytest.raises((MySQLdb.OperationalError, psycopg.OperationalError)):
        server.query("SELECT n FROM t", database)
    server.start()
    assert server.query("SELECT n FROM t", database) == [(7,)]


def test_a_frozen_database_server_is_silent_until_it_thaws(server: MariaDB | PostgreSQL) -> None:
    with ThreadPoolExecutor(1) as pool:
        server.freeze()
        asked = pool.submit(server.query, "SELECT 1")
        with pytest.raises(TimeoutError):
            asked.result(0.3)
        server.thaw()
        assert asked.result(10) == [(1,)]


def test_asterisk_itself_writes_cel_and_cdr_to_a_database(server: MariaDB | PostgreSQL) -> None:
    database = server.create("calls")
    server.query(CEL_TABLE, database)
    server.query(CDR_TABLE, database)
    asterisk = Asterisk(22)
    asterisk.log_to_database(database, options="alias start => calldate")
    with asterisk:
        local_calls(asterisk, 3)
        ended = "SELECT count(*) FROM cel WHERE eventtype = 'LINKEDID_END'"
        until(lambda: server.query(ended, database) == [(3,)], what="three ended calls in the cel table")
        until(lambda: server.query("SELECT count(*) FROM cdr", database)[0][0] >= 3, what="their CDR rows")


@pytest.mark.parametrize("listener", ["plain", "tls", "scram", "scram_tls"])
def test_kafka_gives_back_what_was_sent_over_each_listener(kafka: Kafka, listener: str) -> None:
    topic = f"round-trip-{listener}"
    kafka.create_topic(topic)
    sent = [f"record {number}".encode() for number in range(100)]
    kafka.produce(topic, sent, listener)
    assert sorted(record.value() or b"" for record in kafka.consume(topic, at_least=100)) == sorted(sent)


def test_kafka_keeps_acknowledged_records_through_a_kill(kafka: Kafka) -> None:
    kafka.create_topic("survives")
    kafka.produce("survives", [b"before"])
    kafka.brokers[0].kill()
    kafka.brokers[0].start()
    kafka.produce("survives", [b"after"])
    assert {record.value() for record in kafka.consume("survives", at_least=2)} == {b"before", b"after"}


@pytest.mark.slow
def test_three_brokers_serve_on_while_one_is_frozen(kafka3: Kafka) -> None:
    kafka3.create_topic("replicated")
    kafka3.produce("replicated", [b"one"])
    kafka3.brokers[2].freeze()
    kafka3.produce("replicated", [b"two"])
    assert {record.value() for record in kafka3.consume("replicated", at_least=2)} == {b"one", b"two"}


def test_without_root_an_uncached_asterisk_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.kit.cache.CACHE", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(CannotRun, match=r"only root .* `make test-fast` runs"):
        Asterisk(22)


def test_a_build_that_fails_leaves_nothing_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.kit.cache.CACHE", tmp_path)

    def fail(folder: Path) -> None:
        folder.mkdir()
        raise CannotRun("Asterisk", "the archive is not reachable.")

    with pytest.raises(CannotRun, match="make test-fast"):
        cached("thing", "recipe", fail)
    built = cached("thing", "recipe", lambda folder: folder.mkdir())
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [built]
    other = cached("thing", "another recipe", lambda folder: folder.mkdir())
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [other]

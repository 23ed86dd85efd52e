"""Calls from database tables that a real Asterisk 22 writes by ODBC: CEL drives, CDR joins, each call arrives once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit import calls
from tests.kit.agent_process import AgentProcess
from tests.kit.asterisk import Asterisk
from tests.kit.call_api import CallApi
from tests.kit.database import Database
from tests.kit.office import Office
from tests.kit.rush import burst
from tests.kit.wait import until

# The tables of SIPSTACK's instructions.
CEL = """CREATE TABLE cel (id {serial} PRIMARY KEY, eventtype varchar(30) NOT NULL, eventtime {time} NOT NULL,
cid_name varchar(80), cid_num varchar(80), cid_ani varchar(80), cid_rdnis varchar(80), cid_dnid varchar(80),
exten varchar(80), context varchar(80), channame varchar(80), appname varchar(80), appdata varchar(1024),
amaflags int, accountcode varchar(20), uniqueid varchar(150), linkedid varchar(150), peer varchar(80),
userdeftype varchar(255), extra varchar(512))"""
CDR = """CREATE TABLE cdr (id {serial} PRIMARY KEY, calldate {time} NOT NULL, clid varchar(80), src varchar(80),
dst varchar(80), dcontext varchar(80), channel varchar(80), dstchannel varchar(80), lastapp varchar(80),
lastdata varchar(80), duration int, billsec int, disposition varchar(45), amaflags int, accountcode varchar(20),
uniqueid varchar(150), userfield varchar(255), peeraccount varchar(80), linkedid varchar(150), sequence int)"""
DIALECTS = {
    "mariadb": {"serial": "int AUTO_INCREMENT", "time": "datetime(6)"},
    "postgresql": {"serial": "serial", "time": "timestamp"},
}


@pytest.fixture(params=["mariadb", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A database of its own on a real server."""
    server = request.getfixturevalue(request.param)
    found: Database = server.create(f"calls_{request.param}")
    for table in (CEL, CDR):
        server.query(table.format(**DIALECTS[request.param]), found)
    return found


@pytest.fixture
def office(database: Database) -> Iterator[Office]:
    """An office whose Asterisk writes CEL and CDR into the database itself."""
    asterisk = Asterisk(22)
    asterisk.log_to_database(database, options="alias start => calldate")
    with asterisk, Office(asterisk) as found:
        yield found


def settings(database: Database, api: CallApi) -> dict[str, Any]:
    table = {
        "driver": "postgresql" if database.kind == "postgresql" else "mysql",
        "host": database.host,
        "port": database.port,
        "user": database.reader,
        "password": database.password,
        "database": database.name,
        "poll_interval": "500ms",
    }
    return {
        "api": {"url": api.url},
        "sources": {"cel_table": {**table, "table": "cel"}, "cdr_table": {**table, "table": "cdr"}},
        "calls": {"settle": "2s"},
    }


def test_calls_in_tables_arrive_once_with_their_cdr(office: Office, database: Database, tmp_path: Path) -> None:
    with CallApi() as api, AgentProcess(tmp_path, settings(database, api)) as agent:
        agent.wait_said("reading cel_table:")
        agent.wait_said("reading cdr_table:")
        told = [calls.inbound(office), calls.outbound(office), *burst(office, 10)]
        until(lambda: len(api.calls) >= len(told), 30, f"all calls at the API\n{agent.said}")
        until(lambda: all(events(payload, "CDR") for payload in api.calls.values()), 30, "CDR rows in every call")
        callers = Counter(payload.get("src_number") or payload["src_extension"] for payload in api.calls.values())
        assert callers == Counter(truth.caller for truth in told)
        for payload in api.calls.values():
            assert payload["disposition"] == "ANSWERED"
            assert payload["is_complete"] is True
            assert events(payload, "LINKEDID_END")


def events(payload: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [event for event in payload["call_threads"] if event["event"] == kind]

"""Backfill and reconcile on real databases, with the schemas of real PBXs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from msgspec.structs import replace

from asterisk_connector.call import decode
from asterisk_connector.cli.main import main
from asterisk_connector.clock import SystemClock
from asterisk_connector.notices import ignore
from asterisk_connector.records import Record
from asterisk_connector.sinks.base import Item
from asterisk_connector.sources.csv.capture import parse
from asterisk_connector.store.store import Store
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import CallApi
from tests.kit.pbx_tables import CDR_SCHEMAS, CEL_SCHEMAS, Pbx, Schema, cdr
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

ZONE = ZoneInfo("America/St_Johns")
BASE = int(time.time()) - 40 * 3600
CALLS = 40
GAP = 1800


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def cel_rows(call: NumberedCall) -> list[Record]:
    return list(parse(b"".join(row + b"\n" for _, row in call.rows()))[0])


def written(schema: Schema, calls: int = CALLS, base: int = BASE, gap: int = GAP) -> list[Record]:
    """Calls half an hour apart, as rows of this kind of table, in the order Asterisk writes them."""
    if "type" in schema.columns:
        return [row for n in range(calls) for row in cel_rows(NumberedCall(n, gap=gap, base=base))]
    rows = [cdr(n, base + n * gap, 7200 if n == 3 else 20) for n in range(calls)]
    return sorted(rows, key=lambda row: row.end or 0)


class Host:
    """A configuration for one table and its verbs."""

    def __init__(self, home: Path, pbx: Pbx, capture: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self.config = home / "config.yaml"
        self._capture = capture
        self.config.write_text(yaml.safe_dump({**settings(pbx), **self._places()}))
        self.config.chmod(0o600)

    def _places(self) -> dict[str, Any]:
        return {
            "host": "pbx1",
            "calls": {"file": {"path": str(self.home / "calls.jsonl")}},
            "store": {"directory": str(self.home / "state"), "reserve": "64KiB"},
        }

    def verb(self, name: str, *words: str, since: int = BASE, to: int = BASE + CALLS * GAP, ends: int = 0) -> Any:
        period = [time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at)) for at in (since, to)]
        self._capture.readouterr()
        told = ["--config", str(self.config), "--since", period[0], "--until", period[1], "--rate", "0", "--json"]
        code = main([name, *told, *words])
        out, err = self._capture.readouterr()
        assert code == ends, err + out
        return json.loads(out)

    def owed(self) -> list[Item]:
        store = Store.open(self.home / "state", clock=SystemClock(), notify=ignore)
        try:
            return store.lease("calls_file", 1000)
        finally:
            store.close()


def settings(pbx: Pbx, **other: Any) -> dict[str, Any]:
    place = pbx.database
    table = {
        "driver": pbx.driver,
        "host": place.host,
        "port": place.port,
        "user": place.reader,
        "password": place.password,
        "database": place.name,
        "table": pbx.table,
        "page": 50,
        "columns": dict(pbx.schema.configured),
        **other,
    }
    return {"sources": {f"{pbx.table}_table": table}}


@pytest.mark.parametrize("schema", [*CEL_SCHEMAS.values(), *CDR_SCHEMAS.values()], ids=lambda s: s.name)
def test_every_call_of_a_period_is_found_and_owed_once(
    server: Any, schema: Schema, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pbx = Pbx(server, "backfilled", schema, ZONE)
    records = written(schema)
    pbx.write(records)
    host = Host(tmp_path, pbx, capsys)
    part = host.verb("backfill", since=BASE + 10 * GAP, to=BASE + 20 * GAP)
    assert (part["calls"], part["missing"], part["owed"], part["unreadable"]) == (10, 10, 10, 0)
    found = host.verb("reconcile", ends=1)
    assert (found["calls"], found["counts"]["unknown"], found["counts"]["owed"]) == (CALLS, CALLS - 10, 10)
    assert {each["linkedid"] for each in found["differences"]} == {record.linkedid for record in records}
    assert host.verb("backfill")["owed"] == CALLS - 10
    assert host.verb("reconcile")["accounted"] is True
    assert host.verb("backfill")["owed"] == 0
    keys = [item.idempotency_key for item in host.owed()]
    assert len(keys) == len(set(keys)) == CALLS
    pbx.close()


def test_rows_of_both_tables_make_one_call_and_a_clock_of_2038_is_nobodys_trouble(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cel = Pbx(server, "backfilled_cel", CEL_SCHEMAS["sipstack"], ZONE)
    rows = Pbx(server, "backfilled_cdr", CDR_SCHEMAS["freepbx"], ZONE)
    calls = [NumberedCall(n, gap=GAP, base=BASE) for n in range(CALLS)]
    cel.write([row for call in calls for row in cel_rows(call)])
    joined = [
        replace(cdr(n, int(call.start)), uniqueid=call.linkedid, linkedid=call.linkedid, did="4165550100")
        for n, call in enumerate(calls)
    ]
    rows.write([*joined, cdr(77, 2_147_000_000)])
    host = Host(tmp_path, cel, capsys)
    both = {**settings(cel)["sources"], **settings(rows)["sources"]}
    host.config.write_text(yaml.safe_dump({**yaml.safe_load(host.config.read_text()), "sources": both}))
    assert host.verb("backfill")["owed"] == CALLS
    told = [decode(item.body) for item in host.owed()]
    assert {call.did for call in told} == {"4165550100"}
    assert {call.call_id for call in told} == {call.linkedid for call in calls}
    assert host.verb("reconcile")["accounted"] is True
    cel.close()
    rows.close()


def test_calls_missed_while_nothing_ran_reach_the_api_once(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pbx = Pbx(server, "backfilled", CEL_SCHEMAS["sipstack"], ZONE)
    pbx.write(written(pbx.schema, 20))
    with CallApi() as api:
        agent = AgentProcess(tmp_path, {"api": {"url": api.url}, **settings(pbx, poll_interval="200ms")})
        host = Host.__new__(Host)
        host.home, host.config, host._capture = tmp_path, agent.config, capsys
        with agent:
            agent.wait_said("reading cel_table:")
            pbx.write(cel_rows(NumberedCall(99, gap=1, base=int(time.time()) - 100)))
            until(lambda: len(api.calls) == 1, 20, f"the call that is new\n{agent.said}")
            running = host.verb("reconcile", ends=1)
            assert running["counts"]["history"] + running["counts"]["unknown"] == 20
            assert host.verb("backfill", "--dry-run")["missing"] == 20
        assert host.verb("backfill")["owed"] == 20
        with agent:
            until(lambda: len(api.calls) == 21, 20, f"the calls of the past\n{agent.said}")
            done = until(lambda: _shipped(host), 10, "everything accounted for")
        assert done["counts"]["shipped"] == 20
        assert set(api.accepted.values()) == {1}
    pbx.close()


def _shipped(host: Host) -> Any:
    found = host.verb("reconcile")
    return found if not found["differences"] else None


def test_a_database_that_is_down_is_said_and_may_be_tried_again(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pbx = Pbx(server, "backfilled", CDR_SCHEMAS["freepbx"], ZONE)
    host = Host(tmp_path, pbx, capsys)
    host.config.write_text(host.config.read_text().replace(f"port: {pbx.database.port}", "port: 1"))
    assert main(["backfill", "--config", str(host.config), "--since", "1h"]) == 75
    assert "at " in capsys.readouterr().err
    pbx.close()

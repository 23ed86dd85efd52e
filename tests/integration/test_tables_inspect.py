"""What `check` says of tables on real servers."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from asterisk_connector.sources.tables.columns import CDR, CEL
from asterisk_connector.sources.tables.database import Server
from asterisk_connector.sources.tables.inspect import Finding, inspect
from asterisk_connector.sources.tables.poller import Polling
from tests.kit import captures
from tests.kit.pbx_tables import CDR_SCHEMAS, CEL_SCHEMAS, Pbx, Schema, cdr

NOON = 1_795_262_400
NOW = NOON * 1_000_000


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def look(pbx: Pbx, place: Server | None = None, **polling: Any) -> list[Finding]:
    settings = Polling(**{"table": pbx.table, "zone": pbx.zone, **polling})
    layout = CEL if pbx.table == "cel" else CDR
    return list(inspect(layout, place or pbx.server(), settings, NOW))


def said(findings: list[Finding], level: str) -> str:
    return "\n".join(f.message for f in findings if f.level == level)


@pytest.mark.parametrize("schema", [*CDR_SCHEMAS.values(), *CEL_SCHEMAS.values()], ids=lambda s: s.name)
def test_every_known_schema_is_fit_to_be_polled(server: Any, schema: Schema) -> None:
    pbx = Pbx(server, "inspected", schema)
    if pbx.table == "cdr":
        pbx.write([cdr(n, NOON - 300 + n) for n in range(200)])
    else:
        pbx.write(captures.load("22.10", "s25_attended_refer_by_callee", "stock") or ())
    findings = look(pbx)
    assert not said(findings, "error")
    fine = said(findings, "ok")
    assert "answers" in fine
    assert "may only read" in fine
    assert ("as the uniqueids confirm" in fine) or ("name instants" in fine)
    warned = said(findings, "warning")
    assert ("every poll reads the whole table" in warned) == (schema.name == "alembic")
    assert ("whole seconds" in warned) == (schema is CEL_SCHEMAS["freepbx"])
    pbx.close()


def test_an_account_that_may_write_is_warned_of(server: Any) -> None:
    pbx = Pbx(server, "inspected", CDR_SCHEMAS["freepbx"])
    findings = look(pbx, pbx.server(user=pbx.database.user))
    assert "may change table cdr" in said(findings, "warning")
    assert "table cdr is empty" in said(findings, "warning")
    pbx.close()


def test_a_wrong_zone_is_an_error_and_names_the_likely_one(server: Any) -> None:
    pbx = Pbx(server, "inspected", CDR_SCHEMAS["freepbx"], ZoneInfo("America/Toronto"))
    pbx.write([cdr(n, NOON - 300 + n) for n in range(50)])
    assert "they speak for UTC-05:00" in said(look(pbx, zone=ZoneInfo("Europe/Oslo")), "error")
    assert not said(look(pbx), "error")
    pbx.close()


def test_rows_of_a_day_and_the_index_are_told(server: Any) -> None:
    pbx = Pbx(server, "inspected", CDR_SCHEMAS["freepbx"])
    pbx.write([cdr(n, NOON - 86_400 * 2 + n * 60) for n in range(2880)])
    pbx.run("ANALYZE TABLE cdr" if pbx.driver == "mysql" else "VACUUM ANALYZE cdr")
    fine = said(look(pbx), "ok")
    assert "1441 rows in its last day" in fine
    assert "by index cdr_calldate" in fine
    pbx.close()


def test_what_cannot_be_reached_or_is_not_there_is_one_clear_error(server: Any) -> None:
    pbx = Pbx(server, "inspected", CDR_SCHEMAS["freepbx"])
    for findings in (
        look(pbx, pbx.server(password="wrong")),
        look(pbx, pbx.server(port=1)),
        look(pbx, pbx.server(driver="oracle")),
        look(pbx, table="nowhere"),
        look(pbx, columns={"src": "caller"}),
    ):
        assert findings[-1].level == "error"
        assert findings[-1].message
    pbx.close()

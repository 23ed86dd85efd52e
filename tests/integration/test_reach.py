"""`check`, tier reach, on real servers: what is good is said to be, what is not says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from asterisk_connector.cli.main import main
from tests.kit.asterisk import Asterisk
from tests.kit.kafka import Kafka
from tests.kit.pbx_tables import CDR_SCHEMAS, CEL_SCHEMAS, Pbx, Schema


class Check:
    """`check --json` on a configuration, its findings of the last tier."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[str]) -> None:
        self._home = home
        self._capture = capture

    def __call__(self, settings: dict[str, Any], *, ends: int = 0) -> list[dict[str, Any]]:
        config = self._home / "config.yaml"
        (self._home / "state").mkdir(exist_ok=True)
        base = {
            "calls": {"file": {"path": str(self._home / "calls.jsonl")}},
            "store": {"directory": str(self._home / "state"), "reserve": "64KiB"},
        }
        config.write_text(yaml.safe_dump({**base, **settings}))
        config.chmod(0o600)
        code = main(["check", "--config", str(config), "--json"])
        out, _ = self._capture.readouterr()
        report = json.loads(out)
        assert code == ends, out
        assert report["looked_at"][-1] == "reach", out
        return [finding for finding in report["findings"] if finding["tier"] == "reach"]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    return Check(tmp_path, capsys)


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def polled(pbx: Pbx, **other: Any) -> dict[str, Any]:
    place = pbx.database
    table = {
        "driver": pbx.driver,
        "host": place.host,
        "port": place.port,
        "user": place.reader,
        "password": place.password,
        "database": place.name,
        "table": pbx.table,
        "zone": "UTC",
    }
    return {"sources": {f"{pbx.table}_table": {**table, **other}}}


def said(findings: list[dict[str, Any]], level: str) -> str:
    return "\n".join(f"{f['path']}: {f['message']} ({f['hint']})" for f in findings if f["level"] == level)


@pytest.mark.parametrize("schema", [CDR_SCHEMAS["freepbx"], CEL_SCHEMAS["sipstack"]], ids=["cdr", "cel"])
def test_a_table_that_can_be_polled_is_described(check: Check, server: Any, schema: Schema) -> None:
    pbx = Pbx(server, "reached", schema)
    findings = check(polled(pbx))
    fine = said(findings, "ok")
    assert f"sources.{pbx.table}_table: " in fine
    assert "answers" in fine
    assert "may only read" in fine
    assert "polling goes" in fine
    pbx.close()


def test_what_is_wrong_with_a_table_is_an_error_at_its_setting(check: Check, server: Any) -> None:
    pbx = Pbx(server, "reached", CDR_SCHEMAS["freepbx"])
    for other in ({"password": "mistaken"}, {"table": "nowhere"}, {"port": 1}):
        wrong = said(check(polled(pbx, **other), ends=78), "error")
        assert wrong.startswith("sources.cdr_table: ")
        assert "mistaken" not in wrong
    pbx.close()


def test_an_account_that_may_write_and_a_table_without_index_are_warnings(check: Check, server: Any) -> None:
    pbx = Pbx(server, "reached", CDR_SCHEMAS["alembic"])
    warned = said(check(polled(pbx, user=pbx.database.user)), "warning")
    assert "may change table cdr" in warned
    assert "every poll reads the whole table" in warned
    assert "CREATE INDEX" in warned
    pbx.close()


def test_a_table_that_lists_recordings_is_looked_at_too(check: Check, server: Any, tmp_path: Path) -> None:
    pbx = Pbx(server, "reached", CDR_SCHEMAS["freepbx"])
    serial = "bigint NOT NULL AUTO_INCREMENT" if pbx.driver == "mysql" else "bigserial"
    pbx.run("DROP TABLE IF EXISTS kept")
    pbx.run(
        f"CREATE TABLE kept (id {serial} PRIMARY KEY, calldate timestamp, uniqueid varchar(150), path varchar(255))"
    )
    sources = polled(pbx)["sources"]
    listed = {"paths": [str(tmp_path)], "table": {**sources["cdr_table"], "table": "kept"}}
    fine = said(check({"sources": {**sources, "recordings": listed}}), "ok")
    assert "sources.recordings.table: " in fine
    assert "table kept has" in fine
    pbx.close()


def manager(asterisk: Asterisk, **other: str) -> dict[str, Any]:
    account = {"host": asterisk.address, "user": "connector", "secret": "connector", **other}
    return {"ami": account, "sources": {"cel_ami": {}}}


def test_a_manager_that_lets_us_in_is_named(check: Check, asterisk22: Asterisk) -> None:
    assert "is Asterisk 22" in said(check(manager(asterisk22)), "ok")


def test_a_manager_that_refuses_us_says_what_to_compare(check: Check, asterisk22: Asterisk) -> None:
    refused = said(check(manager(asterisk22, secret="another"), ends=78), "error")
    assert "manager.conf" in refused
    assert "another" not in refused


def published(kafka: Kafka, asterisk: Asterisk, topic: str) -> dict[str, Any]:
    brokers = kafka.client("plain")["bootstrap.servers"].split(",")
    return {
        **manager(asterisk),
        "kafka": {"connections": {"main": {"brokers": brokers}}},
        "events": {"connection": "main", "topic": topic},
    }


def test_topics_are_asked_for_and_an_unknown_one_is_named(check: Check, asterisk22: Asterisk, kafka: Kafka) -> None:
    kafka.create_topic("reached", 3)
    assert "`reached` on main has 3 partitions" in said(check(published(kafka, asterisk22, "reached")), "ok")
    missing = said(check(published(kafka, asterisk22, "reached_by_nobody"), ends=78), "error")
    assert "events.topic: `reached_by_nobody`" in missing
    assert "kafka-topics.sh" in missing
    # These brokers make topics that are asked for by name; a check changes nothing, so the second finds none either.
    assert "events.topic: `reached_by_nobody`" in said(
        check(published(kafka, asterisk22, "reached_by_nobody"), ends=78), "error"
    )

"""The accounts that setup asks for, made on real servers: each can do what the agent needs, and nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import MySQLdb
import psycopg
import pytest
import yaml

from asterisk_connector.cli.main import main
from asterisk_connector.setup.files import Files
from asterisk_connector.setup.look import look
from asterisk_connector.setup.propose import Wishes, choose
from asterisk_connector.setup.steps import steps
from tests.kit.agent_process import AgentProcess
from tests.kit.asterisk import TEMPLATES, Asterisk, Manager
from tests.kit.call_api import CallApi
from tests.kit.database import Database
from tests.kit.mariadb import MariaDB
from tests.kit.pbx_calls import PbxCalls, judge, numbered
from tests.kit.postgresql import PostgreSQL

FORBIDDEN = ("INSERT INTO cdr (src) VALUES ('x')", "DELETE FROM cel", "SELECT * FROM private", "DROP TABLE cdr")
KEY = "sk_" + "d" * 32


def etc(root: Path, files: dict[str, str]) -> Path:
    """A root with these files of Asterisk's."""
    for name, text in {"asterisk.conf": "", "manager.conf": "[general]\nenabled = yes\n", **files}.items():
        path = root / "etc/asterisk" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def set_up(root: Path, home: Path) -> dict[str, Any]:
    """The configuration that setup writes into `home`."""
    (home / "given.key").write_text(KEY)
    words = ["--root", str(root), "--config", str(home / "config.yaml"), "--api-key-file", str(home / "given.key")]
    assert main(["setup", "--non-interactive", *words]) == 0
    given: dict[str, Any] = yaml.safe_load((home / "config.yaml").read_text())
    return given


def ships(pbx: PbxCalls, given: dict[str, Any], home: Path) -> None:
    """Runs the agent with what setup wrote; calls of the tables arrive."""
    own = home / "agent"
    own.mkdir()
    with CallApi() as api:
        given["api"] = {"url": api.url, "key_file": given["api"]["key_file"]}
        with AgentProcess(own, given) as agent:
            for table in ("cel", "cdr"):
                agent.wait_said(f"reading {table}_table:")
            calls = numbered(0, 2)
            pbx.write(calls)
            judge(api, calls, 30, lambda: agent.said)


def test_the_mysql_account_reads_both_tables_and_nothing_else(mariadb: MariaDB, tmp_path: Path) -> None:
    pbx = PbxCalls(mariadb, name="setup_calls")
    place = pbx.cel.database
    mariadb.query("CREATE TABLE private (x int)", place)
    dsn = f"[calls]\nDriver = MariaDB\nServer = {place.host}\nPort = {place.port}\nDatabase = {place.name}\n"
    connection = "[calls]\nconnection=calls\n"
    root = etc(
        tmp_path / "root",
        {
            "../odbc.ini": dsn,
            "res_odbc.conf": "[calls]\nenabled=yes\ndsn=calls\n",
            "cel_odbc.conf": connection,
            "cdr_adaptive_odbc.conf": connection,
        },
    )
    given = set_up(root, tmp_path)
    # Those of other tests would be taken for this one: the server knows this machine by name and by address.
    mariadb.query("DROP USER IF EXISTS asterisk_reader@localhost, asterisk_reader@'%'")
    client = ["mysql", "--no-defaults", f"--socket={mariadb.socket}", "--user=root"]
    for _ in range(2):  # once more does no harm
        with (tmp_path / "apply/database.sql").open() as sql:
            subprocess.run(client, stdin=sql, check=True)
    mine = Database("mariadb", place.host, place.port, place.name, "asterisk_reader", "", "", password(tmp_path))
    assert mariadb.query("SELECT COUNT(*) FROM cel", mine) == [(0,)]
    for forbidden in FORBIDDEN:
        with pytest.raises(MySQLdb.Error, match="denied"):
            mariadb.query(forbidden, mine)
    ships(pbx, given, tmp_path)


def test_the_postgresql_account_reads_both_tables_and_nothing_else(postgresql: PostgreSQL, tmp_path: Path) -> None:
    pbx = PbxCalls(postgresql, name="setup_calls")
    place = pbx.cel.database
    postgresql.query("CREATE TABLE private (x int)", place)
    postgresql.query('ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM "setup_calls_reader"', place)
    lines = f"[global]\nhostname={place.host}\nport={place.port}\ndbname={place.name}\nuser=asterisk\n"
    root = etc(tmp_path / "root", {"cel_pgsql.conf": lines, "cdr_pgsql.conf": lines})
    given = set_up(root, tmp_path)
    client = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(postgresql.home), "-U", "postgres", place.name]
    for _ in range(2):
        with (tmp_path / "apply/database.sql").open() as sql:
            subprocess.run(client, stdin=sql, check=True, env={**os.environ, "PGPORT": str(postgresql.port)})
    mine = Database("postgresql", place.host, place.port, place.name, "asterisk_reader", "", "", password(tmp_path))
    assert postgresql.query("SELECT COUNT(*) FROM cel", mine) == [(0,)]
    for forbidden in FORBIDDEN:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            postgresql.query(forbidden, mine)
    ships(pbx, given, tmp_path)


def password(home: Path) -> str:
    return (home / "db.password").read_text().strip()


def test_the_manager_account_for_cel_sees_calls_and_may_do_nothing(tmp_path: Path) -> None:
    here = look(Files(etc(tmp_path, {})))
    (account,) = (step for step in steps(choose(here, Wishes(cel="ami"), tmp_path)) if step.name == "manager.conf")
    text = account.text.replace("secret = ********", "secret = for-cel").replace(
        "\npermit = 127.0.0.1", "\npermit = 127.0.0.0"
    )
    manager = (TEMPLATES / "manager.conf").read_text() + text.replace("255.255.255.255", "255.0.0.0")
    with Asterisk(22, files={"manager.conf": manager}) as asterisk, asterisk.manager() as tester:
        mine = Manager.login(asterisk.address, "asterisk-connector", "for-cel")
        try:
            tester.action("Originate", Channel="Local/613@from-internal", Application="Wait", Data="1", Async="true")
            mine.wait_event(lambda event: event["Event"] == "CEL" and event["EventName"] == "LINKEDID_END")
            assert mine.action("CoreSettings")["AsteriskVersion"]
            with pytest.raises(RuntimeError, match=r"[Pp]ermission"):
                mine.action("Command", Command="core show version")
            with pytest.raises(RuntimeError, match=r"[Pp]ermission"):
                mine.action("Originate", Channel="Local/613@from-internal", Application="Wait", Data="1")
            seen = {event["Event"] for event in mine.events}
            assert "CEL" in seen
            assert not seen & {"VarSet", "Newexten", "RTCPSent", "Cdr"}
        finally:
            mine.close()

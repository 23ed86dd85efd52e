"""The role on one host that reaches no repository: a package file, and what the agent needs of others, on request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.ansible.conftest import FIRST, Releases
from tests.conftest import saying_why
from tests.kit.ansible import Playbooks, Run
from tests.kit.call_api import PATH, CallApi
from tests.kit.fleet import CEL, Fleet
from tests.kit.host import Host
from tests.kit.package import NAME
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(900)]

SECRETS = {
    "api.key": "sk_" + "d5" * 16,
    "sources.cdr_table.password": "my \"own' pass\\word",
    "sources.cel_table.password": "p'g pass",
    "ami.secret": "managers-own-secret",
}
CDR = """CREATE DATABASE asteriskcdrdb; USE asteriskcdrdb;
CREATE TABLE cdr (calldate datetime NOT NULL, clid varchar(80), src varchar(80), dst varchar(80), dcontext varchar(80),
channel varchar(80), dstchannel varchar(80), lastapp varchar(80), lastdata varchar(80), duration int, billsec int,
disposition varchar(45), amaflags int, accountcode varchar(20), uniqueid varchar(32), userfield varchar(255),
did varchar(50), recordingfile varchar(255), linkedid varchar(32), peeraccount varchar(80), sequence int,
KEY calldate (calldate));
CREATE TABLE others (secret varchar(80));"""
CEL_TABLE = """CREATE TABLE cel (id bigserial PRIMARY KEY, eventtype varchar(30), eventtime timestamp,
cid_name varchar(80),
cid_num varchar(80), cid_ani varchar(80), cid_rdnis varchar(80), cid_dnid varchar(80), exten varchar(80),
context varchar(80), channame varchar(80), appname varchar(80), appdata varchar(80), amaflags int,
accountcode varchar(20), uniqueid varchar(150), linkedid varchar(150), peer varchar(80), userfield varchar(255),
extra text);
CREATE TABLE others (secret varchar(80));"""


@dataclass
class Site:
    """The host, what rolls it out, and how that went."""

    host: Host
    playbooks: Playbooks
    api: CallApi
    deb: str
    first: Run
    second: Run


@pytest.fixture(scope="module")
def site(release: Releases) -> Iterator[Site]:
    with ExitStack() as stack, saying_why():
        fleet = stack.enter_context(Fleet(databases=True, pbx1="bookworm"))
        host = fleet["pbx1"]
        databases(host)
        for name, text in {"cel": "[general]\nenable=no\n", "manager": '#tryinclude "manager.d/*.conf"\n'}.items():
            host.file(f"/etc/asterisk/{name}.conf").write_text(text)
        api = stack.enter_context(CallApi(address=fleet.address))
        settings = {
            "start_at": "beginning",
            "api": {"url": f"http://{fleet.address}:{api.port}{PATH}"},
            "sources": {
                "cel_csv": [{"path": CEL}],
                "cdr_table": {"host": "127.0.0.1", "database": "asteriskcdrdb", "user": "cdr_reader"},
                "cel_table": {
                    "driver": "postgresql",
                    "host": "127.0.0.1",
                    "database": "asterisk",
                    "user": "cel_reader",
                },
            },
            "ami": {"user": NAME},
            "http": {"listen": "0.0.0.0:8000", "allow": ["127.0.0.0/8", "192.0.2.0/24"]},
            "calls": {"settle": "200ms"},
        }
        deb = str(release("bookworm", FIRST))
        variables = {
            "asterisk_connector_deb": deb,
            "asterisk_connector_config": settings,
            "asterisk_connector_manage_cel": True,
            "asterisk_connector_manage_ami": True,
            "asterisk_connector_manage_database": True,
            "asterisk_connector_metrics_from": ["192.0.2.0/24"],
            "asterisk_connector_settle": 1,
            "asterisk_connector_health_timeout": 20,
        }
        secrets = {"asterisk_connector_secrets": SECRETS}
        playbooks = stack.enter_context(Playbooks({"pbx1": fleet.reached("pbx1")}, variables, secrets))
        first = playbooks.run("deploy", "--diff", "-vvv").succeeded()
        second = playbooks.run("deploy", "--diff").succeeded()
        yield Site(host, playbooks, api, deb, first, second)


def databases(host: Host) -> None:
    """Starts the host's MariaDB and PostgreSQL, with the tables of an Asterisk."""
    host.run("systemctl", "start", "mariadb", "postgresql")
    host.run("mariadb", "--execute", CDR)
    psql = ["runuser", "--user=postgres", "--", "psql", "--quiet", "--set=ON_ERROR_STOP=1"]
    until(lambda: host.run(*psql, "--command=SELECT 1", check=False).returncode == 0, 30, "PostgreSQL serves")
    host.run(*psql, "--command=CREATE DATABASE asterisk")
    host.run(*psql, "--dbname=asterisk", f"--command={CEL_TABLE}")


def may(host: Host, table: str) -> dict[str, bool]:
    """Whether the agent's accounts can read a table: of MariaDB, of PostgreSQL."""
    mysql = ["env", f"MYSQL_PWD={SECRETS['sources.cdr_table.password']}", "mariadb", "-h127.0.0.1", "-ucdr_reader"]
    psql = ["env", f"PGPASSWORD={SECRETS['sources.cel_table.password']}", "psql", "-h127.0.0.1", "-Ucel_reader"]
    asked = {
        "mariadb": [*mysql, "asteriskcdrdb", f"-eSELECT 1 FROM {table} LIMIT 1"],
        "postgresql": [*psql, "asterisk", f"-cSELECT 1 FROM {table} LIMIT 1"],
    }
    return {name: host.run(*command, check=False).returncode == 0 for name, command in asked.items()}


def test_a_package_file_is_enough_to_put_a_host_to_work(site: Site) -> None:
    call = NumberedCall(1)
    with site.host.file(CEL).open("ab") as file:
        file.write(b"".join(row + b"\n" for _, row in call.rows()))
    until(lambda: call.linkedid in site.api.calls, 30, "the call at the API")
    assert site.host.said("dpkg-query", "--show", "--showformat=${Version}", NAME).startswith(FIRST)


def test_a_second_rollout_changes_nothing_there_either(site: Site) -> None:
    assert site.second.recap["pbx1"].changed == 0, site.second.said[-4000:]


def test_accounts_of_the_databases_read_their_table_and_nothing_else(site: Site) -> None:
    assert may(site.host, "cdr") == {"mariadb": True, "postgresql": False}
    assert may(site.host, "cel") == {"mariadb": False, "postgresql": True}
    assert may(site.host, "others") == {"mariadb": False, "postgresql": False}


def test_asterisk_is_told_to_write_events_and_to_let_the_agent_in(site: Site) -> None:
    cel = site.host.file("/etc/asterisk/cel.conf").read_text()
    assert cel.startswith("[general]\nenable=no\n"), "what was there stays"
    assert "events=ALL" in cel
    assert "Master.csv => ${CSV_QUOTE(${eventtype})}" in site.host.file("/etc/asterisk/cel_custom.conf").read_text()
    account = site.host.file("/etc/asterisk/manager.d/asterisk-connector.conf")
    assert f"[{NAME}]\nsecret = {SECRETS['ami.secret']}\n" in account.read_text()
    assert site.host.said("stat", "--format=%a %U", "/etc/asterisk/manager.d/asterisk-connector.conf") == "640 asterisk"


def test_metrics_are_shown_to_those_who_may_see_them_alone(site: Site) -> None:
    assert "192.0.2.0/24" in site.host.said("nft", "list", "table", "inet", "asterisk_connector")
    reads = "import socket; socket.create_connection(({!r}, 8000), 1).close()"
    assert site.host.run("python3", "-c", reads.format("127.0.0.1"), check=False).returncode == 0


def test_no_password_is_said_or_in_a_log_of_the_databases(site: Site) -> None:
    logs = site.host.said("sh", "-c", "cat /var/log/postgresql/* /var/log/mysql/* 2>/dev/null; journalctl --no-pager")
    for name, secret in SECRETS.items():
        for said in (site.first.said, site.second.said, logs):
            assert secret not in said, name
            assert secret.replace("\\", "\\\\").replace('"', '\\"') not in said, name


def test_uninstalling_leaves_state_and_purging_leaves_nothing(site: Site) -> None:
    site.playbooks.run("uninstall").succeeded()
    assert not site.host.file(f"/usr/bin/{NAME}").exists()
    assert site.host.file(f"/var/lib/{NAME}/calls.db").exists()
    assert site.host.file(f"/etc/{NAME}/config.yaml").exists()
    site.playbooks.run("uninstall", asterisk_connector_purge=True).succeeded()
    left = site.host.said("find", "/", "-xdev", "-name", f"*{NAME}*", "-not", "-path", "/root/*")
    assert left == ""
    assert site.host.run("id", NAME, check=False).returncode != 0
    assert not any(any(may(site.host, table).values()) for table in ("cdr", "cel"))
    assert site.host.file("/etc/asterisk/cel.conf").read_text() == "[general]\nenable=no\n"

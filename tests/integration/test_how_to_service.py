"""How-to pages with a running service, done word by word: a call arrives, and what the pages look at can be seen.

The pages of tables are in `test_how_to_tables`, those of AMI events in `tests/unit/test_how_to`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import saying_why
from tests.kit import calls
from tests.kit.asterisk import Asterisk
from tests.kit.call_api import CallApi
from tests.kit.monitoring import ALERTS
from tests.kit.office import Office
from tests.kit.page_reader import PageReader
from tests.kit.pbx_calls import PbxCalls, numbered
from tests.kit.server import hold_address
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

pytestmark = pytest.mark.slow
OFF = {"ASTERISK_CONNECTOR_HTTP__LISTEN": "off"}


def without_secrets(settings: dict[str, Any], etc: Path) -> dict[str, Any]:
    """The same settings with every secret in a file."""
    api, sources = dict(settings["api"]), dict(settings["sources"])
    del api["key"]
    for name in ("cel_table", "cdr_table"):
        sources[name] = {key: value for key, value in sources[name].items() if key != "password"}
        sources[name]["password_file"] = str(etc / "db.password")
    return settings | {"api": api | {"key_file": str(etc / "api.key")}, "sources": sources}


@pytest.fixture
def api() -> Iterator[CallApi]:
    with CallApi() as api:
        yield api


@pytest.mark.root
def test_the_page_of_plain_asterisk_leads_from_nothing_to_a_call_shipped(tmp_path: Path, api: CallApi) -> None:
    with saying_why():
        asterisk = Asterisk(22, files={"cel.conf": "[general]\nenable = no\n", "cel_custom.conf": ""})
    with asterisk, Office(asterisk) as office:
        home = asterisk.home
        program = shlex.join([*asterisk._program, "-C", str(home / "etc" / "asterisk.conf")])
        reader = PageReader(
            tmp_path,
            "plain-asterisk.md",
            {
                "/etc/asterisk/": f"{home}/etc/",
                "/var/log/asterisk": f"{home}/log",
                "/var/spool/asterisk": f"{home}/spool",
            },
            environment={"ASTERISK_CONNECTOR_API__URL": api.url, **OFF},
            programs={"asterisk": f'exec {program} "$@"\n'},
        )
        try:
            reader.do_it()
            assert "CEL Custom CSV Logging" in reader.said
            assert "reading cel_csv:" in reader.said
            told = calls.plain(office)
            until(lambda: len(api.calls) == 1, 20, f"the call at the API:\n{reader.log.read_text()}")
            (received,) = api.calls.values()
            assert told.caller in {received.get("src_number"), received.get("src_extension")}
            assert received["linkedid"] in reader.run("asterisk-connector calls list")
            assert "delivered to call_api" in reader.run("journalctl -u asterisk-connector -n 20")
        finally:
            reader.stop()


def test_the_page_of_the_container_leads_to_the_calls_of_the_last_hour(
    tmp_path: Path, api: CallApi, mariadb: Any
) -> None:
    pbx = PbxCalls(mariadb, name="asteriskcdrdb")
    mariadb.query("CREATE OR REPLACE USER 'asterisk_reader'@'%' IDENTIFIED BY 'change-me'")
    mariadb.query("GRANT SELECT ON asteriskcdrdb.* TO 'asterisk_reader'@'%'")
    made = numbered(0, 3)
    pbx.write(made)
    reader = PageReader(
        tmp_path,
        "from-container.md",
        {"127.0.0.1": mariadb.address},
        environment={"ASTERISK_CONNECTOR_API__URL": api.url, **OFF},
        programs={"docker": 'echo "$@"\n'},
    )
    try:
        reader.do_it()
        assert "MAX_WORKERS: had no effect there" in reader.said
        imported = yaml.safe_load((tmp_path / "config.yaml").read_text())
        assert reader.configured == without_secrets(imported, reader.etc) | {"start_at": "1h"}
        assert "stop asterisk-connector" in reader.said
        assert reader.restarts == ["restart asterisk-connector"]
        until(lambda: len(api.calls) == len(made), 30, f"the calls at the API:\n{reader.log.read_text()}")
    finally:
        reader.stop()
        pbx.close()


def test_the_page_of_monitoring_shows_a_running_service(tmp_path: Path, api: CallApi) -> None:
    held, address = hold_address()
    call = NumberedCall(0)
    cel = tmp_path / "Master.csv"
    cel.write_bytes(b"".join(row + b"\n" for _, row in call.rows()))
    reader = PageReader(
        tmp_path,
        "monitoring.md",
        {
            "asterisk-connector top\n": "asterisk-connector top --once\n",  # there is no terminal here
            "1795289858.2041": call.linkedid,
            "127.0.0.1:8000": f"{address}:8000",
            "0.0.0.0:8000": f"{address}:8000",
            "pbx1.example:8000": f"{address}:8000",
            "curl --fail -H": "sudo systemctl reload asterisk-connector && curl --fail -H",
            "asterisk-connector.token": f"{tmp_path}/etc/http.token",
        },
        environment={"ASTERISK_CONNECTOR_API__URL": api.url, "ASTERISK_CONNECTOR_HTTP__LISTEN": f"{address}:8000"},
    )
    (tmp_path / "alerts.yml").write_text(ALERTS.read_text())
    (reader.etc / "api.key").write_text("sk_" + "a" * 32)
    (reader.etc / "api.key").chmod(0o640)
    (reader.etc / "config.yaml").write_text(
        yaml.safe_dump(
            {
                "start_at": "beginning",
                "api": {"key_file": str(reader.etc / "api.key")},
                "sources": {"cel_csv": [{"path": str(cel)}]},
            }
        )
    )
    try:
        reader.run("systemctl start asterisk-connector")
        until(lambda: api.calls, 20, f"the call at the API:\n{reader.log.read_text()}")
        reader.do_it()
        assert "ready" in reader.said
        assert f"call {call.linkedid} delivered to call_api" in reader.said
        assert 'asterisk_connector_sink_delivered_total{sink="call_api"}' in reader.said
        assert "401" not in reader.said
    finally:
        reader.stop()
        held.close()

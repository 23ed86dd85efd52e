"""The how-to pages of tables, done word by word on real servers: what they say is run, and a call arrives.

Only what belongs to the place is exchanged: folders, sockets, addresses, the package's account and `systemctl`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kit.call_api import CallApi
from tests.kit.page_reader import PageReader
from tests.kit.pbx_calls import PbxCalls, judge, numbered
from tests.kit.wait import until


def follow(home: Path, page: str, pbx: PbxCalls, places: dict[str, str], environment: dict[str, str]) -> PageReader:
    """Does what a page says and sees a call arrive."""
    with CallApi() as api:
        environment = {
            **environment,
            "ASTERISK_CONNECTOR_API__URL": api.url,
            "ASTERISK_CONNECTOR_HTTP__LISTEN": "off",
            "ASTERISK_CONNECTOR_STORE__RESERVE": "64KiB",
        }
        reader = PageReader(home, page, places, environment=environment)
        try:
            reader.do_it()
            assert reader.restarts == ["restart asterisk-connector"]
            assert ": ready" in reader.said
            for table in ("cel", "cdr"):
                said = f"reading {table}_table:"
                until(lambda said=said: said in reader.log.read_text(), 10, f"{said}:\n{reader.log.read_text()}")
            calls = numbered(0, 3)
            pbx.write(calls)
            judge(api, calls, 30, reader.log.read_text)
        finally:
            reader.stop()
    return reader


def test_the_page_of_freepbx_leads_to_calls_shipped(tmp_path: Path, mariadb: Any) -> None:
    pbx = PbxCalls(mariadb, name="asteriskcdrdb")
    (tmp_path / ".my.cnf").write_text(f"[client]\nsocket = {mariadb.socket}\nuser = root\n")
    places = {"/run/mysqld/mysqld.sock": str(mariadb.socket)}
    reader = follow(tmp_path, "freepbx.md", pbx, places, {"HOME": str(tmp_path)})
    assert "may only read table cel" in reader.said
    assert "may only read table cdr" in reader.said
    assert "keeps whole seconds" in reader.said
    pbx.close()


@pytest.mark.parametrize(("cel", "cdr"), [("noid", "alembic"), ("sipstack", "sipstack")])
def test_the_page_of_postgresql_leads_to_calls_shipped(tmp_path: Path, postgresql: Any, cel: str, cdr: str) -> None:
    pbx = PbxCalls(postgresql, cel, cdr, name="pbx")
    postgresql.query("DROP ROLE IF EXISTS asterisk_reader")
    environment = {"PGHOST": str(postgresql.home), "PGPORT": str(postgresql.port), "PGUSER": "postgres"}
    reader = follow(tmp_path, "postgresql.md", pbx, {"127.0.0.1": postgresql.address}, environment)
    assert "may only read table cel" in reader.said
    assert "may only read table cdr" in reader.said
    assert "no id" not in reader.said
    postgresql.query("DROP TABLE cel, cdr", pbx.cel.database)  # and the rights on them
    pbx.close()

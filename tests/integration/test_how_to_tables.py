"""The how-to pages of tables, done word by word on real servers: what they say is run, and a call arrives.

Only what belongs to the place is exchanged: folders, sockets, addresses, the package's account and `systemctl`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import CallApi
from tests.kit.pbx_calls import PbxCalls, judge, numbered

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
SUDO = '#!/bin/sh\n[ "$1" = -u ] && shift 2\nexec "$@"\n'
SYSTEMCTL = '#!/bin/sh\necho "$@" >> "$SYSTEMCTL_SAID"\n'


class Reader:
    """Somebody who does what a page says, from top to bottom."""

    def __init__(self, home: Path, page: str, places: dict[str, str], environment: dict[str, str]) -> None:
        self._home = home
        self.etc = home / "etc"
        self.etc.mkdir()
        self.restarts = home / "systemctl"
        commands = home / "bin"
        commands.mkdir()
        for name, text in (("sudo", SUDO), ("systemctl", SYSTEMCTL)):
            (commands / name).write_text(text)
            (commands / name).chmod(0o755)
        self._environment = {
            **os.environ,
            **environment,
            "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SYSTEMCTL_SAID": str(self.restarts),
            "ASTERISK_CONNECTOR_CONFIG": str(self.etc / "config.yaml"),
            "ASTERISK_CONNECTOR_STORE__DIRECTORY": str(home),
        }
        self._places = {"-g asterisk-connector ": "", "/etc/asterisk-connector": str(self.etc), **places}
        self._page = (PAGES / page).read_text()
        self.said = ""

    def do_it(self) -> None:
        for kind, block in re.findall(r"^```(\w+)\n(.*?)^```$", self._page, re.MULTILINE | re.DOTALL):
            for theirs, ours in self._places.items():
                block = block.replace(theirs, ours)
            if kind == "yaml":
                path = self.etc / "config.yaml"
                assert block.startswith(f"# {path}\n")
                path.write_text(block)
                path.chmod(0o640)
                continue
            assert kind == "sh"
            done = subprocess.run(
                ["sh", "-eu"],
                input=block,
                env=self._environment,
                cwd=self._home,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            self.said += done.stdout
            assert done.returncode == 0, f"{block}\nended with {done.returncode}:\n{done.stdout}"

    @property
    def configured(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((self.etc / "config.yaml").read_text())
        return found


def follow(home: Path, page: str, pbx: PbxCalls, places: dict[str, str], environment: dict[str, str]) -> Reader:
    """Does what a page says and sees a call arrive."""
    with CallApi() as api:
        reader = Reader(home, page, places, {**environment, "ASTERISK_CONNECTOR_API__URL": api.url})
        reader.do_it()
        assert reader.restarts.read_text() == "restart asterisk-connector\n"
        settings = reader.configured
        settings["api"] = {"url": api.url, "key_file": settings["api"]["key_file"]}
        with AgentProcess(home, settings) as agent:
            agent.wait_said("reading cel_table:")
            agent.wait_said("reading cdr_table:")
            calls = numbered(0, 3)
            pbx.write(calls)
            judge(api, calls, 30, lambda: agent.said)
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

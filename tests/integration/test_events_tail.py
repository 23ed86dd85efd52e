"""`events tail`: what a live manager says, as it would be published."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kit.fake_ami import FakeAmi
from tests.kit.wait import until

NOBODY_THERE = """\
kafka: {connections: {main: {brokers: ["127.0.0.1:1"]}}}
events: {connection: main, topic: asterisk_ami, format: json}
"""
HANGUP = b"Event: Hangup\r\nPrivilege: call,all\r\nChannel: PJSIP/100-1\r\n\r\n"
VARSET = b"Event: VarSet\r\nPrivilege: dialplan,all\r\nChannel: PJSIP/100-1\r\nVariable: A\r\nValue: 1\r\n\r\n"


@pytest.fixture
def ami() -> Iterator[FakeAmi]:
    ami = FakeAmi()
    yield ami
    ami.close()


class Tail:
    """One `events tail`, what it prints and how it ended."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes]) -> None:
        self._home = home
        self.process = process

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self._home / "out").read_text().splitlines()]

    @property
    def complaints(self) -> str:
        return (self._home / "err").read_text()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(15)


def hear_ctrl_c() -> None:
    """As in a terminal; a test run in the background has its children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def tail(home: Path, ami: FakeAmi, *arguments: str, secret: str = "secret") -> Iterator[Tail]:
    (home / "ami.secret").write_text(secret)
    (home / "ami.secret").chmod(0o600)
    config = home / "config.yaml"
    config.write_text(f"ami: {{port: {ami.port}, user: agent, secret_file: {home}/ami.secret}}\n{NOBODY_THERE}")
    command = [sys.executable, "-m", "asterisk_connector", "events", "tail", "--config", str(config), *arguments]
    with (home / "out").open("wb") as out, (home / "err").open("wb") as err:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, preexec_fn=hear_ctrl_c, process_group=0
        )
    try:
        yield Tail(home, process)
    finally:
        process.kill()
        process.wait()
        print((home / "err").read_text())  # pytest shows it when the test fails


def test_live_events_are_printed_as_records_until_ctrl_c(tmp_path: Path, ami: FakeAmi) -> None:
    with tail(tmp_path, ami) as shown:
        ami.wait_for(lambda: ami.sessions)
        ami.say(HANGUP + VARSET)
        until(lambda: len(shown.records) == 2, what="both records")
        hangup, varset = shown.records
        assert (hangup["key"], varset["key"]) == ("Hangup", "VarSet")
        assert hangup["headers"]["entity_id"] == ami.entity_id
        assert hangup["headers"]["asterisk_version"] == "22.10.1"
        assert json.loads(hangup["value"])["Channel"] == "PJSIP/100-1"
        assert shown.interrupt() == 130
        assert "Traceback" not in shown.complaints


def test_a_filter_and_a_format_on_the_command_line_count(tmp_path: Path, ami: FakeAmi) -> None:
    with tail(tmp_path, ami, "--format", "ami", "--eventfilter", "eventfilter(name(VarSet)) =") as shown:
        ami.wait_for(lambda: ami.sessions)
        ami.say(HANGUP + VARSET)
        until(lambda: shown.records, what="the record")
        assert [record["value"] for record in shown.records] == [
            f"EntityID: {ami.entity_id}\r\nSystemName: {ami.system_name}\r\n{VARSET.decode()}"
        ]


def test_a_lost_session_is_said_and_the_next_one_goes_on(tmp_path: Path, ami: FakeAmi) -> None:
    with tail(tmp_path, ami) as shown:
        ami.wait_for(lambda: ami.sessions)
        ami.drop()
        ami.wait_for(lambda: ami.sessions)
        ami.say(HANGUP)
        until(lambda: shown.records, what="a record of the second session")
        assert "next try in" in shown.complaints


def test_a_wrong_secret_is_said_with_what_to_do(tmp_path: Path, ami: FakeAmi) -> None:
    with tail(tmp_path, ami, secret="wrong") as shown:
        until(lambda: "Authentication failed" in shown.complaints, what="the refusal")
        assert "manager.conf" in shown.complaints


def test_without_a_manager_session_there_is_nothing_to_listen_to(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("api: {key: k}\nsources: {cel_csv: [{path: /x/Master.csv}]}\n")
    (tmp_path / "config.yaml").chmod(0o600)
    command = [sys.executable, "-m", "asterisk_connector", "events", "tail", "--config", str(tmp_path / "config.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 78
    assert "write `ami`" in ended.stderr

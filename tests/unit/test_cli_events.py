"""`events preview`: the records of a capture, and what becomes of a bad filter."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from asterisk_connector.cli.main import main

CAPTURE = Path(__file__).parent / "data/ami/asterisk-22.10-calls.cap.gz"
SESSION = (
    b"Asterisk Call Manager/11.0.0\r\nResponse: Success\r\nMessage: Authentication accepted\r\n\r\n"
    b"Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: 105\r\nLastReload: 105\r\nStatus: Fully Booted\r\n\r\n"
    b"Event: Hangup\r\nPrivilege: call,all\r\nTimestamp: 1795289432.987059\r\nChannel: Local/1@x;1\r\n\r\n"
    b"Event: UserEvent\r\nPrivilege: user,all\r\nTimestamp: 1795289433.5\r\nName: caf\xe9\r\nUserEvent: x\r\n\r\n"
)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    file = tmp_path / "session.cap"
    file.write_bytes(SESSION)
    return file


def lines(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[Any]:
    assert main(["events", "preview", *map(str, arguments)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_capture_is_printed_as_the_records_it_would_become(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--entity-id",
        "52:54:00:ab:cd:ef",
        "--system-name",
        "pbx",
        "--asterisk-version",
        "22",
        "--hostname",
        "h",
    ]
    first, second = lines(capsys, *options, capture)
    assert first["key"] == "Hangup"
    assert list(first["headers"].items()) == [
        ("entity_id", "52:54:00:ab:cd:ef"),
        ("system_name", "pbx"),
        ("asterisk_version", "22"),
        ("event_type", "Hangup"),
        ("event_category", "call"),
        ("format", "json"),
        ("timestamp", "1795289432"),
        ("hostname", "h"),
    ]
    assert json.loads(first["value"])["Channel"] == "Local/1@x;1"
    assert "Name" not in json.loads(second["value"])
    assert "value_base64" not in second


def test_a_value_that_is_not_utf8_is_given_as_base64_too(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = lines(capsys, "--format", "ami", capture)
    assert "value_base64" not in first
    raw = base64.b64decode(second["value_base64"])
    assert raw.startswith(b"EntityID: 00:00:00:00:00:00\r\nEvent: UserEvent\r\n")
    assert b"caf\xe9" in raw
    assert list(second["headers"])[1] == "asterisk_version"


def test_filter_lines_are_those_of_ami_kafka_conf(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [r["key"] for r in lines(capsys, "--eventfilter", "eventfilter = !Channel: Local/", capture)] == [
        "UserEvent"
    ]
    both = ["--eventfilter", "eventfilter(name(Hangup)) = ", "--eventfilter", "eventfilter(name(UserEvent)) = "]
    assert len(lines(capsys, *both, capture)) == 2


def test_34_a_bad_filter_ends_with_78_and_nothing_printed(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "preview", "--eventfilter", "eventfilter = XX[X", str(capture)]) == 78
    said = capsys.readouterr()
    assert said.out == ""
    assert "eventfilter = XX[X" in said.err


def test_a_capture_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "preview", str(tmp_path / "nothing.cap")]) == 78
    assert "nothing.cap" in capsys.readouterr().err


def test_filters_format_and_key_can_come_from_the_configuration(
    capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text(
        "ami: {user: agent, secret: x}\n"
        "kafka: {connections: {main: {brokers: [localhost:9092]}}}\n"
        "events:\n  connection: main\n  topic: asterisk_ami\n  format: ami\n  entity_id: '0a:0b:0c:0d:0e:0f'\n"
        "  filters:\n    - {name: Hangup}\n"
    )
    (tmp_path / "config.yaml").chmod(0o600)
    (only,) = lines(capsys, "--config", tmp_path / "config.yaml", capture)
    assert only["value"].startswith("EntityID: 0a:0b:0c:0d:0e:0f\r\nEvent: Hangup\r\n")


def test_a_real_session_gives_every_event_but_the_one_of_the_login(capsys: pytest.CaptureFixture[str]) -> None:
    records = lines(capsys, CAPTURE)
    assert len(records) == 11_998
    assert records[0]["key"] == "SuccessfulAuth"

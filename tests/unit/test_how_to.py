"""Pages of docs/how-to: their files load, their commands exist, and what they show is what happens."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from asterisk_connector.cli.main import main
from asterisk_connector.config.load import load
from asterisk_connector.config.model import Settings
from asterisk_connector.config.publishing import event_filters, kafka_properties

PAGES = Path(__file__).parent.parent.parent / "docs" / "how-to"
CAPTURE = Path(__file__).parent / "data/ami/asterisk-22.10-calls.cap.gz"
EVENTS_PAGES = ("ami-to-kafka.md", "from-app-ami-kafka.md")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    return [text for kind, text in _BLOCK.findall((PAGES / page).read_text()) if kind == language]


def files(page: str, folder: Path) -> None:
    """Writes every block that begins with the name of a file, as that file in `folder`."""
    for text in blocks(page, "ini") + blocks(page, "yaml"):
        name = Path(text.splitlines()[0].lstrip(";# ")).name
        (folder / name).write_text(text.replace("/etc/asterisk-connector", str(folder)))
        (folder / name).chmod(0o600)


def commands(page: str) -> list[list[str]]:
    """Our commands, without what the shell does with their output."""
    lines = [line for text in blocks(page, "sh") for line in text.splitlines()]
    return [shlex.split(line.split(" > ")[0])[1:] for line in lines if line.startswith("asterisk-connector ")]


def settings(file: Path) -> Settings:
    (file.parent / "ami.secret").write_text("change-me\n")
    (file.parent / "ami.secret").chmod(0o600)
    file.chmod(0o600)
    loaded = load(file, {})
    assert loaded.settings is not None, loaded.findings
    return loaded.settings


@pytest.mark.parametrize("page", EVENTS_PAGES)
def test_every_command_of_the_page_exists_with_its_options(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = commands(page)
    assert found
    for words in found:
        assert main([*words, "--help"]) == 0, words
        assert "Usage: asterisk-connector" in capsys.readouterr().out


def test_the_configuration_of_the_page_loads(tmp_path: Path) -> None:
    files("ami-to-kafka.md", tmp_path)
    loaded = settings(tmp_path / "config.yaml")
    assert loaded.events is not None
    assert [rule.name for rule in event_filters(loaded.events)] == [b"RTCPSent", b"RTCPReceived"]


def test_the_modules_files_of_the_page_become_a_configuration_that_previews_a_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files("from-app-ami-kafka.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    imports, *previews = commands("from-app-ami-kafka.md")
    assert main(imports) == 0
    said = capsys.readouterr()
    assert "acks = 1 is not taken over" in said.err
    (tmp_path / "config.yaml").write_text(said.out.replace("/etc/asterisk-connector", str(tmp_path)))
    loaded = settings(tmp_path / "config.yaml")
    assert kafka_properties(loaded.kafka.connections["main"])["sasl.mechanisms"] == "SCRAM-SHA-512"
    (tmp_path / "session.cap").write_bytes(CAPTURE.read_bytes())
    for words in previews:
        assert main(words) == 0
        keys = {json.loads(line)["key"] for line in capsys.readouterr().out.splitlines()}
        assert "Hangup" in keys
        assert not any(key.startswith("RTCP") for key in keys)
        assert ("VarSet" in keys) == ("--config" not in words)

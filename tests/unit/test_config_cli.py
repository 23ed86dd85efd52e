"""The command line: verbs, exit codes, one sentence per error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from asterisk_connector.cli import main as cli
from asterisk_connector.cli.main import main
from asterisk_connector.errors import AlreadyRunning, ConnectorError, Misconfigured, Transient


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(
        f"api: {{key: sk}}\nsources: {{cel_csv: [{{path: {tmp_path}/cel.csv}}]}}\nstore: {{directory: {tmp_path}}}\n"
    )
    file.chmod(0o600)
    return file


def test_a_good_configuration_ends_with_0(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(config), "--tier", "host"]) == 0
    out = capsys.readouterr().out
    assert "the agent can run" in out
    assert "looked at: how it is written, what it means, this host\n" in out


def test_a_bad_configuration_ends_with_78_and_names_every_line(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("api: {regoin: x}\nlog: {level: loud}\n")
    assert main(["check", "--config", str(config)]) == 78
    out = capsys.readouterr().out
    assert f"{config}:1: api.regoin" in out
    assert f"{config}:2: log.level" in out


def test_findings_are_also_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text("api: {regoin: x}\n")
    assert main(["check", "--config", str(config), "--json"]) == 78
    document = json.loads(capsys.readouterr().out)
    assert document["good"] is False
    assert document["looked_at"] == ["syntax"]
    assert {finding["place"] for finding in document["findings"]} == {f"{config}:1"}


def test_the_file_may_be_named_in_the_environment(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASTERISK_CONNECTOR_CONFIG", str(config))
    assert main(["config", "show"]) == 0
    out = capsys.readouterr().out
    assert "region: us1" in out
    assert "key: '***'" in out


def test_show_refuses_a_bad_configuration_with_78(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text("api: {regoin: x}\n")
    assert main(["config", "show", "--config", str(config)]) == 78
    assert "api.regoin: unknown setting" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["nosuch"], ["check", "--nosuch"], ["check", "--tier", "all"], ["config"]])
def test_a_wrong_command_line_ends_with_64(words: list[str]) -> None:
    assert main(words) == 64


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name in cli.VERBS:
        assert f"\n  {name} " in out


def test_every_verb_can_be_imported_and_says_what_it_does() -> None:
    for name in cli.VERBS:
        command = cli.commands.get_command(click.Context(cli.commands), name)
        assert command is not None
        assert command.help


def test_starting_imports_no_verb_and_no_driver() -> None:
    heavy = ["yaml", "requests", "phonenumbers", "confluent_kafka", "MySQLdb", "psycopg", "sqlite3", "rich"]
    program = (
        "import sys; from asterisk_connector.cli.main import main; main(['--help']);"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Misconfigured("no key", "write one"), 78),
        (Transient("busy"), 75),
        (AlreadyRunning("runs already"), 75),
        (ConnectorError("odd"), 70),
    ],
)
def test_an_expected_error_is_one_sentence_and_a_code(
    error: ConnectorError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.commands, "main", raising(error))
    assert main(["version"]) == code
    err = capsys.readouterr().err
    assert err.startswith(f"asterisk-connector: {error}\n")
    assert "Traceback" not in err


def test_a_bug_ends_with_70_and_shows_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.commands, "main", raising(ZeroDivisionError()))
    assert main(["version"]) == 70
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "this is a bug" in err


def test_debug_shows_the_traceback_of_an_expected_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.commands, "main", raising(Misconfigured("no key")))
    assert main(["--debug", "version"]) == 78
    assert "Traceback" in capsys.readouterr().err


def raising(error: Exception):  # type: ignore[no-untyped-def]
    def run(*_: object, **__: object) -> None:
        raise error

    return run


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    program = "import sys; from asterisk_connector.cli.main import main; sys.exit(main(['config', 'reference']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")

"""Every command that a page shows is run: here beside a running agent, or by the test that is named for it."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from asterisk_connector.cli.examples import EXAMPLES
from asterisk_connector.cli.main import main
from asterisk_connector.control import questions as q
from tests.kit import commands_page
from tests.kit.small_agent import SmallAgent, small_agent
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
AMI_CAPTURE = ROOT / "tests/unit/data/ami/asterisk-22.10-calls.cap.gz"
CDR_CAPTURE = ROOT / "tests/scenarios/captures/22.10/s01_internal_answered_a_hangs/cdr_full.csv"

ELSEWHERE = {
    "run": "tests/integration/test_service.py::test_it_says_ready_its_state_and_that_it_stops",
    "demo": "tests/integration/test_demo.py::test_every_call_and_every_event_of_the_recording_arrives_exactly_once",
    "top": "tests/integration/test_commands.py::test_top_goes_on_until_q",
    "calls tail": "tests/unit/test_cli_state.py::test_tail_tells_each_call_once_as_it_is_settled",
    "events tail": "tests/integration/test_events_tail.py::test_live_events_are_printed_as_records_until_ctrl_c",
    "config import-ami-kafka": "tests/unit/test_how_to.py::"
    "test_the_modules_files_of_the_page_become_a_configuration_that_previews_a_capture",
    "replay --zone": "tests/unit/test_contributing.py::test_the_pasted_table_of_the_page_is_replayed",
}
"""Commands that do not end, ask a person or need more than an agent, with the test that runs each."""

STOPPED = ("backfill",)
"""Commands that want the service stopped."""

_OURS = r"(?:sudo |runuser -u asterisk-connector -- |\$ )*(?:\.venv/bin/)?asterisk-connector (?P<words>.+)"
_FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_NOT_OURS = re.compile(r"^(?:\.service|…)")


def documented() -> Iterator[str]:
    """What is typed behind our name, on every page, alternatives (`list|show`) one by one."""
    for page in PAGES:
        text = page.read_text()
        lines = [line for block in _FENCE.findall(text) for line in block.splitlines()]
        for line in lines + _INLINE.findall(_FENCE.sub("", text)):
            match = re.fullmatch(_OURS, line.strip())
            if match and not _NOT_OURS.match(match["words"]):
                yield from _each(match["words"].replace("\\|", "|"))
    for example in EXAMPLES:
        yield from _each(example.removeprefix("asterisk-connector "))


def _each(words: str) -> Iterator[str]:
    words = re.split(r"\s+#|\s+>|\s+\|\s|\s*&&", words)[0].strip()
    words = re.sub(r"\[(?:OPTIONS|[A-Z]+)\](?:\.\.\.)?", "", words)
    choice = re.search(r"\{?((?:[\w-]+\|)+[\w-]+)\}?", words)
    if choice is None:
        yield " ".join(words.split())
        return
    for one in choice[1].split("|"):
        yield from _each(words[: choice.start()] + one + words[choice.end() :])


COMMANDS = sorted(set(documented()))


def elsewhere(command: str) -> str | None:
    return next((test for words, test in ELSEWHERE.items() if f"{command} ".startswith(f"{words} ")), None)


def test_pages_show_every_command_there_is() -> None:
    shown = {tuple(command.split()[:length]) for command in COMMANDS for length in (1, 2)}
    assert [path for path in commands_page.paths() if path not in shown] == []


def test_the_page_of_all_commands_is_made_from_their_help_of_today() -> None:
    assert commands_page.PAGE.read_text() == commands_page.page(), "run: make docs"


@pytest.mark.parametrize("test", ELSEWHERE.values())
def test_what_is_run_elsewhere_is_run_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallAgent]:
    with small_agent(tmp_path_factory.mktemp("agent")) as agent:
        yield agent


@pytest.fixture
def place(agent: SmallAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that has the files that pages name."""
    (tmp_path / "Master.csv").write_bytes(b"".join(row + b"\n" for _, row in NumberedCall(1).rows()))
    (tmp_path / "cel.csv").write_bytes((tmp_path / "Master.csv").read_bytes())
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "asterisk.conf").write_text("[directories]\nastlogdir => /var/log/asterisk\n")
    (tmp_path / "etc" / "cel.conf").write_text("[general]\nenable=yes\nevents=ALL\n")
    shutil.copy(CDR_CAPTURE, tmp_path / "cdr.csv")
    (tmp_path / "session.cap").write_bytes(AMI_CAPTURE.read_bytes())
    (tmp_path / "api.key").write_text("sk_test\n")
    (tmp_path / ".env").write_text("API_KEY=sk_test\nREGION=ca1\n")
    shutil.copy(agent.config, tmp_path / "config.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def filled(command: str, agent: SmallAgent) -> list[str]:
    """The command with something that is there for every word that stands for something."""
    letters = [str(row["number"]) for row in agent.ask(q.DeadLetters())]
    stands_for = {
        "ID": NumberedCall(0).linkedid,
        "NAME": NumberedCall(0).linkedid,
        "1795289858.2041": NumberedCall(0).linkedid,
        "NUMBER": letters[-1],
        "17": letters[-1],
        "WHEN": "36h",
        "FILE…": "Master.csv",
        "CAPTURE": "session.cap",
        "ENV": ".env",
        "/root/api.key": "api.key",
    }
    command = command.replace("--until WHEN", "--until now").replace("--cdr Master.csv", "--cdr cdr.csv")
    words = [stands_for.get(word, word) for word in shlex.split(command)]
    path = " ".join(words[:2])
    if words in (["calls", "show"], ["outbox", "show"], ["outbox", "retry"], ["outbox", "drop"], ["replay"]):
        words.append({"calls": NumberedCall(0).linkedid, "outbox": letters[-1], "replay": "Master.csv"}[words[0]])
    if words[0] == "setup":
        # Asked of a person it ends the same; `--print` writes nothing.
        wanted = [] if {"--json", "--print"} & {*words} else ["--non-interactive", "--print"]
        words += [*(word for word in wanted if word not in words), "--asterisk-etc", str(Path("etc").absolute())]
    if words == ["completion"]:
        words.append("bash")
    if path == "events preview" and len(words) == 2:
        words.append("session.cap")
    if words[0] in {"backfill", "reconcile"} and "--since" not in words:
        words += ["--since", "36h"]
    if path == "outbox drop" and "--yes" not in words:
        words.append("--yes")
    if path == "config import-env" and len(words) == 2:
        words.append(".env")
    if takes_config(words):
        words += ["--config", str(agent.config)]
    return words


def takes_config(words: list[str]) -> bool:
    return (
        "--config" not in words
        and words[0] not in {"completion", "version"}
        and (words[0] != "config" or words[1:2] == ["show"])
    )


@pytest.mark.parametrize("command", [c for c in COMMANDS if elsewhere(c) is None and not c.startswith(STOPPED)])
def test_a_documented_command_does_what_it_is_shown_for(
    command: str, agent: SmallAgent, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    until(lambda: len(agent.ask(q.DeadLetters())) >= 1, 10, "a dead letter to name")
    words = filled(command, agent)
    # Calls of the recording began before the agent's own time: some are history, which `reconcile` tells with 1.
    good = {0, 1} if words[0] == "reconcile" else {0}
    assert main(words) in good, capsys.readouterr().err
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(STOPPED)])
def test_a_documented_command_that_wants_the_service_stopped_says_so_and_then_works(
    command: str, agent: SmallAgent, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = filled(command, agent)
    if "--dry-run" not in words:
        assert main(words) == 75
    stopped = tmp_path / "stopped.yaml"
    stopped.write_text(agent.config.read_text().replace(str(agent.state), str(tmp_path / "state")))
    stopped.chmod(0o600)
    shutil.copytree(agent.state, tmp_path / "state")
    words[words.index(str(agent.config))] = str(stopped)
    assert main(words) == 0, capsys.readouterr().err
    assert capsys.readouterr().out

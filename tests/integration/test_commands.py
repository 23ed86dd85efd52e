"""Commands beside a running agent: what it answers over its socket, and what its state answers when it is down."""

from __future__ import annotations

import grp
import json
import os
import pty
import select
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from asterisk_connector.cli import support
from asterisk_connector.cli.asking import ask_service, ask_state
from asterisk_connector.cli.main import main
from asterisk_connector.control import questions as q
from tests.kit.call_api import Answer, CallApi
from tests.kit.small_agent import CALLERS, CALLS, OPEN, REFUSED, SmallAgent, small_agent
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

DID = "+14165559876"
TABLE_PASSWORD = "s3cr3t-of-the-table"
MANAGER_SECRET = "s3cr3t-of-the-manager"


class Ran:
    """A command that has ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallAgent]:
    """One for all tests that only look."""
    with small_agent(tmp_path_factory.mktemp("agent")) as agent:
        until(lambda: agent.ask(q.UnlinkedRecordings(1)), 20, "the recording of no call")
        yield agent


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(config: Path, *words: object) -> Ran:
        capsys.readouterr()
        code = main([*map(str, words), "--config", str(config)])
        return Ran(code, *capsys.readouterr())

    return run


# Looking


def test_status_tells_on_one_screen_how_everything_is(
    agent: SmallAgent, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns in (60, 80, 160):
        monkeypatch.setenv("COLUMNS", str(columns))
        told = run(agent.config, "status")
        assert told.code == 0
        assert "pbx-under-test: ready" in told.out
        assert f"1 open, {CALLS} completed" in told.out
        assert len(told.out.splitlines()) <= 24
        assert max(map(len, told.out.splitlines())) <= columns
        assert "\x1b" not in told.out
    assert "p99" in told.out
    (document,) = run(agent.config, "status", "--json").lines
    assert document["service"]["pid"] == agent.pid  # type: ignore[index]
    assert not any(number in json.dumps(document) for number in CALLERS.values())


@pytest.mark.parametrize(
    "question",
    [
        q.NewestCalls(50),
        q.OneCall(NumberedCall(0).linkedid, explain=True),
        q.OneCall("nobody"),
        q.CallsSettled(0, 0),
        q.Owed(),
        q.DeadLetters(),
        q.DeadLetters(limit=2, sink="call_api"),
        q.WholeDeadLetters(),
        q.UnlinkedRecordings(10),
        q.RowsSetAside(10),
        q.StateFacts(),
    ],
    ids=lambda question: type(question).__name__,
)
def test_the_state_alone_answers_as_the_service_does(agent: SmallAgent, question: q.AnyQuestion) -> None:
    told = list(ask_service(agent.config, question))
    assert told == list(ask_state(agent.config, question))
    assert told or question == q.OneCall("nobody")


def test_an_open_call_is_told_as_it_looks_now(agent: SmallAgent, run: Run) -> None:
    told = json.loads(run(agent.config, "calls", "show", NumberedCall(OPEN).linkedid).out)
    assert told["caller"]["number"] == CALLERS[OPEN]
    assert told["complete"] is False


def test_who_may_not_read_the_secrets_may_ask_all_the_same(agent: SmallAgent, run: Run, tmp_path: Path) -> None:
    settings = yaml.safe_load(agent.config.read_text())
    del settings["api"]["key_file"]
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    assert run(config, "check", "--tier", "meaning").code == 78
    assert run(config, "status").code == 0
    assert len(run(config, "outbox", "list", "--dead", "--json").lines) == len(REFUSED)


def test_top_shows_rates_once_and_refuses_where_is_no_terminal(agent: SmallAgent, run: Run) -> None:
    told = run(agent.config, "top", "--once", "--interval", "0.2")
    assert told.code == 0
    assert "rows/s" in told.out
    assert run(agent.config, "top").code == 64


def test_top_goes_on_until_q(agent: SmallAgent) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
        words = ["top", "--interval", "0.2", "--config", str(agent.config)]
        os.execv(sys.executable, [sys.executable, "-m", "asterisk_connector", *words])
    seen = b""

    def read() -> bytes:
        nonlocal seen
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # it has ended
                return seen
        return seen

    try:
        until(lambda: read().count(b"taken/s") >= 2, 20, "two screens with rates")
        os.write(terminal, b"q")
        ended, status = until(lambda: (read(), os.waitpid(pid, os.WNOHANG))[1][0] and (pid, 0), 10, "its end after q")
        assert (ended, status) == (pid, 0)
    finally:
        os.close(terminal)


# Steering


def test_dead_letters_are_steered_through_the_service_which_says_who_asked(tmp_path: Path, run: Run) -> None:
    with small_agent(tmp_path) as agent:
        first, *others = run(agent.config, "outbox", "list", "--dead", "--json").lines
        agent.api.script = lambda _: Answer()
        assert run(agent.config, "outbox", "retry", first["number"]).out == "1 owed again\n"
        until(lambda: first["call_id"] in agent.api.calls, 10, "the call at the API")
        assert run(agent.config, "outbox", "drop", others[0]["number"], "--yes").out == "1 dropped\n"
        assert run(agent.config, "outbox", "retry", "--all").out == f"{len(others) - 1} owed again\n"
        until(lambda: len(agent.api.calls) == CALLS - 1, 10, "all calls but the dropped one at the API")
        agent.wait_said(f"(uid {os.geteuid()}) asked (pid {os.getpid()})")


def test_what_is_owed_is_listed_one_by_one(tmp_path: Path, run: Run) -> None:
    with CallApi() as api:
        api.script = lambda _: Answer(503)
        with SmallAgent(tmp_path, api) as agent:
            until(lambda: len(run(agent.config, "outbox", "list", "--pending", "--json").lines) == CALLS, 20)
            oldest = run(agent.config, "outbox", "list", "--pending", "--json", "--limit", 3).lines
            newest = run(agent.config, "outbox", "list", "--pending", "--newest", "--json").lines
            assert [each["number"] for each in oldest] == sorted(each["number"] for each in newest)[:3]
            assert [each["number"] for each in newest] == sorted((each["number"] for each in newest), reverse=True)
            glance = run(agent.config, "outbox", "list").out
            assert all(str(each["call_id"]) in glance for each in oldest)
            until(lambda: run(agent.config, "status").code == 1, 10, "running, not ready")
            assert "sink call_api" in run(agent.config, "status").out
            assert run(agent.config, "status", "--wait", "5").code == 0, "an outage of the API is explained: healthy"


def test_waiting_for_health_ends_with_what_is_wrong(tmp_path: Path, run: Run) -> None:
    with CallApi() as api:
        api.script = lambda _: Answer(401)
        with SmallAgent(tmp_path, api) as agent:
            until(lambda: "paused" in run(agent.config, "status").out, 20, "a sink that refuses us")
            told = run(agent.config, "status", "--wait", "0.5")
            assert told.code == 1
            assert "error: sink call_api" in told.out


def test_without_a_service_the_state_is_told_and_changed(tmp_path: Path, run: Run) -> None:
    with small_agent(tmp_path) as agent:
        while_running = run(agent.config, "calls", "list", "--json").lines
    told = run(agent.config, "status")
    assert told.code == 75
    assert "pbx-under-test: down" in told.out
    assert "the service is not running" in told.err
    assert "systemctl start asterisk-connector" in told.err
    assert run(agent.config, "status", "--json").lines[0]["service"]["state"] == "down"  # type: ignore[index]
    assert run(agent.config, "status", "--wait", "0.1").code == 75
    assert run(agent.config, "top", "--once").code == 75
    assert run(agent.config, "calls", "list", "--json").lines == while_running
    assert run(agent.config, "outbox", "drop", "--all", "--yes").out == f"{len(REFUSED)} dropped\n"
    assert not run(agent.config, "outbox", "list", "--dead", "--json").lines


# Who may ask


@pytest.mark.root
def test_a_member_of_the_services_group_needs_no_more_and_others_are_told_which_group(tmp_path: Path) -> None:
    group = grp.getgrnam("games").gr_gid
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, small_agent(Path(folder)) as agent:
        # As systemd makes them: a directory and a socket of the service's group.
        for place, mode in ((agent.home, 0o750), (agent.socket, 0o660), (agent.config, 0o640)):
            os.chown(place, -1, group)
            place.chmod(mode)
        agent.state.chmod(0o700)

        def ask(groups: list[int]) -> subprocess.CompletedProcess[str]:
            words = [sys.executable, "-m", "asterisk_connector", "outbox", "list", "--dead", "--json"]
            return subprocess.run(
                [*words, "--config", str(agent.config)],
                user=65534, group=65534, extra_groups=groups, cwd="/", capture_output=True, text=True, check=False,
            )  # fmt: skip

        member = ask([group])
        assert member.returncode == 0, member.stderr
        assert len(member.stdout.splitlines()) == len(REFUSED)
        agent.home.chmod(0o755)
        agent.config.chmod(0o644)
        stranger = ask([])
        assert stranger.returncode == 78
        assert "user nobody may not ask" in stranger.stderr
        assert "join group games" in stranger.stderr
        assert agent.stop() == 0
        alone = ask([group])
        assert alone.returncode == 78
        assert "belongs to root" in alone.stderr


# Help


def test_a_support_bundle_has_what_helps_and_no_secret_and_no_number(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "cel.conf").write_text("[general]\nenable=yes\nevents=ALL\n")
    (etc / "manager.conf").write_text(f"[general]\nenabled = yes\n[agent]\nsecret = {MANAGER_SECRET} ; keep it\n")
    (etc / "cdr_pgsql.conf").write_text(f"[global]\npassword=>{TABLE_PASSWORD}\nuser=asterisk\n")
    monkeypatch.setattr(support, "ETC", etc)
    home = tmp_path / "home"
    home.mkdir()
    key = "sk_" + "a" * 32
    with small_agent(home, log={"show_numbers": True}, http={"listen": "off"}) as agent:
        agent.wait_said(CALLERS[0])
        bin_ = tmp_path / "bin"
        bin_.mkdir()
        said = f"#!/bin/sh\ncat {agent.log}; echo 'the key is {key}, call (416) 555-0199'\n"
        for name, text in (("journalctl", said), ("systemctl", "#!/bin/sh\necho ActiveState=active\n")):
            (bin_ / name).write_text(text)
            (bin_ / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(bin_), prepend=":")
        file = tmp_path / "support.tar.gz"
        told = run(agent.config, "support", "--output", file)
        again = run(agent.config, "support", "--output", file)
    assert told.code == 0
    assert "Nothing was sent anywhere." in told.out
    assert file.stat().st_mode & 0o777 == 0o600
    assert again.code == 78, "a file that is there is not overwritten"
    with tarfile.open(file) as bundle:
        pieces = {Path(*Path(name).parts[1:]): bundle.extractfile(name).read() for name in bundle.getnames()}  # type: ignore[union-attr]
    names = {str(name) for name in pieces}
    assert names >= {
        "CONTENTS.txt", "host.json", "configuration.yaml", "check.json", "status.json", "metrics.txt", "state.json",
        "journal.txt", "unit.txt", "asterisk/cel.conf", "asterisk/manager.conf", "asterisk/cdr_pgsql.conf",
    }  # fmt: skip
    whole = b"\n".join(pieces.values()).decode()
    for hidden in (key, MANAGER_SECRET, TABLE_PASSWORD, DID, "555-0199", *CALLERS.values()):
        assert hidden not in whole
        assert hidden.removeprefix("+") not in whole
    assert NumberedCall(0).linkedid in whole, "calls are found again by their ids"
    assert "key: '***'  # from file" in whole
    assert "user=asterisk" in whole
    assert json.loads(pieces[Path("state.json")])["rows"]["call"] == CALLS + 1
    assert b"asterisk_connector_build_info" in pieces[Path("metrics.txt")]


def test_a_support_bundle_can_be_made_of_a_host_that_is_not_well(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "api.key"
    key.write_text("sk_of_a_broken_one\n")
    key.chmod(0o600)
    config = tmp_path / "config.yaml"
    config.write_text(
        f"aip: {{}}\napi:\n  key_file: {key}\nami: {{user: u, secret: sesame-open}}\n# sk_of_a_broken_one\n"
        "sources:\n  cel_table:\n    password: >-\n      written-below\n"
    )
    config.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    told = run(config, "support")
    assert told.code == 0
    assert "status.json              left out: the service is not running" in told.out
    (file,) = tmp_path.glob("asterisk-connector-support-*.tar.gz")
    with tarfile.open(file) as bundle:
        whole = b"\n".join(bundle.extractfile(name).read() for name in bundle.getnames()).decode()  # type: ignore[union-attr]
    assert "unknown setting" in whole
    assert "aip: {}" in whole
    assert "sk_of_a_broken_one" not in whole
    assert "sesame-open" not in whole
    assert "written-below" not in whole


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script_that_asks_us_for_words(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert f"_ASTERISK_CONNECTOR_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_bash_completes_verbs_and_options(tmp_path: Path) -> None:
    words = "source <(asterisk-connector completion bash); COMP_WORDS=(asterisk-connector outbox li) COMP_CWORD=2"
    script = f'{words}; _asterisk_connector_completion asterisk-connector li outbox; echo "${{COMPREPLY[@]}}"'
    place = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout == "list\n", done.stderr

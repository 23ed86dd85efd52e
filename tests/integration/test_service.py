"""`run` as systemd sees it: what it says, how it obeys signals, with which code it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import Answer, CallApi
from tests.kit.notify_socket import NotifySocket
from tests.kit.traffic import NumberedCall, traffic
from tests.kit.wait import until

STOPPED_WITHIN = 10.0


@pytest.fixture
def api() -> Iterator[CallApi]:
    with CallApi() as api:
        yield api


@pytest.fixture
def notify(tmp_path: Path) -> Iterator[NotifySocket]:
    with NotifySocket(tmp_path / "systemd.sock") as notify:
        yield notify


def settings(home: Path, api: CallApi, **more: object) -> dict[str, object]:
    return {
        "start_at": "beginning",
        "api": {"url": api.url},
        "sources": {"cel_csv": [{"path": str(home / "Master.csv")}]},
        "calls": {"settle": "200ms"},
        **more,
    }


def write_calls(home: Path, first: int, last: int) -> list[NumberedCall]:
    """Appends whole calls, one after the other."""
    calls = [NumberedCall(number) for number in range(first, last)]
    with (home / "Master.csv").open("ab") as file:
        for call in calls:
            file.write(b"".join(row + b"\n" for _, row in call.rows()))
    return calls


def launched(home: Path, api: CallApi, notify: NotifySocket, **environment: str) -> AgentProcess:
    agent = AgentProcess(home, settings(home, api), environment)
    agent.launch(notify=str(notify.path))
    notify.wait("READY=1")
    return agent


def end(agent: AgentProcess) -> int:
    began = time.monotonic()
    code = agent.stop(within=STOPPED_WITHIN + 5)
    assert time.monotonic() - began < STOPPED_WITHIN
    return code


def test_it_says_ready_its_state_and_that_it_stops(tmp_path: Path, api: CallApi, notify: NotifySocket) -> None:
    agent = launched(tmp_path, api, notify)
    notify.wait("STATUS=Ready: 1 source")
    assert end(agent) == 0
    notify.wait("STOPPING=1")
    assert notify.heard.index("READY=1") < notify.heard.index("STOPPING=1")


def test_it_gives_signs_of_life_more_often_than_the_watchdog_asks(
    tmp_path: Path, api: CallApi, notify: NotifySocket
) -> None:
    agent = launched(tmp_path, api, notify, WATCHDOG_USEC="1500000")
    notify.wait("WATCHDOG=1", times=4, within=6.0)
    assert end(agent) == 0


def test_the_sentence_of_status_follows_what_is_owed(tmp_path: Path, notify: NotifySocket) -> None:
    write_calls(tmp_path, 0, 3)
    with CallApi(lambda _: Answer(503)) as down:
        agent = launched(tmp_path, down, notify, WATCHDOG_USEC="1500000")
        until(lambda: any("3 deliveries owed" in line for line in notify.heard), 20, f"in {notify.heard}")
        assert end(agent) == 0


@pytest.mark.slow
def test_a_stop_is_short_while_the_api_hangs(tmp_path: Path, notify: NotifySocket) -> None:
    write_calls(tmp_path, 0, 20)
    with CallApi(lambda _: Answer(fault="hang")) as hanging:
        agent = launched(tmp_path, hanging, notify)
        until(lambda: hanging.requests, what="a request that hangs")
        assert end(agent) == 0
        with_it_answering = AgentProcess(tmp_path, settings(tmp_path, hanging))
        hanging.script = lambda _: Answer()
        with with_it_answering:
            until(lambda: len(hanging.calls) == 20, 30, "what was in flight is delivered after the next start")


def test_a_second_sigterm_ends_it_at_once(tmp_path: Path, notify: NotifySocket) -> None:
    write_calls(tmp_path, 0, 20)
    with CallApi(lambda _: Answer(fault="hang")) as hanging:
        agent = launched(tmp_path, hanging, notify)
        until(lambda: hanging.requests, what="a request that hangs")
        agent.signal(signal.SIGTERM)
        notify.wait("STOPPING=1")
        began = time.monotonic()
        assert end(agent) == 0
        assert time.monotonic() - began < 5


def test_a_storm_of_sigterm_ends_it_cleanly(tmp_path: Path, api: CallApi, notify: NotifySocket) -> None:
    agent = launched(tmp_path, api, notify)
    for _ in range(50):
        agent.signal(signal.SIGTERM)
    assert end(agent) == 0
    assert "Traceback" not in agent.said


@pytest.mark.parametrize("after", [0.02, 0.15, 0.3, 0.45])
def test_sigterm_during_the_start_ends_it_without_a_trace(tmp_path: Path, api: CallApi, after: float) -> None:
    agent = AgentProcess(tmp_path, settings(tmp_path, api))
    agent.launch()
    time.sleep(after)
    code = end(agent)
    assert code in {0, -signal.SIGTERM}  # before it took over the signals the kernel's default holds
    assert "Traceback" not in agent.said


def test_ctrl_c_is_a_stop_too(tmp_path: Path, api: CallApi, notify: NotifySocket) -> None:
    agent = launched(tmp_path, api, notify)
    agent.signal(signal.SIGINT)
    until(lambda: not agent.running, STOPPED_WITHIN)
    assert "stopped" in agent.said
    assert "Traceback" not in agent.said


def test_sighup_puts_a_new_configuration_in_force(tmp_path: Path, api: CallApi, notify: NotifySocket) -> None:
    agent = launched(tmp_path, api, notify)
    with CallApi() as other:
        agent.configure(settings(tmp_path, other))
        agent.signal(signal.SIGHUP)
        notify.wait("RELOADING=1")
        notify.wait("READY=1", times=2)
        agent.wait_said("configuration reloaded; restarted: call_api")
        calls = write_calls(tmp_path, 0, 3)
        until(lambda: len(other.calls) == len(calls), what="calls at the new address")
        assert not api.calls
        assert end(agent) == 0
    assert any(line.startswith("MONOTONIC_USEC=") for line in notify.heard)


def test_sighup_with_a_bad_configuration_changes_nothing_and_says_why(
    tmp_path: Path, api: CallApi, notify: NotifySocket
) -> None:
    agent = launched(tmp_path, api, notify)
    agent.config.write_text("api: {regoin: us1}\n")
    agent.signal(signal.SIGHUP)
    notify.wait("READY=1", times=2)
    agent.wait_said("new configuration refused, the old one stays")
    assert "config.yaml:1" in agent.said
    calls = write_calls(tmp_path, 0, 3)
    until(lambda: len(api.calls) == len(calls), what="calls by the old configuration")
    assert end(agent) == 0


def test_sighup_that_moves_the_state_to_an_unusable_place_leaves_the_service_as_it_was(
    tmp_path: Path, api: CallApi, notify: NotifySocket
) -> None:
    agent = launched(tmp_path, api, notify)
    nowhere = tmp_path / "a-file"
    nowhere.touch()
    agent.configure(settings(tmp_path, api, store={"directory": str(nowhere)}))
    agent.signal(signal.SIGHUP)
    notify.wait("READY=1", times=2)
    agent.wait_said("new configuration refused, the old one stays")
    calls = write_calls(tmp_path, 0, 3)
    until(lambda: len(api.calls) == len(calls), what="calls by the old configuration")
    assert end(agent) == 0


def test_sighup_moves_the_state(tmp_path: Path, api: CallApi, notify: NotifySocket) -> None:
    agent = launched(tmp_path, api, notify)
    agent.configure(settings(tmp_path, api, store={"directory": str(tmp_path / "elsewhere")}))
    agent.signal(signal.SIGHUP)
    notify.wait("READY=1", times=2)
    agent.wait_said("configuration reloaded; restarted: everything")
    assert (tmp_path / "elsewhere" / "calls.db").exists()
    calls = write_calls(tmp_path, 0, 3)
    until(lambda: len(api.calls) == len(calls), what="calls kept in the new place")
    assert end(agent) == 0


@pytest.mark.slow
def test_a_hundred_reloads_leak_neither_files_nor_threads(tmp_path: Path, api: CallApi, notify: NotifySocket) -> None:
    agent = launched(tmp_path, api, notify)

    def reload(times: int) -> None:
        for number in range(times):
            more = {"timeout": f"{20 + number % 2}s"}  # the sink is made anew each time
            agent.configure({**settings(tmp_path, api), "api": {"url": api.url, **more}})
            said = notify.count("READY=1")
            agent.signal(signal.SIGHUP)
            notify.wait("READY=1", times=said + 1)

    def held() -> tuple[int, int]:
        return len(list(Path(f"/proc/{agent.pid}/fd").iterdir())), len(list(Path(f"/proc/{agent.pid}/task").iterdir()))

    reload(4)
    files, threads = held()
    reload(100)
    # The state keeps up to eight connections for readers, two files each, made when they are first needed.
    until(lambda: held()[0] <= files + 16, 10, f"about {files} files again")
    until(lambda: held()[1] <= threads, 10, f"{threads} threads again")
    until(lambda: agent.said.count("restarted: call_api") == 104, what="every reload is told")
    calls = write_calls(tmp_path, 0, 3)
    until(lambda: len(api.calls) == len(calls), what="calls after all reloads")
    assert end(agent) == 0


def test_a_second_instance_ends_with_75_and_names_the_first(tmp_path: Path, api: CallApi, notify: NotifySocket) -> None:
    agent = launched(tmp_path, api, notify)
    second = subprocess.run(
        [sys.executable, "-m", "asterisk_connector", "run", "--config", str(agent.config)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 75
    assert f"pid {agent.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert end(agent) == 0


def test_a_lock_left_by_a_killed_instance_is_no_obstacle(tmp_path: Path, api: CallApi, notify: NotifySocket) -> None:
    launched(tmp_path, api, notify).kill()
    with AgentProcess(tmp_path, settings(tmp_path, api)):
        calls = write_calls(tmp_path, 0, 1)
        until(lambda: len(api.calls) == len(calls))


def test_a_bad_configuration_ends_with_78_and_the_place_of_every_problem(tmp_path: Path, api: CallApi) -> None:
    agent = AgentProcess(tmp_path, settings(tmp_path, api))
    agent.config.write_text("api: {regoin: us1}\nlog: {level: loud}\n")
    agent.launch()
    until(lambda: not agent.running)
    assert agent.stop() == 78
    assert f"{agent.config}:1" in agent.said
    assert f"{agent.config}:2" in agent.said
    assert "Traceback" not in agent.said


def test_a_state_directory_that_cannot_be_used_ends_with_78(tmp_path: Path, api: CallApi) -> None:
    agent = AgentProcess(tmp_path, settings(tmp_path, api))
    agent.state.write_text("a file where a directory should be")
    agent.launch()
    until(lambda: not agent.running)
    assert agent.stop() == 78
    assert str(agent.state) in agent.said
    assert "Traceback" not in agent.said


def test_the_configuration_is_found_by_the_environment(tmp_path: Path, api: CallApi) -> None:
    agent = AgentProcess(tmp_path, settings(tmp_path, api))
    agent.config.write_text("api: {regoin: us1}\n")
    ended = subprocess.run(
        [sys.executable, "-m", "asterisk_connector", "run"],
        env={"ASTERISK_CONNECTOR_CONFIG": str(agent.config), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 78
    assert f"{agent.config}:1" in ended.stderr


def test_calls_of_a_busy_host_survive_a_stop_in_the_middle(tmp_path: Path, api: CallApi, notify: NotifySocket) -> None:
    rows = list(traffic(60))
    cel = tmp_path / "Master.csv"
    cel.write_bytes(b"".join(rows[:400]))
    agent = launched(tmp_path, api, notify)
    assert end(agent) == 0
    with cel.open("ab") as file:
        file.write(b"".join(rows[400:]))
    with AgentProcess(tmp_path, settings(tmp_path, api)):
        until(lambda: len(api.calls) == 60, 20, "all calls")
    assert all(payload["is_complete"] for payload in api.calls.values())

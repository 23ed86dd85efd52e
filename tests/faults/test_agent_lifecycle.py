"""F6–F9, F11, F56, F57, F59: the running agent meets damaged state, a stuck part and a clock that jumps."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asterisk_connector.agent import Agent
from asterisk_connector.clock import SystemClock
from asterisk_connector.config.model import Settings
from asterisk_connector.notices import ClockStepped, Notice
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import CallApi
from tests.kit.notify_socket import NotifySocket
from tests.kit.oracle import judge
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

CALLS = 40


@pytest.fixture
def api() -> Iterator[CallApi]:
    with CallApi() as api:
        yield api


def agent_for(home: Path, api: CallApi, **environment: str) -> AgentProcess:
    settings = {
        "start_at": "beginning",
        "api": {"url": api.url},
        "sources": {"cel_csv": [{"path": str(home / "Master.csv")}]},
        "calls": {"settle": "200ms"},
    }
    return AgentProcess(home, settings, environment)


def write(home: Path, first: int, last: int) -> list[NumberedCall]:
    """Appends whole calls, one after the other."""
    calls = [NumberedCall(number) for number in range(first, last)]
    with (home / "Master.csv").open("ab") as file:
        for call in calls:
            file.write(b"".join(row + b"\n" for _, row in call.rows()))
    return calls


def overwrite_the_header(state: Path) -> None:
    """F6."""
    with (state / "calls.db").open("r+b") as file:
        file.write(os.urandom(100))


def flip_bytes_of_every_page(state: Path) -> None:
    """F7, at its worst."""
    with (state / "calls.db").open("r+b") as file:
        for page in range(2, (state / "calls.db").stat().st_size // 4096):
            file.seek(page * 4096 + 5)
            file.write(b"\xff\xff\xff")


def cut_the_log(state: Path) -> None:
    """F8, truncated."""
    log = state / "calls.db-wal"
    os.truncate(log, max(0, log.stat().st_size - 4096))


def remove_the_log(state: Path) -> None:
    """F8, deleted."""
    (state / "calls.db-wal").unlink()


def empty_the_database(state: Path) -> None:
    os.truncate(state / "calls.db", 0)
    (state / "calls.db-wal").unlink(missing_ok=True)


def remove_the_database(state: Path) -> None:
    for path in state.glob("calls.db*"):
        path.unlink()


def fold_in_the_log(state: Path) -> None:
    """So that damage to the database file is damage to what counts."""
    with sqlite3.connect(state / "calls.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


@pytest.mark.parametrize(
    "damage",
    [
        overwrite_the_header,
        flip_bytes_of_every_page,
        cut_the_log,
        remove_the_log,
        empty_the_database,
        remove_the_database,
    ],
)
def test_state_damaged_while_stopped_heals_at_the_next_start_and_no_call_is_lost(
    tmp_path: Path, api: CallApi, damage: Callable[[Path], None]
) -> None:
    calls = write(tmp_path, 0, CALLS // 2)
    agent = agent_for(tmp_path, api)
    agent.start()
    until(lambda: len(api.calls) == len(calls), 20, "the calls before the damage")
    agent.kill()
    if "log" not in damage.__name__:
        fold_in_the_log(agent.state)
    damage(agent.state)
    calls += write(tmp_path, CALLS // 2, CALLS)
    with agent:
        judge(api, calls, 30, lambda: agent.said)
    assert "Traceback" not in agent.said


@pytest.mark.parametrize("damage", [overwrite_the_header, flip_bytes_of_every_page, remove_the_database, shutil.rmtree])
def test_state_damaged_while_running_heals_without_anybody_and_no_call_is_lost(
    tmp_path: Path, api: CallApi, damage: Callable[[Path], None]
) -> None:
    calls = write(tmp_path, 0, CALLS // 2)
    agent = agent_for(tmp_path, api, WATCHDOG_USEC="1500000")
    with agent:
        until(lambda: len(api.calls) == len(calls), 20, "the calls before the damage")
        damage(agent.state)
        calls += write(tmp_path, CALLS // 2, CALLS)
        judge(api, calls, 30, lambda: agent.said)
        pid = agent.pid
        assert agent.running
    assert f"(pid {pid})" not in agent.said
    assert "Traceback" not in agent.said


def test_a_stuck_part_is_named_and_the_watchdog_is_not_fed(tmp_path: Path, api: CallApi) -> None:
    patch = tmp_path / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(
        "import threading\n"
        "from asterisk_connector import supervise\n"
        "supervise.ROUND_SECONDS, supervise.STUCK_SECONDS = 0.5, 3.0\n"
        "from asterisk_connector import agent\n"
        "from asterisk_connector.delivery import courier\n"
        "agent._KEEPING_INTERVAL = courier._PULSE = 0.5\n"
        "agent.Assembler._settle = lambda *_: threading.Event().wait()\n"
    )
    agent = agent_for(tmp_path, api, PYTHONPATH=str(patch), WATCHDOG_USEC="600000")
    with NotifySocket(tmp_path / "systemd.sock") as notify:
        agent.launch(notify=str(notify.path))
        notify.wait("WATCHDOG=1", times=3)
        write(tmp_path, 0, 1)
        agent.wait_said("no sign of life from assembler", 15)
        fed = notify.count("WATCHDOG=1")
        for reloads in range(2, 6):
            agent.signal(signal.SIGHUP)
            notify.wait("READY=1", times=reloads)
        assert notify.count("WATCHDOG=1") == fed
        agent.kill()
    with agent_for(tmp_path, api):
        until(lambda: len(api.calls) == 1, what="the call, after systemd has killed it and started it again")


def test_a_log_that_nobody_reads_holds_neither_calls_nor_the_stop(tmp_path: Path, api: CallApi) -> None:
    """F59: a pipe that is full."""
    calls = write(tmp_path, 0, 1500)
    agent = agent_for(tmp_path, api)
    command = [sys.executable, "-m", "asterisk_connector", "run", "--config", str(agent.config)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        until(lambda: len(api.calls) == len(calls), 60, "all calls, though the log is blocked")
        process.terminate()
        assert process.wait(12) == 0
        assert process.stderr is not None
        assert b"stopped" not in process.stderr.read()  # there was no room for it in the pipe


def test_descriptors_that_run_out_cost_time_and_no_call(tmp_path: Path, api: CallApi) -> None:
    """F11."""
    calls = write(tmp_path, 0, 20)
    agent = agent_for(tmp_path, api)
    with agent:
        until(lambda: len(api.calls) == len(calls), what="calls before")
        _, most = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (8, most))
        (tmp_path / "Master.csv").rename(tmp_path / "Master.csv.1")
        calls += write(tmp_path, 20, 40)  # a new file, which takes a descriptor
        until(lambda: "cannot read" in agent.said or "reading pauses" in agent.said, 20, f"trouble in {agent.said}")
        resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (most, most))
        judge(api, calls, 30, lambda: agent.said)
    assert "Traceback" not in agent.said


def test_a_host_that_was_suspended_catches_up(tmp_path: Path, api: CallApi) -> None:
    """F57."""
    calls = write(tmp_path, 0, 5)
    agent = agent_for(tmp_path, api)
    with agent:
        until(lambda: len(api.calls) == len(calls), what="calls before")
        agent.signal(signal.SIGSTOP)
        (tmp_path / "Master.csv").rename(tmp_path / "Master.csv.1")
        calls += write(tmp_path, 5, 30)
        agent.signal(signal.SIGCONT)
        judge(api, calls, 20, lambda: agent.said)


class SteppedClock(SystemClock):
    """The host's clocks with a wall clock that somebody sets and a monotonic one that is wound on."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.since = 1000.0
        super().__init__()

    def resync(self) -> None:
        self._offset = round((self.wall - self.since) * 1e6)

    def drift(self) -> float:
        return (self.wall - self.since) - self._offset / 1e6

    def monotonic(self) -> float:
        return self.since

    def now(self) -> int:
        return round(self.since * 1e6) + self._offset

    def pass_time(self, seconds: float) -> None:
        self.since += seconds
        self.wall += seconds


@pytest.fixture
def watched() -> tuple[SteppedClock, list[Notice], Callable[[], None]]:
    clock, heard = SteppedClock(), list[Notice]()
    return clock, heard, Agent(Settings(), clock=clock, notify=heard.append)._watch_clock


Watched = tuple[SteppedClock, list[Notice], Callable[[], None]]


@pytest.mark.parametrize("step", [3600.0, -3600.0, -1_800_000_000.0, 2_400_000_000.0])
def test_a_step_of_the_clock_is_told_once_and_adopted_when_it_stays(watched: Watched, step: float) -> None:
    clock, heard, watch = watched
    before = clock.now()
    clock.wall += step
    for _ in range(10):
        clock.pass_time(60)
        watch()
    assert [notice.seconds for notice in heard if isinstance(notice, ClockStepped)] == [pytest.approx(step)]
    assert clock.now() == before + 600_000_000
    clock.pass_time(61)
    watch()
    clock.pass_time(61)
    watch()
    assert clock.now() == pytest.approx(clock.wall * 1e6, abs=10)


def test_a_step_that_is_taken_back_leaves_no_trace(watched: Watched) -> None:
    clock, heard, watch = watched
    before = clock.now()
    clock.wall += 3600
    watch()
    clock.pass_time(60)
    clock.wall -= 3600
    watch()
    clock.pass_time(1200)
    watch()
    assert len(heard) == 1
    assert clock.now() == before + 1_260_000_000


def test_a_clock_that_is_slewed_is_followed_without_a_word(watched: Watched) -> None:
    clock, heard, watch = watched
    for _ in range(100):
        clock.pass_time(60)
        clock.wall += 0.03
        watch()
    assert heard == []
    assert clock.now() == pytest.approx(clock.wall * 1e6, abs=10)

"""F22–F27 with real limits and real kills: no recording is missed, none is on two calls, none twice on one."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from asterisk_connector.clock import SystemClock
from asterisk_connector.notices import Notice, WatchOverflow
from asterisk_connector.sources.recordings import RecordingsSource
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import CallApi
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

CALLS = 150


class Pbx:
    """Writes calls and, when each ends, its recording: named by uniqueid, by a dated folder, or moved afterwards."""

    def __init__(self, home: Path, seconds: float) -> None:
        self.cel = home / "Master.csv"
        self.monitor = home / "monitor"
        self.monitor.mkdir()
        self.made: dict[str, str] = {}
        self._pause = seconds / CALLS
        self._thread = threading.Thread(target=self._write)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        self._thread.join(120)
        assert not self._thread.is_alive()

    def _write(self) -> None:
        base = int(time.time())
        for number in range(CALLS):
            call = NumberedCall(number, base=base)
            self._record(number, call.linkedid)
            with self.cel.open("ab") as file:
                file.write(b"".join(row + b"\n" for _, row in call.rows()))
            time.sleep(self._pause)

    def _record(self, number: int, linkedid: str) -> None:
        folder = self.monitor / f"{number % 50:02d}"
        folder.mkdir(exist_ok=True)
        path = folder / f"exten-1-2-{linkedid}.sln"
        path.write_bytes(bytes(1600 + number))
        if number % 3 == 0:
            path = path.rename(folder / f"kept-{linkedid}.sln")
        self.made[linkedid] = str(path)


def agent_for(pbx: Pbx, api: CallApi, home: Path) -> AgentProcess:
    settings = {
        "start_at": "beginning",
        "api": {"url": api.url},
        "sources": {
            "cel_csv": [{"path": str(pbx.cel)}],
            "recordings": {"paths": [str(pbx.monitor)], "settle": "300ms", "poll": "500ms", "extensions": ["sln"]},
        },
        "calls": {"settle": "500ms"},
    }
    return AgentProcess(home, settings)


def judge(pbx: Pbx, api: CallApi, within: float = 40) -> None:
    """Every call is there, and its last word names its one recording."""

    def told() -> dict[str, list[str]]:
        calls = dict(api.calls)
        return {call: [f["file_path"] for f in told.get("recording_files", ())] for call, told in calls.items()}

    def wrong() -> dict[str, tuple[str, list[str] | None]]:
        now = told()
        return {call: (path, now.get(call)) for call, path in pbx.made.items() if now.get(call) != [path]}

    deadline = time.monotonic() + within
    while wrong() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert wrong() == {}
    assert set(Counter(path for paths in told().values() for path in paths).values()) == {1}


def test_a_recording_that_comes_after_its_call_was_shipped_makes_a_new_revision(tmp_path: Path) -> None:
    pbx = Pbx(tmp_path, seconds=0)
    call = NumberedCall(0, base=int(time.time()))
    with CallApi() as api, agent_for(pbx, api, tmp_path):
        pbx.cel.write_bytes(b"".join(row + b"\n" for _, row in call.rows()))
        until(lambda: call.linkedid in api.calls, 20, "the call")
        assert "recording_files" not in api.calls[call.linkedid]
        path = pbx.monitor / "2026" / f"late-{call.linkedid}.sln"
        path.parent.mkdir()
        path.write_bytes(bytes(1600))
        until(lambda: "recording_files" in api.calls[call.linkedid], 20, "the call with its recording")
        assert [file["file_path"] for file in api.calls[call.linkedid]["recording_files"]] == [str(path)]
        assert len(api.requests) == len({request.key for request in api.requests}) == 2


@pytest.mark.slow
def test_twenty_kills_while_recordings_are_finished_miss_none_and_tell_none_twice(tmp_path: Path) -> None:
    pbx, chance = Pbx(tmp_path, seconds=20), random.Random(3)
    with CallApi() as api:
        agent = agent_for(pbx, api, tmp_path)
        agent.start()
        pbx.start()
        for _ in range(20):
            time.sleep(chance.uniform(0.1, 1.2))
            agent.kill()
            agent.launch()
        agent.kill()
        with agent:
            pbx.finish()
            judge(pbx, api)


WITHOUT_ROOTS_EYES = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)
"""A command under which root, too, may only read what it is permitted to."""


@pytest.mark.root
def test_a_folder_that_may_not_be_read_for_a_while_costs_time_only(tmp_path: Path) -> None:
    """F26."""
    pbx = Pbx(tmp_path, seconds=0)
    call, other = NumberedCall(0, base=int(time.time())), NumberedCall(1, base=int(time.time()))
    closed = pbx.monitor / "closed"
    closed.mkdir()
    (closed / f"x-{call.linkedid}.sln").write_bytes(bytes(1600))
    closed.chmod(0)
    with CallApi() as api:
        agent = agent_for(pbx, api, tmp_path)
        agent.start(*WITHOUT_ROOTS_EYES)
        with contextlib.ExitStack() as cleaning:
            cleaning.callback(agent.kill)
            cleaning.callback(closed.chmod, 0o755)
            (pbx.monitor / f"y-{other.linkedid}.sln").write_bytes(bytes(1600))
            for one in (call, other):
                with pbx.cel.open("ab") as file:
                    file.write(b"".join(row + b"\n" for _, row in one.rows()))
            until(lambda: "recording_files" in api.calls.get(other.linkedid, {}), 20, "the neighbour's recording")
            assert "recording_files" not in api.calls[call.linkedid]
            assert str(closed) in agent.said
            closed.chmod(0o755)
            until(lambda: "recording_files" in api.calls[call.linkedid], 30, f"the closed one's\n{agent.said}")


@pytest.mark.root
@pytest.mark.slow
def test_recordings_finished_while_the_state_disk_is_full_are_on_their_calls_later(tmp_path: Path) -> None:
    """F1."""
    pbx = Pbx(tmp_path, seconds=6)
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(state)], check=True)
    try:
        with CallApi() as api:
            agent = agent_for(pbx, api, tmp_path)
            with agent:
                agent.wait_said("reading recordings", 20)
                filler = state / "somebody-elses-file"
                fill(filler)
                pbx.start()
                agent.wait_said("reading pauses", 20)
                pbx.finish()
                filler.unlink()
                judge(pbx, api)
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def with_watches(number: int) -> list[str]:
    """A command under which so many inotify watches can be had.

    The limit is the one of a user namespace of its own: `fs.inotify.max_user_watches` would be the whole host's.
    """
    limit = f'echo {number} > /proc/sys/user/max_inotify_watches && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh"]
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.fail(f"no namespace with a limit of its own here: {tried.stderr.strip()}", pytrace=False)
    return prefix


@pytest.mark.root
@pytest.mark.slow
def test_one_single_watch_costs_latency_and_no_recording(tmp_path: Path) -> None:
    pbx = Pbx(tmp_path, seconds=5)
    with CallApi() as api:
        agent = agent_for(pbx, api, tmp_path)
        agent.start(*with_watches(1))
        try:
            pbx.start()
            pbx.finish()
            judge(pbx, api)
            agent.wait_said("max_user_watches")
        finally:
            agent.kill()


def test_a_full_queue_of_the_kernel_loses_nothing(tmp_path: Path) -> None:
    notices: list[Notice] = []
    source = RecordingsSource(
        "recordings", [tmp_path], notify=notices.append, clock=SystemClock(), settle=0.2, extensions=("sln",)
    )
    source.open(None)
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    noise = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for number in range(queue + 100):  # by turns: the kernel folds equal neighbours into one
        with noise[number % 2].open("ab"):
            pass
    for number in range(200):
        path = tmp_path / f"{number % 20}" / f"{number}.sln"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(1600))
    told: set[str] = set()
    deadline = time.monotonic() + 20
    while len(told) < 200 and time.monotonic() < deadline:
        batch = source.read(0.5)
        told |= {seen.ident for seen in batch.seen} if batch else set()
    source.close()
    assert len(told) == 200
    assert [notice for notice in notices if isinstance(notice, WatchOverflow)]


FILES, FOLDERS = 10_000, 2_000
_FIRST_LOOK = """
import resource, sys, time
from pathlib import Path
from asterisk_connector.clock import SystemClock
from asterisk_connector.notices import ignore
from asterisk_connector.sources.recordings import RecordingsSource
clock = SystemClock()
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, clock.monotonic()
source = RecordingsSource("recordings", [Path(sys.argv[1])], notify=ignore, clock=clock, extensions=["sln"], max_age=0)
source.open(None)
assert source.read(0) is None
opened = clock.monotonic() - began
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
spent = time.process_time()
source.read(5)
print(opened, source._tree.directories, grown, time.process_time() - spent)
"""


@pytest.mark.slow
def test_two_thousand_folders_cost_little_to_watch_and_nothing_while_idle(tmp_path: Path) -> None:
    for number in range(FOLDERS):
        folder = tmp_path / f"{number // 365}/{number % 365:03d}"
        folder.mkdir(parents=True)
        for file in range(FILES // FOLDERS):
            (folder / f"{file}.sln").touch()
    os.sync()
    told = subprocess.run(
        [sys.executable, "-c", _FIRST_LOOK, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    opened, directories, grown, idle = (float(word) for word in told.split())
    print(
        f"opened in {opened:.2f} s, {directories:.0f} directories, {grown / 1024:.1f} MB, {idle * 1000:.1f} ms in 5 s"
    )
    assert directories == FOLDERS + 1 + (FOLDERS + 364) // 365
    assert grown < 20 * 1024
    assert idle < 0.015

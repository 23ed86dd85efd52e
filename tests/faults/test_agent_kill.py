"""F52, F28–F32, F1: the agent is killed, the API fails, the disk fills; every call arrives, once or under one key."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import Answer, CallApi, Received, take
from tests.kit.oracle import Writer, judge
from tests.kit.wait import until

CALLS = 500
KILLS = 50


def agent_for(home: Path, api: CallApi, cel: Path, reserve: str = "64KiB") -> AgentProcess:
    settings = {
        "start_at": "beginning",
        "api": {"url": api.url, "timeout": "2s"},
        "sources": {"cel_csv": [{"path": str(cel)}]},
        "calls": {"settle": "500ms"},
        "store": {"reserve": reserve},
    }
    return AgentProcess(home, settings)


def kill_again_and_again(agent: AgentProcess, kills: int, chance: random.Random) -> None:
    """Each life lasts for a random while, from before it is ready to well into its work.

    The first one lasts until the source was opened: what was rotated away before that is history of another time.
    """
    agent.launch()
    agent.wait_said("reading cel_csv", 20)
    agent.kill()
    for _ in range(kills - 1):
        agent.launch()
        time.sleep(chance.uniform(0.05, 1.3))
        agent.kill()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1])
def test_fifty_kills_while_500_calls_are_written_and_rotated_lose_none(tmp_path: Path, seed: int) -> None:
    cel = tmp_path / "Master.csv"
    with CallApi() as api, Writer(cel, CALLS, seconds=40, rotations=5) as writer:
        agent = agent_for(tmp_path, api, cel)
        kill_again_and_again(agent, KILLS, random.Random(seed))
        with agent:
            writer.finish()
            judge(api, writer.calls, 60, lambda: agent.said)
    assert writer.rotated == 5


class Unwell:
    """An API that fails in every way it can for a while, by the number of the request."""

    def __init__(self, requests: int) -> None:
        self._requests = requests
        self._ways = (
            Answer(500),
            Answer(fault="close_before"),
            Answer(fault="close_after"),
            Answer(503, {"Retry-After": "1"}),
            Answer(fault="hang"),
        )

    def __call__(self, request: Received) -> Answer:
        if request.number > self._requests:
            return take(request)
        return self._ways[request.number % len(self._ways)] if request.number % 3 else take(request)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_kills_while_the_api_fails_hangs_and_closes_lose_none(tmp_path: Path) -> None:
    cel = tmp_path / "Master.csv"
    with CallApi(Unwell(150)) as api, Writer(cel, CALLS, seconds=30, rotations=3) as writer:
        agent = agent_for(tmp_path, api, cel)
        kill_again_and_again(agent, 20, random.Random(2))
        with agent:
            writer.finish()
            judge(api, writer.calls, 200, lambda: agent.said)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    disk = tmp_path / "state"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.timeout(300)
def test_a_state_disk_of_two_megabytes_that_fills_and_is_freed_loses_none(tmp_path: Path, small_disk: Path) -> None:
    cel = tmp_path / "Master.csv"
    filler = small_disk / "somebody-elses-file"
    with CallApi() as api, Writer(cel, CALLS, seconds=20, rotations=2) as writer:
        agent = agent_for(tmp_path, api, cel, reserve="512KiB")
        with agent:
            agent.wait_said("reading cel_csv", 20)
            fill(filler)
            agent.wait_said("reading pauses", 20)
            agent.kill()
            filler.unlink()
            agent.start()
            until(lambda: api.calls, 20, "a first call")
            fill(filler)
            until(lambda: agent.said.count("reading pauses") > 1, 20, "the full disk is noticed again")
            filler.unlink()
            agent.wait_said("reading goes on", 20)
            writer.finish()
            judge(api, writer.calls, 60, lambda: agent.said)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return

"""A crowd that hammers the status page, and clients that never finish asking: calls go on as if nobody were there."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from asterisk_connector.telemetry.http import MOST_CONNECTIONS
from tests.benchmarks.figure import Process
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import CallApi
from tests.kit.hammer import Hammer
from tests.kit.server import hold_address
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

CALLS = 100
EAGER, SLOW = 60, 60


class Extent:
    """What a process holds: threads, file descriptors, resident memory in MB."""

    def __init__(self, pid: int) -> None:
        self.threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        self.files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        self.memory = Process(pid).memory()


def _answers(url: str) -> float:
    """How many answers the server has given to anybody."""
    lines = requests.get(f"{url}/metrics", timeout=20).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if "http_requests_total{" in line)


@pytest.mark.slow
def test_hammering_and_starving_the_page_holds_no_call_and_fills_nothing(tmp_path: Path) -> None:
    held, address = hold_address()
    url = f"http://{address}:8000"
    cel = tmp_path / "Master.csv"

    def call(number: int) -> None:
        with cel.open("ab") as file:
            file.write(b"".join(row + b"\n" for _, row in NumberedCall(number).rows()))

    with held, CallApi() as api:
        settings = {
            "start_at": "beginning",
            "api": {"url": api.url, "workers": 1},
            "sources": {"cel_csv": [{"path": str(cel)}]},
            "calls": {"settle": "0s"},
            "http": {"listen": f"{address}:8000"},
        }
        with AgentProcess(tmp_path, settings) as agent:
            for path in ("/", "/status", "/metrics", "/history"):
                assert requests.get(url + path, timeout=10).status_code == 200
            call(0)
            until(lambda: len(api.accepted) == 1, 20, "a call before anybody comes")
            before, meanwhile = Extent(agent.pid), []
            hammer = Hammer(address, 8000, EAGER, SLOW)
            with hammer:
                until(lambda: Extent(agent.pid).files >= before.files + MOST_CONNECTIONS // 2, 15, "the crowd is there")
                for last in range(10, CALLS, 10):
                    for number in range(len(api.accepted), last):
                        call(number)
                    until(lambda last=last: len(api.accepted) == last, 15, f"{last} calls received meanwhile")  # type: ignore[misc]
                    meanwhile.append(Extent(agent.pid))
                    assert requests.get(f"{url}/healthz", timeout=20).text == "alive\n"
                until(lambda: _answers(url) > 500, 30, "hundreds of answers were had")
            assert hammer.answers > 100
            assert max(each.threads for each in meanwhile) <= before.threads
            assert max(each.files for each in meanwhile) <= before.files + MOST_CONNECTIONS + 2
            assert max(each.memory for each in meanwhile) <= before.memory + 20
            until(lambda: Extent(agent.pid).files <= before.files + 2, 60, "every connection is closed")
            assert requests.get(f"{url}/readyz", timeout=10).text == "ready\n"

"""What the running agent says: the story of each call, one line for each cause of an outage, numbers masked."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import Answer, CallApi, Received
from tests.kit.mock_kafka import MockKafka
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

CALLS = 60
NUMBER = "4165550137"


class Outage:
    """A script of the call API: 503 until `over`."""

    def __init__(self) -> None:
        self.over = False

    def __call__(self, _: Received) -> Answer:
        return Answer() if self.over else Answer(status=503)


def settings(home: Path, api: CallApi, **more: Any) -> dict[str, Any]:
    (home / "Master.csv").touch()
    return {
        "start_at": "beginning",
        "api": {"url": api.url},
        "sources": {"cel_csv": [{"path": str(home / "Master.csv")}]},
        "calls": {"settle": "200ms"},
        **more,
    }


def write(home: Path, call: NumberedCall, caller: str = "") -> None:
    rows = b"".join(row + b"\n" for _, row in call.rows())
    if caller:
        rows = rows.replace(call.caller.encode(), caller.encode())
    with (home / "Master.csv").open("ab") as file:
        file.write(rows)


def story(agent: AgentProcess, call: NumberedCall) -> list[str]:
    """Lines that name the call, without their time."""
    return [line[9:] for line in agent.said.splitlines() if f" {call.linkedid}" in line]


def test_each_call_has_its_story_and_each_cause_of_an_outage_one_line(tmp_path: Path) -> None:
    outage = Outage()
    calls = [NumberedCall(number) for number in range(CALLS)]
    with CallApi(outage) as api, AgentProcess(tmp_path, settings(tmp_path, api)) as agent:
        for call in calls:
            write(tmp_path, call)
        until(lambda: len(api.requests) >= 6, 20, "some attempts")
        agent.wait_said("[AC-SINK-DOWN]")
        outage.over = True
        until(lambda: agent.said.count("delivered to call_api") == CALLS, 30, f"all delivered:\n{agent.said[-2000:]}")
        codes = Counter(re.findall(r"\[(AC-[A-Z-]+)\]$", agent.said, re.MULTILINE))
        assert codes == {"AC-SINK-DOWN": 1, "AC-DELIVERY-DEFERRED": 1}
        for call in calls:
            ended, delivered = (line for line in story(agent, call) if "did not take" not in line)
            said = f"{call.caller} called {call.callee}, who answered (internal, answered, 3 s, talked 2 s)"
            assert ended == f"call {call.linkedid} ended: {said}; owed to call_api"
            assert delivered.startswith(f"call {call.linkedid} delivered to call_api (complete, revision 1), ")
        assert "at attempt" in agent.said


def test_numbers_of_people_are_masked_until_a_reload_shows_them(tmp_path: Path) -> None:
    with CallApi() as api, AgentProcess(tmp_path, settings(tmp_path, api)) as agent:
        write(tmp_path, first := NumberedCall(0), NUMBER)
        until(lambda: len(story(agent, first)) == 2, 10, f"the story of a call:\n{agent.said}")
        assert "416•••••37 called 2000" in story(agent, first)[0]
        assert NUMBER not in agent.said
        agent.configure(settings(tmp_path, api, log={"show_numbers": True}))
        agent.signal(signal.SIGHUP)
        agent.wait_said("configuration reloaded")
        write(tmp_path, second := NumberedCall(1), NUMBER)
        until(lambda: len(story(agent, second)) == 2, 10, f"the story of a call:\n{agent.said}")
        assert f"{NUMBER} called 2001" in story(agent, second)[0]


def test_at_debug_a_call_is_told_from_its_first_row_with_every_attempt(tmp_path: Path) -> None:
    outage = Outage()
    log = {"log": {"level": "debug"}}
    with CallApi(outage) as api, AgentProcess(tmp_path, settings(tmp_path, api, **log)) as agent:
        write(tmp_path, call := NumberedCall(0))
        until(lambda: len(api.requests) >= 1, 20, "an attempt")
        outage.over = True
        until(lambda: any("delivered" in line for line in story(agent, call)), 30, "the delivery")
        said = story(agent, call)
        assert said[0] == f"call {call.linkedid} began"
        assert " ended: " in said[1]
        assert all("did not take" in line and line.endswith("[AC-DELIVERY-DEFERRED]") for line in said[2:-1])
        assert len(said) >= 4


def test_a_recording_and_a_refusal_are_part_of_the_story(tmp_path: Path) -> None:
    outage = Outage()
    outage.over = True
    monitor = tmp_path / "monitor"
    monitor.mkdir()
    more = {"log": {"level": "debug"}}
    chosen = settings(tmp_path, api := CallApi(outage), **more)
    chosen["sources"]["recordings"] = {"paths": [str(monitor)], "min_size": 1}
    with api, AgentProcess(tmp_path, chosen) as agent:
        agent.wait_said("reading recordings")
        write(tmp_path, call := NumberedCall(0))
        until(lambda: any("delivered" in line for line in story(agent, call)), 10, "the delivery")
        api.script = lambda _: Answer(status=400)
        (monitor / f"out-{NUMBER}-2000-{call.linkedid}.wav").write_bytes(b"RIFF" + bytes(2000))
        until(lambda: any("will not take" in line for line in story(agent, call)), 20, f"a refusal:\n{agent.said}")
        began, ended, delivered, linked, revised, refused = story(agent, call)
        assert began == f"call {call.linkedid} began"
        assert " ended: " in ended
        assert " delivered to call_api (complete, revision 1)" in delivered
        assert linked == f"call {call.linkedid}: a recording was found, by rule uniqueid"
        assert "later evidence made revision 2" in revised
        assert "1 recording); owed to call_api" in revised
        assert refused.startswith(f"call_api will not take call {call.linkedid}: ")
        assert refused.endswith("[AC-DELIVERY-REFUSED]")
        assert NUMBER not in agent.said


class Slammer:
    """A server that closes every connection at once, and counts them."""

    def __init__(self) -> None:
        self.accepted = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._slam, daemon=True).start()

    def _slam(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._socket.accept()
                self.accepted += 1
                link.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def test_an_outage_of_everything_is_one_line_for_each_cause(tmp_path: Path) -> None:
    ami, database, kafka = Slammer(), Slammer(), MockKafka()
    kafka.down()
    with CallApi(Outage()) as api:
        chosen = settings(
            tmp_path,
            api,
            ami={"port": ami.port, "user": "agent", "secret": "secret"},
            kafka={"connections": {"main": {"brokers": [kafka.brokers], "reconnect_backoff_max_ms": 200}}},
            events={"connection": "main", "topic": "events"},
        )
        chosen["sources"]["cdr_table"] = {
            "host": "127.0.0.1",
            "port": database.port,
            "user": "reader",
            "password": "secret",
            "database": "calls",
        }
        with AgentProcess(tmp_path, chosen) as agent:
            for number in range(20):
                write(tmp_path, NumberedCall(number))
            attempts = lambda: min(ami.accepted, database.accepted, len(api.requests))  # noqa: E731
            until(lambda: attempts() >= 4, 30, f"attempts everywhere:\n{agent.said}")
            codes = Counter(re.findall(r"\[(AC-[A-Z-]+)\]$", agent.said, re.MULTILINE))
    for each in (ami, database, kafka):
        each.close()
    assert {"AC-SINK-DOWN", "AC-DELIVERY-DEFERRED", "AC-AMI-DOWN", "AC-SOURCE-FAILED"} <= set(codes)
    assert {code: count for code, count in codes.items() if count > 1} == {}

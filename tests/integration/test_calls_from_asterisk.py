"""The main job end to end: phones call through a real Asterisk, the agent ships, a server takes each call."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.kit import calls
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import CallApi
from tests.kit.office import Office
from tests.kit.rush import burst
from tests.kit.wait import until

MADE = (calls.plain, calls.inbound, calls.outbound, calls.busy, calls.no_answer, calls.attended_transfer)


@pytest.fixture(params=["office22", "office16"])
def office(request: pytest.FixtureRequest) -> Office:
    found: Office = request.getfixturevalue(request.param)
    return found


def settings(office: Office, api: CallApi) -> dict[str, Any]:
    return {
        "api": {"url": api.url},
        "sources": {"cel_csv": [{"path": str(office.asterisk.cel_csv)}]},
        "calls": {"settle": "1s"},
    }


def test_every_call_made_on_phones_arrives_once_with_the_right_parties(office: Office, tmp_path: Path) -> None:
    with CallApi() as api, AgentProcess(tmp_path, settings(office, api)) as agent:
        agent.wait_said("reading cel_csv:")
        told = [make(office) for make in MADE]
        until(lambda: len(api.calls) >= len(told), 20, "all calls at the API")
        received = sorted(api.calls.values(), key=lambda call: call["call_time"])
        for payload, truth in zip(received, told, strict=True):
            assert payload["direction"] == {"inbound": "i", "outbound": "o"}.get(truth.direction, "x")
            assert truth.caller in {payload.get("src_number"), payload.get("src_extension"), "1" + truth.caller}
            assert (payload["disposition"] == "ANSWERED") == (truth.outcome == "answered")
            assert payload["is_complete"] is True
            assert payload["ship_phase"] == "complete"
        assert set(Counter(request.key for request in api.requests).values()) == {1}
        assert {r.call["linkedid"] for r in api.requests} == set(api.calls)


def test_a_burst_of_calls_loses_none_over_a_rotation(office: Office, tmp_path: Path) -> None:
    cel = office.asterisk.cel_csv
    with CallApi() as api, AgentProcess(tmp_path, settings(office, api)) as agent:
        agent.wait_said("reading cel_csv:")
        told = burst(office, 20)
        cel.rename(cel.with_suffix(".csv.1"))
        told += burst(office, 20, first=5145570000)
        until(lambda: len(api.calls) >= len(told), 30, "all calls at the API")
        callers = Counter(payload["src_number"] for payload in api.calls.values())
        assert callers == Counter(truth.caller for truth in told)
        assert len(api.requests) == len(told)

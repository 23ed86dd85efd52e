"""Audio end to end: uploaded once after its call, whatever the API, the disk and kills do in between."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import Answer, CallApi, Received
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

AUDIO = "/v1/mqs/recording"
CALLS = 20


def agent_for(home: Path, api: CallApi, upload: dict[str, Any]) -> AgentProcess:
    recordings = {
        "paths": [str(home / "monitor")],
        "settle": "300ms",
        "extensions": ["sln"],
        "upload": {"enabled": True, "rate": 0, **upload},
    }
    settings = {
        "start_at": "beginning",
        "api": {"url": api.url, "timeout": "2s"},
        "sources": {"cel_csv": [{"path": str(home / "Master.csv")}], "recordings": recordings},
        "calls": {"settle": "500ms"},
    }
    (home / "monitor").mkdir()
    return AgentProcess(home, settings)


def make_calls(home: Path) -> dict[str, Path]:
    """Calls that have just ended, and their recordings."""
    made = {}
    base = int(time.time()) - 60
    for number in range(CALLS):
        call = NumberedCall(number, base=base)
        made[call.linkedid] = home / "monitor" / f"exten-1-2-{call.linkedid}.sln"
        made[call.linkedid].write_bytes(bytes([number]) * 20_000)
        with (home / "Master.csv").open("ab") as file:
            file.write(b"".join(row + b"\n" for _, row in call.rows()))
    return made


def audio(api: CallApi) -> list[Received]:
    return [request for request in list(api.requests) if request.path == AUDIO]


def test_audio_follows_its_call_and_is_moved_after_success_only(tmp_path: Path) -> None:
    done = tmp_path / "done"
    with CallApi() as api, agent_for(tmp_path, api, {"after": "move", "move_to": str(done)}):
        made = make_calls(tmp_path)
        until(lambda: len(list(done.glob("*.sln"))) == CALLS, 30, "all recordings moved")
        accepted: set[str] = set()
        for request in api.requests:
            if request.path != AUDIO:
                accepted.add(request.call["linkedid"])
                continue
            call = str(request.parts["call_id"].get_payload())
            assert call in accepted, "audio came before its call"
            assert request.parts["audio"].get_filename() == made[call].name
        assert sorted(path.name for path in done.iterdir()) == sorted(path.name for path in made.values())
        assert len(audio(api)) == len({request.key for request in audio(api)}) == CALLS


@pytest.mark.slow
def test_kills_and_a_failing_api_upload_each_recording_under_one_key(tmp_path: Path) -> None:
    failures = iter((Answer(503), Answer(fault="close_after"), Answer(fault="close_before")) * 2)

    def unwell(request: Received) -> Answer:
        return next(failures, Answer()) if request.path == AUDIO else Answer()

    with CallApi(unwell) as api:
        agent = agent_for(tmp_path, api, {"after": "delete"})
        agent.start()
        made = make_calls(tmp_path)
        for _ in range(5):
            time.sleep(1.0)
            agent.kill()
            agent.launch()
        agent.kill()
        with agent:
            until(lambda: not any(path.exists() for path in made.values()), 60, "all recordings uploaded and deleted")
        bodies = {(request.key, request.body) for request in audio(api)}
        assert len(bodies) == CALLS
        assert {str(request.parts["call_id"].get_payload()) for request in audio(api)} == set(made)

"""Calls that change hands, told by the running agent while real phones make them on a real Asterisk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit import calls
from tests.kit.agent_process import AgentProcess
from tests.kit.calls import Told
from tests.kit.office import Office
from tests.kit.wait import until

MADE: tuple[Callable[[Office], Told], ...] = (
    calls.attended_transfer,
    calls.blind_transfer_to_queue,
    calls.parked,
    calls.picked_up,
    calls.forwarded,
    calls.click_to_call,
)


@pytest.mark.parametrize("name", ["office22", "office16"])
def test_calls_that_change_hands_are_told_as_people_would(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    office: Office = request.getfixturevalue(name)
    told = tmp_path / "calls.jsonl"
    settings = {
        "sources": {"cel_csv": [{"path": str(office.asterisk.cel_csv)}]},
        "calls": {"settle": "1s", "file": {"path": str(told)}},
    }
    with AgentProcess(tmp_path, settings) as agent:
        agent.wait_said("reading cel_csv:")
        for number, make in enumerate(MADE, 1):
            truth = make(office)
            until(lambda: len(documents(told)) >= number, 30, f"{make.__name__} is told")  # noqa: B023
            compare(documents(told)[-1], truth)
        assert len(documents(told)) == len(MADE)


def documents(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def compare(document: dict[str, Any], truth: Told) -> None:
    for field in ("direction", "dialled", "outcome", "answered_by", "final_party", "click_to_call", "ended_by"):
        assert document[field] == getattr(truth, field), field
    assert truth.caller in {document["caller"]["number"], document["caller"]["extension"]}
    assert [tuple(pair) for pair in document["forwarded"]] == list(truth.forwarded)
    assert document["picked_up"] == (list(truth.picked_up) if truth.picked_up else None)
    kinds = [
        {key: transfer[key] for key in wanted}
        for transfer, wanted in zip(document["transfers"], truth.transfers, strict=True)
    ]
    assert kinds == list(truth.transfers)
    for a, b, seconds in truth.talk:
        stretches = [t["seconds"] for t in document["talk"] if {t["a"], t["b"]} == {a, b}]
        assert abs(sum(stretches) - sum(s for x, y, s in truth.talk if {x, y} == {a, b})) <= 0.6, (a, b, seconds)

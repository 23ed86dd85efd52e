"""What a running agent tells of itself over its control socket: the status document, and its metrics read back."""

from __future__ import annotations

from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from asterisk_connector.control import client
from asterisk_connector.control.questions import AnyQuestion, MetricsNow, StatusNow
from asterisk_connector.telemetry.metrics import PREFIX
from asterisk_connector.telemetry.status import Status
from tests.kit.agent_process import AgentProcess


def status_of(agent: AgentProcess) -> Status:
    """The document, in its types."""
    return msgspec.convert(_ask(agent, StatusNow())["status"], Status)


def metrics_of(agent: AgentProcess) -> dict[str, float]:
    """Ours, by name without the prefix; values of one name with several labels are added up."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(_ask(agent, MetricsNow())["text"]):
        for sample in family.samples:
            name = sample.name.removeprefix(PREFIX)
            if name != sample.name:
                found[name] = found.get(name, 0.0) + sample.value
    return found


def _ask(agent: AgentProcess, question: AnyQuestion) -> dict[str, Any]:
    (row,) = client.ask(agent.home / "control.sock", question, agent.state)
    return row

"""AMI events of a real Asterisk to a real Kafka, through the agent as a process, and what an outage does to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit import calls
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import CallApi
from tests.kit.kafka import Kafka
from tests.kit.office import Office
from tests.kit.wait import until


@pytest.fixture(params=["office22", "office16"])
def office(request: pytest.FixtureRequest) -> Office:
    found: Office = request.getfixturevalue(request.param)
    return found


def settings(office: Office, kafka: Kafka, topic: str, api: CallApi) -> dict[str, Any]:
    brokers = kafka.client("plain")["bootstrap.servers"].split(",")
    return {
        "api": {"url": api.url},
        "ami": {"host": office.asterisk.address, "user": "connector", "secret": "connector"},
        "kafka": {"connections": {"main": {"brokers": brokers}}},
        "events": {"connection": "main", "topic": topic},
        "sources": {"cel_ami": {}},
        "calls": {"settle": "1s", "kafka": {"connection": "main", "topic": f"{topic}_calls"}},
    }


def test_events_and_calls_of_one_session_reach_kafka_and_the_api(office: Office, kafka: Kafka, tmp_path: Path) -> None:
    topic = f"events_{office.asterisk.address.replace('.', '_')}"
    kafka.create_topic(topic)
    kafka.create_topic(f"{topic}_calls")
    with CallApi() as api, AgentProcess(tmp_path, settings(office, kafka, topic, api)) as agent:
        agent.wait_said("manager session", 20)
        told = [calls.inbound(office), calls.attended_transfer(office)]
        until(lambda: len(api.calls) >= len(told), 30, f"both calls at the API\n{agent.said}")
        records = kafka.consume(topic, at_least=100)
        names = [json.loads(record.value())["Event"] for record in records]
        assert {"Newchannel", "DialBegin", "BridgeEnter", "AttendedTransfer", "Hangup"} <= set(names)
        assert all(record.key() == name.encode() for record, name in zip(records, names, strict=True))
        documents = [json.loads(record.value()) for record in kafka.consume(f"{topic}_calls", at_least=2)]
        assert {document["call_id"] for document in documents} == set(api.calls)
        finals = {document["final_party"] for document in documents}
        assert finals == {truth.final_party for truth in told}

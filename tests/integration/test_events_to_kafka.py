"""AMI events of a real Asterisk to a real Kafka, through the agent as a process, and what an outage does to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit import calls
from tests.kit.agent_process import AgentProcess
from tests.kit.asterisk import Asterisk
from tests.kit.call_api import CallApi
from tests.kit.kafka import Kafka
from tests.kit.office import Office
from tests.kit.wait import until


@pytest.fixture(params=["office22", "office16"])
def office(request: pytest.FixtureRequest) -> Office:
    found: Office = request.getfixturevalue(request.param)
    return found


def settings(asterisk: Asterisk, kafka: Kafka, topic: str, api: CallApi) -> dict[str, Any]:
    brokers = kafka.client("plain")["bootstrap.servers"].split(",")
    return {
        "api": {"url": api.url},
        "ami": {"host": asterisk.address, "user": "connector", "secret": "connector"},
        "kafka": {"connections": {"main": {"brokers": brokers}}},
        "events": {"connection": "main", "topic": topic},
        "sources": {"cel_ami": {}},
        "calls": {"settle": "1s", "kafka": {"connection": "main", "topic": f"{topic}_calls"}},
    }


def test_01_and_41_a_restart_of_asterisk_is_a_gap_and_its_boot_is_published(kafka: Kafka, tmp_path: Path) -> None:
    kafka.create_topic("restarted")
    with (
        Asterisk(22) as asterisk,
        CallApi() as api,
        AgentProcess(tmp_path, settings(asterisk, kafka, "restarted", api)) as agent,
    ):
        agent.wait_said("stands, Asterisk 22", 20)
        asterisk.stop()
        agent.wait_said("is over after")
        asterisk.start()
        until(lambda: agent.said.count("stands, Asterisk 22") == 2, 30, "a second session")
        agent.wait_said("Asterisk was started anew")
        assert agent.stop() == 0
    events = [json.loads(record.value()) for record in kafka.consume("restarted", at_least=2)]
    (gap,) = [event for event in events if event["Event"] == "ConnectorGap"]
    assert gap["Restarted"] == "yes"
    assert any(event["Event"] == "Shutdown" for event in events)
    assert all(list(e).index("Status") < list(e).index("Uptime") for e in events if e["Event"] == "FullyBooted")


def test_events_and_calls_of_one_session_reach_kafka_and_the_api(office: Office, kafka: Kafka, tmp_path: Path) -> None:
    topic = f"events_{office.asterisk.address.replace('.', '_')}"
    kafka.create_topic(topic)
    kafka.create_topic(f"{topic}_calls")
    with CallApi() as api, AgentProcess(tmp_path, settings(office.asterisk, kafka, topic, api)) as agent:
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

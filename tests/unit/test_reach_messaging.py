"""`check`, tier reach: the manager and Kafka, each trouble with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from asterisk_connector.config.load import load
from asterisk_connector.config.model import Settings
from asterisk_connector.config.reach_messaging import ami, kafka
from tests.kit.fake_ami import FakeAmi, denied
from tests.kit.mock_kafka import MockKafka


def settings(folder: Path, text: str) -> Settings:
    file = folder / "config.yaml"
    file.write_text(text)
    file.chmod(0o600)
    result = load(file, {})
    assert result.settings is not None, result.findings
    return result.settings


@pytest.fixture
def manager() -> Iterator[FakeAmi]:
    manager = FakeAmi()
    yield manager
    manager.close()


@pytest.fixture
def cluster() -> Iterator[MockKafka]:
    cluster = MockKafka()
    yield cluster
    cluster.close()


def with_manager(folder: Path, manager: FakeAmi) -> Settings:
    ours = f"ami: {{user: agent, secret: secret, port: {manager.port}}}\nsources: {{cel_ami: {{}}}}\n"
    return settings(folder, ours + "calls: {file: {path: /tmp/calls.jsonl}}\n")


def with_cluster(folder: Path, brokers: str, more: str = "") -> Settings:
    connection = f"kafka: {{connections: {{main: {{brokers: ['{brokers}']{more}}}}}}}\n"
    return settings(
        folder, connection + "ami: {user: agent, secret: x}\nevents: {connection: main, topic: asterisk_ami}\n"
    )


def test_a_manager_that_answers_is_named(tmp_path: Path, manager: FakeAmi) -> None:
    (found,) = ami(with_manager(tmp_path, manager))
    assert (found.level, "22.10.1" in found.message) == ("ok", True)
    assert manager.sessions <= 1


def test_a_refused_login_says_what_to_compare(tmp_path: Path, manager: FakeAmi) -> None:
    manager.secret = "another"
    (found,) = ami(with_manager(tmp_path, manager))
    assert found.level == "error"
    assert "manager.conf" in found.hint


def test_an_account_that_may_not_ask_is_a_warning(tmp_path: Path, manager: FakeAmi) -> None:
    for action in ("Getvar", "CoreSettings", "CoreStatus"):
        manager.answers[action] = denied
    (found,) = ami(with_manager(tmp_path, manager))
    assert (found.level, "reporting" in found.hint) == ("warning", True)


def test_a_port_where_nobody_listens_is_an_error(tmp_path: Path, manager: FakeAmi) -> None:
    manager.close()
    (found,) = ami(with_manager(tmp_path, manager))
    assert (found.level, "refused" in found.message) == ("error", True)


def test_a_topic_that_is_there_is_named_with_its_partitions(tmp_path: Path, cluster: MockKafka) -> None:
    cluster.create("asterisk_ami", 3)
    (found,) = kafka(with_cluster(tmp_path, cluster.brokers))
    assert (found.level, "3 partitions" in found.message) == ("ok", True)


def test_a_topic_that_is_missing_says_how_to_create_it(tmp_path: Path, cluster: MockKafka) -> None:
    cluster.break_topic("asterisk_ami", 3)
    (found,) = kafka(with_cluster(tmp_path, cluster.brokers))
    assert (found.level, found.path) == ("error", "events.topic")
    assert "kafka-topics.sh" in found.hint


def test_settings_librdkafka_refuses_are_named_by_their_connection(tmp_path: Path) -> None:
    (found,) = kafka(with_cluster(tmp_path, "127.0.0.1:1", ", librdkafka: {no.such.thing: '1'}"))
    assert (found.level, found.path) == ("error", "kafka.connections.main")
    assert "no.such.thing" in found.message


@pytest.mark.slow
def test_brokers_that_do_not_answer_are_named(tmp_path: Path) -> None:
    (found,) = kafka(with_cluster(tmp_path, "127.0.0.1:1"))
    assert (found.level, "127.0.0.1:1" in found.message) == ("error", True)

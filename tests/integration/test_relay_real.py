"""Real Asterisk to real Kafka: every event, byte for byte, through restarts of both."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asterisk_connector.ami.handshake import Account
from asterisk_connector.ami.wire import Debris, Event, Framer
from asterisk_connector.notices import AmiConnected, AmiDamaged, EventsPublished
from asterisk_connector.relay.encode import Encoder, Identity
from tests.benchmarks.relays import captured
from tests.faults.test_relay_kafka import outage_with_a_kill
from tests.kit.asterisk import AMI_PORT, Asterisk
from tests.kit.fake_ami import FakeAmi
from tests.kit.kafka import Kafka
from tests.kit.mock_kafka import Message
from tests.kit.numbered_events import TOPIC
from tests.kit.office import Office
from tests.kit.relay import Relay
from tests.kit.rush import burst
from tests.kit.server import program
from tests.kit.wait import until
from tests.unit.test_relay_encode import reference_json

TESTER = Account(user="tester", secret="tester")
LEAST = Account(user="connector", secret="connector")


class Tap:
    """A second manager session that keeps every byte it is sent."""

    def __init__(self, address: str) -> None:
        self._socket = socket.create_connection((address, AMI_PORT))
        self._socket.sendall(b"Action: Login\r\nUsername: tester\r\nSecret: tester\r\n\r\n")
        self._bytes = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        until(lambda: b"Authentication accepted" in self._bytes)

    def _read(self) -> None:
        while chunk := self._socket.recv(1 << 16):
            self._bytes += chunk

    def close(self) -> list[bytes]:
        """The events it saw that do not come of logins."""
        self._socket.sendall(b"Action: Logoff\r\n\r\n")
        self._thread.join(10)
        self._socket.close()
        framer = Framer()
        frames = [*framer.feed(bytes(self._bytes)), *framer.close()]
        assert not [frame for frame in frames if isinstance(frame, Debris)]
        logins = ("FullyBooted", "SuccessfulAuth", "ChallengeSent")
        return [f.body for f in frames if isinstance(f, Event) and f.name.decode() not in logins]


@pytest.fixture(params=["office22", "office16"])
def office(request: pytest.FixtureRequest) -> Office:
    found: Office = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def topic(kafka: Kafka, request: pytest.FixtureRequest) -> str:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    kafka.create_topic(name, 4)
    return name


@pytest.mark.parametrize("format", ["json", "ami"])
def test_every_event_of_real_calls_is_in_kafka_byte_for_byte(
    office: Office, kafka: Kafka, topic: str, tmp_path: Path, format: Any
) -> None:
    relay = Relay(
        AMI_PORT,
        "",
        tmp_path / "ami.db",
        topic=topic,
        properties=kafka.client(),
        encoder=Encoder(format),
        host=office.asterisk.address,
        account=TESTER,
    )
    until(lambda: relay.session.connected)
    tap = Tap(office.asterisk.address)
    burst(office, 10)
    office.asterisk.wait_idle()
    seen = tap.close()
    assert len(seen) > 500
    until(lambda: relay.journal.owed == 0 and relay.told(EventsPublished), 20, "an empty journal")
    relay.stop()
    records = kafka.consume(topic, len(seen))
    connected = relay.told(AmiConnected)[0]
    name = office.asterisk.system_name
    identity = Identity(connected.entity_id, name, connected.asterisk_version, socket.gethostname())
    prefix = f"EntityID: {identity.entity_id}\r\n".encode() + (f"SystemName: {name}\r\n".encode() if name else b"")
    wanted = Counter(reference_json(body, identity) if format == "json" else prefix + body for body in seen)
    assert not wanted - Counter(record.value() for record in records)
    assert not relay.told(AmiDamaged)
    headers = dict(records[0].headers())
    assert headers["entity_id"].decode() == identity.entity_id != "00:00:00:00:00:00"
    assert headers["asterisk_version"].decode().startswith(str(office.asterisk.release))


@pytest.mark.parametrize("listener", ["tls", "scram_tls"])
def test_records_go_over_tls_and_scram(kafka: Kafka, topic: str, tmp_path: Path, listener: str) -> None:
    ami = FakeAmi()
    relay = Relay(ami.port, "", tmp_path / "ami.db", topic=topic, properties=kafka.client(listener))
    until(lambda: relay.session.connected)
    ami.say(b"Event: Hangup\r\nPrivilege: call,all\r\nNumber: 1\r\n\r\n" * 100)
    assert len(kafka.consume(topic, 100)) == 100
    relay.stop()
    ami.close()


def test_kcat_reads_what_the_module_would_have_sent(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    ami = FakeAmi()
    relay = Relay(ami.port, "", tmp_path / "ami.db", topic=topic, properties=kafka.client())
    until(lambda: relay.session.connected)
    events = captured()[:500]
    ami.say(b"".join(events))
    until(lambda: relay.published == len(events), 20, "all events published")
    relay.stop()
    ami.close()
    brokers = kafka.client()["bootstrap.servers"]
    command = [program("kcat", "reading Kafka"), "-C", "-b", brokers, "-t", topic, "-o", "beginning", "-e", "-q", "-J"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
    identity = Identity(ami.entity_id, ami.system_name, ami.version, socket.gethostname())
    wanted = Counter(
        (body[7 : body.index(b"\r\n")].decode(), reference_json(body, identity).decode()) for body in events
    )
    read = [json.loads(line) for line in lines]
    assert Counter((record["key"], record["payload"]) for record in read) == wanted
    partitions = {record["key"]: record["partition"] for record in read}
    assert partitions == {key: zlib.crc32(key.encode()) % 4 for key in partitions}
    for record in read:
        headers = dict(zip(record["headers"][::2], record["headers"][1::2], strict=True))
        assert list(headers) == [
            *("entity_id", "system_name", "asterisk_version", "event_type", "event_category", "format", "timestamp"),
            "hostname",
        ]
        assert headers["event_type"] == record["key"]
        assert (headers["entity_id"], headers["hostname"]) == (identity.entity_id, identity.hostname)


@pytest.fixture
def own_kafka() -> Iterator[Kafka]:
    with Kafka() as kafka:
        yield kafka


@pytest.mark.slow
def test_25_and_29_a_broker_that_stops_and_comes_back_costs_nothing(own_kafka: Kafka, tmp_path: Path) -> None:
    own_kafka.create_topic("ami", 4)
    ami = FakeAmi()
    relay = Relay(
        ami.port, "", tmp_path / "ami.db", topic="ami", properties=own_kafka.client(), encoder=Encoder(key="linkedid")
    )
    until(lambda: relay.session.connected)

    def say(start: int, stop: int) -> None:
        lines = [
            f"Event: VarSet\r\nPrivilege: call,all\r\nNumber: {n}\r\nLinkedid: {n % 20}\r\n\r\n"
            for n in range(start, stop)
        ]
        ami.say("".join(lines).encode())

    say(0, 1000)
    until(lambda: relay.published == 1000, 20)
    own_kafka.stop()
    say(1000, 6000)
    until(lambda: relay.journal.owed >= 5000, 20)
    own_kafka.start()
    until(lambda: relay.journal.owed == 0, 60, "an empty journal")
    relay.stop()
    ami.close()
    order: dict[bytes, list[int]] = {}
    for record in own_kafka.consume("ami", 6000):
        number = int(json.loads(record.value())["Number"])
        if number not in order.setdefault(record.key(), []):
            order[record.key()].append(number)
    assert sorted(n for numbers in order.values() for n in numbers) == list(range(6000))
    assert all(numbers == sorted(numbers) for numbers in order.values())


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_20_25_27_and_f43_ten_minutes_without_kafka_and_a_kill_in_the_middle_lose_nothing(
    own_kafka: Kafka, tmp_path: Path
) -> None:
    own_kafka.create_topic(TOPIC, 4)
    own_kafka.stop()
    ami = FakeAmi()

    def read() -> list[Message]:
        return [
            Message(r.partition(), r.offset(), r.key(), r.value(), []) for r in own_kafka.consume(TOPIC, 1_000_000, 240)
        ]

    brokers = own_kafka.client()["bootstrap.servers"]
    print(outage_with_a_kill(ami, brokers, tmp_path / "ami.db", 600, own_kafka.start, read))
    ami.close()


def test_38_a_session_survives_reloads_of_asterisk(office: Office, kafka: Kafka, topic: str, tmp_path: Path) -> None:
    relay = Relay(
        AMI_PORT,
        "",
        tmp_path / "ami.db",
        topic=topic,
        properties=kafka.client(),
        host=office.asterisk.address,
        account=LEAST,
    )
    until(lambda: relay.session.connected)
    office.asterisk.cli("core reload")
    office.asterisk.cli("manager reload")
    until(lambda: relay.published >= 1, 20, "an event of the reload")
    office.asterisk.cli("dialplan reload")
    assert len(relay.told(AmiConnected)) == 1
    burst(office, 1)
    office.asterisk.wait_idle()
    until(lambda: relay.journal.owed == 0, 20, "an empty journal")
    relay.stop()
    names = [json.loads(record.value())["Event"] for record in kafka.consume(topic, 10)]
    assert {"Reload", "Newchannel", "Hangup"} <= set(names)
    assert "ConnectorGap" not in names


def test_01_41_and_f48_a_restart_of_asterisk_is_a_gap_and_its_boot_is_published(
    kafka: Kafka, topic: str, tmp_path: Path
) -> None:
    with Asterisk(22) as asterisk:
        relay = Relay(
            AMI_PORT,
            "",
            tmp_path / "ami.db",
            topic=topic,
            properties=kafka.client(),
            host=asterisk.address,
            account=LEAST,
        )
        until(lambda: relay.session.connected)
        asterisk.stop()
        until(lambda: not relay.session.connected)
        asterisk.start()
        until(lambda: len(relay.told(AmiConnected)) == 2, 30, "a second session")
        until(lambda: relay.journal.owed == 0, 20, "an empty journal")
        relay.stop()
    records = [json.loads(record.value()) for record in kafka.consume(topic, 2)]
    (gap,) = [record for record in records if record["Event"] == "ConnectorGap"]
    assert gap["Restarted"] == "yes"
    assert any(record["Event"] == "Shutdown" for record in records)
    assert all(list(r).index("Status") < list(r).index("Uptime") for r in records if r["Event"] == "FullyBooted")

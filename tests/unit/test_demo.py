"""The demo's parts: the bundled recording, the manager port, and the proof that can fail."""

from __future__ import annotations

import gzip
import json
import threading
from pathlib import Path

import pytest
from confluent_kafka import Producer

from asterisk_connector.ami.handshake import Account
from asterisk_connector.ami.session import Item, Opened, Read, Session, Settings
from asterisk_connector.clock import SystemClock
from asterisk_connector.demo import manager, recording
from asterisk_connector.demo.kafka import Arrived, Kafka
from asterisk_connector.demo.manager import ENTITY_ID, USER, ManagerPort
from asterisk_connector.demo.proof import prove
from asterisk_connector.demo.recording import Start
from asterisk_connector.notices import AmiUnavailable, Notice
from tests.kit import demo_recording
from tests.kit.captures import CAPTURES
from tests.kit.wait import until

BUNDLED = Path(recording.__file__).parent
HANGUP = b"Event: Hangup\r\nPrivilege: call,all\r\nUniqueid: 1.%d\r\n\r\n"


def test_the_bundled_recording_is_what_the_captures_make() -> None:
    made = demo_recording.make(CAPTURES / "22.10")
    assert made.rows.encode() == gzip.decompress((BUNDLED / "recording.gz").read_bytes())
    assert made.events.encode() == gzip.decompress((BUNDLED / "manager.gz").read_bytes())


def test_both_halves_of_the_recording_tell_of_the_same_channels() -> None:
    in_rows = {row.split(b'","')[14] for _, row in recording.rows()}
    created = {
        event.split(b"\r\nUniqueid: ")[1].split(b"\r\n")[0]
        for _, event in manager.events()
        if event.startswith(b"Event: Newchannel\r\n")
    }
    assert in_rows <= created
    assert len(in_rows) > 50


def test_the_recording_moves_to_now_as_a_whole() -> None:
    clock = SystemClock()
    start = Start(clock)
    for _, event in manager.events():
        moved = start.moved(event)
        assert b"17000000" not in moved
        stamp = moved.split(b"\r\nTimestamp: ")[1].split(b"\r\n")[0]
        assert 0 <= float(stamp) - start.epoch < 60


def session_with(port: ManagerPort, *, md5: bool, secret: str = "right") -> tuple[Session, list[Item], list[Notice]]:
    items: list[Item] = []
    notices: list[Notice] = []
    account = Account(user=USER, secret=secret, md5=md5)
    settings = Settings(host="127.0.0.1", port=port.port, account=account)
    return Session(settings, items.extend, clock=SystemClock(), notify=notices.append), items, notices


@pytest.mark.parametrize("md5", [True, False])
def test_a_session_of_the_agent_hears_every_event_byte_for_byte(md5: bool) -> None:
    port = ManagerPort(SystemClock(), "right")
    port.start()
    session, items, _ = session_with(port, md5=md5)
    try:
        until(lambda: session.round() or any(isinstance(item, Opened) for item in items), what="a session")
        playing = threading.Thread(target=port.play, args=(Start(SystemClock(), 50.0),), daemon=True)
        playing.start()
        until(lambda: session.round() or sum(isinstance(i, Read) for i in items) == port.total, 30, "every event")
    finally:
        session.close()
        port.stop()
    (opened,) = (item for item in items if isinstance(item, Opened))
    assert opened.answers.entity_id == ENTITY_ID
    assert opened.answers.version == "22.10.1"
    assert opened.answers.calls == 0
    assert [item.body for item in items if isinstance(item, Read)] == port.said


@pytest.mark.parametrize("md5", [True, False])
def test_a_wrong_secret_is_refused(md5: bool) -> None:
    port = ManagerPort(SystemClock(), "right")
    port.start()
    session, items, notices = session_with(port, md5=md5, secret="wrong")
    try:
        until(lambda: session.round() or notices, what="a refusal")
    finally:
        session.close()
        port.stop()
    assert any(isinstance(n, AmiUnavailable) and "Authentication failed" in n.reason for n in notices)
    assert not items
    assert not port.logged_in.is_set()


def test_all_that_the_embedded_kafka_took_is_read_before_it_ends() -> None:
    kafka = Kafka("asterisk_ami")
    kafka.start()
    producer = Producer({"bootstrap.servers": ",".join(kafka.brokers), "acks": "all", "linger.ms": 0})
    for number in range(3000):
        producer.produce(kafka.topic, str(number).encode(), key=b"%d" % (number % 7))
    assert producer.flush(20) == 0
    kafka.finish(10)
    for key in range(7):
        values = [int(record.value) for record in kafka.records if record.key == b"%d" % key]
        assert values == list(range(key, 3000, 7))


def record(number: int) -> Arrived:
    value = {"Event": "Hangup", "EntityID": "e", "Privilege": "call,all", "Uniqueid": f"1.{number}"}
    return Arrived(b"Hangup", json.dumps(value).encode())


def test_the_proof_holds_when_every_event_came_once_and_in_order() -> None:
    proof = prove([HANGUP % n for n in range(3)], [record(0), record(1), record(2)])
    assert proof.holds
    assert (proof.said, proof.once, proof.keys) == (3, 3, 1)


@pytest.mark.parametrize(
    ("came", "what"),
    [
        ([0, 2], "missing"),
        ([0, 1, 1, 2], "more"),
        ([0, 1, 2, 3], "unknown"),
        ([0, 2, 1], "disordered"),
    ],
)
def test_the_proof_fails_and_says_what_is_wrong(came: list[int], what: str) -> None:
    proof = prove([HANGUP % n for n in range(3)], [record(n) for n in came])
    assert not proof.holds
    found = {name for name in ("missing", "more", "unknown", "disordered") if getattr(proof, name)}
    assert found == {what}


def test_nothing_that_came_proves_nothing_that_was_said() -> None:
    assert not prove([HANGUP % 1], []).holds

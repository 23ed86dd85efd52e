"""Call documents to Kafka: delivered is acknowledged, and whose trouble a failure is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from asterisk_connector import call
from asterisk_connector.clock import SystemClock
from asterisk_connector.notices import Notice
from asterisk_connector.sinks.base import Deferred, Delivered, Item, Paused, Refused
from asterisk_connector.sinks.kafka_calls import KafkaCalls
from tests.kit.mock_kafka import PRODUCE, MockKafka


def item(n: int, body: bytes | None = None) -> Item:
    told = call.Call(call_id=f"17.{n}", linkedids=(f"17.{n}",), complete=True, started_at=1_795_289_432_987_059)
    return Item(
        id=n,
        call_id=f"17.{n}",
        revision=2,
        phase="complete",
        body=call.encode(told) if body is None else body,
        attempts=0,
        created_at=0,
        host="pbx-01",
    )


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    kafka = MockKafka()
    yield kafka
    kafka.close()


def sink(kafka: MockKafka, **properties: Any) -> KafkaCalls:
    notices: list[Notice] = []
    base = {"bootstrap.servers": kafka.brokers, "enable.idempotence": True, "acks": "all", **properties}
    return KafkaCalls("calls", base, "main", clock=SystemClock(), notify=notices.append, timeout=2.0)


def test_a_call_is_one_record_with_its_id_as_key_and_its_idempotency_key(kafka: MockKafka) -> None:
    assert sink(kafka).deliver(item(1)) == Delivered()
    (message,) = kafka.consume("calls", 1)
    assert message.key == b"17.1"
    assert dict(message.headers) == {
        "idempotency_key": b"pbx-01:17.1:2",
        "revision": b"2",
        "phase": b"complete",
        "host": b"pbx-01",
        "schema": b"1",
    }
    document = json.loads(message.value)
    assert (document["call_id"], document["started_at"]) == ("17.1", "2026-11-21T19:30:32.987Z")


def test_many_threads_may_deliver_at_once(kafka: MockKafka) -> None:
    calls = sink(kafka)
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(calls.deliver, map(item, range(200))))
    assert set(map(type, outcomes)) == {Delivered}
    assert len({m.key for m in kafka.consume("calls", 200)}) == 200


def test_an_outage_defers_and_says_so(kafka: MockKafka) -> None:
    calls = sink(kafka)
    kafka.down()
    outcome = calls.deliver(item(1))
    assert isinstance(outcome, Deferred)
    assert outcome.outage
    kafka.up()
    assert calls.deliver(item(1)) == Delivered()


def test_a_document_that_is_too_large_is_refused_with_what_was_sent(kafka: MockKafka) -> None:
    outcome = sink(kafka, **{"message.max.bytes": 1000}).deliver(
        item(1, call.encode(call.Call("1", ("1",), True, 0, user_field="x" * 5000)))
    )
    assert isinstance(outcome, Refused)
    assert "xxxx" in outcome.request


def test_wrong_rights_pause_the_sink_and_say_what_to_do(kafka: MockKafka) -> None:
    calls = sink(kafka)
    kafka.fail(PRODUCE, 29)
    outcome = calls.deliver(item(1))
    assert isinstance(outcome, Paused)
    assert "WRITE" in outcome.hint
    assert calls.deliver(item(1)) == Delivered()


def test_settings_librdkafka_refuses_pause_the_sink(kafka: MockKafka) -> None:
    outcome = sink(kafka, **{"compression.codec": "rot13"}).deliver(item(1))
    assert isinstance(outcome, Paused)
    assert "kafka.connections.main" in outcome.reason


def test_a_fatal_error_gets_a_new_producer(kafka: MockKafka) -> None:
    calls = sink(kafka)
    assert calls.deliver(item(1)) == Delivered()
    kafka.fail(PRODUCE, 45)
    outcomes = [calls.deliver(item(2)) for _ in range(3)]
    assert outcomes[-1] == Delivered()


def test_a_stored_call_that_cannot_be_read_is_refused(kafka: MockKafka) -> None:
    assert isinstance(sink(kafka).deliver(item(1, b"\xff")), Refused)

"""Courier and call API sink together against a real HTTP server that misbehaves (F28–F35)."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from asterisk_connector.call import Call, encode
from asterisk_connector.clock import SystemClock
from asterisk_connector.delivery.breaker import BreakerPolicy
from asterisk_connector.delivery.courier import Courier, CourierPolicy
from asterisk_connector.delivery.retry import RetryPolicy
from asterisk_connector.notices import Notice, SinkDown, SinkMisconfigured, SinkUp
from asterisk_connector.sinks.call_api import CallApi as CallApiSink
from asterisk_connector.sinks.call_api import CallApiSettings
from asterisk_connector.sinks.call_api_payload import PayloadSettings
from tests.kit.call_api import Answer, CallApi, Received
from tests.kit.memory_outbox import MemoryOutbox
from tests.kit.wait import until

QUICK = CourierPolicy(
    workers=4, max_rate=0, retry=RetryPolicy(base=0.05, cap=0.2), breaker=BreakerPolicy(base=0.05, cap=0.2, pause=0.2)
)


class Line:
    """An outbox, a courier and a sink that posts to `url`."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.clock = SystemClock()
        self.outbox = MemoryOutbox(self.clock)
        self.notices: list[Notice] = []
        defaults = {"connect_timeout": 2.0, "total_timeout": 1.0}
        sink = CallApiSink(
            CallApiSettings(url, "sk_test", PayloadSettings("1.0.0"), **(defaults | settings)), clock=self.clock
        )
        self.courier = Courier(sink, self.outbox, clock=self.clock, notify=self.notices.append, policy=QUICK)
        self.courier.start()
        self._owed = 0

    def owe(self, calls: int) -> set[str]:
        names = {f"1795291042.{n}" for n in range(self._owed, self._owed + calls)}
        self._owed += calls
        for name in sorted(names):
            self.outbox.owe(name, encode(Call(name, (name,), complete=True, started_at=self.clock.now())))
        self.courier.wake()
        return names

    def told(self, kind: type[Notice]) -> int:
        return sum(isinstance(notice, kind) for notice in self.notices)


@pytest.fixture
def api() -> Iterator[CallApi]:
    with CallApi() as server:
        yield server


@pytest.fixture
def line(api: CallApi) -> Iterator[Line]:
    it = Line(api.url)
    yield it
    it.courier.stop(5)


def test_every_call_arrives_once(api: CallApi, line: Line) -> None:
    owed = line.owe(200)
    until(lambda: len(line.outbox.done) == 200)
    assert set(api.calls) == owed
    assert set(api.accepted.values()) == {1}


def test_twenty_errors_in_a_row_lose_nothing(api: CallApi, line: Line) -> None:
    """The connector we replace lost 16 of 20 calls here (D-02)."""
    api.script = lambda request: Answer(500 if request.number <= 20 else 202)
    owed = line.owe(20)
    until(lambda: len(line.outbox.done) == 20, within=30)
    assert set(api.calls) == owed


def test_a_server_that_is_away_and_comes_back_gets_everything(api: CallApi, line: Line) -> None:
    api.stop()
    owed = line.owe(50)
    until(lambda: line.told(SinkDown))
    assert len(line.outbox.pending()) == 50
    with CallApi(port=api.port) as back:
        until(lambda: len(line.outbox.done) == 50, within=30)
        assert set(back.calls) == owed
    until(lambda: line.told(SinkUp))
    assert {item.attempts for item in line.outbox.done} == {0}


def test_a_hanging_server_holds_only_as_many_requests_as_there_are_workers(api: CallApi, line: Line) -> None:
    hanging = threading.Event()
    api.script = lambda _: Answer() if hanging.is_set() else Answer(fault="hang")
    owed = line.owe(40)
    until(lambda: line.courier.state == "down", within=20)
    # Four in flight, and what two workers took up before the third failure told an outage from a poisoned call.
    assert 4 <= len(api.requests) <= 7
    hanging.set()
    until(lambda: len(line.outbox.done) == 40, within=30)
    assert set(api.calls) == owed


def test_a_trickling_server_is_cut_off_and_gets_the_call_again(api: CallApi, line: Line) -> None:
    api.script = lambda request: Answer(fault="trickle_head") if request.number == 1 else Answer()
    line.owe(1)
    until(lambda: len(line.outbox.done) == 1, within=20)
    assert len({request.key for request in api.requests}) == 1
    assert len(api.requests) == 2


def test_answers_lost_on_the_way_back_bring_the_same_key_again(api: CallApi, line: Line) -> None:
    seen: set[str] = set()

    def lossy(request: Received) -> Answer:
        first = request.key not in seen
        seen.add(request.key)
        return Answer(fault="close_after" if first else None)

    api.script = lossy
    owed = line.owe(30)
    until(lambda: len(line.outbox.done) == 30, within=30)
    assert set(api.accepted.values()) == {2}
    assert len(api.accepted) == 30
    assert set(api.calls) == owed
    for key in api.accepted:
        assert len({request.body for request in api.requests if request.key == key}) == 1


def test_one_call_the_api_refuses_is_buried_with_its_answer(api: CallApi, line: Line) -> None:
    def picky(request: Received) -> Answer:
        return Answer(422, body=b"no such customer") if request.call["linkedid"].endswith(".42") else Answer()

    api.script = picky
    line.owe(100)
    until(lambda: len(line.outbox.done) == 99 and line.outbox.dead)
    (dead,) = line.outbox.dead
    assert "no such customer" in dead.answer
    assert '"linkedid":"1795291042.42"' in dead.request
    assert "sk_test" not in dead.request


def test_no_request_comes_before_the_time_the_api_asked_for(api: CallApi, line: Line) -> None:
    api.script = lambda request: Answer(429, {"Retry-After": "1"}) if request.number == 1 else Answer()
    line.owe(1)
    until(lambda: len(api.requests) == 1)
    line.owe(5)
    until(lambda: len(line.outbox.done) == 6, within=20)
    assert api.requests[1].at - api.requests[0].at >= 1.0


def test_a_revoked_key_pauses_and_a_mended_one_resumes(api: CallApi, line: Line) -> None:
    valid = threading.Event()
    api.script = lambda _: Answer(202 if valid.is_set() else 401)
    owed = line.owe(30)
    until(lambda: line.courier.state == "paused")
    valid.set()
    line.courier.resume()
    until(lambda: len(line.outbox.done) == 30, within=20)
    assert set(api.calls) == owed
    assert line.told(SinkMisconfigured) == 1
    assert {item.attempts for item in line.outbox.done} == {0}


def test_a_redirect_is_not_an_acceptance(api: CallApi, line: Line) -> None:
    """The connector we replace took the redirected, bodiless GET's 200 for a delivery (D-09)."""
    with CallApi(lambda _: Answer(200)) as elsewhere:
        api.script = lambda _: Answer(302, {"Location": elsewhere.url})
        line.owe(2)
        until(lambda: line.courier.state == "paused")
        assert elsewhere.requests == []
        assert line.outbox.done == []
        api.script = lambda _: Answer()
        until(lambda: len(line.outbox.done) == 2, within=20)


def test_mixed_faults_lose_nothing_and_every_duplicate_has_its_key(api: CallApi, line: Line) -> None:
    faults = [
        Answer(500),
        Answer(fault="close_before"),
        Answer(fault="close_after"),
        Answer(503, {"Retry-After": "0"}),
        Answer(fault="garbage"),
        Answer(delay=0.05),
    ]
    api.script = lambda request: (
        faults[request.number // 2 % 6] if request.number % 2 and request.number < 120 else Answer()
    )
    owed = line.owe(100)
    until(lambda: len(line.outbox.done) == 100, within=60)
    assert set(api.calls) == owed
    assert {key.split(":")[1] for key in api.accepted} == owed
    assert len(api.accepted) == 100

"""The control socket: who may ask, what is bounded, what an answer that breaks off is taken for."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asterisk_connector.call import Call
from asterisk_connector.clock import SystemClock
from asterisk_connector.control import client, server, wire
from asterisk_connector.control import questions as q
from asterisk_connector.control.answers import Desk, Running
from asterisk_connector.control.server import ControlServer
from asterisk_connector.errors import ConnectorError, Misconfigured, NotRunning, Transient
from asterisk_connector.notices import (
    ControlOpened,
    ControlUnavailable,
    Notice,
    OutboxChanged,
    WorkerFailed,
    ignore,
)
from asterisk_connector.records import Batch, SetAside
from asterisk_connector.store import Store
from tests.kit.rows import SOURCE, batch, cel, settlement
from tests.kit.wait import until

STATE = Path("/var/lib/somewhere")


class Service:
    """A control server over a store in memory, and what it told."""

    def __init__(self, path: Path) -> None:
        self.store = Store.in_memory(clock=SystemClock(), notify=ignore)
        self.told: list[Notice] = []
        self.woken = threading.Event()
        self.status: Callable[[], object] = lambda: {"sentence": "ready"}
        running = Running(metrics=lambda: b"up 1\n", configuration=lambda: "host: pbx1\n")
        desk = Desk(lambda: self.store, lambda: self.status(), _nobody_tells, self.woken.set, running)
        self.server = ControlServer(path, STATE, desk, clock=SystemClock(), notify=self.told.append)
        self.path = path

    def bury(self) -> int:
        """A dead letter of a call; its number."""
        name = f"1795300000.{len(self.store.dead_letters())}"
        (call,) = self.store.append(batch(cel(name), first=len(self.store.calls()))).new
        assert self.store.settle(settlement(self.store, call, sinks=("call_api",), call_id=name))
        (item,) = self.store.lease("call_api", 1)
        self.store.bury(item, "refused")
        return item.id

    def ask(self, question: q.AnyQuestion, directory: Path = STATE) -> list[dict[str, object]]:
        return list(client.ask(self.path, question, directory))

    def listening(self) -> None:
        self.server.start()
        until(lambda: any(isinstance(notice, ControlOpened) for notice in self.told), 5, "a listening socket")


def _nobody_tells(rows: object) -> Call:
    raise AssertionError("nobody asked")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "control.sock")
    service.listening()
    yield service
    service.server.stop()
    service.store.close()


def connected(service: Service) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(10)
    link.connect(str(service.path))
    return link


def rest(link: socket.socket) -> list[dict[str, object]]:
    with link, link.makefile("rb") as lines:
        return [json.loads(line) for line in lines]


def test_a_question_is_answered_over_the_socket(service: Service) -> None:
    assert service.ask(q.StatusNow()) == [{"status": {"sentence": "ready"}}]
    assert service.ask(q.MetricsNow()) == [{"text": "up 1\n"}]
    assert service.ask(q.Configuration()) == [{"text": "host: pbx1\n"}]
    service.store.append(Batch(SOURCE, [], b"1", [SetAside("x:1", "odd", b"\xff")]))
    (row,) = service.ask(q.RowsSetAside(10))
    assert (row["reason"], row["raw"]) == ("odd", "\\xff")


def test_the_socket_is_for_its_group_and_nobody_else(service: Service) -> None:
    assert stat.S_IMODE(service.path.stat().st_mode) == 0o660


def test_who_changes_something_is_told_and_couriers_are_woken(service: Service) -> None:
    numbers = [service.bury(), service.bury()]
    assert service.ask(q.Retry(numbers=(numbers[0],))) == [{"changed": 1, "unknown": []}]
    assert service.woken.is_set()
    assert service.ask(q.Drop()) == [{"changed": 1, "unknown": []}]
    told = [notice for notice in service.told if isinstance(notice, OutboxChanged)]
    assert [(notice.what, notice.letters, notice.pid) for notice in told] == [
        ("retried", 1, os.getpid()),
        ("dropped", 1, os.getpid()),
    ]
    assert f"uid {os.geteuid()}" in told[0].who


def test_whom_the_kernel_cannot_name_is_told_as_who_he_says_he_is() -> None:
    stranger = server.Peer(1, server._overflow_uid(), 65534)
    assert server._name(stranger, "alice\nroot") == r"one who says to be alice\nroot"


def test_a_change_that_names_what_is_no_dead_letter_changes_nothing(service: Service) -> None:
    number = service.bury()
    assert service.ask(q.Drop(numbers=(number, 99))) == [{"changed": 0, "unknown": [99]}]
    assert service.store.dead_letter(number) is not None
    assert not any(isinstance(notice, OutboxChanged) for notice in service.told)


def test_a_question_about_another_state_is_not_answered(service: Service) -> None:
    with pytest.raises(NotRunning, match="no other"):
        service.ask(q.Owed(), Path("/another/state"))


def test_what_the_state_cannot_give_now_arrives_as_what_it_is(service: Service) -> None:
    def starting() -> object:
        raise Transient("the service is starting")

    service.status = starting
    with pytest.raises(Transient, match="starting"):
        service.ask(q.StatusNow())


def test_a_bug_is_told_and_ends_only_its_answer(service: Service) -> None:
    def broken() -> object:
        raise ZeroDivisionError

    service.status = broken
    with pytest.raises(ConnectorError, match="nobody expected"):
        service.ask(q.StatusNow())
    assert any(isinstance(notice, WorkerFailed) for notice in service.told)
    assert service.ask(q.Owed()) == []


@pytest.mark.parametrize("raw", [b"{}\n", b"GET / HTTP/1.1\r\n", b'{"question":{"ask":"Weather"},"directory":"/"}\n'])
def test_what_is_no_question_is_refused_with_what_to_do(service: Service, raw: bytes) -> None:
    link = connected(service)
    link.sendall(raw)
    (refused,) = rest(link)
    assert refused["kind"] == "Misconfigured"
    assert "another version" in str(refused["hint"])


def test_a_question_that_never_ends_is_bounded(service: Service) -> None:
    link = connected(service)
    link.sendall(b"x" * (wire.LONGEST_REQUEST + 1))
    (refused,) = rest(link)
    assert "may have" in str(refused["text"])


def test_who_asks_nothing_loses_the_connection(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.1)
    link = connected(service)
    link.sendall(b'{"question"')
    assert rest(link) == []


def test_more_than_a_few_at_once_are_told_to_come_again(service: Service) -> None:
    links = [connected(service) for _ in range(server.AT_ONCE)]
    until(lambda: not answered(service), 5, "a refusal while all are taken")
    for link in links:
        link.close()
    until(lambda: answered(service), 5, "an answer once the others are gone")


def answered(service: Service) -> bool:
    try:
        return service.ask(q.Owed()) == []
    except Transient:
        return False


def test_an_answer_that_breaks_off_is_not_taken_for_whole(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def half() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(1000)
                link.sendall(wire.line(wire.row({"number": 1})))

        threading.Thread(target=half).start()
        rows = client.ask(path, q.Owed(), STATE)
        assert next(rows) == {"number": 1}
        with pytest.raises(Transient, match="ended while it answered"):
            next(rows)


def test_where_nobody_listens_it_is_said_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="nobody listens") as caught:
        list(client.ask(tmp_path / "control.sock", q.Owed(), STATE))
    assert "systemctl start" in caught.value.hint


def test_what_a_killed_service_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    service = Service(tmp_path / "control.sock")
    service.listening()
    assert service.ask(q.Owed()) == []
    service.server.stop()
    assert not service.path.exists()


def test_a_socket_in_use_is_left_alone(service: Service) -> None:
    second = Service(service.path)
    second.server.start()
    (told,) = until(lambda: [n for n in second.told if isinstance(n, ControlUnavailable)], 5)
    assert "another service" in told.reason
    second.server.stop()
    assert service.ask(q.Owed()) == []


def test_a_file_at_its_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("precious")
    service = Service(path)
    service.server.start()
    (told,) = until(lambda: [n for n in service.told if isinstance(n, ControlUnavailable)], 5)
    assert "ls -l" in told.hint
    service.server.stop()
    assert path.read_text() == "precious"


def test_without_its_directory_it_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_RETRY_SECONDS", 0.05)
    service = Service(tmp_path / "run" / "control.sock")
    service.server.start()
    until(lambda: [n for n in service.told if isinstance(n, ControlUnavailable)], 5)
    (tmp_path / "run").mkdir()
    until(lambda: any(isinstance(n, ControlOpened) for n in service.told), 5, "a socket once there is a directory")
    assert service.ask(q.Owed()) == []
    service.server.stop()


def test_errors_cross_the_socket_with_their_hints() -> None:
    for error in (Misconfigured("wrong", "mend it"), NotRunning("gone", "start it"), Transient("later")):
        again = wire.raised(wire.refusal(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert getattr(again, "hint", "") == getattr(error, "hint", "")

"""The server of the status page: what it answers, to whom, and what it bears."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from asterisk_connector.clock import SystemClock
from asterisk_connector.config.kinds import Endpoint
from asterisk_connector.config.load import loads
from asterisk_connector.errors import Transient
from asterisk_connector.notices import HttpListening, HttpUnavailable, Notice, WorkerFailed
from asterisk_connector.snapshot import Snapshot
from asterisk_connector.telemetry import http as server
from asterisk_connector.telemetry.gate import Gate
from asterisk_connector.telemetry.history import POINTS, History, Sight
from asterisk_connector.telemetry.http import CPU_SHARE, MOST_CONNECTIONS, Budget, HttpServer
from asterisk_connector.telemetry.report import Process, status
from asterisk_connector.telemetry.request import LONGEST_HEAD, Request, Unreadable, parse
from asterisk_connector.telemetry.site import Site
from asterisk_connector.telemetry.status import Status
from asterisk_connector.telemetry.tally import Tally
from tests.kit.clock import FakeClock
from tests.kit.server import hold_address
from tests.kit.wait import until

PAGE = Path(__file__).parents[2] / "docs" / "status-page.md"
TOKEN = "correct horse battery"
PROCESS = Process(version="1", host="pbx1", directory="/state", config_file="/config.yaml")


class Served:
    """A server on an address of its own, and all it told and was asked for."""

    def __init__(self, address: str = "") -> None:
        self._held, self.address = hold_address()
        if address:
            self.address = address
        self.told: list[Notice] = []
        self.requests: Counter[tuple[str, int]] = Counter()
        self.stuck: list[str] = []
        self.error: Exception | None = None
        self.statuses = 0
        self.clock = SystemClock()
        self._tally = Tally(self.clock)
        self.site = Site(
            status=self.status, metrics=lambda: b"metric 1\n", stuck=lambda: self.stuck, requests=self.requests,
            clock=self.clock,
        )  # fmt: skip
        self.server = self.new_server()

    def new_server(self) -> HttpServer:
        return HttpServer(Endpoint(self.address, 8000), self.site, clock=self.clock, notify=self.told.append)

    def status(self) -> Status:
        self.statuses += 1
        if self.error:
            raise self.error
        return status(PROCESS, Snapshot(), self._tally.read(), self.clock.now())

    def start(self) -> None:
        self.server.start()
        until(lambda: self.heard(HttpListening), 10, "the server listens")

    def heard(self, kind: type[Notice]) -> list[Notice]:
        return [notice for notice in self.told if isinstance(notice, kind)]

    def connect(self) -> socket.socket:
        return socket.create_connection((self.address, 8000), 10)

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        with closing(http.client.HTTPConnection(self.address, 8000, timeout=10)) as connection:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def stop(self) -> None:
        self.server.stop()
        self._held.close()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    served.start()
    yield served
    served.stop()


# What is answered


@pytest.mark.parametrize(
    ("path", "kind", "word"),
    [
        ("/", "text/html; charset=utf-8", b"<!doctype html>"),
        ("/page.css", "text/css; charset=utf-8", b":root"),
        ("/page.js", "text/javascript; charset=utf-8", b"import"),
        ("/icon.svg", "image/svg+xml", b"<svg"),
        ("/status", "application/json", b'"host":"pbx1"'),
        ("/history", "application/json", b'"step":5.0'),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", b"metric 1\n"),
        ("/healthz", "text/plain; charset=utf-8", b"alive\n"),
        ("/readyz", "text/plain; charset=utf-8", b"ready\n"),
    ],
)
def test_every_path_is_answered_and_kept_by_nobody(served: Served, path: str, kind: str, word: bytes) -> None:
    code, headers, body = served.ask(path)
    assert (code, headers["content-type"]) == (200, kind)
    assert word in body
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    head = served.ask(path, "HEAD")
    assert head[0] == 200
    assert head[2] == b""
    assert served.requests[path, 200] == 2


@pytest.mark.parametrize(
    "path", ["/nothing", "/../etc/passwd", "/page/page.js", "/sign-in.html/", "//status", "/%2e%2e"]
)
def test_what_is_not_there_is_404_with_what_is(served: Served, path: str) -> None:
    code, _, body = served.ask(path)
    assert code == 404
    assert b"/metrics" in body
    assert served.requests["other", 404] == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_reading_is_possible(served: Served, method: str) -> None:
    code, headers, body = served.ask("/status", method)
    assert (code, headers["allow"], headers["connection"]) == (405, "GET, HEAD", "close")
    assert b"read-only" in body


def test_what_is_made_once_is_shared_by_all_who_ask_within_a_second(served: Served) -> None:
    began = time.monotonic()
    for _ in range(200):
        assert served.ask("/status")[0] == 200
    assert served.statuses <= 2 + (time.monotonic() - began)


def test_a_part_that_does_not_come_round_is_not_alive(served: Served) -> None:
    served.stuck.append("courier call_api")
    assert served.ask("/healthz")[::2] == (503, b"no sign of life from courier call_api\n")


def test_a_state_that_cannot_be_read_is_503_and_the_rest_goes_on(served: Served) -> None:
    served.error = Transient("The state cannot be read now")
    said = until(lambda: (said := served.ask("/status"))[0] == 503 and said, 5)
    assert b"cannot be read" in said[2]
    assert served.ask("/healthz")[0] == 200


def test_a_bug_in_one_answer_is_told_and_harms_no_other(served: Served) -> None:
    served.error = KeyError("oops")
    assert until(lambda: served.ask("/status")[0] == 500, 5)
    assert served.heard(WorkerFailed)
    assert served.ask("/metrics")[0] == 200


def test_one_connection_takes_many_requests_also_sent_at_once(served: Served) -> None:
    with served.connect() as link:
        link.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50 + b"GET /readyz HTTP/1.0\r\n\r\n")
        said = b"".join(iter(lambda: link.recv(65536), b""))
    assert said.count(b"HTTP/1.1 200 OK") == 51
    assert said.count(b"\r\n\r\nalive\n") == 50
    assert said.endswith(b"Connection: close\r\n\r\nready\n")


def test_what_the_server_cannot_read_is_answered_with_a_sentence_and_ends_the_connection(served: Served) -> None:
    for sent, code in [(b"\x16\x03\x01 hello\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\n" + b"a" * 9000, b"431")]:
        with served.connect() as link:
            link.sendall(sent)
            said = b"".join(iter(lambda: link.recv(65536), b""))
        assert said.startswith(b"HTTP/1.1 " + code)
    assert served.ask("/healthz")[0] == 200


# Requests


HOST = "\r\nHost: pbx1"


@pytest.mark.parametrize(
    ("head", "path", "lasting"),
    [
        (f"GET / HTTP/1.1{HOST}", "/", True),
        (f"GET /status?token=a%20b&x HTTP/1.1{HOST}\r\nConnection: close", "/status", False),
        ("HEAD /metrics HTTP/1.0", "/metrics", False),
        ("GET /metrics HTTP/1.0\r\nConnection: Keep-Alive", "/metrics", True),
        (f"GET / HTTP/1.1{HOST}\r\nContent-Length: 0\r\nX-Empty:", "/", True),
    ],
)
def test_a_request_is_read(head: str, path: str, lasting: bool) -> None:
    request = parse(head.encode())
    assert (request.path, request.lasting) == (path, lasting)


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("", 400),
        ("GET /", 400),
        (f"GET / HTTP/2.0{HOST}", 400),
        (f"GET http://other/ HTTP/1.1{HOST}", 400),
        (f"GET /a b HTTP/1.1{HOST}", 400),
        ("GET / HTTP/1.1", 400),
        (f"GET / HTTP/1.1{HOST}{HOST}", 400),
        (f"GET / HTTP/1.1{HOST}\r\n folded", 400),
        (f"GET / HTTP/1.1{HOST}\r\nno colon", 400),
        (f"POST / HTTP/1.1{HOST}", 405),
        (f"GET / HTTP/1.1{HOST}\r\nContent-Length: 5", 413),
        (f"GET / HTTP/1.1{HOST}\r\nTransfer-Encoding: chunked", 413),
    ],
)
def test_what_is_no_request_of_a_reader_is_refused(head: str, code: int) -> None:
    with pytest.raises(Unreadable) as refused:
        parse(head.encode())
    assert refused.value.code == code


# Who may ask


def asks(host: str = "localhost", **headers: str) -> Request:
    return Request("GET", "/status", {}, {"host": host, **headers}, True)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "127.0.0.1",
        "10.1.2.3:8000",
        "[::1]:8000",
        "[::1]",
        "pbx1",
        "pbx1.:80",
        "pbx1:8000",
    ],
)
def test_names_of_this_host_may_be_asked_by(host: str) -> None:
    assert Gate(names=("PBX1",)).refusal(asks(host)) is None


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8000", "", "a:b:c"])
def test_a_name_of_somebody_else_is_refused(host: str) -> None:
    refused = Gate(names=("pbx1",)).refusal(asks(host))
    assert refused is not None
    assert refused.code == 403
    assert b"http.names" in refused.body


def test_without_settings_only_this_host_may_ask() -> None:
    gate = Gate()
    assert gate.stranger("127.0.0.1") is None
    assert gate.stranger("::1") is None
    assert gate.stranger("::ffff:127.0.0.1") is None
    refused = gate.stranger("10.0.0.1")
    assert refused is not None
    assert refused.code == 403


def test_networks_of_the_settings_may_ask_and_no_others_even_with_the_token() -> None:
    gate = Gate(token=TOKEN, allow=[ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
    for peer in ("10.9.9.9", "::ffff:10.1.1.1", "fd00::7", "127.0.0.1"):
        assert gate.stranger(peer) is None
    for peer in ("11.0.0.1", "fe80::1%eth0", "::ffff:11.0.0.1"):
        assert gate.stranger(peer) is not None


def test_with_a_token_everybody_must_show_it_and_may_ask_by_any_name() -> None:
    gate = Gate(token=TOKEN)
    assert gate.stranger("192.0.2.1") is None
    assert gate.refusal(asks("any.example", authorization=f"Bearer {TOKEN}")) is None
    for wrong in ("", "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \u00ff"):
        refused = gate.refusal(asks(authorization=wrong))
        assert refused is not None
        assert refused.code == 401
        assert ("WWW-Authenticate", "Bearer") in refused.headers
        assert TOKEN.encode() not in refused.body


def test_a_browser_that_showed_the_token_once_has_a_cookie_that_does_not_tell_it() -> None:
    gate = Gate(token=TOKEN)
    assert gate.cookie_for("wrong") is None
    cookie = gate.cookie_for(TOKEN)
    assert cookie is not None
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    shown = cookie.partition(";")[0]
    assert gate.refusal(asks(cookie=f"other=1; {shown}")) is None
    assert gate.refusal(asks(cookie=shown[:-1])) is not None
    assert Gate(token=TOKEN + "2").refusal(asks(cookie=shown)) is not None


def test_signing_in_gives_the_cookie_and_an_address_without_the_token(served: Served) -> None:
    served.site.gate = Gate(token=TOKEN)
    code, headers, body = served.ask("/")
    assert (code, headers["www-authenticate"]) == (401, "Bearer")
    assert b"<form" in body
    code, headers, _ = served.ask("/?token=correct%20horse%20battery")
    assert (code, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"].partition(";")[0]
    assert served.ask("/status")[0] == 401
    assert served.ask("/status", Cookie=cookie)[0] == 200
    assert served.ask("/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert served.ask("/healthz")[0] == 200
    assert served.ask("/page.css")[0] == 200


def test_the_settings_that_the_page_shows_open_it_without_a_complaint(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    secret = tmp_path / "http.token"
    secret.touch(0o600)
    secret.write_text(TOKEN)
    rest = "api: {key: k}\nsources: {cel_csv: [{path: /cel.csv}]}\n"
    loaded = loads(shown.replace("/etc/asterisk-connector/http.token", str(secret)) + rest)
    assert loaded.findings == []
    assert loaded.settings is not None
    assert loaded.settings.http.listen == Endpoint("::", 8000)


# The last hour


def sight(at: float, delivered: int = 0, **more: Any) -> Sight:
    facts = {"open": 1, "backlog": 2, "events": 0, "latency_p50": None, "latency_p99": 0.5, **more}
    return Sight(at=at, delivered=delivered, **facts)


def test_rates_are_what_lies_between_two_sights() -> None:
    history = History()
    for at, delivered in [(100.0, 10), (105.0, 20), (110.0, 20), (115.0, 3)]:
        history.add(sight(at, delivered))
    found = history.after(0)
    assert found["number"] == [1, 2, 3]
    assert found["delivered"] == [2.0, 0.0, 0.0]
    assert found["latency_p99"] == [0.5, 0.5, 0.5]
    assert history.after(2)["at"] == [115.0]
    assert history.after(3)["at"] == []
    assert history.after(999)["number"] == [1, 2, 3]  # somebody remembers the service of before


def test_an_hour_is_kept_and_no_more() -> None:
    history = History()
    for number in range(POINTS + 100):
        history.add(sight(number * 5.0))
    numbers = history.after(0)["number"]
    assert isinstance(numbers, list)
    assert (len(numbers), numbers[0], numbers[-1]) == (POINTS, 100, POINTS + 99)


def test_a_page_asks_for_new_points_only(served: Served) -> None:
    for at in (1.0, 6.0, 11.0):
        served.site._history.add(sight(at + served.clock.now()))
    first = json.loads(served.ask("/history?after=0")[2])
    assert json.loads(served.ask(f"/history?after={first['number'][-1]}")[2])["number"] == []
    assert served.ask("/history?after=x")[0] == 400


# What it bears


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_share_of_the_processor_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, used = FakeClock(), 0.0
    monkeypatch.setattr(server.time, "thread_time", lambda: used)
    budget = Budget(clock)
    began = clock.monotonic()
    while clock.monotonic() - began < 100:
        used += 0.0004
        clock.advance(0.0004)
        clock.advance(budget.rest())
    assert used <= CPU_SHARE * 101 + 0.3
    assert used >= CPU_SHARE * 80


def test_silent_and_slow_clients_make_room_for_others(served: Served) -> None:
    before, threads = open_files(), threading.active_count()
    with ExitStack() as slow:
        for number in range(3 * MOST_CONNECTIONS):
            link = slow.enter_context(served.connect())
            link.sendall(b"GET /status HTTP/1.1\r\nX-Slow: " if number % 2 else b"")
        assert served.ask("/healthz")[0] == 200
        ours = 3 * MOST_CONNECTIONS  # the clients' ends are in this process too
        assert open_files() <= before + ours + MOST_CONNECTIONS
    assert threading.active_count() <= threads


def test_a_request_that_is_never_complete_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_REQUEST_WITHIN", 0.3)
    with served.connect() as link:
        link.sendall(b"GET /status HTTP/1.1\r\n")
        link.settimeout(10)
        assert link.recv(100) == b""


def test_an_answer_that_nobody_takes_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_ANSWER_WITHIN", 0.3)
    with served.connect() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked = f"GET /page.js HTTP/1.1{HOST.replace('pbx1', 'localhost')}\r\n\r\n".encode()
        link.settimeout(0.2)
        with pytest.raises(OSError):  # nobody takes more, or the connection is gone already
            link.sendall(asked * 500_000)
        until(lambda: not served.server._connections, 10, "the connection is given up")
    assert served.ask("/healthz")[0] == 200


def test_a_port_in_use_is_told_once_and_had_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_RETRY", 0.05)
    served = Served()
    with socket.create_server((served.address, 8000)):
        served.server.start()
        until(lambda: served.heard(HttpUnavailable), 5)
        until(lambda: served.server._next_try > served.clock.monotonic(), 5)
    until(lambda: served.heard(HttpListening), 5)
    assert len(served.heard(HttpUnavailable)) == 1
    assert served.ask("/healthz")[0] == 200
    served.stop()


def test_after_a_stop_the_port_is_free_at_once() -> None:
    served = Served()
    for _ in range(3):
        served.told.clear()
        served.start()
        with served.connect() as link:
            link.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert link.recv(100).startswith(b"HTTP/1.1 200")
            served.server.stop()
        served.server = served.new_server()
    served.server.stop()


@pytest.mark.parametrize(("listen", "ask"), [("::1", "::1"), ("::", "127.0.0.1")])
def test_it_listens_on_ipv6_too(listen: str, ask: str) -> None:
    served = Served(listen)
    with socket.socket(socket.AF_INET6) as free:
        free.bind(("::1", 0))
        port = free.getsockname()[1]
    served.server = HttpServer(Endpoint(listen, port), served.site, clock=served.clock, notify=served.told.append)
    served.start()
    with socket.create_connection((ask, port), 10) as link:
        link.sendall(b"GET /status HTTP/1.0\r\nHost: [::1]\r\n\r\n")
        assert link.recv(100).startswith(b"HTTP/1.1 200")
    served.stop()


def test_a_head_may_be_long_but_not_too_long(served: Served) -> None:
    padding = "a" * (LONGEST_HEAD - 200)
    assert served.ask("/status", Accept=padding)[0] == 200

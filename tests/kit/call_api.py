"""A call API to test against: a real HTTP server on loopback that answers by script and remembers every request.

- `script` decides on each request's answer; the default takes everything with 202.
- What it took is kept by idempotency key (`accepted`) and by call (`calls`: the last payload, as an upsert leaves it).
- `python -m tests.kit.call_api` serves until its standard input ends, for benchmarks that must not share a process.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Literal

PATH = "/v1/mqs/connectors/asterisk/calls"

Fault = Literal["hang", "trickle_head", "trickle_body", "endless_body", "close_before", "close_after", "garbage"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say. `delay` in seconds before it; a fault replaces it.

    `close_before` closes without taking the call, `close_after` takes it and closes; neither answers.
    """

    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came; `number` counts from 1, `at` is monotonic."""

    number: int
    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def key(self) -> str:
        return self.headers.get("idempotency-key", "")

    @property
    def call(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def parts(self) -> dict[str, Message]:
        """The parts of a form (a recording), by name."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + self.body).get_payload()
        assert isinstance(parts, list)
        return {str(part.get_param("name", header="content-disposition")): part for part in parts}


Script = Callable[[Received], Answer]


def take(_: Received) -> Answer:
    return Answer()


class CallApi:
    """A context manager; `url` is where calls are posted. `port` 0 takes a free one, `address` is one of ours."""

    def __init__(
        self,
        script: Script = take,
        *,
        tls: tuple[Path, Path] | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.script = script
        self.requests: list[Received] = []
        self.accepted: dict[str, int] = {}
        self.calls: dict[str, dict[str, Any]] = {}
        self.at_once = 0
        self.most_at_once = 0
        self.remember = True
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._connections = 0
        self._address = address
        self._server = _Server((address, port), _handler(self))
        self._scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self._address}:{self.port}{PATH}"

    def __enter__(self) -> CallApi:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Closes the port; whoever waits for an answer is cut off."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def connected(self) -> int:
        with self._lock:
            self._connections += 1
            return self._connections

    def serve(self, handler: BaseHTTPRequestHandler, connection: int) -> None:
        """One request, from its headers to its answer or fault."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            request = Received(
                number=len(self.requests) + 1,
                at=monotonic(),
                method=handler.command,
                path=handler.path,
                headers={name.lower(): value for name, value in handler.headers.items()},
                body=body,
                connection=connection,
            )
            if self.remember:
                self.requests.append(request)
        try:
            answer = self.script(request)
            self._ended.wait(answer.delay) if answer.delay else None
            if answer.fault == "close_after" or (answer.fault is None and answer.status in {200, 201, 202}):
                self._take(request)
            _say(handler, answer, self._ended)
        finally:
            with self._lock:
                self.at_once -= 1

    def _take(self, request: Received) -> None:
        if not self.remember or not request.body:
            return
        with self._lock:
            self.accepted[request.key] = self.accepted.get(request.key, 0) + 1
            if request.headers.get("content-type", "").startswith("application/json"):
                call = request.call
                self.calls[call["linkedid"]] = call


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what is being tested."""


def _handler(api: CallApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def setup(self) -> None:
            super().setup()
            self.connection_number = api.connected()

        def do_POST(self) -> None:
            api.serve(self, self.connection_number)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _say(handler: BaseHTTPRequestHandler, answer: Answer, ended: threading.Event) -> None:
    if answer.fault in {"close_before", "close_after"}:
        handler.close_connection = True
    elif answer.fault == "hang":
        ended.wait(60)
        handler.close_connection = True
    elif answer.fault == "garbage":
        handler.wfile.write(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")
        handler.close_connection = True
    elif answer.fault == "trickle_head":
        _trickle(handler, b"HTTP/1.1 202 Accepted\r\nX-Slow: " + b"x" * 600, ended)
    elif answer.fault == "trickle_body":
        handler.send_response(answer.status)
        handler.send_header("Content-Length", "600")
        handler.end_headers()
        _trickle(handler, b"x" * 600, ended)
    elif answer.fault == "endless_body":
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.close_connection = True
        while not ended.is_set():
            handler.wfile.write(b"x" * 65_536)
    else:
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)


def _trickle(handler: BaseHTTPRequestHandler, text: bytes, ended: threading.Event) -> None:
    handler.close_connection = True
    for byte in text:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        if ended.wait(0.1):
            return


def certificate(directory: Path, *, host: str = "127.0.0.1") -> tuple[Path, Path]:
    """A fresh self-signed certificate for `host` and its key, by the openssl command."""
    cert, key = directory / "cert.pem", directory / "key.pem"
    wanted = f"-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={host}".split()
    wanted += ["-addext", f"subjectAltName=IP:{host}", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", "req", *wanted], check=True, capture_output=True)
    return cert, key


if __name__ == "__main__":
    with CallApi() as server:
        server.remember = False
        print(server.url, flush=True)
        sys.stdin.read()

"""A call API on loopback that takes every call and remembers it: the other end of the demo."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Taken = Callable[[dict[str, Any], str], None]
"""Called with the payload of a call and its idempotency key."""


class CallApi:
    """Answers `POST /v1/mqs/connectors/asterisk/calls` with 202, on a port of its own choice."""

    def __init__(self, taken: Taken) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                taken(json.loads(body), self.headers.get("Idempotency-Key", ""))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo-call-api", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1/mqs/connectors/asterisk/calls"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

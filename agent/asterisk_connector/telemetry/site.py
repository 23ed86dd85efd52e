"""What is at which path: the status page and its files, /status, /history, /metrics, /healthz, /readyz.

- What costs something to make is made at most once a second and shared by all who ask; the more it costs, the more
  rarely it is made: one part in `_SHARE` of the time.
- The page's files are read once. What they show, they fetch from here; nothing comes from elsewhere.
- /healthz and the page's style and script are for everybody; the rest passes the gate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from asterisk_connector.clock import Clock
from asterisk_connector.errors import ConnectorError
from asterisk_connector.telemetry.gate import Gate
from asterisk_connector.telemetry.history import History, Sight
from asterisk_connector.telemetry.request import Answer, Request, sentence
from asterisk_connector.telemetry.status import Status, encode

T = TypeVar("T")

_FOLDER = Path(__file__).with_name("page")
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_JSON = "application/json"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_AT_MOST_EVERY = 1.0
_SHARE = 100


class Shared(Generic[T]):
    """Something that is made anew when it is asked for and has grown old."""

    def __init__(self, make: Callable[[], T], clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._made: T | None = None
        self._fresh_until = 0.0

    def get(self) -> T:
        """As it was made within the last second or so. Raises what making it raises."""
        began = self._clock.monotonic()
        if self._made is None or began >= self._fresh_until:
            self._made = self._make()
            ended = self._clock.monotonic()
            self._fresh_until = ended + max(_AT_MOST_EVERY, _SHARE * (ended - began))
        return self._made


class Site:
    """Answers requests. `gate` may be replaced. `stuck` names the parts that do not come round, for /healthz.

    In `requests` answers are counted by path and code; paths that do not exist are `other`.
    """

    def __init__(
        self,
        *,
        status: Callable[[], Status],
        metrics: Callable[[], bytes],
        stuck: Callable[[], Iterable[str]],
        requests: Counter[tuple[str, int]],
        clock: Clock,
    ) -> None:
        self.gate = Gate()
        self._requests = requests
        self._stuck = stuck
        self._status = Shared(status, clock)
        self._document = Shared(lambda: encode(self._status.get()), clock)
        self._metrics = Shared(metrics, clock)
        self._history = History()
        self._pages = {path.name: Answer(200, path.read_bytes(), _KINDS[path.suffix]) for path in _FOLDER.iterdir()}
        self._paths: dict[str, Callable[[Request], Answer]] = {
            "/": lambda _: self._pages["index.html"],
            "/status": lambda _: Answer(200, self._document.get(), _JSON),
            "/history": self._points,
            "/metrics": lambda _: Answer(200, self._metrics.get(), _METRICS),
            "/readyz": lambda _: self._readiness(),
        }

    def answer(self, request: Request, peer: str) -> Answer:
        """To one request from the address `peer`."""
        answer = self._answer(request, peer)
        self.count(request.path, answer.code)
        return answer

    def count(self, path: str, code: int) -> None:
        """One more answer."""
        known = path in self._paths or path == "/healthz" or path[1:] in self._pages
        self._requests[path if known else "other", code] += 1

    def look(self) -> None:
        """Adds what is now to the history; for every few seconds. Raises what making the status raises."""
        now = self._status.get()
        latencies = [sink.latency for sink in now.sinks]
        self._history.add(
            Sight(
                at=now.at.timestamp(),
                open=now.calls.open or 0,
                backlog=sum(sink.pending or 0 for sink in now.sinks),
                delivered=sum(sink.delivered for sink in now.sinks),
                events=0 if now.events is None else now.events.read,
                latency_p50=max((one.p50 for one in latencies if one.p50 is not None), default=None),
                latency_p99=max((one.p99 for one in latencies if one.p99 is not None), default=None),
            )
        )

    def _answer(self, request: Request, peer: str) -> Answer:
        if request.path == "/healthz":
            return self._health()
        if (refused := self.gate.stranger(peer)) is not None:
            return refused
        asset = self._pages.get(request.path[1:])
        if asset is not None and not asset.kind.startswith("text/html"):
            return asset
        if request.path == "/" and (cookie := self.gate.cookie_for(request.query.get("token", ""))) is not None:
            return sentence(303, "Welcome.", ("Location", "/"), ("Set-Cookie", cookie))
        if (refused := self.gate.refusal(request)) is not None:
            if refused.code == 401 and request.path == "/":
                return self._pages["sign-in.html"]._replace(code=401, headers=refused.headers)
            return refused
        there = self._paths.get(request.path)
        if there is None:
            return sentence(404, f"There is nothing here; try {', '.join(self._paths)} or /healthz.")
        try:
            return there(request)
        except ConnectorError as error:
            return sentence(503, f"{error} (the service goes on; ask again)")

    def _points(self, request: Request) -> Answer:
        after = request.query.get("after", "0")
        if not after.isascii() or not after.isdigit() or len(after) > 12:
            return sentence(400, "`after` is the number of the last point you have.")
        return Answer(200, msgspec.json.encode(self._history.after(int(after))), _JSON)

    def _health(self) -> Answer:
        if stuck := ", ".join(self._stuck()):
            return sentence(503, f"no sign of life from {stuck}")
        return sentence(200, "alive")

    def _readiness(self) -> Answer:
        now = self._status.get()
        if now.service.ready:
            return sentence(200, "ready")
        said = [
            f"{problem.part}: {problem.text}" + (f" ({problem.hint})" if problem.hint else "")
            for problem in now.problems
        ]
        return sentence(503, "\n".join([now.service.sentence, *said]))

"""A running agent that has something of everything: calls, one still open, dead letters, a row set aside, a recording
of no call. What commands are tried on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asterisk_connector.control import client
from asterisk_connector.control.questions import AnyQuestion, StateFacts
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import Answer, CallApi, Received
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

CALLS = 8
REFUSED = (2, 4, 5, 6)
"""Calls that the API does not want."""
OPEN = CALLS
"""The number of the call that has not ended."""
CALLERS = {number: f"+1416555{4000 + number}" for number in range(CALLS + 1)}
"""Who called, as a number that reaches somebody outside."""


class SmallAgent(AgentProcess):
    """With its API, whose answers can be changed."""

    def __init__(self, home: Path, api: CallApi, **more: Any) -> None:
        self.api = api
        self.cel = home / "Master.csv"
        self.monitor = home / "monitor"
        self.monitor.mkdir()
        (self.monitor / "odd.wav").write_bytes(b"RIFF" + bytes(44))
        ended = b"".join(rows(number) for number in range(CALLS))
        begun = b"".join(rows(OPEN).splitlines(keepends=True)[:3])
        odd = rows(CALLS + 1).splitlines(keepends=True)[0].replace(b"17953", b"no time")
        self.cel.write_bytes(ended + begun + odd)
        settings = {
            "start_at": "beginning",
            "api": {"url": api.url},
            "sources": {
                "cel_csv": [{"path": str(self.cel)}],
                "recordings": {"paths": [str(self.monitor)], "settle": "200ms"},
            },
            "calls": {"settle": "100ms"},
            "tenants": {"dids": {"+14165559876": "acme"}},
            **more,
        }
        super().__init__(home, settings)

    @property
    def socket(self) -> Path:
        return self.home / "control.sock"

    def ask(self, question: AnyQuestion) -> list[dict[str, Any]]:
        return list(client.ask(self.socket, question, self.state))

    def settled(self) -> bool:
        """Whether every call has come where it will stay."""
        (facts,) = self.ask(StateFacts())
        dead = facts["dead"].get("call_api", 0)
        taken = len(self.api.calls)
        return bool(taken == CALLS - len(REFUSED) and dead == len(REFUSED))


def rows(number: int) -> bytes:
    """The rows of a call from outside, as Asterisk appends them."""
    call = NumberedCall(number)
    written = b"".join(row + b"\n" for _, row in call.rows())
    caller = CALLERS.get(number, "+14165550000")
    for inside, outside in (
        (f'"{call.caller}"', f'"{caller}"'),
        (f"PJSIP/{call.caller}-", "PJSIP/trunk-"),
        ('"from-internal"', '"from-pstn"'),
    ):
        written = written.replace(inside.encode(), outside.encode())
    return written


def refuse(request: Received) -> Answer:
    """What the API of a small agent answers."""
    named = json.loads(request.body)["linkedid"] if request.body.startswith(b"{") else ""
    if named in {NumberedCall(number).linkedid for number in REFUSED}:
        return Answer(422, body=b'{"error": "src_extension is missing"}')
    return Answer()


@contextmanager
def small_agent(home: Path, **more: Any) -> Iterator[SmallAgent]:
    """Running and settled."""
    with CallApi() as api:
        api.script = refuse
        with SmallAgent(home, api, **more) as agent:
            until(agent.settled, 30, f"a settled agent, which said:\n{agent.said[-3000:]}")
            yield agent

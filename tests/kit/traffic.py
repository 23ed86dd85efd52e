"""Numbered calls with deterministic content, as CEL rows of the stock cel_custom mapping: what an oracle can check.

Each call is the sequence a real Asterisk 22 writes for an answered call between two phones (capture s01), fifteen rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

BASE = 1_795_300_000


@dataclass(frozen=True)
class NumberedCall:
    """The `number`-th call of a traffic; starts `number * gap` seconds after the beginning, talk lasts 2 s."""

    number: int
    gap: float = 0.25
    base: int = BASE

    @property
    def start(self) -> float:
        return self.base + self.number * self.gap

    @property
    def linkedid(self) -> str:
        return f"{int(self.start)}.{self.number * 2 + 1}"

    @property
    def caller(self) -> str:
        return str(1000 + self.number % 500)

    @property
    def callee(self) -> str:
        return str(2000 + self.number % 500)

    def rows(self) -> list[tuple[float, bytes]]:
        """(instant, row without its line end), in the order Asterisk writes them."""
        a, b = self.linkedid, f"{int(self.start)}.{self.number * 2 + 2}"
        chan_a, chan_b = f"PJSIP/{self.caller}-{self.number:08x}", f"PJSIP/{self.callee}-{self.number:08x}"
        bridge = f'{{"bridge_id":"00000000-0000-0000-0000-{self.number:012d}","bridge_technology":"simple_bridge"}}'
        bye = f'{{"hangupcause":16,"hangupsource":"{chan_a}","dialstatus":"ANSWER"}}'

        def row(
            event: str, after: float, uniqueid: str, app: str = "Dial", extra: str = "", peer: str = ""
        ) -> tuple[float, bytes]:
            at = self.start + after
            is_a = uniqueid == a
            number, channel = (self.caller, chan_a) if is_a else (self.callee, chan_b)
            exten = "" if event in {"HANGUP", "CHAN_END"} and not is_a else self.callee
            data = f"PJSIP/{self.callee},20" if is_a else "(Outgoing Line)"
            cells = [
                event, f"{at:.6f}", f'Phone "{number}"', number, number, "", "" if not is_a else self.callee, exten,
                "from-internal", channel, app, data if app else "", "3", f"acct{number}", uniqueid, a, peer,
                "", "", extra,
            ]  # fmt: skip
            return at, ",".join('"' + c.replace('"', '""') + '"' for c in cells).encode()

        return [
            row("CHAN_START", 0, a, app=""),
            row("APP_START", 0.001, a),
            row("CHAN_START", 0.002, b, app=""),
            row("ANSWER", 1.0, b, app="AppDial"),
            row("ANSWER", 1.001, a),
            row("BRIDGE_ENTER", 1.002, b, app="AppDial", extra=bridge),
            row("BRIDGE_ENTER", 1.003, a, extra=bridge, peer=chan_b),
            row("BRIDGE_EXIT", 3.003, a, extra=bridge, peer=chan_b),
            row("APP_END", 3.004, a),
            row("HANGUP", 3.005, a, app="", extra=bye),
            row("CHAN_END", 3.005, a, app=""),
            row("BRIDGE_EXIT", 3.006, b, app="AppDial", extra=bridge),
            row("HANGUP", 3.007, b, app="AppDial", extra=bye),
            row("CHAN_END", 3.007, b, app="AppDial"),
            row("LINKEDID_END", 3.007, b, app="AppDial"),
        ]


def traffic(calls: int, gap: float = 0.25, base: int = BASE) -> Iterator[bytes]:
    """The rows of `calls` overlapping calls, in the order of their instants, each with its line end."""
    pending: list[tuple[float, int, bytes]] = []
    for number in range(calls):
        call = NumberedCall(number, gap, base)
        pending.extend((at, number * 100 + i, row) for i, (at, row) in enumerate(call.rows()))
        pending.sort()
        while pending and pending[0][0] <= call.start:
            yield pending.pop(0)[2] + b"\n"
    for _, _, row in pending:
        yield row + b"\n"

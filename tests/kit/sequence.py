"""Rows of CEL written by hand, one line an event, in the notation people draw calls in.

    0.0  trunka        start 5551000@from-trunka num=5145550001
    0.0  trunka        app Dial PJSIP/101,8
    0.0  101           start
    1.0  101           answer

- A channel is called by its endpoint; `'` marks a second one (`101'`), `L(102@ctx);1` is half of a Local channel.
- `start EXTEN@CONTEXT` begins a call of its own, `start` alone is a leg dialled in the first channel's call (`in=101'`
  names another), `start queue` a queue's, `start originate` one asked for by the manager.
- `hang CAUSE [SOURCE] [DIALSTATUS]` writes HANGUP and CHAN_END; SOURCE is a channel, `self`, `dialplan/builtin` or `-`.
- `link CHANNEL` moves a channel to another's linkedid, without a row, as Asterisk does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from asterisk_connector.records import CelEvent

EPOCH = 1_795_290_000


@dataclass
class _Live:
    name: str
    uniqueid: str
    linkedid: str
    num: str = ""
    exten: str = ""
    context: str = ""
    app: str = ""
    data: str = ""
    rdnis: str = ""
    dialled: str = ""
    bridges: dict[str, str] = field(default_factory=dict)


def rows(text: str, *, first: int = 0, without: tuple[str, ...] = ()) -> list[CelEvent]:
    """The rows of the lines; `first` is the first counter of uniqueids, `without` names event types not enabled."""
    writer = _Writer(first)
    for line in text.strip().splitlines():
        if line.strip():
            writer.line(line)
    return [row for row in writer.rows if row.type not in without]


class _Writer:
    def __init__(self, first: int) -> None:
        self.rows: list[CelEvent] = []
        self.live: dict[str, _Live] = {}
        self.count = first

    def line(self, line: str) -> None:
        time, who, event, *rest = line.split()
        at = EPOCH * 1_000_000 + round(float(time) * 1_000_000)
        getattr(self, f"_{event}")(at, who, rest)

    def _start(self, at: int, who: str, rest: list[str]) -> None:
        options = dict(item.split("=", 1) for item in rest if "=" in item)
        plain = [item for item in rest if "=" not in item]
        uniqueid = f"{at // 1_000_000}.{self.count}"
        number = self.count
        self.count += 1
        wire = who.startswith("L(")
        endpoint = who[2 : who.index(")")] if wire else who.rstrip("'")
        trunk = endpoint.startswith("trunk")
        name = f"Local/{endpoint}-0000000a{who[-2:]}" if wire else f"PJSIP/{endpoint}-{number:08x}"
        own = bool(plain) and plain[0] != "queue"
        above = self.live.get(options.get("in", next(iter(self.live), "")))
        linkedid = uniqueid if own or above is None else above.linkedid
        channel = _Live(name, uniqueid, linkedid, context=f"from-{endpoint}" if trunk else "from-internal")
        channel.num = options.get("num", "" if trunk or wire else endpoint)
        channel.rdnis = options.get("rdnis", "")
        if wire:
            channel.exten, _, channel.context = endpoint.partition("@")
            channel.dialled = "AppQueue" if "queue" in plain else ""
        elif own and plain[0] != "originate":
            channel.exten, _, channel.context = plain[0].partition("@")
            channel.context = channel.context or "from-internal"
        else:
            channel.exten = "s"
            channel.dialled = {"queue": "AppQueue", "originate": "AppDial2"}.get(plain[0] if plain else "", "AppDial")
        self.live[who] = channel
        self._write(at, who, "CHAN_START")
        if channel.dialled:
            channel.app, channel.data = channel.dialled, "(Outgoing Line)"
            channel.num = options.get("shows", channel.num)

    def _write(self, at: int, who: str, kind: str, extra: dict[str, object] | None = None) -> None:
        channel = self.live[who]
        self.rows.append(
            CelEvent(
                type=kind,
                at=at,
                uniqueid=channel.uniqueid,
                linkedid=channel.linkedid,
                channel=channel.name,
                cid_num=channel.num,
                cid_rdnis=channel.rdnis,
                exten=channel.exten,
                context=channel.context,
                app_name=channel.app,
                app_data=channel.data,
                extra=json.dumps(extra, separators=(",", ":")) if extra else "",
            )
        )

    def _answer(self, at: int, who: str, rest: list[str]) -> None:
        self._write(at, who, "ANSWER")

    def _goto(self, at: int, who: str, rest: list[str]) -> None:
        channel = self.live[who]
        exten, _, context = rest[0].partition("@")
        channel.exten, channel.context = exten, context or channel.context

    def _app(self, at: int, who: str, rest: list[str]) -> None:
        self.live[who].app, self.live[who].data = rest[0], " ".join(rest[1:])
        self._write(at, who, "APP_START")

    def _endapp(self, at: int, who: str, rest: list[str]) -> None:
        self._write(at, who, "APP_END")
        self.live[who].app = self.live[who].data = ""

    def _enter(self, at: int, who: str, rest: list[str]) -> None:
        technology = rest[1] if len(rest) > 1 else "simple_bridge"
        self.live[who].bridges[rest[0]] = technology
        self._write(at, who, "BRIDGE_ENTER", {"bridge_id": rest[0], "bridge_technology": technology})

    def _exit(self, at: int, who: str, rest: list[str]) -> None:
        technology = self.live[who].bridges[rest[0]]
        self._write(at, who, "BRIDGE_EXIT", {"bridge_id": rest[0], "bridge_technology": technology})

    def _hang(self, at: int, who: str, rest: list[str]) -> None:
        source = rest[1] if len(rest) > 1 else "-"
        named = self.live.get(who if source == "self" else source)
        text = named.name if named else "" if source == "-" else source
        status = rest[2] if len(rest) > 2 else ""
        self._write(at, who, "HANGUP", {"hangupcause": int(rest[0]), "hangupsource": text, "dialstatus": status})
        self._write(at, who, "CHAN_END")

    def _link(self, at: int, who: str, rest: list[str]) -> None:
        self.live[who].linkedid = self.live[rest[0]].linkedid

    def _retire(self, at: int, who: str, rest: list[str]) -> None:
        self._write(at, who, "LINKEDID_END")

    def _blind(self, at: int, who: str, rest: list[str]) -> None:
        other = self.live[rest[1]]
        extra = {"extension": rest[0], "context": "from-internal", "transferee_channel_name": other.name}
        self._write(at, who, "BLINDTRANSFER", {**extra, "transferee_channel_uniqueid": other.uniqueid})

    def _attended(self, at: int, who: str, rest: list[str]) -> None:
        second, other = self.live[rest[0]], self.live[rest[1]]
        target = self.live.get(rest[2])
        extra = {
            "channel2_name": second.name,
            "channel2_uniqueid": second.uniqueid,
            "transferee_channel_name": other.name,
            "transferee_channel_uniqueid": other.uniqueid,
            "transfer_target_channel_name": target.name if target else "N/A",
            "transfer_target_channel_uniqueid": target.uniqueid if target else "N/A",
        }
        self._write(at, who, "ATTENDEDTRANSFER", extra)

    def _pickup(self, at: int, who: str, rest: list[str]) -> None:
        taker = self.live[rest[0]]
        extra: dict[str, object] = {"pickup_channel": taker.name, "pickup_channel_uniqueid": taker.uniqueid}
        self._write(at, who, "PICKUP", extra)

    def _forward(self, at: int, who: str, rest: list[str]) -> None:
        self._write(at, who, "FORWARD", {"forward": rest[0]})

    def _park(self, at: int, who: str, rest: list[str]) -> None:
        extra: dict[str, object] = {"parker_dial_string": f"PJSIP/{rest[0]}", "parking_lot": "default"}
        self._write(at, who, "PARK_START", extra)

    def _unpark(self, at: int, who: str, rest: list[str]) -> None:
        self._write(at, who, "PARK_END", {"reason": f"ParkedCall{rest[0]}"})

    def _music(self, at: int, who: str, rest: list[str]) -> None:
        self._write(at, who, "STREAM_BEGIN", {"class": "default"})

    def _silence(self, at: int, who: str, rest: list[str]) -> None:
        self._write(at, who, "STREAM_END")

    def _dtmf(self, at: int, who: str, rest: list[str]) -> None:
        self._write(at, who, "DTMF", {"digit": rest[0], "duration_ms": 160})

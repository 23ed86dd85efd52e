"""Who sits on a channel, and who dialled it: labels, trunks, and the tree of dial attempts.

- A telephone of one's own is called by its endpoint when that looks like an extension, else by the number it shows.
- A trunk is never a person: the far end is called by the number that was dialled (with its prefix, or as the dial
  string has it where the dial plan sent it elsewhere), or by the caller id it came with.
- The dialler of a leg is found by what diallers dial (`PJSIP/101&PJSIP/102`), then by time, then by linkedid: a second
  Dial() or a queue's next round makes no new APP_START (call semantics, rule 8).
"""

from __future__ import annotations

from bisect import bisect_right

from asterisk_connector.assembly.channels import NOWHERE, Age, Channel
from asterisk_connector.assembly.interpret import Scene
from asterisk_connector.plan import Plan
from asterisk_connector.records import Micros

DIALLED = frozenset({"AppDial", "AppQueue", "AppDial2"})
"""Applications Asterisk shows on channels that somebody else made."""

NEAREST = 64
"""So many possible diallers of one target are looked at, the youngest first: a queue may have dialled it all day."""


class Cast:
    """The channels of a call with names, trunks and diallers."""

    def __init__(self, scene: Scene, plan: Plan) -> None:
        self.scene = scene
        self.plan = plan
        self.people = [c for c in scene.channels.values() if c.person]
        self.twins: dict[Channel, Channel] = {}
        self._by_target: dict[str, list[Channel]] = {}
        self._target_ages: dict[str, list[Age]] = {}
        self._queues: list[Channel] = []
        self._halves: dict[str, list[Channel]] = {}
        self._index()
        self.parent = {c: self._dialler(c) for c in scene.channels.values() if self.dialled(c)}
        self.children: dict[Channel, list[Channel]] = {}
        for child, parent in self.parent.items():
            if parent is not None:
                self.children.setdefault(parent, []).append(child)
        self.trunk = {c: self._is_trunk(c) for c in self.people}
        self.label = {c: self._label(c) for c in scene.channels.values()}

    def dialled(self, channel: Channel) -> bool:
        """Was this channel made by somebody else (a dial attempt), rather than starting a call?"""
        if channel.half == "2" or self.made_consultation(channel):
            return False
        if not channel.own:
            return True
        return channel.ran("AppDial", "AppQueue") and channel.exten in NOWHERE

    def made_consultation(self, channel: Channel) -> bool:
        """A Local ;1 that is put into a bridge before anybody answered it: made by a DTMF attended transfer."""
        return channel.half == "1" and channel.bridged_early and not channel.ran(*DIALLED)

    def originated(self, channel: Channel) -> bool:
        """Was this channel's call asked for from outside the dial plan (AMI Originate, call file, ARI)?"""
        if not channel.own:
            return False
        if channel.tech == "Local":
            return channel.half == "1"
        if channel.ran("AppDial2"):
            return True
        return channel.exten in NOWHERE and not channel.apps and not self.plan.inbound(channel.context)

    def real_children(self, channel: Channel) -> list[Channel]:
        """The people a channel dialled, seen through Local channels."""
        found: list[Channel] = []
        for child in self.children.get(channel, ()):
            if child.person:
                found.append(child)
                continue
            twin = self.twins.get(child)
            if twin is not None:
                found.extend(self.real_children(twin))
        return found

    def root(self, channel: Channel) -> Channel | None:
        """The channel whose dialling led to this one, through Local channels; None for one that began by itself."""
        seen: set[Channel] = set()
        parent = self.parent.get(channel)
        while parent is not None and parent not in seen:
            seen.add(parent)
            if parent.person:
                return parent
            twin = self.twins.get(parent)
            above = self.parent.get(twin) if twin is not None else None
            if above is None:
                return parent
            parent = above
        return parent

    def _index(self) -> None:
        halves: dict[str, Channel] = {}
        for channel in self.scene.channels.values():
            if channel.half:
                other = halves.setdefault(channel.pair, channel)
                if other is not channel:
                    self.twins[channel] = other
                    self.twins[other] = channel
                if channel.half == "2":
                    self._halves.setdefault(channel.endpoint, []).append(channel)
            seen: set[str] = set()
            for _, app, data in channel.apps:
                if app in ("Queue", "FollowMe", "Page"):
                    if app not in seen:
                        self._queues.append(channel)
                        seen.add(app)
                elif app in ("Dial", "RetryDial"):
                    for target in targets(data):
                        if target not in seen:
                            seen.add(target)
                            self._by_target.setdefault(target, []).append(channel)
        for target, channels in self._by_target.items():
            self._target_ages[target] = [c.age for c in channels]

    def _dialler(self, channel: Channel) -> Channel | None:
        wire = channel.tech == "Local"
        target = f"Local/{channel.pair.rpartition('-')[0]}" if wire else channel.endpoint
        candidates = self._by_target.get(target)
        found = spare = None
        if candidates is not None:
            found, spare = _latest_alive(candidates, self._target_ages[target], channel)
            if found is not None and not wire:
                return found
        for queue in reversed(self._queues):
            if queue.age < channel.age and _alive(queue, channel.started) and _serves(queue, channel.started):
                return queue
        if found is not None:
            return found
        halves = self._halves.get(channel.endpoint)
        if halves is not None and not wire:
            half, _ = _latest_alive(halves, [h.age for h in halves], channel)
            if half is not None:
                return half
        first = self.scene.channels.get(channel.linkedid)
        if first is not None and first is not channel and _alive(first, channel.started):
            return first
        return spare or next(
            (c for c in self.people if c is not channel and c.age < channel.age and _idle(c, channel.started)), first
        )

    def _is_trunk(self, channel: Channel) -> bool:
        known = self.plan.trunk(channel.tech, channel.endpoint, channel.context)
        if known is not None:
            return known
        if channel in self.parent:
            number = self._sent_to(channel)
            return number is not None and not self.plan.extension(number)
        return (
            self.plan.external(channel.num)
            and not self.plan.internal(channel.context)
            and not self.plan.extension(channel.num)
        )

    def _label(self, channel: Channel) -> str:
        if not channel.person:
            return channel.endpoint
        if not self.trunk[channel]:
            if self.plan.extension(channel.endpoint):
                return channel.endpoint
            return channel.num if self.plan.extension(channel.num) else channel.endpoint
        if channel not in self.parent:
            return channel.num or channel.endpoint
        exten, number = channel.num_later if not channel.num else "", self._sent_to(channel) or ""
        parent = self.parent[channel]
        if parent is not None and exten in NOWHERE:
            exten = parent.place_at(channel.over or parent.last) or parent.place_at(channel.started)
        if exten in NOWHERE or (number and not exten.endswith(number)):
            return number or channel.num_later or channel.num or channel.endpoint
        return exten

    def _sent_to(self, channel: Channel) -> str | None:
        """The number its dialler's dial string sends to this channel's endpoint."""
        parent = self.parent.get(channel)
        if parent is None:
            return None
        app, data = parent.app_at(channel.started)
        told = [data] if app == "Dial" else []
        told += [d for _, a, d in parent.apps if a == "Dial"]
        return next((n for d in told if (n := number_dialled(d, channel.endpoint))), None)


def targets(data: str) -> list[str]:
    """Endpoints in the first argument of Dial(): `PJSIP/101&Local/102@sub/n,20` → `101`, `Local/102@sub`."""
    found = []
    for part in data.partition(",")[0].split("&"):
        rest = part.partition("/")[2]
        head, at, tail = rest.partition("@")
        if part.startswith("Local/"):
            found.append(f"Local/{head}@{tail.partition('/')[0]}")
        elif at and not tail.startswith("["):
            found.append(tail.partition("/")[0].partition(":")[0])
            found.append(head.partition("/")[0])
        else:
            found.append(head.partition("/")[0])
    return [name for name in found if name]


def number_dialled(data: str, endpoint: str) -> str | None:
    """The number a dial string sends to an endpoint (`PJSIP/514@acme`, `SIP/acme/514`); None for a telephone."""
    for part in data.partition(",")[0].split("&"):
        rest = part.partition("/")[2]
        head, at, tail = rest.partition("@")
        if at and tail.partition("/")[0] == endpoint and "/" not in head:
            return head
        name, slash, number = rest.partition("/")
        if slash and name == endpoint and not number.startswith(("sip:", "sips:")):
            return number.partition("@")[0].partition("/")[0]
    return None


def _alive(channel: Channel, at: Micros) -> bool:
    return channel.started <= at and (channel.over is None or at <= channel.over)


def _serves(queue: Channel, at: Micros) -> bool:
    """Did a queue (or the like) run on this channel then? Before the first row that shows it, it may have."""
    spans = [s for app in ("Queue", "FollowMe", "Page") for s in queue.app_spans(app)]
    app = queue.app_at(at)[0]
    if app in ("Queue", "FollowMe", "Page"):
        return True
    return app in ("", "Answer") and any(since >= at for since, _, _ in spans)


def _idle(channel: Channel, at: Micros) -> bool:
    """Answered, still there, and in no bridge: free to be dialling."""
    return (
        channel.answered is not None
        and _alive(channel, at)
        and not any(s.entered < at and (s.left is None or at < s.left) for s in channel.stays)
    )


def _latest_alive(
    candidates: list[Channel], ages: list[Age], channel: Channel
) -> tuple[Channel | None, Channel | None]:
    """The youngest candidate that is older than the channel and alive when it started: of its own call, of any call."""
    spare = None
    youngest = bisect_right(ages, channel.age) - 1
    for index in range(youngest, max(-1, youngest - NEAREST), -1):
        found = candidates[index]
        if found is not channel and _alive(found, channel.started):
            if channel.linkedid in (found.linkedid, found.uniqueid):
                return found, found
            spare = spare or found
    return None, spare

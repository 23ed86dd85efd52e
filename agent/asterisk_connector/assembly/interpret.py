"""Rows to channels: each event type has its method, types without one are carried by the count and otherwise ignored.

- Nothing is decided here: a `Scene` holds what was said, the other modules say what it means.
- Rows that say the same of the same channel at the same instant are taken once (a file read twice, an overlap).
- `extra` is read key by key, without parsing it as JSON: narrow columns cut it, and what stands before the cut counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from asterisk_connector.assembly.channels import Channel, Stay, age
from asterisk_connector.records import CdrRow, CelEvent, Micros, Record, RecordingFile

SECOND = 1_000_000
ROOMS = frozenset({"ConfBridge", "MeetMe", "Konference", "Page"})
"""Applications whose bridge is a conference, also where its technology was not written."""
ONCE = frozenset(
    {"CHAN_START", "ANSWER", "HANGUP", "CHAN_END", "PICKUP", "FORWARD", "BLINDTRANSFER", "ATTENDEDTRANSFER"}
)
"""Types that say nothing new when said twice in one second."""


@dataclass(frozen=True, slots=True)
class Told:
    """A transfer, pickup, forward or park as an event states it; `extra` is read by `fact`."""

    type: str
    at: Micros
    channel: Channel
    extra: str
    rdnis: str = ""
    exten: str = ""

    def fact(self, key: str) -> str:
        """A value of `extra`; empty when absent, cut off, or `N/A`."""
        value = fact(self.extra, key)
        return "" if value == "N/A" else value


@dataclass(slots=True)
class Scene:
    """Everything the rows of one call say, channel by channel."""

    channels: dict[str, Channel] = field(default_factory=dict)
    names: dict[str, Channel] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    events: list[CelEvent] = field(default_factory=list)
    cdrs: list[CdrRow] = field(default_factory=list)
    recordings: list[RecordingFile] = field(default_factory=list)
    linkedids: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    tick: int = 1
    first: Micros | None = None
    last: Micros | None = None
    with_extra: bool = False

    def of(self, *types: str) -> list[Told]:
        """What events of these types said, oldest first."""
        return [t for t in self.told if t.type in types]

    def behind(self, uniqueid: str, name: str) -> Channel | None:
        """The channel an event names by id, or by name where the id is unknown."""
        return self.channels.get(uniqueid) or self.names.get(name)

    def ordered(self) -> list[Channel]:
        """All channels, oldest first."""
        return list(self.channels.values())


def read(records: Iterable[Record]) -> Scene:
    """Reads the records of one call, in arrival order within each channel."""
    reading = _Reading()
    for record in records:
        if isinstance(record, CelEvent):
            reading.event(record)
        elif isinstance(record, CdrRow):
            reading.cdr(record)
        else:
            reading.scene.recordings.append(record)
    return reading.finish()


def fact(extra: str, key: str) -> str:
    """The text or number that stands behind `"key":` in a JSON object, whole or cut; empty when it is not all there."""
    start = extra.find(f'"{key}":')
    if start < 0:
        return ""
    start += len(key) + 3
    if extra[start : start + 1] == " ":
        start += 1
    if extra[start : start + 1] != '"':
        end = start
        while end < len(extra) and extra[end] not in ",}":
            end += 1
        return extra[start:end].strip() if end < len(extra) else ""
    end = extra.find('"', start + 1)
    if end > 0 and extra[end - 1] != "\\":
        text = extra[start + 1 : end]
        return _unescaped(text) if "\\" in text else text
    while end > 0:
        text = extra[start + 1 : end]
        if (len(text) - len(text.rstrip("\\"))) % 2 == 0:
            return _unescaped(text)
        end = extra.find('"', end + 1)
    return ""


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


class _Reading:
    """Dispatches rows to the method of their type."""

    def __init__(self) -> None:
        self.scene = Scene()
        self._seen: set[tuple[object, ...]] = set()
        self._rows: dict[str, list[CelEvent]] = {}
        self._place: dict[str, int] = {}
        self._methods: dict[str, Callable[[Channel, CelEvent, Micros], None]] = {
            "CHAN_START": self._chan_start,
            "CHAN_END": self._chan_end,
            "LINKEDID_END": self._chan_end,
            "HANGUP": self._hangup,
            "ANSWER": self._answer,
            "APP_END": self._app_end,
            "BRIDGE_ENTER": self._bridge_enter,
            "BRIDGE_EXIT": self._bridge_exit,
            "STREAM_BEGIN": self._stream_begin,
            "STREAM_END": self._stream_end,
            "DTMF": self._dtmf,
            "PARK_START": self._tell,
            "PARK_END": self._tell,
            "BLINDTRANSFER": self._tell,
            "ATTENDEDTRANSFER": self._tell,
            "PICKUP": self._tell,
            "FORWARD": self._tell,
        }

    def event(self, row: CelEvent) -> None:
        scene = self.scene
        kind = row.type
        if self._again(row):
            return
        scene.counts[kind] = scene.counts.get(kind, 0) + 1
        scene.events.append(row)
        if row.linkedid:
            scene.linkedids.add(row.linkedid)
        channel = scene.channels.get(row.uniqueid)
        if kind == "LINKEDID_END" and channel is not None:
            return
        if channel is None:
            channel = scene.channels[row.uniqueid] = Channel(row.uniqueid, row.linkedid, row.channel, row.at)
            channel.context = row.context
            channel.exten = row.exten
        elif channel.ended is not None and kind not in ("PARK_END", "PICKUP"):
            return
        at = channel.last = row.at if row.at > channel.last else channel.last
        if row.extra:
            scene.with_extra = True
        apps = channel.apps
        if apps:
            if apps[-1][1] != row.app_name or apps[-1][2] != row.app_data:
                apps.append((at, row.app_name, row.app_data))
        elif row.app_name:
            apps.append((at, row.app_name, row.app_data))
        places = channel.places
        if not places or places[-1][1] != row.exten or places[-1][2] != row.context:
            places.append((at, row.exten, row.context))
        if row.cid_num and row.cid_num != channel.num:
            if channel.num or kind != "CHAN_START":
                channel.num_later = row.cid_num
            else:
                channel.num = row.cid_num
        if row.cid_name and not channel.person_name:
            channel.person_name = row.cid_name
        if row.cid_rdnis:
            channel.rdnis = row.cid_rdnis
        method = self._methods.get(kind)
        if method is not None:
            method(channel, row, at)

    def _again(self, row: CelEvent) -> bool:
        """Was this row read before? By what it says; where only whole seconds are kept, by its place in its channel.

        Two equal rows of one second may both be true (a digit pressed twice). But a channel starts once: after a second
        CHAN_START its rows come again one by one.
        """
        if row.resolution < SECOND:
            key = (row.type, row.at, row.uniqueid, row.linkedid, row.app_name, row.extra)
            if key in self._seen:
                return True
            self._seen.add(key)
            return False
        self.scene.tick = max(self.scene.tick, row.resolution)
        rows = self._rows.setdefault(row.uniqueid, [])
        place = self._place.get(row.uniqueid)
        if place is None and row.type == "CHAN_START" and rows:
            place = 0
        if place is not None and place < len(rows) and rows[place] == row:
            self._place[row.uniqueid] = place + 1
            return True
        if row.type in ONCE and row in rows:
            return True
        rows.append(row)
        return False

    def cdr(self, row: CdrRow) -> None:
        key: tuple[object, ...] = (row.uniqueid, row.sequence) if row.sequence is not None else (row,)
        if key in self._seen:
            return
        self._seen.add(key)
        self.scene.cdrs.append(row)
        if row.linkedid:
            self.scene.linkedids.add(row.linkedid)

    def finish(self) -> Scene:
        scene = self.scene
        scene.channels = dict(sorted(scene.channels.items(), key=lambda item: item[1].age))
        for channel in scene.channels.values():
            scene.names.setdefault(channel.name, channel)
        scene.told.sort(key=lambda t: (t.at, t.channel.age, t.type))
        scene.cdrs.sort(key=lambda r: (age(r.uniqueid)[:2], r.sequence or 0, r.start or 0, r.dstchannel))
        if scene.events:
            scene.first = min(row.at for row in scene.events)
            scene.last = max(row.at for row in scene.events)
        return scene

    def _chan_start(self, channel: Channel, row: CelEvent, at: Micros) -> None:
        channel.started = at
        channel.account = row.account_code

    def _chan_end(self, channel: Channel, _: CelEvent, at: Micros) -> None:
        """CHAN_END; or LINKEDID_END as the only row of a channel: all that is known of it is that it is gone."""
        channel.ended = at
        self._leave(channel, at)
        if channel.music and channel.music[-1][1] is None:
            channel.music[-1][1] = at

    def _hangup(self, channel: Channel, row: CelEvent, at: Micros) -> None:
        channel.hung_up = at
        if row.extra:
            cause = fact(row.extra, "hangupcause")
            channel.cause = int(cause) if cause.isdigit() else None
            channel.source = fact(row.extra, "hangupsource")
            channel.dialstatus = fact(row.extra, "dialstatus")

    def _answer(self, channel: Channel, _: CelEvent, at: Micros) -> None:
        if channel.answered is None:
            channel.answered = at

    def _app_end(self, channel: Channel, _: CelEvent, at: Micros) -> None:
        channel.apps.append((at, "", ""))

    def _bridge_enter(self, channel: Channel, row: CelEvent, at: Micros) -> None:
        bridge = fact(row.extra, "bridge_id")
        if channel.answered is None:
            channel.bridged_early = True
        stays = channel.stays
        if stays and stays[-1].left is None:
            if stays[-1].bridge == bridge and bridge:
                return
            stays[-1].left = at
        stay = Stay(channel, bridge, at, row.app_name)
        stay.holding = "holding_bridge" in row.extra
        stay.softmix = "softmix" in row.extra or row.app_name in ROOMS
        _note_peers(stay, row.peer, at)
        stays.append(stay)

    def _bridge_exit(self, channel: Channel, row: CelEvent, at: Micros) -> None:
        self._leave(channel, at, row)

    def _leave(self, channel: Channel, at: Micros, row: CelEvent | None = None) -> None:
        stays = channel.stays
        if not stays or stays[-1].left is not None:
            return
        stay = stays[-1]
        if row is not None:
            bridge = fact(row.extra, "bridge_id")
            if bridge and bridge != stay.bridge:
                return
            if "softmix" in row.extra:
                stay.softmix = True
            _note_peers(stay, row.peer, at)
        stay.left = at

    def _stream_begin(self, channel: Channel, row: CelEvent, at: Micros) -> None:
        if fact(row.extra, "class") and not (channel.music and channel.music[-1][1] is None):
            channel.music.append([at, None])

    def _stream_end(self, channel: Channel, row: CelEvent, at: Micros) -> None:
        if row.user_defined_type.startswith("FILE"):
            return
        if channel.music and channel.music[-1][1] is None:
            channel.music[-1][1] = at

    def _dtmf(self, channel: Channel, row: CelEvent, at: Micros) -> None:
        channel.digits.append((at, fact(row.extra, "digit")))

    def _tell(self, channel: Channel, row: CelEvent, at: Micros) -> None:
        self.scene.told.append(Told(row.type, at, channel, row.extra, row.cid_rdnis, row.exten))


def _note_peers(stay: Stay, peer: str, at: Micros) -> None:
    if peer and not stay.bridge:
        stay.peers.extend((at, name) for name in peer.split(","))

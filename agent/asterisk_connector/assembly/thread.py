"""The thread of a call as the call API wants it (`call_threads`): eight event types and the CDR rows, by time."""

from __future__ import annotations

from operator import itemgetter

from asterisk_connector.assembly.channels import Age, age
from asterisk_connector.assembly.interpret import Scene
from asterisk_connector.call import ThreadEvent
from asterisk_connector.records import Micros

TYPES = frozenset(
    {
        "CHAN_START",
        "ANSWER",
        "BRIDGE_ENTER",
        "BRIDGE_EXIT",
        "BLINDTRANSFER",
        "ATTENDEDTRANSFER",
        "HANGUP",
        "LINKEDID_END",
    }
)

BRIDGES = frozenset({"BRIDGE_ENTER", "BRIDGE_EXIT"})
TRANSFERS = frozenset({"BLINDTRANSFER", "ATTENDEDTRANSFER"})


def thread(scene: Scene) -> tuple[ThreadEvent, ...]:
    """Nearly raw: what was written, sorted by time, then by age of the channel, then as its own rows came."""
    found: list[tuple[Micros, Age, int, ThreadEvent]] = []
    channels = scene.channels
    for turn, row in enumerate(scene.events):
        kind = row.type
        if kind not in TYPES:
            continue
        channel = channels.get(row.uniqueid)
        peer = row.peer if kind in BRIDGES else ""
        extra = row.extra if kind in TRANSFERS else ""
        event = ThreadEvent(row.at, kind, row.uniqueid, row.channel, row.exten, row.context, peer, extra)
        found.append((row.at, channel.age if channel else age(row.uniqueid), turn, event))
    for row_index, cdr in enumerate(scene.cdrs):
        at = cdr.start if cdr.start is not None else scene.first or 0
        event = ThreadEvent(
            at=at,
            event="CDR",
            uniqueid=cdr.uniqueid,
            channel=cdr.channel,
            context=cdr.dcontext,
            src=cdr.src,
            dst=cdr.dst,
            dstchannel=cdr.dstchannel,
            duration=cdr.duration,
            billsec=cdr.billsec,
            disposition=cdr.disposition,
        )
        found.append((at, (0, row_index, ""), 0, event))
    found.sort(key=itemgetter(0, 1, 2))
    return tuple(entry[3] for entry in found)

"""The thread of a call as the call API wants it (`call_threads`): eight event types and the CDR rows, by time."""

from __future__ import annotations

from asterisk_connector.assembly.channels import age
from asterisk_connector.assembly.interpret import Scene
from asterisk_connector.call import ThreadEvent

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


def thread(scene: Scene) -> tuple[ThreadEvent, ...]:
    """Nearly raw: what was written, sorted by time, then by age of the channel, then as its own rows came."""
    found: list[tuple[int, tuple[int, int, str], int, ThreadEvent]] = []
    order: dict[str, int] = {}
    for row in scene.events:
        if row.type not in TYPES:
            continue
        turn = order[row.uniqueid] = order.get(row.uniqueid, 0) + 1
        event = ThreadEvent(
            at=row.at,
            event=row.type,
            uniqueid=row.uniqueid,
            channel=row.channel,
            exten=row.exten,
            context=row.context,
            peer=row.peer if row.type.startswith("BRIDGE") else "",
            extra=row.extra if row.type.endswith("TRANSFER") else "",
        )
        found.append((row.at, age(row.uniqueid), turn, event))
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
    found.sort(key=lambda entry: entry[:3])
    return tuple(entry[3] for entry in found)

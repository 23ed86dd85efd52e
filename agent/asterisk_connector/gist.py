"""A call in half a sentence, for people who watch. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from asterisk_connector.call import Call


def gist(call: Call) -> str:
    """`answered by 101, attended transfer to 102, 4.0 s talk`."""
    return ", ".join(_parts(call)) or "nothing known"


def _parts(call: Call) -> Iterator[str]:
    outcome = (call.outcome or "").replace("_", " ")
    yield f"{outcome} by {call.answered_by}" if call.answered_by else outcome
    if call.queue is not None:
        yield f"queue {call.queue.name or '?'}"
    if call.voicemail is not None and call.voicemail.mailbox:
        yield f"box {call.voicemail.mailbox}"
    for forwarded, target in call.forwarded:
        yield f"{forwarded} forwarded to {target}"
    if call.picked_up:
        yield f"picked up from {call.picked_up[0]}"
    for transfer in call.transfers or ():
        what = "parked" if transfer.kind == "park" else f"{transfer.kind} transfer to {transfer.target}"
        yield what.replace("_", "-")
    if call.talk_seconds:
        yield f"{call.talk_seconds:.1f} s talk"
    if call.recordings:
        yield "recorded"

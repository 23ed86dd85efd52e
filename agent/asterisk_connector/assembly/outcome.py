"""What became of a call: its outcome, its cause, who ended it, and the word older systems want.

- A person answered only if a person was in contact with the caller; an answered menu, queue or mailbox is not one
  (call semantics, rule 7).
- `hangupsource` says who hung up; empty where Asterisk itself did.
- `dialstatus` is the first failure or ANSWER and is believed only where no leg tells (call semantics §1.5).
"""

from __future__ import annotations

from asterisk_connector.assembly.channels import Channel
from asterisk_connector.assembly.story import Story
from asterisk_connector.assembly.transfers import UNREACHABLE

CROSSING = 50_000
"""Rows that belong together may cross each other by so much (measured: a few milliseconds)."""
DECLINED = 21
BUSY = 17
DIALSTATUS = {
    "BUSY": "busy",
    "NOANSWER": "no_answer",
    "CANCEL": "cancelled",
    "CONGESTION": "failed",
    "CHANUNAVAIL": "failed",
    "DONTCALL": "declined",
    "TORTURE": "declined",
    "INVALIDARGS": "failed",
}
DISPOSITIONS = {
    "busy": "BUSY",
    "failed": "FAILED",
    "answered": "ANSWERED",
    "conference": "ANSWERED",
    "page": "ANSWERED",
    "voicemail": "ANSWERED",
}


def outcome(story: Story) -> tuple[str, str]:
    """The outcome and the rule that decided it."""
    caller = story.caller
    if story.talks:
        return "answered", "a person was in one bridge with the caller"
    if story.room is not None:
        _, inside, paging = story.room
        if paging:
            return "page", "Page ran"
        if caller in inside:
            return "conference", "the caller was in a conference bridge"
    if caller is None:
        return "failed", "no channel"
    if story.click_to_call and caller.answered is None:
        return "not_taken", "the telephone rung for click to call did not answer"
    if any(c.ran("VoiceMail") for c in story.served):
        return "voicemail", "VoiceMail ran and nobody had answered"
    visit = next((v for v in reversed(story.visits)), None)
    if visit is not None:
        if visit.told.result == "abandoned" or hung_up(caller):
            return "abandoned", "the caller hung up in the queue"
        if visit.told.result in ("timeout", "answered"):
            return "queue_timeout", "the queue gave the caller back"
    legs = dialled(story)
    if legs:
        return _from_legs(caller, legs)
    return _without_legs(story, caller)


def dialled(story: Story) -> list[Channel]:
    """Legs that were dialled for the caller, click to call's own telephone left out."""
    return [c for c in story.cast.parent if c.person and c is not story.caller and c.uniqueid != c.linkedid]


def hung_up(channel: Channel) -> bool:
    """Did the one on this channel hang up himself?"""
    return bool(channel.source) and channel.source == channel.name


def _from_legs(caller: Channel, legs: list[Channel]) -> tuple[str, str]:
    causes = [leg.cause for leg in legs if leg.over is not None]
    answered = caller.answered
    if answered is not None and all(leg.over is not None and leg.over <= answered + CROSSING for leg in legs):
        return "service", "something answered the caller after the legs had ended"
    if hung_up(caller):
        return "cancelled", "the caller hung up while it rang"
    if any(leg.over is None for leg in legs) and caller.over is None:
        return "no_answer", "still ringing at the last row"
    if causes and all(cause is None for cause in causes):
        told = DIALSTATUS.get(caller.dialstatus)
        return (told, "dialstatus") if told else ("no_answer", "legs ended, their causes are not in the rows")
    if all(cause in UNREACHABLE for cause in causes):
        return "failed", "no leg could be reached (Q.850 cause)"
    if all(cause in UNREACHABLE or cause == BUSY for cause in causes):
        return "busy", "the legs were busy (cause 17)"
    if all(cause in UNREACHABLE or cause in (BUSY, DECLINED) for cause in causes):
        return "declined", "a leg declined (cause 21)"
    if 127 in causes and caller.cause == 127:
        return "cancelled", "caller and leg ended with cause 127 (CANCEL)"
    return "no_answer", "legs rang and ended unanswered"


def _without_legs(story: Story, caller: Channel) -> tuple[str, str]:
    if story.menu is not None:
        if hung_up(caller):
            return "abandoned", "the caller hung up in the menu"
        return "ivr_only", "the menu ended the call"
    tried = caller.ran("Dial", "RetryDial") or story.click_to_call
    if caller.dialstatus in DIALSTATUS and caller.dialstatus != "CANCEL":
        return DIALSTATUS[caller.dialstatus], "dialstatus"
    if tried or (caller.answered is None and caller.cause in UNREACHABLE):
        return "failed", "nothing could be dialled"
    return "service", "an application served the caller"


def cause(story: Story) -> int | None:
    """The Q.850 cause of the caller's hangup, else of whoever was left."""
    channels = [story.caller, story.line, story.main]
    return next((c.cause for c in channels if c is not None and c.cause is not None), None)


def ended_by(story: Story, result: str) -> tuple[str | None, str]:
    """Who hung up first or refused, and the rule; `system` where nobody did, None where the rows cannot tell."""
    caller, line = story.caller, story.line
    if caller is None or line is None:
        return "system", "no channel"
    if result == "conference" and story.room is not None:
        last = max(story.room[1], key=lambda c: (c.over or story.until, c.age))
        return (story.name(last), "last to leave the conference") if hung_up(last) else ("system", "the room ended")
    if result == "not_taken":
        refused = caller.cause in (BUSY, DECLINED)
        return (story.name(caller), "refused") if refused else ("system", "rang out")
    last_talk = story.last_talk
    if last_talk is not None and not story.ended_away():
        return _talk_ended_by(story, line, story.partner(last_talk) if caller is line else last_talk.other(line))
    if last_talk is not None:
        move = story.last_move
        if move is not None and move.result in ("busy", "declined"):
            return move.target, "the target of the transfer refused"
        return (story.name(line), "hangupsource") if hung_up(line) else ("system", "the call was ended for him")
    if hung_up(caller):
        return story.name(caller), "hangupsource"
    if result in ("busy", "declined"):
        refusers = [c for c in dialled(story) if hung_up(c) and c.cause in (BUSY, DECLINED)]
        names = {story.name(c) for c in refusers}
        if len(names) == 1:
            return names.pop(), "refused"
    if result == "cancelled":
        return story.name(caller), "cancelled"
    if not story.scene.with_extra and caller.over is not None:
        return None, "the rows do not tell"
    return "system", "nobody hung up"


def _talk_ended_by(story: Story, line: Channel, other: Channel) -> tuple[str | None, str]:
    for channel in (line, other):
        source = story.scene.names.get(channel.source or "")
        if source is None:
            continue
        if source.person:
            return story.name(source), "hangupsource"
        return (story.name(other if channel is line else line)), "hangupsource of the wire to him"
    if line.over is None and other.over is None:
        return "system", "no end in the rows"
    if story.scene.with_extra:
        return "system", "no hangupsource"
    left = [(s.left, c) for c in (line, other) for s in c.stays[-1:] if s.left is not None]
    if len(left) == 2 and left[0][0] != left[1][0]:
        return story.name(min(left, key=lambda entry: entry[0])[1]), "first to leave the bridge"
    return None, "the rows do not tell"


def disposition(story: Story, result: str | None) -> str:
    """ANSWERED if any CDR says so or someone or something answered, else the first CDR's word, else the outcome's."""
    rows = [r.disposition for r in story.scene.cdrs if r.disposition]
    if "ANSWERED" in rows or DISPOSITIONS.get(result or "") == "ANSWERED":
        return "ANSWERED"
    if any(c.answered is not None for c in story.served):
        return "ANSWERED"
    if rows:
        return rows[0]
    if result == "failed" and story.caller is not None and story.caller.dialstatus == "CONGESTION":
        return "CONGESTION"
    return DISPOSITIONS.get(result or "", "NO ANSWER")

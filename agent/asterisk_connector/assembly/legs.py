"""The legs of a call: one for the caller and one for each dial attempt, each with its result.

- Local halves and helper channels are wires, not legs.
- A leg that lost against another is `answered_elsewhere`, also where Asterisk wrote another cause than 26.
"""

from __future__ import annotations

from asterisk_connector.assembly.channels import Channel
from asterisk_connector.assembly.outcome import BUSY, DECLINED, hung_up
from asterisk_connector.assembly.story import Story
from asterisk_connector.assembly.transfers import UNREACHABLE
from asterisk_connector.call import Leg
from asterisk_connector.records import Micros

ELSEWHERE = 26
SOON = 1_000_000
"""The losers of a race are hung up within this time of the winner's answer."""


def legs(story: Story) -> tuple[Leg, ...]:
    """All legs, oldest channel first."""
    answers = sorted(c.answered for c in story.cast.parent if c.person and c.answered is not None)
    return tuple(_leg(story, channel, answers) for channel in story.cast.people)


def _leg(story: Story, channel: Channel, answers: list[Micros]) -> Leg:
    role = _role(story, channel)
    dialled = channel in story.cast.parent
    stop = channel.answered if channel.answered is not None else channel.over
    return Leg(
        uniqueid=channel.uniqueid,
        channel=channel.name,
        role=role,
        party=story.name(channel),
        name=channel.person_name or None,
        started_at=channel.started,
        answered_at=channel.answered,
        ended_at=channel.over,
        ring_seconds=max(0, stop - channel.started) / 1e6 if dialled and stop is not None else None,
        result=_result(story, channel, answers),
        cause=channel.cause,
        trunk=channel.endpoint if story.cast.trunk[channel] else None,
    )


def _role(story: Story, channel: Channel) -> str:
    if channel is story.caller:
        return "originated" if story.click_to_call else "caller"
    if any(
        move.result == "recalled"
        and channel.started >= move.at
        and story.cast.label[move.by] == story.cast.label[channel]
        for move in story.moves
    ) or any(
        park.result == "timed_out" and park.until is not None and 0 <= channel.started - park.until <= 2 * SOON
        for park in story.parks
    ):
        return "recall"
    if channel in story.agents:
        return "agent"
    return "dialled" if channel in story.cast.parent else "caller"


def _result(story: Story, channel: Channel, answers: list[Micros]) -> str | None:
    if channel.answered is not None:
        return "answered"
    if story.pickup is not None and story.pickup[0] is channel:
        return "answered_elsewhere"
    if channel.over is None:
        return None
    if channel in story.forwarders:
        return "forwarded"
    if channel not in story.cast.parent:
        return "cancelled" if hung_up(channel) else "failed" if channel.cause in UNREACHABLE else "no_answer"
    if channel.cause == ELSEWHERE or any(0 <= channel.over - at <= SOON for at in answers if at >= channel.started):
        return "answered_elsewhere"
    if channel.cause == BUSY:
        return "busy"
    if channel.cause == DECLINED:
        return "declined"
    if channel.cause in UNREACHABLE:
        return "failed"
    root = story.cast.root(channel)
    if root is not None and hung_up(root) and root.over is not None and abs(root.over - channel.over) <= SOON:
        return "cancelled"
    return "no_answer"

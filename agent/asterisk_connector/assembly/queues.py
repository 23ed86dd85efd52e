"""Stays in queues: which queue, how long, whom it rang, how it ended.

- A stay is seen by the Queue application on the waiting channel, or, where that shows on no row, by the legs app_queue
  dials (`AppQueue`); its beginning is then the first leg's, and inferred.
- An agent behind `Local/101@agents` is the telephone that the other half dials.
"""

from __future__ import annotations

from dataclasses import dataclass

from asterisk_connector.assembly.bridges import Contact
from asterisk_connector.assembly.channels import Channel
from asterisk_connector.assembly.parties import Cast
from asterisk_connector.call import QueueAttempt, QueueVisit
from asterisk_connector.records import Micros


@dataclass(slots=True)
class Visit:
    """One stay of one channel in one queue."""

    waiting: Channel
    entered: Micros
    left: Micros | None
    inferred: bool
    phones: list[Channel]
    told: QueueVisit


def visits(cast: Cast, met: list[Contact]) -> list[Visit]:
    """All stays in queues, oldest first."""
    found: list[Visit] = []
    for channel in cast.scene.channels.values():
        spans: list[tuple[Micros, Micros | None, str]] = channel.app_spans("Queue")
        dialled = cast.children.get(channel, ())
        children = [c for c in dialled if c.ran("AppQueue") or (not c.ran("AppDial") and _within(spans, c.started))]
        if not spans and children:
            spans = [(children[0].started, channel.over, "")]
        if not spans:
            continue
        started = cast.scene.counts.get("APP_START", 0) > 0 and channel.ran("Queue")
        talks = [c for c in met if channel in (c.a, c.b) or channel in c.via]
        for index, (since, until, data) in enumerate(spans):
            last = index + 1 == len(spans)
            legs = [
                c for c in children if (index == 0 or c.started >= since) and (last or c.started < spans[index + 1][0])
            ]
            entered = min([since, *(c.started for c in legs)]) if index == 0 else since
            found.append(
                _visit(
                    cast,
                    channel,
                    entered=entered,
                    until=until,
                    data=data,
                    legs=legs,
                    talks=talks,
                    inferred=not started or entered < since,
                )
            )
    return sorted(found, key=lambda v: (v.entered, v.waiting.age))


def _visit(
    cast: Cast,
    channel: Channel,
    *,
    entered: Micros,
    until: Micros | None,
    data: str,
    legs: list[Channel],
    talks: list[Contact],
    inferred: bool,
) -> Visit:
    attempts = []
    phones: list[Channel] = []
    for leg in legs:
        people = [leg]
        if not leg.person:
            twin = cast.twins.get(leg)
            people = cast.real_children(twin) if twin else []
        for phone in people:
            phones.append(phone)
            stop = phone.answered if phone.answered is not None else phone.over
            ring = None if stop is None else max(0, stop - phone.started) / 1e6
            attempts.append(QueueAttempt(cast.label[phone], ring, phone.answered is not None))
        if not people:
            stop = leg.answered if leg.answered is not None else leg.over
            ring = None if stop is None else max(0, stop - leg.started) / 1e6
            attempts.append(QueueAttempt(leg.endpoint, ring, leg.answered is not None))
    talk = next((c for c in talks if c.begin >= entered and (c.a in phones or c.b in phones)), None)
    left = talk.begin if talk else until
    if talk is not None:
        result: str | None = "answered"
    elif until is None:
        result = None
    elif channel.source in (channel.name, None) and channel.over is not None and channel.over - until <= 1_000_000:
        result = "abandoned"
    else:
        result = "timeout"
    wait = None if left is None else max(0, left - entered) / 1e6
    told = QueueVisit(data.partition(",")[0] or None, wait, tuple(attempts), result)
    return Visit(channel, entered, left, inferred, phones, told)


def _within(spans: list[tuple[Micros, Micros | None, str]], at: Micros) -> bool:
    return any(since <= at and (until is None or at <= until) for since, until, _ in spans)

"""Compares the events that were said with the records that arrived; pure, and by its own reading of both."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from asterisk_connector.demo.kafka import Arrived

Lines = tuple[tuple[str, str], ...]
"""An event as its names and values, in their order; a name that is repeated holds its last value."""


class Proof(NamedTuple):
    """How many events arrived once, not at all, and more than once; records nobody said; keys that changed order."""

    said: int
    once: int
    missing: int
    more: int
    unknown: int
    keys: int
    disordered: int

    @property
    def holds(self) -> bool:
        """Whether every event arrived once, in order per key, and nothing else."""
        return self.once == self.said and not (self.missing or self.more or self.unknown or self.disordered)


def prove(said: Iterable[bytes], arrived: Iterable[Arrived]) -> Proof:
    """`said` as on the wire; `arrived` with the event's name as key and JSON as value."""
    expected: dict[str, list[Lines]] = defaultdict(list)
    for event in said:
        lines = _said(event)
        expected[dict(lines)["Event"]].append(lines)
    came: dict[str, list[Lines]] = defaultdict(list)
    for record in arrived:
        came[record.key.decode()].append(_told(record.value))
    once = missing = more = unknown = disordered = 0
    for key in {*expected, *came}:
        wanted, got = Counter(expected[key]), Counter(came[key])
        once += sum(times for lines, times in wanted.items() if got[lines] == times)
        missing += sum((wanted - got).values())
        surplus = got - wanted
        more += sum(times for lines, times in surplus.items() if lines in wanted)
        unknown += sum(times for lines, times in surplus.items() if lines not in wanted)
        # The first arrival of each event counts; one that is missing takes none of the others' places.
        order = [lines for lines in dict.fromkeys(came[key]) if lines in wanted]
        disordered += order != [lines for lines in dict.fromkeys(expected[key]) if lines in got]
    total = sum(map(len, expected.values()))
    return Proof(total, once, missing, more, unknown, len({key for key in came if came[key]}), disordered)


def _said(event: bytes) -> Lines:
    pairs = (line.partition(": ") for line in event.decode().split("\r\n") if line)
    return tuple({name: value for name, _, value in pairs}.items())


def _told(value: bytes) -> Lines:
    """The record without what the agent adds to every event."""
    fields = json.loads(value)
    fields.pop("EntityID", None)
    return tuple(fields.items())

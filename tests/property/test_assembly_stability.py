"""The same rows are the same call: interleaved anew, read twice, read again from the middle, joined in any order."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from asterisk_connector.assembly.assemble import assemble
from asterisk_connector.assembly.connect import connect
from asterisk_connector.call import Call, document
from asterisk_connector.records import CelEvent, Record
from tests.kit.captures import VERSIONS, invalid, load, truths

CASES = [(v, s) for v in VERSIONS for s in truths(v) if not invalid(v, s)]
SHORT, LONG = 4, 200
"""Interleavings of each of three forms of a capture."""


def tell(records: Sequence[Record]) -> list[Call]:
    return [assemble(group) for group in connect(records)]


def interleaved(records: Sequence[Record], chance: random.Random) -> list[Record]:
    """The rows in another order between channels; each channel's own stay in theirs."""
    queues: dict[str, list[Record]] = {}
    for record in records:
        queues.setdefault(record.uniqueid, []).append(record)
    turns = [record.uniqueid for record in records]
    chance.shuffle(turns)
    waiting = {uniqueid: iter(queue) for uniqueid, queue in queues.items()}
    return [next(waiting[uniqueid]) for uniqueid in turns]


def cut(records: Sequence[Record]) -> list[Record]:
    """The rows of a store that keeps whole seconds."""
    return [
        replace(r, at=r.at // 1_000_000 * 1_000_000, resolution=1_000_000) for r in records if isinstance(r, CelEvent)
    ]


def rows(version: str, scenario: str, encoding: str = "stock") -> tuple[Record, ...]:
    records = load(version, scenario, encoding)
    assert records is not None
    return records


def shuffled(version: str, scenario: str, times: int) -> None:
    for records in (rows(version, scenario), rows(version, scenario, "FreePBX, 1 s"), cut(rows(version, scenario))):
        expected = tell(records)
        chance = random.Random(scenario)
        for _ in range(times):
            assert tell(interleaved(records, chance)) == expected


@pytest.mark.parametrize(("version", "scenario"), CASES)
def test_interleaving_never_changes_a_call(version: str, scenario: str) -> None:
    shuffled(version, scenario, SHORT)


@pytest.mark.prove
@pytest.mark.parametrize(("version", "scenario"), CASES)
def test_two_hundred_interleavings_never_change_a_call(version: str, scenario: str) -> None:
    shuffled(version, scenario, LONG)


@pytest.mark.parametrize(("version", "scenario"), CASES)
def test_rows_read_twice_are_the_call_once(version: str, scenario: str) -> None:
    for records in (rows(version, scenario), cut(rows(version, scenario))):
        assert tell([*records, *records]) == tell(records)


@pytest.mark.parametrize(("version", "scenario"), CASES)
def test_cdr_rows_come_in_any_order(version: str, scenario: str) -> None:
    chance = random.Random(scenario)
    records = list(rows(version, scenario, "CDR alone"))
    expected = tell(records)
    for _ in range(SHORT):
        chance.shuffle(records)
        assert tell(records) == expected


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(CASES), st.data())
def test_a_restart_in_the_middle_reads_some_rows_again_and_changes_nothing(
    case: tuple[str, str], data: st.DataObject
) -> None:
    records = rows(*case)
    stop = data.draw(st.integers(0, len(records)))
    back = data.draw(st.integers(0, stop))
    assert tell([*records[:stop], *records[back:]]) == tell(records)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(CASES), st.data())
def test_the_first_rows_of_a_call_are_a_call_already(case: tuple[str, str], data: st.DataObject) -> None:
    records = rows(*case)
    seen = records[: data.draw(st.integers(1, len(records)))]
    for call in tell(seen):
        assert call.call_id in call.linkedids
        assert call.started_at <= (call.ended_at or call.started_at)
        assert all(t.seconds >= 0 for t in call.talk)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(CASES), st.data())
def test_rows_may_be_missing_and_a_call_remains(case: tuple[str, str], data: st.DataObject) -> None:
    records = rows(*case)
    kept = [r for r in records if data.draw(st.integers(0, 9)) > 0]
    for call in tell(kept):
        assert call.outcome is not None
        assert all(t.seconds >= 0 for t in call.talk)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(CASES), st.integers(0, 60))
def test_extra_cut_by_a_narrow_column_never_breaks_a_call(case: tuple[str, str], length: int) -> None:
    records = [replace(r, extra=r.extra[: length * 5]) for r in rows(*case) if isinstance(r, CelEvent)]
    assert [c.caller.number for c in tell(records)][:1] == [c.caller.number for c in tell(rows(*case))][:1]


JUNK = [
    "",
    "x",
    "Local/",
    "Local/1@a;1",
    "Local/1@a;2",
    "-1",
    'ü"',
    ";1",
    "Queue",
    "Dial",
    "ConfBridge",
    "PJSIP/@",
    "&&&",
]
FACTS = ['{"bridge_id":"x"}', '{"hangupcause":"x"}', '{"bridge_id":', "[]", "{}"]
TYPES = ["PARK_START", "PARK_END", "PICKUP", "FORWARD", "BLINDTRANSFER", "ATTENDEDTRANSFER", "STREAM_BEGIN", "NEW"]
DAMAGE = st.tuples(
    st.integers(0, 10_000),
    st.one_of(
        st.fixed_dictionaries({"uniqueid": st.sampled_from(JUNK)}),
        st.fixed_dictionaries({"linkedid": st.sampled_from(JUNK)}),
        st.fixed_dictionaries({"channel": st.sampled_from(JUNK)}),
        st.fixed_dictionaries({"app_name": st.sampled_from(JUNK), "app_data": st.sampled_from(JUNK)}),
        st.fixed_dictionaries({"exten": st.sampled_from(JUNK), "context": st.sampled_from(JUNK)}),
        st.fixed_dictionaries({"extra": st.sampled_from(FACTS)}),
        st.fixed_dictionaries({"type": st.sampled_from(TYPES)}),
        st.fixed_dictionaries({"at": st.integers(0, 2_000_000_000_000_000)}),
    ),
)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(CASES), st.lists(DAMAGE, max_size=12), st.booleans())
def test_nonsense_in_rows_is_survived(
    case: tuple[str, str], damage: list[tuple[int, dict[str, object]]], mixed: bool
) -> None:
    records = list(rows(*case))
    for place, change in damage:
        row = records[place % len(records)]
        records[place % len(records)] = replace(row, **change)
    if mixed:
        records += rows(*case, "CDR alone")
    for call in tell(records):
        document(call)
        lengths = [call.ring_seconds, call.wait_seconds, call.hold_seconds, call.talk_seconds]
        lengths += [talk.seconds for talk in call.talk] + [leg.ring_seconds for leg in call.legs]
        assert all(length is None or length >= 0 for length in lengths)


def test_the_order_of_joining_does_not_matter() -> None:
    everything = [r for v, s in CASES if v == "22.10" for r in rows(v, s)]
    expected = {frozenset(r.uniqueid for r in group) for group in connect(everything)}
    chance = random.Random(1)
    for _ in range(3):
        chance.shuffle(everything)
        assert {frozenset(r.uniqueid for r in group) for group in connect(everything)} == expected

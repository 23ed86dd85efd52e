"""Every captured call, on both versions of Asterisk, in every encoding, against what a person says it was."""

from __future__ import annotations

from functools import lru_cache

import pytest
from msgspec.structs import replace

from asterisk_connector.records import CelEvent, Record
from tests.kit.captures import ENCODINGS, VERSIONS, invalid, load, truths
from tests.scenarios.score import GAPS, PAGE, Score, page, reason, score, table, tell
from tests.scenarios.truth import FIELDS, compare

CASES = [(v, s) for v in VERSIONS for s in truths(v) if not invalid(v, s)]


@lru_cache(maxsize=1)
def scored() -> Score:
    return score()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_call_is_told_as_a_person_would(encoding: str) -> None:
    wrong = [miss for miss in scored().wrong() if miss[1] == encoding]
    assert wrong == []
    assert scored().total[encoding, "outcome"] > 40


def test_what_an_encoding_cannot_carry_is_missed_somewhere(capsys: pytest.CaptureFixture[str]) -> None:
    missed = [miss[:4] for miss in scored().missed]
    idle = [gap for gap in GAPS if not any(gap.covers(*miss) for miss in missed)]
    assert idle == []
    with capsys.disabled():
        print("\n" + table(scored()))


def test_the_page_of_the_score_is_up_to_date() -> None:
    assert PAGE.read_text() == page(scored()), "run: python -m tests.scenarios.score"


def test_every_field_is_compared_somewhere() -> None:
    assert [name for name in FIELDS if not any(scored().total[e, name] for e in ENCODINGS)] == []


@pytest.mark.parametrize(("version", "scenario"), CASES)
def test_times_cut_to_whole_seconds_tell_the_same_call(version: str, scenario: str) -> None:
    records = load(version, scenario, "stock")
    assert records is not None
    told = compare(truths(version)[scenario], tell([_cut(r) for r in records]), whole_seconds=True)
    assert {n: d for n, d in told.items() if d is not None and reason(version, "stock", scenario, n) is None} == {}


@pytest.mark.parametrize(("version", "scenario"), CASES)
def test_cdr_rows_beside_cel_change_nothing_of_the_story(version: str, scenario: str) -> None:
    events, rows = load(version, scenario, "stock"), load(version, scenario, "CDR alone")
    assert events is not None
    assert rows is not None
    alone, both = tell(events), [c for c in tell([*events, *rows]) if c.evidence.missing != ("cel",)]
    for one, other in zip(alone, both, strict=True):
        assert (one.outcome, one.talk, one.transfers, one.legs) == (
            other.outcome,
            other.talk,
            other.transfers,
            other.legs,
        )
        assert other.evidence.rows.get("CDR", 0) > 0 or scenario == "s90_crash_kill9"


def _cut(record: Record) -> Record:
    assert isinstance(record, CelEvent)
    return replace(record, at=record.at // 1_000_000 * 1_000_000, resolution=1_000_000)

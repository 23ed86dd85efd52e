"""The table of failure modes in docs/ami-events.md says where each is shown; it is shown there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
DOC = (TESTS.parent / "docs" / "ami-events.md").read_text()
ROWS = {row[1]: re.findall(r"test_\w+", row[2]) for row in re.finditer(r"^\| (\d\d) \|.*\| ([^|]+) \|$", DOC, re.M)}


def numbers_in(file: str) -> set[str]:
    """Numbers in names of tests: `test_19_20_and_f43_…` has 19 and 20."""
    text = "".join(path.read_text() for path in TESTS.rglob(f"{file}.py"))
    names = re.findall(r"^def test_((?:f?\d\d_|and_)+)", text, re.M)
    return {word for name in names for word in name.split("_") if word.isdigit()}


def test_every_failure_mode_has_a_row() -> None:
    assert list(ROWS) == [f"{number:02}" for number in range(1, 45)]


@pytest.mark.parametrize("number", ROWS)
def test_a_failure_mode_is_shown_where_the_table_says(number: str) -> None:
    assert ROWS[number]
    for file in ROWS[number]:
        assert number in numbers_in(file), file

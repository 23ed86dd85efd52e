"""Tables as `mysql` and `psql` print them, pasted from a terminal.

- A table is a line of column names with a ruler of dashes above or below it; everything before it is talk.
- Cells are cut where the ruler has its joints, so a `|` inside a value does no harm; where a line does not fit the
  ruler (wide characters) it is cut at every `|`.
- `NULL` is an absent value. `mysql --batch` (tabs) needs none of this: it is a separated file with a header.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from msgspec import Struct

_RULER = re.compile(r"\s*\+?-{2,}[-+]*\s*")
_WITHIN = 2000
"""Lines that are searched for a header before the text is something else."""


class Table(Struct, frozen=True):
    """Names of the columns, and the cells of each row with the number of its line (from 1)."""

    names: list[str]
    rows: list[tuple[int, list[str]]]


def read_table(text: str, is_header: Callable[[Sequence[str]], bool]) -> Table | None:
    """The table in a pasted text; None where there is none with a header that `is_header` knows."""
    if "|" not in text:
        return None
    lines = text.splitlines()
    for number, line in enumerate(lines[:_WITHIN]):
        if "|" not in line or not is_header(_cells(line, ())):
            continue
        ruler = next((r for r in lines[number + 1 : number + 2] if _RULER.fullmatch(r)), None)
        if ruler is None:
            return None
        joints = _joints(ruler)
        rows = [
            (at, _cells(row, joints))
            for at, row in enumerate(lines[number + 2 :], number + 3)
            if "|" in row and not _RULER.fullmatch(row)
        ]
        return Table(_cells(line, ()), rows)
    return None


def _joints(ruler: str) -> tuple[int, ...]:
    """Positions of the borders between cells, the outer ones of a `mysql` box included."""
    return tuple(at for at, sign in enumerate(ruler) if sign == "+")


def _cells(line: str, joints: tuple[int, ...]) -> list[str]:
    if joints and all(at < len(line) and line[at] == "|" for at in joints):
        edges = [-1, *joints, len(line)]
        cells = [line[a + 1 : b] for a, b in pairwise(edges)]
    else:
        cells = line.split("|")
    if line.lstrip().startswith("|"):
        cells = cells[1:]
    if line.rstrip().endswith("|") and (not joints or joints[0] == len(line) - len(line.lstrip())):
        cells = cells[:-1]
    return ["" if cell.strip() == "NULL" else cell.strip() for cell in cells]

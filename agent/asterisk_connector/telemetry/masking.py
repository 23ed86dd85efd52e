"""Numbers of people as they may be shown: enough to recognise a call by, too little to ring anybody.

- A number keeps its beginning (country and area, as far as they go) and its last two digits.
- A short one (up to `SHORT` digits) is an extension or a service of the house and stays as it is, as do words that are
  no numbers (`anonymous`, `s`).
"""

from __future__ import annotations

import re

SHORT = 4
"""Digits up to which a number names nobody outside."""
_AT_END = 2
_NATIONAL = 3
_INTERNATIONAL = ((re.compile(r"\+"), 4), (re.compile(r"00"), 6), (re.compile(r"011"), 7))
_DIGIT = re.compile(r"\d")


def masked(number: str | None) -> str:
    """The number with its middle hidden: `+14165550123` → `+1416•••••23`, `0301234567` → `030•••••67`, `201` → `201`.

    As long as it was; signs between digits (spaces, hyphens, `@host`) stay. Empty for None.
    """
    if not number:
        return ""
    digits = [match.start() for match in _DIGIT.finditer(number)]
    if len(digits) <= SHORT:
        return number
    lead = next((kept for begin, kept in _INTERNATIONAL if begin.match(number)), _NATIONAL)
    lead = min(lead, (len(digits) - _AT_END - 1) // 2)  # of a number of five digits the middle ones are hidden too
    hidden = set(digits[lead:-_AT_END])
    return "".join("•" if at in hidden else sign for at, sign in enumerate(number))

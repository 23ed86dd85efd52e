"""A masked number is recognised by who knows it and rung by nobody."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asterisk_connector.telemetry.masking import SHORT, masked


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+14165550123", "+1416•••••23"),
        ("+493012345678", "+4930••••••78"),
        ("004930123456", "0049••••••56"),
        ("01114165550123", "01114•••••••23"),
        ("4165550123", "416•••••23"),
        ("0301234567", "030•••••67"),
        ("+1 (416) 555-0123", "+1 (416) •••-••23"),
        ("sip:4165550123@carrier.example", "sip:416•••••23@carrier.example"),
        ("12345", "1••45"),
        ("201", "201"),
        ("2001", "2001"),
        ("*97", "*97"),
        ("anonymous", "anonymous"),
        ("s", "s"),
        ("", ""),
        (None, ""),
    ],
)
def test_country_area_and_the_last_two_digits_stay(number: str | None, shown: str) -> None:
    assert masked(number) == shown


@given(st.text(alphabet="+0123456789 -()@x", max_size=30))
def test_of_a_number_of_the_world_never_more_than_two_thirds_is_shown(number: str) -> None:
    digits = len(re.findall(r"\d", number))
    shown = masked(number)
    assert len(shown) == len(number)
    if digits > SHORT:
        assert shown.count("•") >= digits / 3
    else:
        assert shown == number

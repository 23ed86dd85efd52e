"""Filters never raise anything but BadFilter, and the plain search of a pattern without specials is the regex."""

import contextlib
import ctypes

from hypothesis import given
from hypothesis import strategies as st

from asterisk_connector.relay.filters import BadFilter, Filters, parse, parse_line
from asterisk_connector.relay.posix_regex import PosixRegex

_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_syntax = st.lists(
    st.sampled_from(
        [
            "eventfilter",
            "(",
            ")",
            ",",
            " ",
            "action",
            "name",
            "header",
            "method",
            "include",
            "exclude",
            "regex",
            "X",
            "!",
            "=",
        ]
    ),
    max_size=14,
).map("".join)
_libc = ctypes.CDLL(None)


@given(st.one_of(_syntax, _text), st.one_of(_syntax, _text), st.binary(max_size=40))
def test_any_filter_is_compiled_or_refused(criteria: str, value: str, body: bytes) -> None:
    try:
        filters = Filters([parse(criteria, value)])
    except BadFilter:
        return
    filters.admits(b"Hangup", body)


@given(st.one_of(_syntax, _text))
def test_any_line_is_parsed_or_refused(line: str) -> None:
    with contextlib.suppress(BadFilter):
        Filters([parse_line("eventfilter" + line)])


_pattern = st.text("ab.*+?()[]{}|^$\\1 ,:-", min_size=1, max_size=8).map(str.encode)
_subject = st.text("ab \r\n:1", max_size=12).map(str.encode)


@given(_pattern, _subject)
def test_matching_is_the_c_librarys(pattern: bytes, subject: bytes) -> None:
    compiled = ctypes.create_string_buffer(256)
    refused = _libc.regcomp(compiled, pattern, 1 | 8) != 0
    try:
        ours = PosixRegex(pattern)
    except ValueError:
        assert refused
        return
    assert not refused
    assert ours.search(subject) == (_libc.regexec(compiled, subject, 0, None, 0) == 0)
    _libc.regfree(compiled)

"""Filters against what the module and real Asterisk did with the same lines (failure mode 34 among them)."""

import ctypes
import json
from pathlib import Path
from typing import Any

import pytest

from asterisk_connector.relay.filters import BadFilter, Filters, parse, parse_line, structured
from asterisk_connector.relay.posix_regex import PosixRegex

CASES: dict[str, Any] = json.loads((Path(__file__).parent / "data/ami/filter-cases.json").read_text())
BODIES = [(CASES["body_prefix"] + event + "\r\n").encode() for event in CASES["events"]]

N = b"Event: Newchannel\r\nPrivilege: call,all\r\nChannel: XXX\r\nSomeheader: YYY\r\n\r\n"
V = b"Event: VarSet\r\nPrivilege: call,all\r\nChannel: ABC\r\nSomeheader: XXX\r\n\r\n"


def outcome(lines: list[tuple[str, str]], bodies: list[bytes], name: bytes = b"UserEvent") -> str:
    try:
        filters = Filters(parse(criteria, value) for criteria, value in lines)
    except BadFilter:
        return "ERR"
    return "".join("01"[filters.admits(name, body)] for body in bodies)


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["id"])
def test_every_measured_configuration_does_what_the_module_did(case: dict[str, Any]) -> None:
    assert outcome([(c, v) for c, v in case["filters"]], BODIES) == case["module"]
    try:
        written = Filters(parse_line(f"{criteria} = {value}") for criteria, value in case["filters"])
    except BadFilter:
        assert case["module"] == "ERR"
    else:
        assert "".join("01"[written.admits(b"UserEvent", body)] for body in BODIES) == case["module"]


@pytest.mark.parametrize(
    ("criteria", "value", "newchannel", "varset"),
    [
        ("eventfilter", "XXX", "1", "1"),
        ("eventfilter", "!XXX", "0", "0"),
        ("eventfilter(name(VarSet),method(none))", "", "0", "1"),
        ("eventfilter(name(Newchannel),method(regex))", "X[XYZ]X", "1", "0"),
        ("eventfilter(name(Newchannel),method(regex))", "X[abc]X", "0", "0"),
        ("eventfilter(name(Newchannel),method(regex))", "!X[XYZ]X", "0", "1"),
        ("eventfilter(name(VarSet),header(Channel),method(starts_with))", "AB", "0", "1"),
        ("eventfilter(name(VarSet),header(Channel),method(ends_with))", "BC", "0", "1"),
        ("eventfilter(name(VarSet),header(Channel),method(exact))", "ABC", "0", "1"),
        ("eventfilter(name(VarSet),header(Channel),method(exact))", "XXX", "0", "0"),
        ("eventfilter(name(VarSet),method(exact))", "!ZZZ", "1", "1"),
        ("eventfilter(action(exclude),method(contains))", "ZZZ", "1", "1"),
        ("eventfilter(action(include),header(Someheader),method(exact))", "!XXX", "0", "1"),
    ],
)
def test_asterisks_own_filter_tests_hold(criteria: str, value: str, newchannel: str, varset: str) -> None:
    assert outcome([(criteria, value)], [N], b"Newchannel") == newchannel
    assert outcome([(criteria, value)], [V], b"VarSet") == varset


@pytest.mark.parametrize(
    ("criteria", "value"),
    [
        ("eventfilter(action(include)", "XXX"),
        ("eventfilter(action(inlude)", "XXX"),
        ("eventfilter(nnnn(yyy)", "XXX"),
        ("eventfilter(eader(VarSet)", "XXX"),
        ("eventfilter(ethod(contains)", "XXX"),
        ("eventfilter(heder(Channel),method(exact))", "XXX"),
        ("eventfilter(mehod(exact))", "XXX"),
        ("eventfilter(method(coains))", "XXX"),
        ("eventfilter(name,method(regex))", "XXX"),
        ("eventfilter(header(),method(regex))", "XXX"),
        ("eventfilter()", "XXX"),
        ("eventfilter(", ""),
        ("eventfilter", ""),
        ("eventfilter", "!"),
        ("eventfilter", "XX[X"),
        ("eventfilter", "a(?:b)"),
    ],
)
def test_34_what_the_module_refuses_is_refused_with_its_line(criteria: str, value: str) -> None:
    with pytest.raises(BadFilter) as caught:
        Filters([parse(criteria, value)])
    assert f"{criteria} = {value}" in str(caught.value)


def test_a_set_of_filters_decides_by_two_lists() -> None:
    rules = [
        parse("eventfilter(name(VarSet),method(none))", ""),
        parse("eventfilter(name(Newchannel),method(regex))", "X[XYZ]X"),
        parse("eventfilter(name(Newchannel),method(regex))", "X[abc]X"),
        parse("eventfilter(header(Someheader),method(regex))", "ZZZ"),
        parse("eventfilter(action(exclude),name(Newchannel),method(regex))", "X[a]X"),
        parse("eventfilter(action(exclude),name(Newchannel),method(regex))", "X[Z]X"),
        parse("eventfilter(action(exclude),name(VarSet),header(Channel),method(regex))", "YYY"),
    ]

    def passes(name: str, channel: str, some: str = "YYY") -> bool:
        body = f"Event: {name}\r\nPrivilege: call,all\r\nChannel: {channel}\r\nSomeheader: {some}\r\n\r\n"
        forward, backward = Filters(rules), Filters(reversed(rules))
        assert forward.admits(name.encode(), body.encode()) == backward.admits(name.encode(), body.encode())
        return forward.admits(name.encode(), body.encode())

    assert [passes("Newchannel", c) for c in ("XXX", "XZX", "XaX", "XbX", "XcX", "YYY")] == [1, 0, 0, 1, 1, 0]
    assert passes("Newchannel", "YYY", "ZZZ")
    assert passes("VarSet", "XXX", "XXX")
    assert not passes("VarSet", "YYY", "XXX")


def test_lines_follow_the_rules_of_asterisks_configuration_files() -> None:
    assert parse_line("eventfilter = !Channel: Local/ ; no halves").match == b"Channel: Local/"
    assert parse_line("  EventFilter=>a\\;b  ").match == b"a;b"
    assert parse_line("eventfilter(name(Hangup)) = ").name == b"Hangup"
    for line in ("eventfiltr = x", "eventfilter", "", "; eventfilter = x"):
        with pytest.raises(BadFilter):
            parse_line(line)


def test_the_structured_form_is_the_advanced_form() -> None:
    rule = structured(action="exclude", header="Channel", method="starts_with", match="Local/")
    assert [Filters([rule]).admits(b"UserEvent", body) for body in BODIES] == [True, False, True]
    for wrong in ({"method": "exact"}, {"match": "x"}, {"action": "drop"}, {"method": "glob", "match": "x"}, {}):
        with pytest.raises(BadFilter):
            structured(**wrong)


def test_a_byte_that_is_no_utf8_is_passed_over_by_a_dot() -> None:
    assert PosixRegex(b"A.*B").search(b"A\xe9\xffB")
    assert PosixRegex(b"^A.B$").search(b"A\xe9B")


def test_patterns_mean_what_the_c_library_says_in_the_same_locale() -> None:
    libc = ctypes.CDLL(None)
    for pattern in (
        b"a{2,3}$",
        b"\\<x",
        b"(a)\\1",
        b"[[:digit:]]+",
        b"a|",
        b"*a",
        b"a{,b",
        b"(",
        b")",
        b"[z-a]",
        b"x\\",
    ):
        compiled = ctypes.create_string_buffer(256)
        refused = libc.regcomp(compiled, pattern, 1 | 8) != 0
        try:
            ours = PosixRegex(pattern)
        except ValueError:
            assert refused, pattern
            continue
        assert not refused, pattern
        for subject in (b"aa", b"aaaa", b"x y", b"12", b"", b"a)", b"z\r\nx"):
            assert ours.search(subject) == (libc.regexec(compiled, subject, 0, None, 0) == 0), (pattern, subject)
        libc.regfree(compiled)

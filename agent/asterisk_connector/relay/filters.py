"""Which events are published: `eventfilter` lines as in ami_kafka.conf and manager.conf, with exactly their meaning.

- A filter is compiled whole or refused: whatever the module app_ami_kafka refuses raises BadFilter with the line (F34);
  nothing is ignored, so a typing error never lets more through than was meant.
- Filters see the event as Asterisk wrote it, bytes, before `EntityID` is put in.
- No filter: everything. Includes only: what one of them hits. Excludes only: what none of them hits. Both: what an
  include hits and no exclude does. Order never matters.

Source of the rules: app_ami_kafka and Asterisk's main/manager.c, measured on 93 configurations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from asterisk_connector.errors import Misconfigured
from asterisk_connector.relay.posix_regex import PosixRegex

METHODS = ("none", "regex", "exact", "starts_with", "ends_with", "contains")
_OPTION_BREAK = re.compile(r"[ ,)]+")
_BLANKS = "".join(map(chr, range(33)))
_LEADING_BLANKS = bytes(range(1, 33))

Test = Callable[[bytes], bool]


class BadFilter(Misconfigured):
    """A filter that the module would refuse. The message says the line and what is wrong with it."""


class Filter(NamedTuple):
    """One filter as written, before it is compiled. `name` and `header` empty: any event, the whole event.

    `line` is what the operator wrote, for messages.
    """

    exclude: bool
    method: str
    match: bytes
    name: bytes = b""
    header: bytes = b""
    line: str = ""


def parse_line(line: str) -> Filter:
    """A line as it stands in the configuration file: `eventfilter = …` or `eventfilter(…) = …`. Raises BadFilter."""
    name, value = _config_line(line)
    if not name.lower().startswith("eventfilter"):
        raise _bad(line, "it must begin with `eventfilter`", "eventfilter = !Channel: Local/")
    return parse(name, value, line)


def parse(criteria: str, value: str, line: str = "") -> Filter:
    """Option name and value, as a configuration file has them after trimming. Raises BadFilter."""
    line = line or f"{criteria} = {value}"
    exclude = value.startswith("!")
    pattern = value[1:] if exclude else value
    _, advanced, options = criteria.partition("(")
    if not advanced:
        if not pattern:
            raise _bad(line, "there is nothing to look for", "eventfilter = Event: Newchannel")
        return Filter(exclude, "regex", _bytes(pattern), line=line)
    options = options.rstrip(_BLANKS)
    if not options.endswith(")"):
        raise _bad(line, "the options do not end with `)`", "eventfilter(name(Hangup)) =")
    found = dict(_option(option, line) for option in _OPTION_BREAK.split(options) if option)
    if not found:
        raise _bad(line, "it names no action, name, header or method", "eventfilter(name(Hangup)) =")
    if "action" in found:
        exclude = found["action"] == "exclude"
    name, header = _bytes(found.get("name", "")), _bytes(found.get("header", ""))
    return check(Filter(exclude, found.get("method", "none"), _bytes(pattern), name, header, line))


def structured(
    *, action: str = "include", name: str = "", header: str = "", method: str = "none", match: str = ""
) -> Filter:
    """The same in named parts; `!` has no meaning here. Raises BadFilter."""
    line = f"action: {action}, name: {name!r}, header: {header!r}, method: {method}, match: {match!r}"
    if action not in ("include", "exclude"):
        raise _bad(line, f"`{action}` is no action; include and exclude are", "action: exclude")
    if method not in METHODS:
        raise _bad(line, f"`{method}` is no method; they are {', '.join(METHODS)}", "method: starts_with")
    return check(Filter(action == "exclude", method, _bytes(match), _bytes(name), _bytes(header), line))


def check(rule: Filter) -> Filter:
    """The module's rules of what fits together. Raises BadFilter."""
    if rule.method != "none" and not rule.match:
        raise _bad(rule.line, f"method `{rule.method}` has nothing to compare with", "method(starts_with)) = Local/")
    if rule.method == "none" and rule.match:
        raise _bad(
            rule.line, "it has a value but no method to compare it with", "add method(regex) or method(contains)"
        )
    if rule.method == "none" and not rule.name and not rule.header:
        raise _bad(rule.line, "it says neither name nor header nor value", "eventfilter(name(Hangup)) =")
    return rule


class Filters:
    """All filters of one publication, compiled. Raises BadFilter for a pattern that does not compile."""

    def __init__(self, rules: Iterable[Filter] = ()) -> None:
        rules = tuple(rules)
        self._includes = tuple(_compile(rule) for rule in rules if not rule.exclude)
        self._excludes = tuple(_compile(rule) for rule in rules if rule.exclude)

    def admits(self, name: bytes, body: bytes) -> bool:
        """Whether the event `name`, with these exact bytes, is published."""
        return (not self._includes or _hit(self._includes, name, body)) and not (
            self._excludes and _hit(self._excludes, name, body)
        )


class _Compiled(NamedTuple):
    name: bytes
    header: bytes
    test: Test | None


def _hit(rules: Sequence[_Compiled], name: bytes, body: bytes) -> bool:
    for rule in rules:
        if rule.name and rule.name != name:
            continue
        if rule.header:
            if _header_hit(rule, body):
                return True
        elif rule.test is None or rule.test(body):
            return True
    return False


def _header_hit(rule: _Compiled, body: bytes) -> bool:
    """Any line of that header with a value that is not empty and passes; blanks before a value do not count."""
    if rule.header not in body:
        return False
    for line in body.splitlines():
        if line.startswith(rule.header):
            value = line[len(rule.header) :].lstrip(_LEADING_BLANKS)
            if value and (rule.test is None or rule.test(value)):
                return True
    return False


def _compile(rule: Filter) -> _Compiled:
    match = rule.match
    test: Test | None = None
    if rule.method == "regex":
        try:
            test = PosixRegex(match).search
        except ValueError as error:
            shown = match.decode(errors="replace")
            raise _bad(rule.line, f"the regular expression `{shown}` does not compile: {error}") from None
    elif rule.method == "exact":
        test = match.__eq__
    elif rule.method == "starts_with":
        test = lambda subject: subject.startswith(match)  # noqa: E731
    elif rule.method == "ends_with":
        test = lambda subject: subject.endswith(match)  # noqa: E731
    elif rule.method == "contains":
        test = lambda subject: match in subject  # noqa: E731
    header = rule.header if not rule.header or rule.header.endswith(b":") else rule.header + b":"
    return _Compiled(rule.name, header, test)


def _option(option: str, line: str) -> tuple[str, str]:
    """One `key(text` of the advanced form; a key is known by how it begins, as the module does."""
    key = next((k for k in ("action", "name", "header", "method") if option.startswith(k)), None)
    if key is None:
        raise _bad(line, f"`{option}` is no option; action, name, header and method are")
    _, parenthesis, text = option.partition("(")
    text = text.rstrip(_BLANKS)
    if not parenthesis or (not text and key in ("name", "header")):
        raise _bad(line, f"`{key}` has no value", f"{key}(…)")
    if key == "action" and text not in ("include", "exclude"):
        raise _bad(line, f"`{text}` is no action; include and exclude are")
    if key == "method" and text not in METHODS:
        raise _bad(line, f"`{text}` is no method; they are {', '.join(METHODS)}")
    return key, text


def _config_line(line: str) -> tuple[str, str]:
    """Name and value of one line by the rules of Asterisk's configuration files (main/config.c)."""
    text, kept = line, ""
    while (at := text.find(";")) >= 0:
        if at and text[at - 1] == "\\":
            kept += text[: at - 1] + ";"
            text = text[at + 1 :]
        else:
            text = text[:at]
    text = kept + text
    name, separator, value = text.partition("=")
    if not separator:
        raise _bad(line, "it has no `=`", "eventfilter = !Channel: Local/")
    return name.removesuffix("+").strip(_BLANKS), value.removeprefix(">").strip(_BLANKS)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _bad(line: str, what: str, example: str = "") -> BadFilter:
    return BadFilter(f"filter `{line}`: {what}", f"for example: {example}" if example else "")

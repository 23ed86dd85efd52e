"""Asterisk's configuration files line by line, as main/config.c reads them: nothing merged, nothing lost.

`;` begins a comment unless written `\\;`, `;--` … `--;` comments out blocks, `=>` is `=`, `+=` appends to the line of
the same name before it, `[section](template)` inherits. `read` follows no `#include` but tells of it; `joined` puts in
what is included, whose last section stays open behind it, as it does for Asterisk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

_BLOCK = re.compile(r";--(?!-).*?--;", re.DOTALL)
_INCLUDE = re.compile(r"#(?:try)?include\s+[<\"]?([^<>\"\s]+)", re.IGNORECASE)
_DEPTH = 10
"""Files that include files, at most; Asterisk's own limit (main/config.c)."""
_SECTION = re.compile(r"\[([^\]]*)\](?:\(([^)]*)\))?")


class Line(NamedTuple):
    """One option. `number` counts from 1; `section` in lower case, `name` as written."""

    section: str
    name: str
    value: str
    number: int


class Conf(NamedTuple):
    """A file's options in order, its section names as written, and what could not be followed."""

    lines: list[Line]
    sections: dict[str, str]
    remarks: list[str]

    def of(self, section: str) -> list[Line]:
        return [line for line in self.lines if line.section == section]


def read(text: str, file: str) -> Conf:
    """Reads a file; `file` is its name for the remarks."""
    conf = Conf([], {}, [])
    section = ""
    for number, raw in enumerate(_without_blocks(text), 1):
        stripped = _uncommented(raw).strip()
        if not stripped:
            continue
        if stripped.startswith("#"):
            conf.remarks.append(f"{file}:{number}: `{stripped}` is not followed; give the files joined into one")
        elif stripped.startswith("["):
            section = _open(conf, stripped, section)
        else:
            name, separator, value = stripped.partition("=")
            if not separator:
                conf.remarks.append(f"{file}:{number}: `{stripped}` is no option")
                continue
            _append(conf, section, name, value, number)
    return conf


def joined(text: str, included: Callable[[str], list[str]], depth: int = _DEPTH) -> str:
    """The text with what it includes: `included` gives the texts of a name as written, which may be a pattern.

    Includes in a comment stay. A name that gives no text becomes an empty line.
    """
    lines = []
    for line in _without_blocks(text):
        match = _INCLUDE.match(_uncommented(line).strip())
        if match is None:
            lines.append(line)
        elif depth:
            lines += [joined(one, included, depth - 1) for one in included(match[1])] or [""]
    return "\n".join(lines)


def _open(conf: Conf, stripped: str, before: str) -> str:
    match = _SECTION.match(stripped)
    if match is None:
        return before
    section = match[1].strip().lower()
    conf.sections[section] = match[1].strip()
    for parent in (match[2] or "").replace("!", "").replace("+", "").split(","):
        conf.lines.extend(line._replace(section=section) for line in conf.of(parent.strip().lower()) if parent.strip())
    return section


def _append(conf: Conf, section: str, name: str, value: str, number: int) -> None:
    appends = name.endswith("+")
    name = name.removesuffix("+").strip()
    value = value.removeprefix(">").strip()
    if appends:
        for index in range(len(conf.lines) - 1, -1, -1):
            line = conf.lines[index]
            if line.section == section and line.name == name:
                conf.lines[index] = line._replace(value=line.value + value)
                return
    conf.lines.append(Line(section, name, value, number))


def _without_blocks(text: str) -> Iterator[str]:
    """The lines, those of commented blocks empty, so that numbers stay."""
    yield from _BLOCK.sub(lambda match: "\n" * match[0].count("\n"), text).splitlines()


def _uncommented(line: str) -> str:
    return re.split(r"(?<!\\);", line, maxsplit=1)[0].replace("\\;", ";")

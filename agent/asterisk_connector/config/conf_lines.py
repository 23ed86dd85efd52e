"""Asterisk's configuration files line by line, as main/config.c reads them: nothing merged, nothing lost.

`;` begins a comment unless written `\\;`, `;--` … `--;` comments out blocks, `=>` is `=`, `+=` appends to the line of
the same name before it, `[section](template)` inherits. `#include` is not followed but told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BLOCK = re.compile(r";--(?!-).*?--;", re.DOTALL)
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

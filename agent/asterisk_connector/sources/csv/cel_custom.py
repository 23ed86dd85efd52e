"""`cel_custom.conf` (Asterisk) read for what it says of one file: columns, separator, quote, JSON.

- Legacy: `Master.csv => ${CSV_QUOTE(${eventtype})},…` under `[mappings]`; a last brace forgotten, as in a README that
  many copied, changes nothing.
- Advanced (res_cdrel_custom, 20.19/22.9/23.3): a section named like the file with `format`, `separator_character`,
  `quote_character`, `quote_escape_character` and `fields`.
- Names unknown to us are columns without a meaning; a newer Asterisk's options are ignored.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from msgspec import Struct

from asterisk_connector.errors import Misconfigured
from asterisk_connector.sources.csv.dialect import JSON, STOCK, Dialect
from asterisk_connector.sources.csv.mapping import Mapping, field_name

_VARIABLE = re.compile(r"\$\{\s*(CALLERID|CHANNEL)\(\s*(\w+)\s*\)|\$\{\s*(?!CSV_QUOTE|QUOTE)(\w+)\s*(?=\})")
_FIELD = re.compile(r"""\s*(?:"[^"]*"|'[^']*'|([^,"']*))\s*(?:,|\Z)""")
_SEPARATORS = {r"\t": "\t", "tab": "\t", r"\\": "\\"}


class Layout(Struct, frozen=True):
    """What a configuration file says of one output file. `mapping` is None for JSON, whose keys are the field names."""

    dialect: Dialect
    mapping: Mapping | None


def read_cel_custom(text: str, filename: str) -> Layout:
    """The layout of `filename` (a path or its last part). Raises Misconfigured where the file says nothing of it."""
    wanted = PurePosixPath(filename).name
    section, options = "", dict[str, dict[str, str]]()
    legacy: dict[str, str] = {}
    for line in text.splitlines():
        line = re.sub(r"(?<!\\);.*", "", line).strip()  # noqa: PLW2901
        if line.startswith("["):
            section = line[1 : line.index("]")].strip() if "]" in line else line[1:]
        elif "=" in line and section.lower() == "mappings":
            name, _, value = line.partition("=")
            legacy[PurePosixPath(name.strip()).name] = value.removeprefix(">").strip()
        elif "=" in line and section:
            name, _, value = line.partition("=")
            options.setdefault(PurePosixPath(section).name, {})[name.strip().lower()] = value.removeprefix(">").strip()
    if wanted in legacy:
        return _legacy(legacy[wanted], wanted)
    if wanted in options:
        return _advanced(options[wanted], wanted)
    known = ", ".join(sorted([*legacy, *(n for n, o in options.items() if "fields" in o)])) or "none"
    raise Misconfigured(
        f"cel_custom.conf has no mapping for {wanted} (it has: {known})",
        hint="check the file name, or leave the mapping out: columns are then found by their content",
    )


def _legacy(value: str, wanted: str) -> Layout:
    columns = []
    for cell in _cells(value):
        match = _VARIABLE.search(cell)
        columns.append(field_name(match[2] or match[3]) if match else "")
    return Layout(STOCK, _mapping(columns, wanted))


def _cells(value: str) -> list[str]:
    """Splits at commas outside of braces and parentheses; a missing brace is made up for at the next `,${`."""
    return re.split(r",(?=\$\{)|,(?![^{(]*[})])", value)


def _advanced(options: dict[str, str], wanted: str) -> Layout:
    names = _FIELD.findall(options.get("fields", ""))[:-1]
    if options.get("format", "csv").lower() == "json":
        return Layout(JSON, None)
    # Qualifiers, as in `EventTime(%F %T^quote)`, say how a field is written, not which one it is.
    columns = [field_name(re.sub(r"\(.*", "", name)) for name in names]
    quote = options.get("quote_character", '"') or '"'
    separator = options.get("separator_character", ",") or ","
    separator = _SEPARATORS.get(separator.lower(), separator)[0]
    escape = (options.get("quote_escape_character") or quote)[0]
    return Layout(Dialect(separator, quote[0], escape), _mapping(columns, wanted))


def _mapping(columns: list[str], wanted: str) -> Mapping:
    try:
        return Mapping(columns)
    except Misconfigured as error:
        raise Misconfigured(f"{error} (mapping of {wanted} in cel_custom.conf)", hint=error.hint) from None

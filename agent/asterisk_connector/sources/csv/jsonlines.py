r"""One JSON record of res_cdrel_custom, also where its writer left back-slashes unescaped.

- Asterisk 22.10 escapes quotes but not back-slashes, so `O\"Neil` (back-slash and quote) comes as `O\\"Neil`: no JSON.
  A quote inside a value always has a back-slash before it, hence `,"name":` without one is always a border between
  fields, and the values between borders can be had back byte for byte.
- Keys are the configured field names in lower case; values are strings or numbers.
"""

from __future__ import annotations

import re

import msgspec

_decode = msgspec.json.Decoder(dict[str, str | int | float | bool | None]).decode
_BORDER = re.compile(r'(?:^\{|,)"([A-Za-z0-9_ ]{1,64})":\s*(?=["\d\-ntf])')


def decode(data: bytes) -> dict[str, str] | None:
    """Names and values; None where even the repair finds no record."""
    try:
        values = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _repair(data.decode("utf-8", "replace").strip())
    return {name.lower(): _text(value) for name, value in values.items()}


def _text(value: str | float | bool | None) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else str(value)


def _repair(text: str) -> dict[str, str] | None:
    if not (text.startswith("{") and text.endswith("}")):
        return None
    borders = list(_BORDER.finditer(text))
    if not borders or borders[0].start() != 0:
        return None
    ends = [border.start() for border in borders[1:]] + [len(text) - 1]
    found: dict[str, str] = {}
    for border, end in zip(borders, ends, strict=True):
        value = text[border.end() : end].strip()
        if value.startswith('"'):
            if len(value) < 2 or value[-1] != '"':
                return None
            value = value[1:-1].replace('\\"', '"')
        elif not re.fullmatch(r"-?[\d.eE+-]+|null|true|false", value):
            return None
        found[border[1].lower()] = "" if value == "null" else value
    return found

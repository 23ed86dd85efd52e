r"""How one file writes its fields: separator, quote and escape, and what the start of a record looks like.

- Writers: `CSV_QUOTE` (quote all, quotes doubled) and `res/cdrel_custom` (any separator, quote, escape; a field with a
  quote, separator, CR or LF in it is quoted whatever `quoting_method` says).
- `fields` is strict: a text that is not exactly a row of fields gives None, never a guess.
- JSON lines are the dialect whose escape is a backslash: upstream writes newlines raw, so they too need quote counting.
"""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from functools import cached_property

from msgspec import Struct

from asterisk_connector.sources.csv.events import KNOWN

_TIME = rb"(?:\d{9,11}\.\d{1,6}|\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d)"
_NAMES = b"|".join(name.encode() for name in sorted(KNOWN, key=len, reverse=True))
_OPENING = re.compile(
    rb"(?:\d{1,19}(?P<first>[,;\t|]))?(?P<quote>[\"']?)[\w.\- ]{1,64}(?P=quote)(?P<separator>[!#-&(-/:-@\[-^`{-~\t])"
)


_COMMON = frozenset(",;\t|")


class Dialect(Struct, frozen=True, dict=True):
    """Separator, quote and escape, one character each. `escape` equal to `quote` means doubled quotes."""

    separator: str = ","
    quote: str = '"'
    escape: str = '"'

    @cached_property
    def start(self) -> re.Pattern[bytes]:
        """Matches where a record begins: an event's name and a time, a known name alone, or a JSON object."""
        return self._pattern(
            rb"\{\"[A-Za-z]"
            rb"|(?:\d{1,19}%(s)s)?%(q)s?(?:(?:%(known)s)%(q)s?%(s)s|[\w.\- ]{1,64}%(q)s?%(s)s%(q)s?%(time)s)"
        )

    @cached_property
    def glue(self) -> re.Pattern[bytes]:
        """Matches between an empty last field and the record stuck to it (the broken mapping on Asterisk 16)."""
        return self._pattern(rb"(?<=%(s)s%(q)s%(q)s)(?=%(q)s[A-Z0-9_]{1,64}%(q)s%(s)s%(q)s%(time)s)")

    @cached_property
    def inner_start(self) -> re.Pattern[bytes]:
        """Matches a record start inside a line: a record that was torn, and the next one written right after it.

        Only names of cel.h: an account code and the uniqueid after it look like a user's event and its time.
        """
        return self._pattern(rb"%(q)s(%(known)s)%(q)s%(s)s%(q)s%(time)s")

    def _pattern(self, form: bytes) -> re.Pattern[bytes]:
        quote, separator = re.escape(self.quote.encode()), re.escape(self.separator.encode())
        return re.compile(form % {b"q": quote, b"s": separator, b"known": _NAMES, b"time": _TIME})

    @cached_property
    def _field(self) -> re.Pattern[str]:
        q, s, e = re.escape(self.quote), re.escape(self.separator), re.escape(self.escape)
        inner = rf"[^{q}]++|{q}{q}" if self.quote == self.escape else rf"{e}{q}|[^{q}]"
        return re.compile(rf"{q}((?:{inner})*+){q}(?={s}|\Z)|((?!{q})[^{s}]*+)", re.DOTALL)

    def fields(self, text: str) -> list[str] | None:
        """The fields of one record without its newline; None when quotes and separators do not add up."""
        quote, separator = self.quote, self.separator
        if quote not in text:
            return text.split(separator)
        if len(text) > 1 and text[0] == quote and text[-1] == quote:
            parts = text[1:-1].split(f"{quote}{separator}{quote}")
            if text.count(quote) == 2 * len(parts):
                return parts
            if quote == self.escape:
                # A value may hold quotes and even `","` (JSON is full of them, as `"",""`): a row has one reading only.
                with suppress(csv.Error):
                    return next(csv.reader((text,), delimiter=separator, quotechar=quote, strict=True))
        return self._fields_one_by_one(text)

    def _fields_one_by_one(self, text: str) -> list[str] | None:
        found: list[str] = []
        at, end = 0, len(text)
        escaped = self.escape + self.quote
        while True:
            match = self._field.match(text, at)
            if match is None:
                return None
            quoted = match.group(1)
            found.append(match.group(2) if quoted is None else quoted.replace(escaped, self.quote))
            at = match.end()
            if at == end:
                return found
            if text[at] != self.separator:
                return None
            at += 1


STOCK = Dialect()
JSON = Dialect(escape="\\")


def detect_dialect(head: bytes) -> Dialect:
    """The dialect in which the first records of a file are written; the stock one where they do not tell.

    The first line that begins like a record decides; a header has only its separator to show.
    """
    lines = head.splitlines()[:50]
    for line in lines:
        if line.startswith(b'{"'):
            return JSON
        dialect = _opening(line)
        if dialect is not None and dialect.start.match(line):
            return dialect
    header = _opening(lines[0]) if lines else None
    return header if header is not None and header.separator in _COMMON else STOCK


def _opening(line: bytes) -> Dialect | None:
    match = _OPENING.match(line)
    if match is None:
        return None
    separator = (match["first"] or match["separator"]).decode("ascii")
    quote = match["quote"].decode() or '"'
    return Dialect(separator=separator, quote=quote, escape=quote)

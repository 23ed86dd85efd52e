"""Bytes into records: incremental, quote-aware, indifferent to how the bytes are cut into chunks.

- Every byte belongs to exactly one `Piece` or to the tail; nothing is judged here, nothing is dropped.
- A newline inside quotes is part of its record (CSV_QUOTE does not escape it). A line that begins like a record ends
  whatever was open: a quote that never closes costs one record, not the file.
- Records glued together without newlines (the broken mapping on Asterisk 16) are cut where the next one begins; once
  that was seen, a tail with the full number of columns is a record although no newline will ever follow it.
- A record longer than `longest` is passed by without keeping it: its piece holds the first KEPT bytes only.
"""

from __future__ import annotations

from typing import NamedTuple

from asterisk_connector.sources.csv.dialect import Dialect

KEPT = 1024
_TELLING = 256
"""By so many bytes of a line it is known whether it begins like a record."""


class Piece(NamedTuple):
    """One record as written, without its newline. `size` counts the bytes it took in the file, newline included."""

    offset: int
    data: bytes
    size: int

    @property
    def end(self) -> int:
        """Offset of what follows."""
        return self.offset + self.size

    @property
    def cut(self) -> bool:
        """Whether `data` is only the beginning of an overlong record."""
        return self.size > len(self.data) + 1


class Splitter:
    """Feeds on chunks. `offset` is where the first chunk begins in its file."""

    def __init__(
        self, dialect: Dialect, offset: int = 0, *, carry: bytes = b"", glued: int = 0, longest: int = 1 << 20
    ) -> None:
        self.glued = glued
        """Columns of records that come glued together; 0 where none did."""
        self._dialect = dialect
        self._quote = dialect.quote.encode()
        self._escaped = b"" if dialect.escape == dialect.quote else (dialect.escape + dialect.quote).encode()
        self._glue_sign = dialect.separator.encode() + 3 * self._quote  # in every line that `dialect.glue` matches
        self._longest = longest
        self._start = offset - len(carry)  # of the open record
        self._open: list[bytes] = []  # complete lines of the open record, newlines included; their quotes are odd
        self._open_size = 0
        self._line = carry  # the line that has no newline yet
        self._skipped = 0  # bytes passed by of an overlong record; `_open` then holds what is kept

    @property
    def taken(self) -> int:
        """Offset after the last piece given out: where reading may start again."""
        return self._start

    @property
    def tail(self) -> bytes:
        """The bytes after the last piece (of an overlong record only the beginning)."""
        return b"".join(self._open) + self._line

    def feed(self, data: bytes) -> list[Piece]:
        """The records that became complete."""
        pieces: list[Piece] = []
        quote, escaped, longest, glue_sign = self._quote, self._escaped, self._longest, self._glue_sign
        lines = (self._line + data).split(b"\n") if self._line else data.split(b"\n")
        self._line = lines.pop()
        for line in lines:
            size = len(line) + 1
            quotes = line.count(quote) - (line.count(escaped) if escaped else 0)
            if quotes & 1 or self._open or size > longest or glue_sign in line:
                self._close_line(line, pieces)
            else:
                pieces.append(Piece(self._start, line, size))
                self._start += size
        self._look_at_tail(pieces)
        return pieces

    def finish(self) -> list[Piece]:
        """The tail as a last piece: nothing more will come."""
        data, size = self.tail, self._skipped + self._open_size + len(self._line)
        pieces: list[Piece] = []
        if size:
            self._emit(data, size, pieces)
        self._line = b""
        return pieces

    def _close_line(self, line: bytes, pieces: list[Piece]) -> None:
        """A line came to its newline and is not simply a record of its own."""
        self._end_torn(line, pieces)
        line = self._cut_glue(line, pieces)
        size = self._skipped + self._open_size + len(line) + 1
        if size > self._longest:
            self._emit(self._kept(line), size, pieces)
        elif self._has_odd_quotes(line) is bool(self._open):
            self._emit(b"".join([*self._open, line]), size, pieces)
        else:
            self._open.append(line + b"\n")
            self._open_size += len(line) + 1

    def _look_at_tail(self, pieces: list[Piece]) -> None:
        line = self._line
        if not line:
            return
        telling = len(line) >= _TELLING
        if telling:
            self._end_torn(line, pieces)
        line = self._line = self._cut_glue(line, pieces)
        if self.glued and not self._open and self._is_whole(line):
            self._emit(line, len(line), pieces)
            self._line = b""
        elif self._skipped or (self._open_size + len(line) + 1 > self._longest and (telling or not self._open)):
            kept = self._kept(line)
            self._skipped += self._open_size + len(line) - len(kept)
            self._open, self._open_size, self._line = [kept], len(kept), b""

    def _end_torn(self, line: bytes, pieces: list[Piece]) -> None:
        """A line that begins like a record ends the open one: its quote was never going to close."""
        if self._open and not self._skipped and self._dialect.start.match(line, 0, _TELLING):
            self._emit(b"".join(self._open)[:-1], self._open_size, pieces)

    def _cut_glue(self, line: bytes, pieces: list[Piece]) -> bytes:
        if self._open or self._glue_sign not in line:
            return line
        begin = 0
        for match in self._dialect.glue.finditer(line):
            self._emit(line[begin : match.start()], match.start() - begin, pieces)
            self.glued = len(self._dialect.fields(pieces[-1].data.decode("latin-1")) or ())
            begin = match.start()
        return line[begin:]

    def _is_whole(self, line: bytes) -> bool:
        """Whether a glued tail has all its columns; the last one of the broken mapping is always empty."""
        if not line.endswith(self._quote * 2):
            return False
        return len(self._dialect.fields(line.decode("latin-1")) or ()) == self.glued

    def _kept(self, line: bytes) -> bytes:
        """The beginning of an overlong record."""
        return b"".join([*self._open, line])[:KEPT]

    def _has_odd_quotes(self, data: bytes) -> bool:
        return bool((data.count(self._quote) - (data.count(self._escaped) if self._escaped else 0)) & 1)

    def _emit(self, data: bytes, size: int, pieces: list[Piece]) -> None:
        pieces.append(Piece(self._start, data, size))
        self._start += size
        self._open, self._open_size, self._skipped = [], 0, 0

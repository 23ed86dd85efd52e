"""The CEL or CDR rows of a time past from a file and what rotation has made of it, compressed or not.

- A file last written before the time is not read; one is read only until its rows are younger than the time.
- Of a file and its compressed twin one is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from asterisk_connector.errors import Misconfigured
from asterisk_connector.records import CdrRow, CelEvent, Micros, Record, SetAside
from asterisk_connector.sources.base import Stretch
from asterisk_connector.sources.cel_csv import Reading
from asterisk_connector.sources.csv.dialect import Dialect, detect_dialect
from asterisk_connector.sources.csv.rows import Rows, Unreadable
from asterisk_connector.sources.csv.split import Piece, Splitter
from asterisk_connector.sources.follow.follower import told
from asterisk_connector.sources.follow.generation import Generation
from asterisk_connector.sources.follow.identity import name_of, siblings

_CHUNK = 1 << 20
_SLACK: Micros = 3600 * 1_000_000
"""CEL rows are written in order of time but for what clocks do; a CDR row bears its call's start, see `reach`."""


class CsvPast:
    """See `sources.base.Past`. `rows` reads the records of one file; `dialect` is found by content where not told."""

    def __init__(
        self, name: str, path: Path, *, reach: float, rows: Callable[[], Reading] = Rows, dialect: Dialect | None = None
    ) -> None:
        self.name = name
        self.reach = reach
        self._path = path
        self._new_rows = rows
        self._dialect = dialect

    def open(self) -> None:
        """Raises Misconfigured where there is neither the file nor a rotated one."""
        with told(self._path):
            if not self._files():
                raise Misconfigured(f"{self._path} does not exist", "give the path of the file that Asterisk writes")

    def read(self, since: Micros, until: Micros) -> Iterator[Stretch]:
        """See `sources.base.Past`."""
        met: set[str] = set()
        for path in self._files():
            with told(path):
                generation = Generation(path)
                try:
                    if generation.mtime // 1000 < since or (name := name_of(generation.peek(256))) in met:
                        continue
                    met.add(name)
                    yield from self._rows(generation, since, until)
                finally:
                    generation.close()

    def close(self) -> None:
        """Nothing is held open between two questions."""

    def _files(self) -> list[Path]:
        """Oldest first."""
        rotated = [sibling.path for sibling in siblings(self._path)]
        return [*rotated, self._path] if self._path.exists() else rotated

    def _rows(self, generation: Generation, since: Micros, until: Micros) -> Iterator[Stretch]:
        rows = self._new_rows()
        splitter = Splitter(self._dialect or detect_dialect(generation.peek(4096)))
        while data := generation.read(_CHUNK):
            records, aside = _understood(generation, rows, splitter.feed(data))
            times = [at for at in map(_instant, records) if at is not None]
            if times and min(times) > until + _SLACK:
                return
            if aside or any(at >= since - _SLACK for at in times):
                yield Stretch(records, aside)
        if generation.path != self._path:  # of the live file, the rest of the last row is still to come
            yield Stretch(*_understood(generation, rows, splitter.finish()))


def _understood(generation: Generation, rows: Reading, pieces: Iterable[Piece]) -> tuple[list[Record], list[SetAside]]:
    records: list[Record] = []
    aside: list[SetAside] = []
    for piece in pieces:
        for row in rows.read(piece):
            if isinstance(row.event, Unreadable):
                aside.append(SetAside(f"{generation.path.name}:{row.offset}", row.event.reason, row.data))
            else:
                records.append(row.event)
    return records, aside


def _instant(record: Record) -> Micros | None:
    if isinstance(record, CelEvent):
        return record.at
    return record.start if isinstance(record, CdrRow) else None

"""The CEL rows that cel_custom appends to a file, whatever its mapping and whatever rotation does to it.

- One source, one file. A position is where every file that is not read to its end was left, always between two records.
- A record's identity is its file's first line (hashed) and its offset: reading again gives the same one.
- What was in the file at the very first start is history (`start_at: now`) or older than a given time (a duration):
  it is read back, within bounds, so that calls in progress are whole. The border is part of the position.
- Nothing in the file stops it: a record that is no event is set aside with its reason and its bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, timedelta, tzinfo
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from asterisk_connector.clock import Clock
from asterisk_connector.errors import Misconfigured
from asterisk_connector.notices import Notify
from asterisk_connector.records import Batch, CdrRow, CelEvent, Micros, Record, Seen, SetAside
from asterisk_connector.sources.base import Extent
from asterisk_connector.sources.csv.dialect import Dialect, detect_dialect
from asterisk_connector.sources.csv.mapping import Mapping
from asterisk_connector.sources.csv.rows import Rows, Unreadable
from asterisk_connector.sources.csv.split import Piece, Splitter
from asterisk_connector.sources.follow.follower import Chunk, Ended, Follower, Trail, told
from asterisk_connector.sources.follow.generation import Generation
from asterisk_connector.sources.follow.identity import Mark, name_of
from asterisk_connector.sources.follow.inotify import Watch

StartAt = Literal["now", "beginning"] | timedelta

ROWS = 2000
"""Rows of a batch, at most."""

_CHUNK = 256 * 1024
_WINDOW = 64 * 1024
_LONGEST_CARRY = 64 * 1024


class StretchMark(Struct, frozen=True, array_like=True):
    """Where one file was left. `carry` is a half record that began in the file's predecessor (copytruncate).

    Records that end at or before `history_end`, and are older than `cutoff` where there is one, are history.
    `newest` is the time of the newest row taken; up to `known_until` rows were taken before the file lost its end.
    """

    mark: Mark
    name: str
    carry: bytes
    history_end: int
    cutoff: Micros | None
    glued: int
    newest: Micros
    known_until: Micros


class CsvPosition(Struct, frozen=True, array_like=True, tag="cel_csv/1"):
    """All files not read to their end, oldest first, and what the follower remembers."""

    stretches: tuple[StretchMark, ...]
    horizon: int
    done: tuple[str, ...]


class _Stretch:
    """One generation, its splitter and what of it was handed out."""

    def __init__(self, generation: Generation, left: StretchMark | None = None) -> None:
        self.generation = generation
        self.splitter: Splitter | None = None
        self.ended = False
        self.name = left.name if left else ""
        self.history_end = left.history_end if left else 0
        self.cutoff = left.cutoff if left else None
        self.glued = left.glued if left else 0
        self.newest = left.newest if left else 0
        self.known_until = left.known_until if left else 0
        self.carry = b""
        self.taken = generation.offset
        """Where the next record begins; below zero while it is one that began in the predecessor."""
        if left and left.carry:
            self.begin_with(left.carry)

    def begin_with(self, carry: bytes) -> None:
        """The predecessor ended in the middle of a record."""
        self.carry = carry
        self.taken = -len(carry)

    def takes(self, event: Record) -> bool:
        """Whether the row is new. Within a coarse clock's tick that cannot be told, and twice is better than never.

        CDR rows are not written in the order of any of their times.
        """
        if not isinstance(event, CelEvent):
            return True
        if event.at < self.known_until or (event.at == self.known_until and event.resolution == 1):
            return False
        self.newest = max(self.newest, event.at)
        return True

    def mark(self) -> StretchMark:
        """Where it was left."""
        return StretchMark(
            self.generation.mark(max(0, self.taken)),
            self.name,
            self.carry[self.taken :] if self.taken < 0 else b"",
            self.history_end,
            self.cutoff,
            self.splitter.glued if self.splitter else self.glued,
            self.newest,
            self.known_until,
        )


class _Kept(NamedTuple):
    """How far one file is kept: records up to `taken`; it was looked through up to `reached`. `live`: it may grow."""

    device: int
    inode: int
    live: bool
    size: int
    taken: int
    reached: int


class Found(Protocol):
    """What a piece of the file, or a part of it, turned out to be."""

    @property
    def offset(self) -> int: ...
    @property
    def event(self) -> Record | Unreadable: ...
    @property
    def data(self) -> bytes: ...


class Reading(Protocol):
    """Makes rows of the records of one file, in their order; never raises."""

    def read(self, piece: Piece) -> Sequence[Found]: ...


class CelCsvSource:
    """Follows one CEL file. `mapping` and `dialect` are found by content where they are not told.

    `rows` reads records of another kind (see `cdr_csv`); following, history and positions are the same.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        notify: Notify,
        clock: Clock,
        start_at: StartAt = "now",
        lookback_bytes: int = 32 << 20,
        mapping: Mapping | None = None,
        dialect: Dialect | None = None,
        zone: tzinfo = UTC,
        time_format: str | None = None,
        longest: int = 1 << 20,
        rows: Callable[[], Reading] | None = None,
    ) -> None:
        self.name = name
        self._path = path
        self._clock = clock
        self._start_at = start_at
        self._lookback = lookback_bytes
        self._dialect = dialect
        self._longest = longest
        self._new_rows: Callable[[], Reading] = rows or (
            lambda: Rows(dialect, mapping, zone=zone, time_format=time_format)
        )
        self._rows = self._new_rows()
        self._follower = Follower(path, name, notify, clock)
        self._watch = Watch(path, name, notify, clock)
        self._stretches: list[_Stretch] = []
        self._pieces: deque[tuple[_Stretch, Piece]] = deque()
        self._untold_start = False
        self._given = self._read = 0
        self._kept: tuple[_Kept, ...] | None = None
        self._caught_up_at: Micros | None = None

    def open(self, position: bytes | None) -> None:
        """Finds the file, or its rotated copies, at `position`. A file that does not exist yet is no error.

        Raises Transient when it cannot be read, Misconfigured when the path is no file or the position is not one of
        this version.
        """
        self.close()
        self._rows = self._new_rows()
        self._watch.arm()
        if position is None:
            self._follower.open(None)
            with told(self._path):
                self._stretches = [self._begin(generation) for generation in self._follower.generations]
            self._untold_start = True
        else:
            self._resume(position)

    def read(self, timeout: float) -> Batch | None:
        """Rows that were appended, at most ROWS; waits for some at most `timeout` seconds. Raises Transient."""
        deadline = self._clock.monotonic() + timeout
        self._note_kept()
        if self._untold_start:
            # Where reading begins is remembered before the first row, or a kill would move the border of history.
            self._untold_start = False
            return Batch(self.name, (), self._position())
        while True:
            self._watch.arm()
            batch = self._collect()
            if batch is not None:
                return batch
            self._caught_up_at = self._clock.now()
            self._note_kept()
            left = deadline - self._clock.monotonic()
            if left <= 0 or self._watch.wait(left):
                return None

    def wake(self) -> None:
        """Ends a waiting `read`."""
        self._watch.wake()

    def extent(self) -> Extent:
        """Compares what is kept with the size that the file has now; any thread may ask."""
        kept = self._kept
        if kept is None:
            return Extent()
        try:
            status = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            now = None
        except OSError:
            return Extent(self._read, caught_up_at=self._caught_up_at)
        else:
            now = _Kept(status.st_dev, status.st_ino, True, status.st_size, 0, 0)
        unread = ahead = 0
        for one in kept:
            size = now.size if now and one.live and one[:2] == now[:2] else one.size
            unread += max(0, size - one.taken)
            ahead += max(0, size - one.reached)
        if now and not any(one.live and one[:2] == now[:2] for one in kept):  # it has not been met yet
            unread, ahead = unread + now.size, ahead + now.size
        return Extent(self._read, unread, ahead == 0, self._caught_up_at, "" if now else str(self._path))

    def _note_kept(self) -> None:
        """Whoever reads on has kept what was given out."""
        self._read = self._given
        self._kept = tuple(_kept(stretch) for stretch in self._stretches)

    def close(self) -> None:
        """Gives files and watches back."""
        self._follower.close()
        self._watch.rest()
        self._stretches = []
        self._pieces.clear()
        self._untold_start = False

    def _collect(self) -> Batch | None:
        """The rows that can be had now, all history or none; None when there are none now."""
        seen: list[Seen] = []
        set_aside: list[SetAside] = []
        history: bool | None = None
        while not seen and not set_aside:
            if not self._pieces and not self._fill():
                return None
            while self._pieces and len(seen) + len(set_aside) < ROWS:
                stretch, piece = self._pieces[0]
                rows = self._rows.read(piece)
                if rows:
                    before = self._is_history(stretch, piece, rows[0].event)
                    if history is not None and before is not history:
                        break
                    history = before
                self._pieces.popleft()
                self._given += piece.size
                stretch.taken = piece.end
                for row in rows:
                    ident = f"{stretch.name}:{row.offset}"
                    if isinstance(row.event, Unreadable):
                        set_aside.append(SetAside(ident, row.event.reason, row.data))
                    elif stretch.takes(row.event):
                        seen.append(Seen(ident, row.event))
        pending = {id(stretch) for stretch, _ in self._pieces}
        self._stretches = [s for s in self._stretches if not s.ended or id(s) in pending]
        return Batch(self.name, seen, self._position(), set_aside, bool(history))

    @staticmethod
    def _is_history(stretch: _Stretch, piece: Piece, event: Record | Unreadable) -> bool:
        if piece.end > stretch.history_end:
            return False
        at = _instant(event)
        return stretch.cutoff is None or at is None or at < stretch.cutoff

    def _fill(self) -> bool:
        """Reads on until there is a record; False when there is none now."""
        while not self._pieces:
            found = self._follower.read(_CHUNK)
            if found is None:
                return False
            for generation in self._follower.generations:
                self._stretch(generation)
            stretch = self._stretch(found.generation)
            if isinstance(found, Chunk):
                if stretch.splitter is None:
                    stretch.splitter = self._splitter(stretch, found.offset)
                pieces = stretch.splitter.feed(found.data)
            else:
                pieces = self._end(stretch, found)
            if pieces and not stretch.name:
                turn = found.generation.turn
                stretch.name = name_of(found.generation.head) + (f"+{turn}" if turn else "")
            self._pieces.extend((stretch, piece) for piece in pieces)
        return True

    def _end(self, stretch: _Stretch, ended: Ended) -> list[Piece]:
        stretch.ended = True
        tail = stretch.splitter.tail if stretch.splitter else stretch.carry
        pieces: list[Piece] = []
        if ended.heir is not None and ended.heir.turn > ended.generation.turn:
            self._stretch(ended.heir).known_until = stretch.newest
        elif ended.heir is not None and len(tail) <= _LONGEST_CARRY:
            self._stretch(ended.heir).begin_with(tail)
        elif stretch.splitter is not None:
            pieces = stretch.splitter.finish()
        if not pieces:
            self._stretches.remove(stretch)
        return pieces

    def _stretch(self, generation: Generation) -> _Stretch:
        """The stretch of a generation; made when it is first met, in the follower's order."""
        for stretch in self._stretches:
            if stretch.generation is generation:
                return stretch
        stretch = _Stretch(generation)
        self._stretches.append(stretch)
        return stretch

    def _splitter(self, stretch: _Stretch, offset: int) -> Splitter:
        dialect = self._dialect or detect_dialect(stretch.generation.head)
        return Splitter(dialect, offset, carry=stretch.carry, glued=stretch.glued, longest=self._longest)

    def _position(self) -> bytes:
        for generation in self._follower.generations:
            self._stretch(generation)
        return msgspec.msgpack.encode(
            CsvPosition(
                tuple(stretch.mark() for stretch in self._stretches), self._follower.horizon, self._follower.done
            )
        )

    def _resume(self, position: bytes) -> None:
        try:
            left = msgspec.msgpack.decode(position, type=CsvPosition)
        except msgspec.DecodeError as error:
            raise Misconfigured(
                f"the stored position of {self.name} cannot be read: {error}",
                hint="it was written by another version; upgrade, or remove the position to start afresh",
            ) from error
        self._follower.open(Trail(tuple(s.mark for s in left.stretches), left.horizon, left.done))
        for generation in self._follower.generations:
            mark = next((s for s in left.stretches if s.mark is generation.resumed), None)
            self._stretches.append(_Stretch(generation, mark))

    def _begin(self, generation: Generation) -> _Stretch:
        """Where reading starts in the file that is there at the very first start."""
        stretch = _Stretch(generation)
        if self._start_at == "beginning":
            return stretch
        size = stretch.history_end = generation.size
        first = size
        if isinstance(self._start_at, timedelta):
            stretch.cutoff = self._clock.now() - self._start_at // timedelta(microseconds=1)
            first = self._first_since(generation, stretch.cutoff)
        generation.offset = stretch.taken = self._next_record(generation, max(0, first - self._lookback))
        return stretch

    def _next_record(self, generation: Generation, offset: int) -> int:
        """Offset of the first record that begins at or after `offset`; the file's end where none can be recognised."""
        if offset == 0:
            return 0
        dialect = self._dialect or detect_dialect(generation.window(0, 4096))
        at = offset - 1
        while at < generation.size:
            window = generation.window(at, _WINDOW)
            begin = window.find(b"\n")
            while begin >= 0:
                if dialect.start.match(window, begin + 1):
                    return at + begin + 1
                begin = window.find(b"\n", begin + 1)
            glue = dialect.glue.search(window)
            if glue is not None:
                return at + glue.start()
            at += max(1, _WINDOW - 512)
        return generation.size

    def _first_since(self, generation: Generation, moment: Micros) -> int:
        """Offset before which every record is older than `moment`, to within a few windows."""
        low, high = 0, generation.size
        while high - low > 4 * _WINDOW:
            middle = (low + high) // 2
            at = self._time_at(generation, self._next_record(generation, middle))
            if at is not None and at < moment:
                low = middle
            else:
                high = middle
        return low

    def _time_at(self, generation: Generation, offset: int) -> Micros | None:
        rows = self._new_rows()
        dialect = self._dialect or detect_dialect(generation.window(0, 4096))
        for piece in Splitter(dialect, offset).feed(generation.window(offset, _WINDOW)):
            for row in rows.read(piece):
                at = _instant(row.event)
                if at is not None:
                    return at
        return None


def _instant(event: Record | Unreadable) -> Micros | None:
    if isinstance(event, CelEvent):
        return event.at
    return event.start if isinstance(event, CdrRow) else None


def _kept(stretch: _Stretch) -> _Kept:
    generation = stretch.generation
    live = not generation.final
    taken, reached = max(0, stretch.taken), generation.offset
    if generation.packed:  # its size says nothing of what is in it: all of it waits until it is done with
        taken = reached = 0
    return _Kept(generation.device, generation.inode, live, generation.size, taken, reached)

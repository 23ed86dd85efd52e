"""One path as one endless file, whatever is done to it: renamed, cut, copied away, deleted, compressed, made anew.

- A queue of generations, oldest first. Each is read to its end before the next, and stays open LINGER seconds after
  the path left it: a writer that had it open may still finish a row.
- Every row's bytes are given once: a generation is known by its beginning (`identity`), wherever rotation put it.
- Nothing is guessed about bytes that are gone: `FileTruncated.unread` says how many.
- `stat` decides when there is nothing more to read; hints only decide when to look (law 5).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from msgspec import Struct

from asterisk_connector.clock import Clock
from asterisk_connector.errors import Misconfigured, Transient
from asterisk_connector.notices import FileMissing, FileRotated, FileTruncated, Notify
from asterisk_connector.sources.follow.generation import Generation
from asterisk_connector.sources.follow.identity import HEAD, Mark, Sibling, first_line, name_of, siblings

LINGER = 2.0
_REMEMBERED = 16
_TRIES = 100


class Chunk(NamedTuple):
    """Bytes of one generation from `offset` on."""

    generation: Generation
    offset: int
    data: bytes


class Ended(NamedTuple):
    """A generation was read to its end and nothing will be added.

    `heir` took its place in the same inode, if any. An heir of the next `turn` begins with what was read before.
    """

    generation: Generation
    heir: Generation | None


class Trail(Struct, frozen=True, array_like=True):
    """What is remembered over a restart: files not read to their end, and which are done with.

    `horizon` is the time (nanoseconds, as files have it) before which rotated files are none of our business.
    """

    marks: tuple[Mark, ...] = ()
    horizon: int = 0
    done: tuple[str, ...] = ()


class Follower:
    """Reads a path forwards for ever. Not for several threads."""

    def __init__(self, path: Path, source: str, notify: Notify, clock: Clock) -> None:
        self.path = path
        self._source = source
        self._notify = notify
        self._clock = clock
        self.generations: list[Generation] = []
        self.horizon = 0
        self.done: tuple[str, ...] = ()
        self._current: Generation | None = None
        self._told_missing = False

    def open(self, trail: Trail | None) -> None:
        """Finds again what `trail` remembers; without one, begins at the file as it is now, at its first byte.

        Raises Transient where something cannot be read, Misconfigured where the path is no file.
        """
        self.close()
        with told(self.path):
            if trail is None:
                self._begin()
                return
            self.horizon, self.done = trail.horizon, trail.done
            there = False
            for number, mark in enumerate(trail.marks):
                heirs = trail.marks[number + 1 : number + 2]
                before, there = there, self._resume(mark, last=not heirs)
                if there and not before:
                    self.generations[-1].continues = False
                if there and heirs and heirs[0].continues:  # a copy: what was written since is in the heir
                    self.generations[-1].final = True

    def close(self) -> None:
        """Gives all handles back."""
        for generation in self.generations:
            generation.close()
        self.generations = []
        self._current = None

    def read(self, limit: int) -> Chunk | Ended | None:
        """The next bytes (at most `limit`), the end of a generation, or None when there is nothing now.

        Raises Transient for what cannot be read at the moment; reading goes on from the same place later.
        """
        with told(self.path):
            for _ in range(_TRIES):
                found = self._next(limit)
                if found is not None or not self._look():
                    return found
            return None

    def _next(self, limit: int) -> Chunk | Ended | None:
        for generation in self.generations:
            if generation.continues:  # its predecessor's last bytes may be the beginning of its first record
                return None
            if not (generation.head or generation.final) and self._adopt_copies(generation):
                return self._next(limit)
            offset = generation.offset
            data = generation.read(limit)
            if data:
                return Chunk(generation, offset, data)
            if generation.final or (
                generation.left_at is not None and self._clock.monotonic() - generation.left_at >= LINGER
            ):
                return self._end(generation)
        return None

    def _end(self, generation: Generation) -> Ended:
        index = self.generations.index(generation)
        heir = self.generations[index + 1] if index + 1 < len(self.generations) else None
        if heir is not None and not heir.continues:
            heir = None
        if heir is not None:
            heir.continues = False
        del self.generations[index]
        if generation is self._current:
            self._current = None
        if generation.damaged:
            self._notify(FileTruncated(self._source, str(generation.path), max(0, generation.size - generation.offset)))
        elif generation.left_at is not None:
            self._notify(FileRotated(self._source, str(self.path)))
        if generation.head:
            self.done = (*self.done, name_of(generation.head))[-_REMEMBERED:]
        generation.close()
        return Ended(generation, heir)

    def _begin(self) -> None:
        self.horizon = 1 + max((sibling.mtime for sibling in siblings(self.path)), default=-1)
        self.done = ()
        if self._status() is not None:
            self._enter()

    def _status(self) -> os.stat_result | None:
        try:
            status = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not S_ISREG(status.st_mode):
            raise Misconfigured(f"{self.path} is not a file", hint="give the path of the file that Asterisk writes")
        return status

    def _look(self) -> bool:
        """Compares what the path names now with what is being read; whether there may be something new to read."""
        for generation in self.generations:
            if not (generation.final or generation.begins_as_before()):
                self._replace_cut(generation)
                return True
        status = self._status()
        current = self._current
        if status is None:
            if current is not None:
                self._leave(current)
            elif not self._told_missing:
                self._told_missing = True
                self._notify(FileMissing(self._source, str(self.path)))
            return self._adopt_rotated(None)
        if current is not None and current.is_same_file(status):
            current.refresh()
            return current.size > current.offset and not current.continues
        if current is not None:
            self._leave(current)
        try:
            self._enter()
        except FileNotFoundError:  # gone since we looked: look again
            return True
        return True

    def _leave(self, generation: Generation) -> None:
        generation.left_at = self._clock.monotonic()
        self.horizon = max(self.horizon, generation.mtime)
        self._current = None

    def _enter(self) -> None:
        """The path names a file not met yet: what was made and rotated away in between comes first."""
        generation = Generation(self.path)
        try:
            self._adopt_rotated(generation)
        except (OSError, Transient):
            generation.close()
            raise
        generation.head = generation.peek(HEAD)  # it may be remembered before it is read
        self.generations.append(generation)
        self._current = generation
        self._told_missing = False

    def _adopt_rotated(self, newest: Generation | None) -> bool:
        """Takes in files that were made and rotated away between two looks; whether there were any."""
        strangers = self._strangers(newest)
        for stranger in strangers:
            stranger.left_at = self._clock.monotonic()
        self.generations += strangers
        return bool(strangers)

    def _adopt_copies(self, empty: Generation) -> bool:
        """A file that was empty when we looked may have been filled, copied and cut since, and nothing of it shows."""
        status = self._status()
        if (status is None or not empty.is_same_file(status)) and (self._own_order(empty, siblings(self.path)) is None):
            return False  # deleted: nothing tells what is older than it
        copies = self._strangers(empty)
        if copies:
            fresh = empty.again()
            empty.head = copies[0].head
            empty.move_to(copies[0])
            self._give_way(empty, copies[1:], fresh)
        return bool(copies)

    def _strangers(self, newest: Generation | None) -> list[Generation]:
        """Rotated files younger than the horizon, older than `newest`, neither done nor being read; oldest first."""
        known = [*self.generations, *([newest] if newest is not None else [])]
        inodes = {(generation.device, generation.inode) for generation in known}

        def younger(listing: list[Sibling]) -> Iterator[Sibling]:
            limit = self._own_order(newest, listing) if newest is not None else None
            for sibling in listing:
                before = limit is None or sibling.order < limit
                if before and sibling.mtime >= self.horizon and (sibling.device, sibling.inode) not in inodes:
                    yield sibling

        met = {*self.done, *(name_of(generation.head or generation.peek(256)) for generation in known), ""}
        found: list[Generation] = []
        for generation in self._open_siblings(younger):
            name = name_of(generation.peek(256))
            if name in met:
                generation.close()
                continue
            met.add(name)
            generation.head = generation.peek(HEAD)
            self.horizon = max(self.horizon, generation.mtime)
            found.append(generation)
        return found

    def _own_order(self, generation: Generation, listing: list[Sibling]) -> tuple[int, int, bool, str] | None:
        """Where a file, or its compressed twin, stands among the rotated ones; None while it is not one of them."""
        for sibling in listing:
            if (sibling.device, sibling.inode) == (generation.device, generation.inode):
                return sibling.order
        name = name_of(generation.peek(256))
        opened = self._open_siblings(lambda all_of_them: [s for s in all_of_them if name and s.packed])
        twin = next((other for other in opened if name_of(other.peek(256)) == name), None)
        _close(opened)
        return self._own_order(twin, siblings(self.path)) if twin is not None else None

    def _open_siblings(self, choose: Callable[[list[Sibling]], Iterable[Sibling]]) -> list[Generation]:
        """Opens the chosen siblings, oldest first. Raises OSError where one cannot be read.

        A rotation in the middle shifts names under our hands and hides files from a listing; then all is done again.
        """
        for _ in range(_TRIES):
            listing = siblings(self.path)
            opened: list[Generation] = []
            try:
                for sibling in choose(listing):
                    opened.append(Generation(sibling.path))
                    if (opened[-1].device, opened[-1].inode) != (sibling.device, sibling.inode):
                        raise FileNotFoundError
                if {(s.path, s.inode) for s in listing} == {(s.path, s.inode) for s in siblings(self.path)}:
                    return opened
            except FileNotFoundError:
                pass
            except OSError:
                _close(opened)
                raise
            _close(opened)
        raise Transient(f"the files beside {self.path} are renamed faster than they can be looked at; trying again")

    def _replace_cut(self, cut: Generation) -> None:
        """The file was cut in place (copytruncate, `> file`), perhaps more than once, and may have grown since."""
        owed = max(0, cut.size - cut.offset)
        fresh = cut.again()
        now = fresh.peek(len(cut.head))
        between: list[Generation] = []
        try:
            if cut.head.startswith(now) and len(now) > len(first_line(cut.head)):
                # Only its end is gone (a power cut, `truncate`). Where the cut was and what is new does not show.
                fresh.turn = cut.turn + 1
            else:
                copy = self._find(cut.head, cut.offset, but=cut)
                if copy is not None:
                    owed = 0
                    self.horizon = max(self.horizon, copy.mtime)
                    cut.move_to(copy)
                else:
                    self.horizon = max(self.horizon, cut.mtime)
                between = self._strangers(fresh)
        except (OSError, Transient):
            fresh.close()
            raise
        if not cut.final:
            cut.cut_off()
        self._notify(FileTruncated(self._source, str(self.path), owed))
        self._give_way(cut, between, fresh)

    def _give_way(self, cut: Generation, between: list[Generation], fresh: Generation) -> None:
        """What was in one inode one after the other stands in the queue one after the other."""
        for generation in between:
            generation.final = generation.continues = True
        fresh.continues = True
        fresh.head = fresh.peek(HEAD)
        at = self.generations.index(cut) + 1
        self.generations[at:at] = [*between, fresh]
        if cut is self._current:
            self._current = fresh
        cut.left_at = None

    def _find(self, head: bytes, offset: int, but: Generation | None = None) -> Generation | None:
        """The sibling that begins with `head` and reaches to `offset`. Raises OSError where one cannot be read."""
        found: Generation | None = None
        if not head:
            return found
        inode = (but.device, but.inode) if but is not None else None

        def others(listing: list[Sibling]) -> Iterator[Sibling]:
            for sibling in listing:
                if (sibling.device, sibling.inode) != inode and (sibling.packed or sibling.size >= offset):
                    yield sibling

        for generation in self._open_siblings(others):
            if found is None and generation.peek(len(head)) == head:
                found = generation
            else:
                generation.close()
        return found

    def _resume(self, mark: Mark, *, last: bool) -> bool:
        """Finds the file of a mark, at the path or where rotation has put it; whether it is still there."""
        self.horizon = max(self.horizon, mark.mtime)
        status = self._status()
        at_path = Generation(self.path) if status is not None else None
        if at_path is not None:
            at_path.take_up(mark)
            same = (at_path.device, at_path.inode) == (mark.device, mark.inode)
            intact = at_path.begins_as_before()
            if (same and last) or (mark.head and intact):
                if not intact:  # cut while nobody looked: the first look will see it and needs what was before
                    at_path.size, at_path.mtime = mark.size, mark.mtime
                self.generations.append(at_path)
                self._current = at_path
                return True
            at_path.close()
        # A file without a head yet is found as a stranger, by its time; an inode given anew proves nothing.
        found = self._find(mark.head, mark.offset)
        if found is None:
            unread = max(0, mark.size - mark.offset)
            if unread:
                self._notify(FileTruncated(self._source, str(self.path), unread))
            return False
        found.take_up(mark)
        found.left_at = self._clock.monotonic()
        self.generations.append(found)
        return True


def _close(generations: Sequence[Generation]) -> None:
    for generation in generations:
        generation.close()


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turns the system's refusals into sentences for the operator."""
    try:
        yield
    except PermissionError as error:
        raise Transient(
            f"{error.filename or path} cannot be read: permission denied; add the service's user to the file's group "
            "(usually: adduser asterisk-connector asterisk) and restart the service"
        ) from error
    except OSError as error:
        raise Transient(
            f"{error.filename or path} cannot be read: {error.strerror or error}; "
            "look at the disk (dmesg, df) and at the permissions of its directory"
        ) from error

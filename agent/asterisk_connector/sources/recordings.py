"""Recordings as Asterisk finishes them, in any number of directory trees.

- A file is finished when its writer closed it and it stayed as it is for QUIET seconds; one that nobody was seen to
  close (found after a start, on a network file system) when it was left alone for `settle` seconds. A file that is
  written to again is told again, with another identity: its last state counts.
- The position is an instant of the file system's own clock (ctime): what changed before it was told. A restart tells
  what changed since; what was told already has the same identity and changes nothing.
- A recording that was moved, renamed or converted (same name, other ending, the old one gone) says what it replaces.
- Whose recording it is, is not known here: names are read where calls are known. A name is data, whatever it holds.
"""

from __future__ import annotations

import os
import re
import stat
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from asterisk_connector.clock import Clock
from asterisk_connector.errors import Misconfigured
from asterisk_connector.notices import Notify
from asterisk_connector.records import Batch, Micros, RecordingFile, Seen
from asterisk_connector.sources.base import Extent
from asterisk_connector.sources.monitor import audio
from asterisk_connector.sources.monitor.tree import Change, Tree

QUIET = 0.25
"""Seconds without a change after the writer closed it; a post command has moved the file by then (measured: 40 ms)."""

FILES = 500
"""Recordings of a batch, at most."""

_MARGIN = 60_000_000_000
_REMEMBERED = 4096
_LOOKS_WITHIN: Micros = 60_000_000
_TEMPORARY = re.compile(r"^\.|^~|~$|\.(tmp|temp|part|partial|swp|crdownload|filepart)$|[-._]tmp\.[^.]+$", re.IGNORECASE)


class RecordingsPosition(Struct, frozen=True, array_like=True, tag="recordings/1"):
    """Files whose ctime (nanoseconds) is before `since` were told or need not be."""

    since: int


class _Pending:
    """A file that is waited for. `state` is (size, mtime) when it was last looked at."""

    __slots__ = ("came_from", "closed", "due", "state")

    def __init__(self, due: float, *, closed: bool, came_from: str) -> None:
        self.due = due
        self.closed = closed
        self.came_from = came_from
        self.state: tuple[int, int] | None = None


class RecordingsSource:
    """Follows `roots`. `extensions` and `ignore` choose files by name; smaller than `min_size` is no recording;
    `max_age` bounds, in seconds, how far back the very first start looks; `poll` is for where inotify cannot serve."""

    def __init__(
        self,
        name: str,
        roots: Sequence[Path],
        *,
        notify: Notify,
        clock: Clock,
        extensions: Sequence[str] = ("wav", "WAV"),
        ignore: Sequence[str] = (),
        settle: float = 5.0,
        min_size: int = audio.HEADER + 1,
        max_age: float = 86_400.0,
        poll: float = 30.0,
    ) -> None:
        self.name = name
        self._clock = clock
        # Asterisk writes format wav49 into files that end in .WAV.
        endings = frozenset({"WAV" if e == "wav49" else e for e in extensions} | set(extensions))
        wanted = partial(_wanted, endings, [re.compile(pattern) for pattern in ignore])
        self._settle = settle
        self._min_size = min_size
        self._max_age = max_age
        self._tree = Tree([str(r) for r in roots], name, wanted=wanted, poll=poll, notify=notify, clock=clock)
        self._since = 0
        self._newest = 0
        self._pending: dict[str, _Pending] = {}
        self._told: dict[str, tuple[int, int, int]] = {}
        self._stems: OrderedDict[str, str] = OrderedDict()
        self._looked_at: Micros | None = None

    def open(self, position: bytes | None) -> None:
        """Watches and searches the trees; what is missing or closed to us is told and looked for again.

        Raises Misconfigured when the position is not one of this version.
        """
        self.close()
        if position is None:
            self._since = max(0, self._clock.now() - int(self._max_age * 1_000_000)) * 1000
        else:
            try:
                self._since = msgspec.msgpack.decode(position, type=RecordingsPosition).since
            except msgspec.DecodeError as error:
                raise Misconfigured(
                    f"the stored position of {self.name} cannot be read: {error}",
                    hint="it was written by another version; upgrade, or remove the position to start afresh",
                ) from error
        self._tree.open()

    def read(self, timeout: float) -> Batch | None:
        """Recordings that were finished, at most FILES; waits for some at most `timeout` seconds."""
        deadline = self._clock.monotonic() + timeout
        while True:
            for change in self._tree.take():
                self._note(change)
            seen = self._finished()
            if seen:
                return Batch(self.name, seen, self._position())
            if not self._tree.closed:
                self._looked_at = self._clock.now()
            now = self._clock.monotonic()
            next_due = min((pending.due for pending in self._pending.values()), default=deadline)
            if now >= deadline or self._tree.wait(max(0.0, min(deadline, next_due) - now)):
                return None

    def wake(self) -> None:
        """Ends a waiting `read`."""
        self._tree.wake()

    def extent(self) -> Extent:
        """A file that is still written is nothing that waits: what is finished is told when it is looked at."""
        at = self._looked_at
        fresh = at is not None and self._clock.now() - at < _LOOKS_WITHIN
        return Extent(caught_up=fresh, caught_up_at=at, missing=", ".join(self._tree.missing))

    def close(self) -> None:
        """Gives the watches back."""
        self._tree.close()
        self._pending.clear()
        self._told.clear()

    def _note(self, change: Change) -> None:
        path = change.path
        if change.kind == "gone":
            self._pending.pop(path, None)
            return
        if change.kind == "found":
            told = self._told.get(path)
            if change.changed < self._since or path in self._pending or (told and told[2] == change.changed):
                return
        closed = change.kind == "closed"
        pending = _Pending(self._clock.monotonic() + self._wait(closed), closed=closed, came_from=change.came_from)
        self._pending[path] = pending
        found = _look(path)
        if found is not None:
            pending.state = (found.st_size, found.st_mtime_ns)

    def _wait(self, closed: bool) -> float:
        return min(QUIET, self._settle) if closed else self._settle

    def _finished(self) -> list[Seen]:
        now = self._clock.monotonic()
        seen: list[Seen] = []
        for path, pending in [(path, pending) for path, pending in self._pending.items() if pending.due <= now]:
            if len(seen) == FILES:
                break
            found = _look(path)
            if found is None:
                del self._pending[path]
                continue
            state = (found.st_size, found.st_mtime_ns)
            if state != pending.state:
                pending.state, pending.closed = state, False
                pending.due = now + self._settle
                continue
            del self._pending[path]
            told = self._told.get(path)
            if found.st_size >= self._min_size and (told is None or told[:2] != state):
                seen.append(self._tell(path, found, pending.came_from))
        return seen

    def _tell(self, path: str, found: os.stat_result, came_from: str) -> Seen:
        size, ended = found.st_size, found.st_mtime_ns // 1000
        form = audio.kind(path)
        seconds = _seconds(path, size, form)
        self._told[path] = (size, found.st_mtime_ns, found.st_ctime_ns)
        self._newest = found.st_ctime_ns
        replaced = self._replaced(path, came_from)
        shown = _text(path)
        record = RecordingFile(
            shown,
            size,
            started_at=None if seconds is None else ended - int(seconds * 1_000_000),
            ended_at=ended,
            duration=seconds,
            format=form,
            replaces=_text(replaced),
        )
        return Seen(f"{shown}:{size}:{found.st_mtime_ns}", record)

    def _replaced(self, path: str, came_from: str) -> str:
        """The file this one was made from: moved by rename, or of the same name with another ending or directory and
        gone by now."""
        stem = path.rpartition("/")[2].rpartition(".")[0]
        before = came_from or self._stems.get(stem, "")
        self._stems[stem] = path
        self._stems.move_to_end(stem)
        if len(self._stems) > _REMEMBERED:
            self._stems.popitem(last=False)
        return before if before and before != path and _look(before) is None else ""

    def _position(self) -> bytes:
        """Everything that changed before the files still waited for, less a margin for what is on its way to us."""
        changed = [at for path in self._pending if (at := _changed(path))]
        # The newest of now, not of all: a clock that was set back must not hide what comes after (F56).
        self._since = min([self._newest, *changed]) - _MARGIN
        for path in [path for path, told in self._told.items() if told[2] < self._since]:
            del self._told[path]
        return msgspec.msgpack.encode(RecordingsPosition(self._since))


def _wanted(endings: frozenset[str], ignored: Sequence[re.Pattern[str]], name: str) -> bool:
    """Whether a file of that name may be a recording."""
    if name.rpartition(".")[2] not in endings or _TEMPORARY.search(name):
        return False
    return not any(pattern.search(name) for pattern in ignored)


def _look(path: str) -> os.stat_result | None:
    """The file itself, never what a link points to; None when there is no regular file."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _changed(path: str) -> int:
    found = _look(path)
    return 0 if found is None else found.st_ctime_ns


def _seconds(path: str, size: int, form: str) -> float | None:
    """How long it plays; None where we may not read it: its name and size are told all the same."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return audio.seconds(handle, size, form)
    except OSError:
        return None
    finally:
        os.close(handle)


def _text(path: str) -> str:
    r"""The path as text: bytes that are no UTF-8 are written as `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")

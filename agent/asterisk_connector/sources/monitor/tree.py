"""The directories below some roots, watched: which files were closed, found or went away.

- inotify is a hint (law 5): after a watch is set its directory is searched, because a directory made at midnight gets
  its first file within milliseconds; after an overflow everything is searched (F22).
- A directory that inotify cannot serve (no watches left F23, network and FUSE file systems F24, no permission F26) is
  looked at every `poll` seconds, and all of them now and then. A look costs one `stat` of the directory: its time tells
  whether files came; only directories with young files are listed again.
- A root may be missing, appear, or be replaced (F25); links to directories are not followed, except a root itself.
- Paths are as the file system has them, undecodable bytes as surrogates (PEP 383).
"""

from __future__ import annotations

import errno
import os
import select
import stat
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

from inotify_simple import Event, INotify, flags

from asterisk_connector.clock import Clock
from asterisk_connector.notices import FileMissing, Notify, SourceFailed, SourceOpened, WatchOverflow, WatchRefused
from asterisk_connector.sources.monitor.mounts import is_silent, silent_mounts

_CHANGES = (
    flags.CLOSE_WRITE
    | flags.CREATE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.DELETE
    | flags.MOVE_SELF
    | flags.DELETE_SELF
    | flags.ONLYDIR
)
_ENDS = flags.IGNORED | flags.UNMOUNT
_HINTS = {
    errno.ENOSPC: "raise the limit: sysctl fs.inotify.max_user_watches=524288 (and keep it in /etc/sysctl.d)",
    errno.EMFILE: "raise the limit: sysctl fs.inotify.max_user_instances=512 (and keep it in /etc/sysctl.d)",
}
_SAFETY = 600.0
"""Seconds between two looks at everything, although watches are thought to serve."""
_MISSING = 2.0
"""Seconds between two looks for a root that is not there."""
_COARSE = 2_000_000_000
"""A directory changed so shortly before it was listed (nanoseconds) may have changed again in the same tick."""
_YOUNG = 3600_000_000_000
"""Files changed within this time may grow again, which their directory's time does not tell."""


class Change(NamedTuple):
    """`closed`: a writer closed it, or it was moved here, then `came_from` is where it was. `found`: it is there,
    perhaps still being written; `changed` is when it last was (ctime, ns). `gone`: deleted, or moved away."""

    kind: Literal["closed", "found", "gone"]
    path: str
    came_from: str = ""
    changed: int = 0


class _Directory:
    """One directory: its watch, its time when it was last listed, and the time of its newest file then."""

    __slots__ = ("newest", "refreshed", "silent", "watch")

    def __init__(self) -> None:
        self.watch: int | None = None
        self.silent = False
        self.refreshed = 0
        self.newest = 0

    @property
    def deaf(self) -> bool:
        """Whether changes in it are not told to us, or it could not be listed."""
        return self.watch is None or self.silent or not self.refreshed


class Tree:
    """`wanted` decides by a file's name whether it is told about."""

    def __init__(
        self,
        roots: Sequence[str],
        source: str,
        *,
        wanted: Callable[[str], bool],
        poll: float,
        notify: Notify,
        clock: Clock,
    ) -> None:
        self._roots = [os.path.normpath(root) for root in roots]
        self._source = source
        self._wanted = wanted
        self._poll = poll
        self._notify = notify
        self._clock = clock
        self._inotify: INotify | None = None
        self._directories: dict[str, _Directory] = {}
        self._watched: dict[int, str] = {}
        self._identity: dict[str, tuple[int, int]] = {}
        self._mounts: dict[str, bool] = {}
        self._changes: list[Change] = []
        self._moving: dict[int, str] = {}
        self._troubled: set[str] = set()
        self._refused = False
        self._overflowed = False
        self._next_poll = 0.0
        self._next_safety = 0.0
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        weakref.finalize(self, os.close, self._bell)

    @property
    def directories(self) -> int:
        return len(self._directories)

    def open(self) -> None:
        """Watches and lists everything; what is there is told by the next `take`."""
        self.close()
        try:
            self._inotify = INotify()
        except OSError as error:
            self._refuse(error)
        self._mounts = silent_mounts()
        for root in self._roots:
            self._look_at_root(root)
        self._plan()
        self._next_safety = self._clock.monotonic() + _SAFETY

    def take(self) -> list[Change]:
        """What happened since the last time; does not wait."""
        self._drain()
        now = self._clock.monotonic()
        if self._overflowed:
            self._overflowed = False
            self._notify(WatchOverflow(self._source))
            for root in self._roots:
                self._look_at_root(root, everything=True)
        elif now >= self._next_safety:
            self._next_safety = now + _SAFETY
            self._look(everything=True)
        elif now >= self._next_poll:
            self._look(everything=False)
        changes, self._changes = self._changes, []
        return changes

    def wait(self, timeout: float) -> bool:
        """Until something may have happened, or `timeout` seconds passed; True when `wake` was called."""
        until = min(self._next_poll, self._next_safety) - self._clock.monotonic()
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if self._inotify is not None:
            poll.register(self._inotify.fileno(), select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0.0, min(timeout, until)) * 1000)}
        if self._bell in ready:
            os.eventfd_read(self._bell)
            return True
        return False

    def wake(self) -> None:
        """Ends a `wait`, also the next one; safe from any thread."""
        os.eventfd_write(self._bell, 1)

    @property
    def missing(self) -> list[str]:
        """Roots that were not there when they were looked for last; any thread may ask."""
        return [root for root in self._roots if root not in self._identity]

    @property
    def closed(self) -> bool:
        """Whether some directory that is there cannot be searched."""
        return not self._troubled.issubset(self.missing)

    def close(self) -> None:
        """Gives the watches back."""
        if self._inotify is not None:
            self._inotify.close()
        self._inotify = None
        self._directories.clear()
        self._watched.clear()
        self._identity.clear()
        self._changes.clear()
        self._moving.clear()

    # What the kernel tells

    def _drain(self) -> None:
        if self._inotify is None:
            return
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                self._overflowed = True
            elif event.mask & _ENDS:
                self._unwatched(event.wd)
            elif event.wd in self._watched:
                self._told(event, self._watched[event.wd])
        for path in self._moving.values():
            self._changes.append(Change("gone", path))
        self._moving.clear()

    def _told(self, event: Event, directory: str) -> None:
        if event.mask & (flags.MOVE_SELF | flags.DELETE_SELF):
            if directory in self._identity:  # a root: looked for soon
                self._forget(directory)
                self._next_poll = self._clock.monotonic()
            return
        path = f"{directory}/{event.name}"
        if event.mask & flags.ISDIR:
            if event.mask & (flags.CREATE | flags.MOVED_TO):
                self._search(path)
                self._plan()
            elif event.mask & (flags.MOVED_FROM | flags.DELETE):
                self._forget(path)
        elif not self._wanted(event.name):
            if event.mask & flags.MOVED_FROM:
                self._moving[event.cookie] = path  # it may get its real name now
        elif event.mask & flags.CLOSE_WRITE:
            self._changes.append(Change("closed", path))
        elif event.mask & flags.MOVED_TO:
            self._changes.append(Change("closed", path, self._moving.pop(event.cookie, "")))
        elif event.mask & flags.MOVED_FROM:
            self._moving[event.cookie] = path
        elif event.mask & flags.DELETE:
            self._changes.append(Change("gone", path))

    def _unwatched(self, watch: int) -> None:
        path = self._watched.pop(watch, None)
        if path is not None and (directory := self._directories.get(path)) and directory.watch == watch:
            directory.watch = None
            self._next_poll = self._clock.monotonic()

    # Looking ourselves

    def _look(self, *, everything: bool) -> None:
        self._mounts = silent_mounts()
        for root in self._roots:
            self._look_at_root(root)
        young = self._clock.now() * 1000 - _YOUNG
        for path, known in list(self._directories.items()):
            if not (everything or known.deaf):
                continue
            try:
                changed = os.stat(path).st_mtime_ns  # noqa: PTH116 - thousands of them, and often
            except OSError:
                self._forget(path)
                continue
            if changed + _COARSE > known.refreshed or known.newest > young or known.watch is None:
                self._search(path, deep=False)
        self._plan()

    def _look_at_root(self, root: str, *, everything: bool = False) -> None:
        try:
            found = os.stat(root)  # noqa: PTH116
        except OSError as error:
            self._forget(root)
            if root not in self._troubled:
                self._troubled.add(root)
                if error.errno in (errno.ENOENT, errno.ENOTDIR):
                    self._notify(FileMissing(self._source, root))
                else:
                    self._trouble(root, error)
            return
        identity = (found.st_dev, found.st_ino)
        if everything or self._identity.get(root) != identity:
            if not everything:
                self._forget(root)
            self._identity[root] = identity
            self._search(root)

    def _search(self, top: str, *, deep: bool = True) -> None:
        """Watches and lists a directory and what is new below it; `deep`: also what is known below it."""
        left = [top]
        while left:
            path = left.pop()
            directory = self._directories.setdefault(path, _Directory())
            directory.silent = bool(self._mounts) and is_silent(path, self._mounts)
            if directory.watch is None:
                directory.watch = self._watch(path)
            refreshed = self._clock.now() * 1000
            try:
                with os.scandir(path) as entries:
                    below = self._list(path, directory, entries)
            except (FileNotFoundError, NotADirectoryError):
                self._forget(path)
                continue
            except OSError as error:
                directory.refreshed = 0
                if path not in self._troubled:
                    self._troubled.add(path)
                    self._trouble(path, error)
                continue
            directory.refreshed = refreshed
            if path in self._troubled:
                self._troubled.remove(path)
                self._notify(SourceOpened(self._source))
            left.extend(each for each in below if deep or each not in self._directories)

    def _list(self, path: str, directory: _Directory, entries: Iterable[os.DirEntry[str]]) -> list[str]:
        below = []
        directory.newest = 0
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below.append(f"{path}/{entry.name}")
            elif self._wanted(entry.name):
                with suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(found.st_mode):
                        directory.newest = max(directory.newest, found.st_ctime_ns)
                        self._changes.append(Change("found", f"{path}/{entry.name}", "", found.st_ctime_ns))
        return below

    def _watch(self, path: str) -> int | None:
        if self._inotify is None or (self._refused and self._clock.monotonic() < self._next_poll):
            return None
        try:
            watch: int = self._inotify.add_watch(os.fsencode(path), _CHANGES)
        except OSError as error:
            if error.errno in _HINTS:
                self._refuse(error)
            return None
        self._refused = False
        before = self._watched.get(watch)
        if before is not None and before != path and (directory := self._directories.get(before)):
            directory.watch = None
        self._watched[watch] = path
        return watch

    def _forget(self, top: str) -> None:
        """What was there is elsewhere or nowhere: its watches would tell of the wrong place."""
        self._identity.pop(top, None)
        below = top + "/"
        for path in [path for path in self._directories if path == top or path.startswith(below)]:
            watch = self._directories.pop(path).watch
            if watch is not None and self._watched.pop(watch, None) is not None and self._inotify is not None:
                with suppress(OSError):
                    self._inotify.rm_watch(watch)

    def _plan(self) -> None:
        """When the next look is due."""
        wait = _SAFETY
        if any(directory.deaf for directory in self._directories.values()):
            wait = self._poll
        if len(self._identity) < len(set(self._roots)):
            wait = min(wait, _MISSING)
        self._next_poll = self._clock.monotonic() + wait

    def _refuse(self, error: OSError) -> None:
        if not self._refused:
            self._refused = True
            self._notify(WatchRefused(self._source, os.strerror(error.errno or 0), _HINTS.get(error.errno or 0, "")))

    def _trouble(self, path: str, error: OSError) -> None:
        hint = f"the service's user needs to read and enter it: ls -ld {path!r}"
        self._notify(SourceFailed(self._source, f"{path!r} cannot be searched: {error.strerror}", hint, self._poll))

"""A hint that something happened near a path, and nothing more: whoever is woken looks for himself (law 5).

- The directory is watched, not the file, so that a file that appears later is noticed; a symbolic link's target's
  directory as well.
- `wait` never lasts longer than LOOK seconds: network and FUSE file systems tell nobody, and a lost event then costs
  two seconds (F24). Without watches (F23) it is a plain poll.
- `wake` may be called from any thread.
"""

from __future__ import annotations

import errno
import os
import select
import weakref
from contextlib import suppress
from pathlib import Path

from inotify_simple import INotify, flags

from asterisk_connector.clock import Clock
from asterisk_connector.notices import Notify, WatchOverflow, WatchRefused

LOOK = 2.0

_CHANGES = (
    flags.MODIFY
    | flags.CREATE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.DELETE
    | flags.ATTRIB
    | flags.MOVE_SELF
    | flags.DELETE_SELF
    | flags.ONLYDIR
)
_ENDS = flags.IGNORED | flags.MOVE_SELF | flags.UNMOUNT
_HINTS = {
    errno.ENOSPC: "raise the limit: sysctl fs.inotify.max_user_watches=524288 (and keep it in /etc/sysctl.d)",
    errno.EMFILE: "raise the limit: sysctl fs.inotify.max_user_instances=512 (and keep it in /etc/sysctl.d)",
}


class Watch:
    """Waits for changes of one path. `rest` gives the kernel's part back; a later `wait` takes it again."""

    def __init__(self, path: Path, source: str, notify: Notify, clock: Clock) -> None:
        self._path = path
        self._source = source
        self._notify = notify
        self._clock = clock
        self._inotify: INotify | None = None
        self._watched: dict[int, Path] = {}
        self._names: frozenset[str] = frozenset()
        self._refused = False
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        weakref.finalize(self, os.close, self._bell)

    def arm(self) -> None:
        """Begins to listen where it does not yet; call it before looking, so that nothing falls in between."""
        real = Path(os.path.realpath(self._path))
        self._names = frozenset({self._path.stem, real.stem})
        missing = {self._path.parent, real.parent} - set(self._watched.values())
        if not missing:
            return
        try:
            if self._inotify is None:
                self._inotify = INotify()
            for directory in missing:
                self._watched[self._inotify.add_watch(directory, _CHANGES)] = directory
            self._refused = False
        except OSError as error:
            # A directory that is not there yet is no trouble: it is tried again at every look.
            if error.errno in _HINTS and not self._refused:
                self._refused = True
                self._notify(WatchRefused(self._source, os.strerror(error.errno or 0), _HINTS[error.errno or 0]))

    def wait(self, timeout: float) -> bool:
        """Until something changed, or `timeout` (at most LOOK) passed; True when `wake` was called."""
        deadline = self._clock.monotonic() + min(timeout, LOOK)
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if self._inotify is not None:
            poll.register(self._inotify.fileno(), select.POLLIN)
        while True:
            left = deadline - self._clock.monotonic()
            ready = {fd for fd, _ in poll.poll(max(0.0, left) * 1000)}
            if self._bell in ready:
                os.eventfd_read(self._bell)
                return True
            if not ready or self._drain() or left <= 0:
                return False

    def wake(self) -> None:
        """Ends a `wait`, also the next one; safe from any thread."""
        os.eventfd_write(self._bell, 1)

    def rest(self) -> None:
        """Gives the watches back."""
        if self._inotify is not None:
            self._inotify.close()
        self._inotify = None
        self._watched.clear()

    def _drain(self) -> bool:
        """Takes what the kernel has to tell; whether any of it concerns us."""
        concerned = False
        if self._inotify is None:
            return True
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                self._notify(WatchOverflow(self._source))
                concerned = True
            elif event.mask & _ENDS:
                if self._watched.pop(event.wd, None) is not None and event.mask & flags.MOVE_SELF:
                    with suppress(OSError):  # the directory went elsewhere: the watch would go on there
                        self._inotify.rm_watch(event.wd)
                concerned = True
            elif any(event.name.startswith(name) for name in self._names):
                concerned = True
        return concerned

"""One instance at a time: an flock in the state directory, which the kernel drops when its holder dies (F54)."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from asterisk_connector.errors import AlreadyRunning


class Lock:
    """Held from construction to `close`. Raises AlreadyRunning with the holder's pid."""

    def __init__(self, directory: Path) -> None:
        fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._file = os.fdopen(fd, "r+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._file.read(20).decode("ascii", "replace").strip() or "unknown"
            self._file.close()
            raise AlreadyRunning(
                f"Another asterisk-connector (pid {holder}) is using {directory}.",
                "Stop it first, or give this one a state directory of its own.",
            ) from None
        # A full disk keeps nobody from holding the lock; only the pid is missing from the message then.
        with suppress(OSError):
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n".encode())

    def close(self) -> None:
        """Lets the next one in."""
        self._file.close()

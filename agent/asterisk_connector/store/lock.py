"""One instance at a time: an flock in the state directory, which the kernel drops when its holder dies (F54)."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from asterisk_connector.errors import AlreadyRunning


class Lock:
    """Held from construction to `close`. Raises AlreadyRunning with the holder's pid."""

    def __init__(self, directory: Path) -> None:
        self._fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise AlreadyRunning(
                f"Another asterisk-connector (pid {holder}) is using {directory}.",
                "Stop it first, or give this one a state directory of its own.",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Lets the next one in."""
        os.close(self._fd)

"""Call documents into a file, one JSON object a line: for trials, and for whoever wants to read along.

- A line is there whole or not at all: a write that was cut short is taken back, and a torn line left by a crash is
  ended before the next one begins.
- The file is opened for each line, so it may be rotated or removed at any time.
- At least once: after a crash a revision may stand there twice, equal in `call_id` and `revision`.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec

from asterisk_connector.call import decode, document
from asterisk_connector.sinks.base import Deferred, Delivered, Item, Outcome, Paused, Refused


class JsonLines:
    """The sink. `sync`: a line counts as delivered once it is on the disk, not only in the kernel's memory."""

    def __init__(self, path: Path, *, sync: bool = True, name: str = "jsonl") -> None:
        self.name = name
        self._path = path
        self._sync = sync
        self._lock = threading.Lock()

    def deliver(self, item: Item) -> Outcome:
        try:
            line = msgspec.json.encode(document(decode(item.body))) + b"\n"
        except (msgspec.DecodeError, ValueError, OverflowError, OSError) as error:
            return Refused(f"the stored call cannot be put into words: {error}")
        try:
            with self._lock:
                self._append(line)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            return Paused(
                f"{self._path} cannot be written: {error.strerror}",
                f"the service's user needs a writable file there: ls -ld {self._path.parent}",
            )
        except OSError as error:
            return Deferred(f"{self._path}: {error.strerror}", outage=True)
        return Delivered()

    def close(self) -> None:
        """Nothing is held open between two lines."""

    def _append(self, line: bytes) -> None:
        handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                line = b"\n" + line
            try:
                left = memoryview(line)
                while left:
                    left = left[os.write(handle, left) :]
                if self._sync:
                    os.fsync(handle)
            except OSError:
                os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)

"""One file in the life of a path: held open, read forwards, checked against its own beginning.

- The handle outlives the name: a renamed or deleted file is read to its end.
- `read` gives bytes only when the file still began as it should *after* they were read; a file that was cut and grew
  again in between gives nothing, and the follower looks (F18).
- Plain files are read by position, compressed ones as a stream that can only go forwards cheaply.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from pathlib import Path
from typing import IO, cast

from asterisk_connector.sources.follow.identity import HEAD, Mark

_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class Generation:
    """A file that is, or was, what the path named. `final` says that no byte will be added to it."""

    def __init__(self, path: Path) -> None:
        """Opens `path` at its beginning. Raises OSError."""
        self.path = path
        self._stream: IO[bytes] | None = None
        self._handle: int | None = None
        self._open(path)
        status = os.fstat(self._fileno())
        self.device, self.inode = status.st_dev, status.st_ino
        self.size, self.mtime = status.st_size, status.st_mtime_ns
        self.head = b""
        self.offset = 0
        self.turn = 0
        self.continues = False
        self.resumed: Mark | None = None
        """The mark it was found by after a restart."""
        self.final = self._stream is not None
        self.damaged = False
        self.left_at: float | None = None
        """When the path began to name another file, by the monotonic clock."""

    @property
    def packed(self) -> bool:
        """Whether it is read through a decompressor; its sizes then say nothing about its content."""
        return self._stream is not None

    def mark(self, offset: int) -> Mark:
        """What to remember when all before `offset` is taken."""
        return Mark(
            self.device, self.inode, self.head, offset, self.size, self.mtime, turn=self.turn, continues=self.continues
        )

    def take_up(self, mark: Mark) -> None:
        """Goes on where `mark` was set."""
        self.resumed = mark
        self.head, self.offset, self.turn, self.continues = mark.head, mark.offset, mark.turn, mark.continues

    def again(self) -> Generation:
        """The same open file from its beginning, as what it is after it was cut. Raises OSError."""
        twin = Generation.__new__(Generation)
        twin.__dict__.update(self.__dict__)
        twin._handle = os.dup(self._fileno())
        twin.head, twin.offset, twin.resumed = b"", 0, None
        twin.refresh()
        return twin

    def is_same_file(self, status: os.stat_result) -> bool:
        """Whether the path names the file that is open here."""
        return (self.device, self.inode) == (status.st_dev, status.st_ino)

    def refresh(self) -> None:
        """Looks at size and time anew. Raises OSError."""
        if self._handle is not None:
            status = os.fstat(self._handle)
            self.size, self.mtime = status.st_size, status.st_mtime_ns

    def begins_as_before(self) -> bool:
        """Whether the open file still has our beginning and reaches to where we are. Raises OSError."""
        return os.fstat(self._fileno()).st_size >= self.offset and self.peek(len(self.head)) == self.head

    def peek(self, size: int) -> bytes:
        """The first bytes of the file, without moving; none of a damaged archive. Raises OSError."""
        if self._stream is None:
            return b"" if self._handle is None else os.pread(self._handle, size, 0)
        try:
            here = self._stream.tell()
            self._stream.seek(0)
            head = self._stream.read(size)
            self._stream.seek(here)
        except _DAMAGE:
            return b""
        return head

    def window(self, offset: int, size: int) -> bytes:
        """Bytes from anywhere in a plain file, without moving. Raises OSError."""
        return os.pread(self._fileno(), size, offset)

    def read(self, limit: int) -> bytes:
        """Up to `limit` bytes more; none at the end, or when this is not the file it was. Raises OSError."""
        if self._stream is not None:
            return self._read_stream(limit)
        if self._handle is None:
            return b""
        data = os.pread(self._handle, limit, self.offset)
        if not data:
            return b""
        head = os.pread(self._handle, HEAD if len(self.head) < HEAD else len(self.head), 0)
        if not head.startswith(self.head):
            return b""
        self.head = head
        self.offset += len(data)
        self.size = max(self.size, self.offset)
        return data

    def move_to(self, copy: Generation) -> None:
        """Goes on reading in a copy of the same content; takes its handle."""
        self.close()
        self._handle, self._stream, self.path = copy._handle, copy._stream, copy.path
        self.final = True
        copy._handle = copy._stream = None

    def cut_off(self) -> None:
        """What was not read of it is gone: gives nothing any more."""
        self.close()
        self.final = True

    def close(self) -> None:
        """Gives the handle back; may be called twice."""
        if self._stream is not None:
            self._stream.close()
        elif self._handle is not None:
            os.close(self._handle)
        self._stream = self._handle = None

    def _open(self, path: Path) -> None:
        if path.suffix == ".gz":
            self._stream = cast("IO[bytes]", gzip.GzipFile(path))
        elif path.suffix == ".bz2":
            self._stream = cast("IO[bytes]", bz2.BZ2File(path))
        elif path.suffix == ".xz":
            self._stream = cast("IO[bytes]", lzma.LZMAFile(path))  # noqa: SIM115 (lives as long as we do)
        else:
            self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)

    def _fileno(self) -> int:
        if self._handle is not None:
            return self._handle
        if self._stream is None:
            raise OSError("the file is closed")
        return self._stream.fileno()

    def _read_stream(self, limit: int) -> bytes:
        stream = cast("IO[bytes]", self._stream)
        try:
            if stream.tell() != self.offset:
                stream.seek(self.offset)
            data = stream.read(limit)
            if data and len(self.head) < HEAD:
                self.head = self.peek(HEAD)
        except _DAMAGE:
            self.damaged = True
            return b""
        self.offset += len(data)
        return data

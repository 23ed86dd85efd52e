"""journald's end of its native socket: every entry that is written, with all values of each field (systemd,
JOURNAL_NATIVE_PROTOCOL)."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class JournalSocket:
    """A context manager. `entries` has field → values, in order; `files` counts entries that came as a memory file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[dict[str, list[str]]] = []
        self.files = 0
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0.2)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="journald", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                raw, handles, _, _ = socket.recv_fds(self._socket, 1 << 20, 1)
            except TimeoutError:
                if self._ended.is_set():
                    return
                continue
            for handle in handles:
                with os.fdopen(handle, "rb") as file:
                    file.seek(0)
                    raw = file.read()
                self.files += 1
            self.entries.append(_read(raw))


def _read(raw: bytes) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    while raw:
        line, _, rest = raw.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + size], rest[8 + size + 1 :]
        fields.setdefault(name.decode(), []).append(value.decode())
        raw = rest
    return fields

"""journald's end of its native socket: every entry that is written, with all values of each field (systemd,
JOURNAL_NATIVE_PROTOCOL)."""

from __future__ import annotations

import os
from pathlib import Path

from tests.kit.datagram_socket import DatagramSocket


class JournalSocket(DatagramSocket):
    """A context manager. `entries` has field → values, in order; `files` counts entries that came as a memory file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.entries: list[dict[str, list[str]]] = []
        self.files = 0

    def take(self, raw: bytes, handles: list[int]) -> None:
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

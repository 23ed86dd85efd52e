"""The journal's native protocol: one entry of named fields, as one datagram (systemd, JOURNAL_NATIVE_PROTOCOL).

- An entry of any size arrives whole: what is too large for a datagram goes as a sealed memory file.
- A journal that was restarted is found again by the next entry. One that takes nothing for `PATIENCE` seconds has not
  taken the entry.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
PATIENCE = 1.0
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class Journald:
    """The way to the journal of this host."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._link: socket.socket | None = None

    def send(self, fields: Mapping[str, str | tuple[str, ...]]) -> bool:
        """Writes one entry; whether the journal took it. A field with several values is written once for each."""
        raw = entry(fields)
        for _ in range(2):  # its socket is another one after a restart
            try:
                self._link = self._link or self._connect()
                _put(self._link, raw)
            except TimeoutError:
                return False
            except OSError:
                self._close()
            else:
                return True
        return False

    def _connect(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            link.settimeout(PATIENCE)
            link.connect(self._path)
        except OSError:
            link.close()
            raise
        return link

    def _close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


def entry(fields: Mapping[str, str | tuple[str, ...]]) -> bytes:
    """An entry as the journal reads it."""
    return b"".join(
        _field(name, value)
        for name, values in fields.items()
        for value in ((values,) if isinstance(values, str) else values)
    )


def _field(name: str, value: str) -> bytes:
    """With a line break in it, a value is written behind its length."""
    raw = value.encode("utf-8", "replace")
    if b"\n" not in raw:
        return name.encode() + b"=" + raw + b"\n"
    return name.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n"


def _put(link: socket.socket, raw: bytes) -> None:
    try:
        link.send(raw)
    except OSError as error:
        if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
            raise
        _put_file(link, raw)


def _put_file(link: socket.socket, raw: bytes) -> None:
    handle = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(handle, "wb") as file:
        file.write(raw)
        file.flush()
        fcntl.fcntl(handle, fcntl.F_ADD_SEALS, _SEALS)
        socket.send_fds(link, [b""], [handle])

"""One TCP or TLS connection to the manager port: connect, read what is there, write, be woken.

- TLS begins with the connection. The peer is known by a CA and its name, or by the SHA-256 fingerprint of its
  certificate, because Asterisk's own certificates are mostly self-signed; never not at all.
- The receive buffer is large, so that Asterisk never waits for us (law 7).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from asterisk_connector.errors import Misconfigured, Transient

READ_SIZE = 1 << 18
_RECEIVE_BUFFER = 4 << 20
_WRITE_TIMEOUT = 5.0
_USER_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How the manager is known. `fingerprint` (SHA-256, hex, colons or not) replaces the CA and the name."""

    ca_file: Path | None = None
    server_name: str = ""
    fingerprint: str = ""

    def context(self) -> ssl.SSLContext:
        """Raises Misconfigured for a CA file that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        except (OSError, ssl.SSLError) as error:
            raise Misconfigured(
                f"ami.tls.ca_file: {self.ca_file}: {error}", "name a readable file with PEM certificates"
            ) from None
        if self.fingerprint:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class Connection:
    """Open from construction to `close`. Raises Transient (unreachable, lost) and Misconfigured (certificate)."""

    def __init__(self, host: str, port: int, tls: Tls | None, timeout: float) -> None:
        self._socket = _connect(host, port, timeout)
        if tls is not None:
            self._socket = _secure(self._socket, host, tls, timeout)
        self._socket.settimeout(_WRITE_TIMEOUT)
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)

    def read(self, timeout: float) -> bytes | None:
        """What has come, empty at the end of the stream, None when nothing came within `timeout` seconds or `wake`."""
        pending = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        if not pending:
            ready = [descriptor for descriptor, _ in self._poll.poll(max(0.0, timeout) * 1000)]
            if self._woken in ready:
                os.eventfd_read(self._woken)
            if self._socket.fileno() not in ready:
                return None
        try:
            return self._socket.recv(READ_SIZE)
        except (TimeoutError, ssl.SSLWantReadError):
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError, ConnectionResetError):
            return b""
        except OSError as error:
            raise Transient(f"reading: {_words(error)}") from None

    def write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Transient(f"writing: {_words(error)}") from None

    def wake(self) -> None:
        """Ends a waiting `read`; any thread, any time before `close`."""
        os.eventfd_write(self._woken, 1)

    def close(self) -> None:
        self._socket.close()
        os.close(self._woken)


def _connect(host: str, port: int, timeout: float) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Transient(f"the name {host} is not known: {_words(error)}") from None
    last: OSError = OSError("no address")
    for family, kind, protocol, _, address in found:
        link = socket.socket(family, kind, protocol)
        try:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
            link.settimeout(timeout)
            link.connect(address)
        except OSError as error:
            link.close()
            last = error
        else:
            return link
    raise Transient(f"connecting: {_words(last)}")


def _secure(plain: socket.socket, host: str, tls: Tls, timeout: float) -> ssl.SSLSocket:
    plain.settimeout(timeout)
    try:
        secure = tls.context().wrap_socket(plain, server_hostname=tls.server_name or host)
    except ssl.SSLCertVerificationError as error:
        plain.close()
        raise Misconfigured(
            f"TLS: the certificate is not accepted: {error.verify_message}",
            "set ami.tls.ca_file to the certificate that signed it, or ami.tls.fingerprint to its SHA-256",
        ) from None
    except OSError as error:
        plain.close()
        raise Transient(f"TLS: {_words(error)}") from None
    except Misconfigured:
        plain.close()
        raise
    wanted = tls.fingerprint.replace(":", "").lower()
    if wanted:
        found = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
        if found != wanted:
            with contextlib.suppress(OSError):
                secure.close()
            raise Misconfigured(
                f"TLS: the certificate's fingerprint is {found}, not the one configured",
                "if Asterisk's certificate was renewed on purpose, put the new SHA-256 into ami.tls.fingerprint",
            )
    return secure


def _words(error: OSError | UnicodeError) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

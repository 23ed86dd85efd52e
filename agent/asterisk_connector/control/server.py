"""The control socket of the running service: listens, answers a few at a time, tells who changed something.

- The socket belongs to the service's group (0660). A socket nobody listens at any more is replaced; one that is in use,
  and anything that is no socket, is left alone and told; it is tried again.
- At most `AT_ONCE` questions are answered at the same time, the next is told to come again; a question must arrive
  within `PATIENCE` seconds, and whoever does not read its answer for as long loses it.
- It never holds the data path: threads of its own, reads on connections of their own, and no part of the watchdog.
"""

from __future__ import annotations

import pwd
import select
import socket
import stat
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from asterisk_connector.clock import Clock
from asterisk_connector.control import wire
from asterisk_connector.control.answers import Desk, answer
from asterisk_connector.control.questions import Change, Retry
from asterisk_connector.errors import ConnectorError, Misconfigured, NotRunning, Transient
from asterisk_connector.notices import ControlOpened, ControlUnavailable, Notify, OutboxChanged, WorkerFailed
from asterisk_connector.supervise import ROUND_SECONDS, Worker

AT_ONCE = 8
PATIENCE = 10.0
_RETRY_SECONDS = 30.0
_UCRED = struct.Struct("3i")


class Peer(NamedTuple):
    """Who asks, as the kernel says (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


class ControlServer:
    """Answers from `desk` about the state in `directory`, from `start` to `stop`."""

    def __init__(self, path: Path, directory: Path, desk: Desk, *, clock: Clock, notify: Notify) -> None:
        self.path = path
        self._directory = directory
        self._desk = desk
        self._clock = clock
        self._notify = notify
        self._listener: socket.socket | None = None
        self._free = threading.BoundedSemaphore(AT_ONCE)
        # Shutting a listening socket down wakes nobody who waits for it; a byte on this pair does.
        self._bell, self._hears = socket.socketpair()
        self._worker = Worker("control", self._round, wake=self._wake, clock=clock, notify=notify, close=self._close)

    def start(self) -> None:
        """Returns at once; where the socket cannot be had that is told, and tried again."""
        self._worker.start()

    def stop(self) -> None:
        """Takes no more questions."""
        self._worker.stop()
        self._worker.join(2.0)

    def _round(self) -> None:
        if self._listener is None:
            self._listen()
            return
        came, _, _ = select.select([self._listener, self._hears], [], [], ROUND_SECONDS)
        if self._listener not in came:
            return
        try:
            link, _ = self._listener.accept()
        except OSError:  # gone again
            return
        if self._free.acquire(blocking=False):
            threading.Thread(target=self._serve, args=(link,), name="control-answer", daemon=True).start()
        else:
            with link, suppress(OSError):
                link.settimeout(1.0)
                link.sendall(wire.line(wire.refusal(Transient("the service answers others just now; ask again"))))

    def _listen(self) -> None:
        try:
            self._listener = _listening(self.path)
        except ConnectorError as error:
            said = ControlUnavailable(str(self.path), str(error), getattr(error, "hint", ""), _RETRY_SECONDS)
            self._notify(said)
            self._worker.pause(_RETRY_SECONDS)
        else:
            self._listener.setblocking(False)
            self._notify(ControlOpened(str(self.path)))

    def _wake(self) -> None:
        with suppress(OSError):
            self._bell.send(b"!")

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            with suppress(OSError):
                self.path.unlink()
        self._bell.close()
        self._hears.close()

    def _serve(self, link: socket.socket) -> None:
        try:
            with link:
                link.settimeout(PATIENCE)
                # Whoever went away or is too slow has had its chance.
                with suppress(OSError):
                    self._answer(link)
        finally:
            self._free.release()

    def _answer(self, link: socket.socket) -> None:
        with link.makefile("wb", buffering=1 << 16) as out:
            try:
                request = wire.request(self._read(link))
                if Path(request.directory) != self._directory:
                    raise NotRunning(f"the service at {self.path} works on the state in {self._directory}, no other")
                for row in answer(request.question, self._desk):
                    out.write(wire.line(wire.row(row)))
                    if isinstance(request.question, Change) and row["changed"]:
                        self._tell(request.question, row["changed"], _peer(link), request.user)
                out.write(wire.line(wire.End()))
            except ConnectorError as error:
                out.write(wire.line(wire.refusal(error)))
            except OSError:
                raise
            except Exception as error:
                self._notify(WorkerFailed("control", f"{type(error).__name__}: {error}", 0.0, error))
                out.write(wire.line(wire.refusal(ConnectorError("the service met an error nobody expected"))))

    def _read(self, link: socket.socket) -> bytes:
        """The line that asks; it may take `PATIENCE` seconds, however it trickles."""
        until = self._clock.monotonic() + PATIENCE
        raw = b""
        while not raw.endswith(b"\n"):
            link.settimeout(max(0.001, until - self._clock.monotonic()))
            piece = link.recv(wire.LONGEST_REQUEST + 1 - len(raw))
            raw += piece
            if len(raw) > wire.LONGEST_REQUEST:
                raise Misconfigured(f"a question may have {wire.LONGEST_REQUEST} bytes", "name fewer, or use --all")
            if not piece:
                raise ConnectionResetError
        link.settimeout(PATIENCE)
        return raw

    def _tell(self, change: Change, letters: int, peer: Peer, says: str) -> None:
        what = "retried" if isinstance(change, Retry) else "dropped"
        self._notify(OutboxChanged(what, letters, _name(peer, says), peer.pid))


def _listening(path: Path) -> socket.socket:
    """A socket that listens at `path`. Raises Misconfigured where it cannot be had."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _make_room(path)
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen(AT_ONCE)
    except OSError as error:
        listener.close()
        hint = f"its directory must be writable for the service: ls -ld {path.parent}"
        raise Misconfigured(error.strerror or str(error), hint) from error
    except BaseException:
        listener.close()
        raise
    return listener


def _make_room(path: Path) -> None:
    """Removes what a killed service left. Raises Misconfigured for anything else that is there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Misconfigured(
            "there is something else", f"remove it, or set control.socket to another path: ls -l {path}"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass
    raise Misconfigured("another service listens there", "give each service a control.socket of its own")


def _peer(link: socket.socket) -> Peer:
    return Peer(*_UCRED.unpack(link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))


def _name(peer: Peer, says: str) -> str:
    """Whom the kernel names. In a user namespace of its own (PrivateUsers=) the service can see of others only that
    their group let them in: then it is told who they say they are."""
    if peer.uid == _overflow_uid():
        return f"one who says to be {ascii(says)[1:-1]}"
    try:
        return f"{pwd.getpwuid(peer.uid).pw_name} (uid {peer.uid})"
    except KeyError:
        return f"uid {peer.uid}"


def _overflow_uid() -> int:
    try:
        return int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        return 65534

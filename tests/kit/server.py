"""A server process of the bench: started on a loopback address of its own, stopped, killed, frozen and thawed.

- The address (127.77.x.y) is held for the life of the object, so every server can use its usual port.
- As root a server that refuses to be root runs as its own account; its folder then belongs to that account.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kit.cache import CannotRun

HELD_PORT = 5037


def hold_address() -> tuple[socket.socket, str]:
    """A loopback address that no other server of the bench uses, and the socket that holds it."""
    for number in range(256 * 254):
        index = (os.getpid() * 7 + number) % (256 * 254)
        address = f"127.77.{index // 254}.{index % 254 + 1}"
        held = socket.socket()
        try:
            held.bind((address, HELD_PORT))
            held.listen()
        except OSError:
            held.close()
        else:
            return held, address
    raise RuntimeError("no loopback address is free in 127.77.0.0/16")


class Server:
    """A process, its address and its folder. A subclass says how to `start` it and may say how to `stop` it."""

    account = ""

    def __init__(self, home: Path | None = None) -> None:
        self._held, self.address = hold_address()
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary = home is None
        self.home = home or Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-"))
        if self.unprivileged:
            try:
                account = pwd.getpwnam(self.account)
            except KeyError:
                why = f"the account {self.account} is missing (tests/kit/install-packages --all brings it)."
                raise CannotRun(type(self).__name__, why) from None
            os.chown(self.home, account.pw_uid, account.pw_gid)

    @property
    def unprivileged(self) -> str | None:
        """The account to run as, None: ourselves."""
        return self.account if self.account and os.geteuid() == 0 else None

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None, f"{type(self).__name__} is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def console(self) -> str:
        """What the process printed so far."""
        path = self.home / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def launch(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Starts the process; its output goes to the file `console`."""
        with (self.home / "console").open("ab") as console:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=environment,
                cwd=self.home,
                start_new_session=True,
                user=self.unprivileged,
                group=self.unprivileged,
            )

    def prepare(self, command: Sequence[str]) -> None:
        """Runs a command that must succeed, as the server's account."""
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.home,
            user=self.unprivileged,
            group=self.unprivileged,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Starts it and returns when it serves."""
        raise NotImplementedError

    def stop(self, timeout: float = 30) -> None:
        """Stops it as its package would: SIGTERM, and wait."""
        if self._process is not None:
            self._process.terminate()
            self._gone(timeout)

    def kill(self) -> None:
        """SIGKILL: a crash."""
        if self._process is not None:
            self._process.kill()
            self._gone(10)

    def restart(self) -> None:
        """Stops and starts again, same folder, same address."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: alive for the kernel, silent for everyone else."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT after `freeze`."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Ends it for good and gives address and folder back."""
        if self.running:
            self.thaw()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stop()
        self.kill()
        self._held.close()
        if self._temporary:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _gone(self, timeout: float) -> None:
        assert self._process is not None
        self._process.wait(timeout)
        self._process = None


def program(name: str, package: str, *folders: Path) -> str:
    """The path of an installed program. Raises CannotRun with the way to install it."""
    found = shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        raise CannotRun(package, f"{name} is missing (tests/kit/install-packages --all installs it).")
    return found

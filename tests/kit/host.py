"""A booted Debian host: systemd as PID 1 in a systemd-nspawn container, for what only a host can show of the package.

- Its root is laid over one that mmdebstrap made once (`tests.kit.cache`); what a test does to it is gone with it, or
  becomes a layer of its own (`keep`) that it can be brought back to (`reset`).
- It shares this machine's loopback, so that a server of the test is reached from inside; `options` can say otherwise.
- It is entered by its namespaces, since nspawn has no exec: `ip`, `systemctl`, `journalctl` are the host's own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kit.cache import CannotRun, cached
from tests.kit.wait import until

# What the package depends on, so that installing it needs no network.
PACKAGES = "adduser,dbus,init,libmariadb3,libpq5,python3,systemd"
_CGROUPS = Path("/sys/fs/cgroup")
_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


def root(suite: str) -> Path:
    """The root file system of a plain host of `suite`, without procps, built when it is not there. Raises CannotRun."""

    def build(folder: Path) -> None:
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", suite, str(folder)]
        if os.geteuid() != 0:
            raise CannotRun(f"a host of {suite}", "only root can build its root file system.")
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise CannotRun(f"a host of {suite}", f"mmdebstrap failed: {made.stderr[-600:]}.")
        folder.chmod(0o755)

    return cached(f"host-{suite}", PACKAGES, build)


class Host:
    """A booted host. `run` runs a command in it; `file(path)` is its file as seen from here."""

    def __init__(self, suite: str, base: Path | None = None, options: Sequence[str] = ()) -> None:
        """A host of `suite`, laid over `base` (default: the plain `root`); `options` are more words for nspawn."""
        below = base or root(suite)
        self._home = Path(tempfile.mkdtemp(prefix=f"host-{suite}-"))
        self.name = self._home.name.replace("_", "x")
        self.root = self._home / "root"
        self._below = [below]
        self._options = tuple(options)
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Self:
        self._lay()
        try:
            self.boot()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def boot(self) -> None:
        """Returns when systemd has started everything."""
        for hierarchy in self._hierarchies():
            (hierarchy / self.name).mkdir(exist_ok=True)
            for limit in ("cpuset.cpus", "cpuset.mems"):
                if (hierarchy / limit).exists():
                    (hierarchy / self.name / limit).write_text((hierarchy / limit).read_text())
        command = ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe"]
        with (self._home / "console").open("wb") as console:
            self._nspawn = subprocess.Popen(
                [*command, f"--directory={self.root}", f"--machine={self.name}", *self._options],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                # systemd of Debian 13 refuses cgroup v1.
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                # With --keep-unit all hosts would share one cgroup and stop each other.
                preexec_fn=self._move_into_own_cgroups,
            )
        until(self._booted, 60, f"{self.name} booted")

    def power_off(self) -> None:
        """Its files stay."""
        if self._nspawn is None:
            return
        if self._leader:
            os.kill(self._leader, signal.SIGRTMIN + 4)  # systemd(1): power off
        try:
            self._nspawn.wait(30)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()
        self._nspawn, self._leader = None, 0
        for hierarchy in self._hierarchies():
            self._remove_cgroup(hierarchy / self.name)

    def keep(self) -> None:
        """What was done to it so far is what `reset` goes back to; boots it anew."""
        self.power_off()
        self._lift()
        layer = self._home / f"layer{len(self._below)}"
        (self._home / "changes").rename(layer)
        self._below.insert(0, layer)
        self._lay()
        self.boot()

    def reset(self) -> None:
        """Takes back what was done to it since `keep`; boots it anew."""
        self.power_off()
        self._lift()
        shutil.rmtree(self._home / "changes")
        self._lay()
        self.boot()

    def stop(self) -> None:
        """Powers it off and removes it."""
        self.power_off()
        self._lift()
        shutil.rmtree(self._home)

    def _lay(self) -> None:
        """Mounts the root: the layers below, and above them what changes from now on."""
        changes, work = self._home / "changes", self._home / "work"
        for directory in (changes, work, self.root):
            directory.mkdir(exist_ok=True)
        shutil.copymode(self._below[-1], changes)
        # Volatile: nothing waits for the disk, since nothing outlives the test.
        layers = f"volatile,lowerdir={':'.join(map(str, self._below))},upperdir={changes},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.root)], check=True)

    def _lift(self) -> None:
        subprocess.run(["umount", str(self.root)], check=True)
        shutil.rmtree(self._home / "work")

    def run(self, *command: str, check: bool = True, within: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs a command in the host, as root; fails the test with what it said when it fails and `check` is set."""
        entered = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"]
        environment = ["/usr/bin/env", "-i", _PATH, "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
        done = subprocess.run(
            [*entered, *environment, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=within,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def said(self, *command: str) -> str:
        """What a command prints, whether it succeeds or not."""
        return self.run(*command, check=False).stdout.strip()

    def file(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _booted(self) -> bool:
        assert self._nspawn is not None
        assert self._nspawn.poll() is None, f"nspawn ended:\n{(self._home / 'console').read_text(errors='replace')}"
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        self._leader = next((int(child) for child in children if _is_first_of_its_own(child)), 0)
        return bool(self._leader) and self.said("systemctl", "is-system-running") in {"running", "degraded"}

    def _move_into_own_cgroups(self) -> None:
        for hierarchy in self._hierarchies():
            with contextlib.suppress(OSError):
                (hierarchy / self.name / "cgroup.procs").write_text(str(os.getpid()))

    @staticmethod
    def _hierarchies() -> list[Path]:
        """The roots of all cgroup hierarchies: one with v2, one per controller with v1."""
        if (_CGROUPS / "cgroup.controllers").exists():
            return [_CGROUPS]
        return [path for path in _CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]

    @staticmethod
    def _remove_cgroup(group: Path) -> None:
        for inner in sorted(group.rglob("*"), key=lambda path: len(path.parts), reverse=True):
            if inner.is_dir():
                with contextlib.suppress(OSError):
                    inner.rmdir()
        with contextlib.suppress(OSError):
            group.rmdir()


def _is_first_of_its_own(pid: str) -> bool:
    """Whether a process is PID 1 of a namespace; nspawn has another child for a moment while it starts."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        return next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:] == [pid, "1"]
    return False

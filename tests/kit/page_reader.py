"""Somebody who does what a how-to page says, from top to bottom: writes its files, runs its commands, word by word.

- Only what belongs to the place is exchanged (`places`): folders, sockets, addresses, the package's account. Programs
  that a test machine has not are stood in for (`programs`: name → shell script); `sudo` and `systemctl` always are.
- `systemctl` starts the real agent, which `stop` ends, and is taken down in `restarts`; `journalctl` shows its log.
- A block that begins with the name of a file is that file; `…, beside what is there` adds to it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.kit.wait import until

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
_SUDO = """[ "$1" = -u ] && shift 2
exec "$@"
"""
_SYSTEMCTL = """echo "$@" >> "$SYSTEMCTL_SAID"
[ -e "$SERVICE_PID" ] && kill "$(cat "$SERVICE_PID")" && while kill -0 "$(cat "$SERVICE_PID")" 2>/dev/null; do :; done
asterisk-connector run >> "$SERVICE_LOG" 2>&1 &
echo $! > "$SERVICE_PID"
asterisk-connector status --wait 20 > /dev/null
"""
_JOURNALCTL = """cat "$SERVICE_LOG"
"""
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class PageReader:
    """`etc` stands for /etc/asterisk-connector; `said` is what all commands printed."""

    def __init__(
        self,
        home: Path,
        page: str,
        places: Mapping[str, str],
        *,
        environment: Mapping[str, str] | None = None,
        programs: Mapping[str, str] | None = None,
    ) -> None:
        self._home = home
        self.etc = home / "etc"
        self.etc.mkdir()
        self.log = home / "service.log"
        self.log.touch()
        self._pid = home / "service.pid"
        self._restarts = home / "systemctl"
        bin_ = home / "bin"
        bin_.mkdir()
        ours = {"sudo": _SUDO, "systemctl": _SYSTEMCTL, "journalctl": _JOURNALCTL}
        for name, text in {**ours, **(programs or {})}.items():
            (bin_ / name).write_text(f"#!/bin/sh\n{text}")
            (bin_ / name).chmod(0o755)
        self._environment = {
            **os.environ,
            "PATH": f"{bin_}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SYSTEMCTL_SAID": str(self._restarts),
            "SERVICE_PID": str(self._pid),
            "SERVICE_LOG": str(self.log),
            "ASTERISK_CONNECTOR_CONFIG": str(self.etc / "config.yaml"),
            "ASTERISK_CONNECTOR_STORE__DIRECTORY": str(home / "state"),
            "ASTERISK_CONNECTOR_CONTROL__SOCKET": str(home / "control.sock"),
            **(environment or {}),
        }
        (home / "state").mkdir()
        self._places = {"-g asterisk-connector ": "", "/etc/asterisk-connector": str(self.etc), **places}
        self._page = (PAGES / page).read_text()
        self.said = ""

    def do_it(self) -> None:
        """The whole page. AssertionError when a command fails."""
        for kind, block in _BLOCK.findall(self._page):
            for theirs, ours in self._places.items():
                block = block.replace(theirs, ours)
            if kind in {"yaml", "ini"}:
                self._write(block)
            else:
                assert kind == "sh", kind
                self.run(block)

    def run(self, commands: str) -> str:
        """What a block of commands prints."""
        done = subprocess.run(
            ["sh", "-eu"],
            input=commands,
            env=self._environment,
            cwd=self._home,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.said += done.stdout
        assert done.returncode == 0, f"{commands}\nended with {done.returncode}:\n{done.stdout}{self.log.read_text()}"
        return done.stdout

    def stop(self) -> None:
        """Ends the service."""
        if self._pid.exists():
            pid = int(self._pid.read_text())
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            until(lambda: not _alive(pid), 12, "the end of the service")

    @property
    def restarts(self) -> list[str]:
        """What systemctl was asked for."""
        return self._restarts.read_text().splitlines() if self._restarts.exists() else []

    @property
    def configured(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((self.etc / "config.yaml").read_text())
        return found

    def _write(self, block: str) -> None:
        head, _, _ = block.partition("\n")
        name, _, beside = head.lstrip(";# ").partition(", ")
        path = self._home / name  # a name without a folder is one of where the reader is
        if beside:
            block = path.read_text() + block
        path.write_text(block)
        path.chmod(0o640)


def _alive(pid: int) -> bool:
    """Whether it runs; what has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

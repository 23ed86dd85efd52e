"""What this host says of itself, of the service's unit and of its Asterisk: read only, each within a few seconds."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from asterisk_connector import __version__

UNIT = "asterisk-connector"
ASTERISK_FILES = ("asterisk.conf", "cel*.conf", "cdr*.conf", "manager.conf", "manager.d/*.conf", "logger.conf")
"""Below /etc/asterisk: what decides whether calls can be told and events be heard."""
_SECONDS = 10.0
_PROPERTIES = (
    "Id,LoadState,UnitFileState,FragmentPath,DropInPaths,NeedDaemonReload,ActiveState,SubState,Result,StatusText,MainPID,"
    "ExecMainStatus,NRestarts,ActiveEnterTimestamp,InactiveEnterTimestamp,MemoryCurrent,MemoryPeak,CPUUsageNSec,TasksCurrent,"
    "WatchdogUSec,LimitNOFILE,User,Group,SupplementaryGroups"
)
"""Not the environment: it may hold secrets."""


class NotHad(Exception):
    """Something that was asked of the host is not to be had; the message says why."""


def host(state: Path) -> dict[str, Any]:
    """Debian, kernel, Python, libraries, sizes in bytes."""
    release = platform.freedesktop_os_release()
    disk = shutil.disk_usage(state) if state.exists() else None
    return {
        "asterisk_connector": __version__,
        "system": release.get("PRETTY_NAME", ""),
        "debian": _first_line(Path("/etc/debian_version")),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "libraries": {each.metadata["Name"]: each.version for each in metadata.distributions()},
        "processors": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": os.getloadavg(),
        "state_disk": None if disk is None else {"total": disk.total, "free": disk.free},
        "asked_as": {"uid": os.geteuid(), "groups": os.getgroups()},
    }


def unit() -> str:
    """What systemd says of the service."""
    return _output(["systemctl", "show", UNIT, f"--property={_PROPERTIES}"])


def journal(lines: int) -> str:
    """The last lines the service wrote."""
    command = ["journalctl", f"--unit={UNIT}", f"--lines={lines}", "--no-pager", "--output=short-iso", "--quiet"]
    found = _output(command)
    if not found.strip():
        raise NotHad("the journal has no lines of the service that this user may read; group systemd-journal may")
    return found


def asterisk_version() -> str:
    """What `asterisk -V` prints."""
    return _output(["asterisk", "-V"])


def asterisk_files(etc: Path) -> list[Path]:
    """Files of Asterisk that tell what it writes for us."""
    return sorted({file for pattern in ASTERISK_FILES for file in etc.glob(pattern) if file.is_file()})


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise NotHad(f"there is no {command[0]} here") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHad(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise NotHad(f"{command[0]}: {done.stderr.strip() or f'ended with {done.returncode}'}")
    return done.stdout


def _first_line(file: Path) -> str:
    try:
        return file.read_text(errors="replace").partition("\n")[0]
    except OSError:
        return ""

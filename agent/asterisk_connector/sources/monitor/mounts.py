"""Which file systems tell nobody about changes made elsewhere: those inotify cannot serve (F24)."""

from __future__ import annotations

import re
from pathlib import Path

_SILENT = re.compile(
    r"^(nfs|nfs4|cifs|smb3?|smbfs|9p|afs|ceph|lustre|gpfs|glusterfs|gfs2?|ocfs2|virtiofs|fuse(\..*)?)$"
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def silent_mounts(mountinfo: Path = Path("/proc/self/mountinfo")) -> dict[str, bool]:
    """Mount point → whether its file system is silent (proc(5), `mountinfo`); empty where that cannot be read."""
    try:
        lines = mountinfo.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > 4 and after:
            point = _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), fields[4])
            found[point] = _SILENT.match(after.split(" ", 1)[0]) is not None
    return found


def is_silent(path: str, mounts: dict[str, bool]) -> bool:
    """Whether a path lies on a silent file system: the nearest mount point above it decides."""
    while path not in mounts:
        above = path.rpartition("/")[0] or "/"
        if above == path:
            return False
        path = above
    return mounts[path]

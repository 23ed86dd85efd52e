"""Which file is this? A name is reused, an inode is reused, a size comes back: the first bytes do not.

- A log only grows, so its first bytes stay what they are: one file's head is a beginning of its later head (F18, F19).
- Inode and device are a short cut while a file is still too empty to have a head.
- Siblings are what rotation makes of a path: `Master.csv.1`, `Master.csv-20261121.gz`, `Master-20261121.csv.xz`.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path
from stat import S_ISREG

from msgspec import Struct

HEAD = 512
"""Bytes that are kept of a file's beginning: two rows or three, and a row holds a time and a uniqueid."""

PACKINGS = (".gz", ".bz2", ".xz")


class Mark(Struct, frozen=True, array_like=True):
    """One file's identity and how far it was read, as it is remembered over a restart.

    `size` and `mtime` (nanoseconds) are the last seen. `turn` counts cuts of a file that kept its beginning.
    `continues`: it took its predecessor's place in the same inode, and a record may run on from one into the other.
    """

    device: int
    inode: int
    head: bytes
    offset: int
    size: int
    mtime: int
    turn: int = 0
    continues: bool = False


def first_line(head: bytes) -> bytes:
    """The part of a head that names its file: up to the first newline, which never changes once it is there."""
    return head[:256].partition(b"\n")[0]


def name_of(head: bytes) -> str:
    """A short name for the file that begins so; empty for an empty one."""
    return blake2b(first_line(head), digest_size=8).hexdigest() if head else ""


class Sibling(Struct, frozen=True):
    """A rotated file in the directory. `number` is that of `Master.csv.3`, 0 where the name has none."""

    path: Path
    device: int
    inode: int
    size: int
    mtime: int
    number: int

    @property
    def order(self) -> tuple[int, int, bool, str]:
        """Sorts siblings by age: last written first; within a tick of the clock the higher number is older."""
        return self.mtime, -self.number, self.packed, self.path.name

    @property
    def packed(self) -> bool:
        """Whether it is compressed."""
        return self.path.suffix in PACKINGS


def siblings(path: Path) -> list[Sibling]:
    """What rotation has made of `path`, oldest first, plain files before their compressed twins. Raises OSError."""
    rotated = re.compile(
        rf"(?:{re.escape(path.name)}[.\-_~].*|{re.escape(path.stem)}[.\-_]\d[\w.:\-]*{re.escape(path.suffix)}(?:\.\w+)?)",
        re.DOTALL,
    )
    found: list[Sibling] = []
    try:
        entries = list(path.parent.iterdir())
    except FileNotFoundError:
        return found
    for entry in entries:
        if not rotated.fullmatch(entry.name):
            continue
        try:
            status = entry.stat()
        except FileNotFoundError:  # gone again
            continue
        if S_ISREG(status.st_mode):
            digits = re.match(r"\.(\d{1,9})(?:\.|\Z)", entry.name.removeprefix(path.name))
            number = int(digits[1]) if digits else 0
            found.append(Sibling(entry, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, number))
    return sorted(found, key=lambda sibling: sibling.order)

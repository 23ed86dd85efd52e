"""Writing what was proposed: the configuration, its secrets and the steps, for root and the service alone.

- Every file appears whole or not at all, with its mode and group from its first byte on.
- What is there stays: an old configuration is kept beside the new one, a secret that exists is used on.
- Raises Misconfigured for what cannot be written. No text of a secret is in any message.
"""

from __future__ import annotations

import contextlib
import difflib
import grp
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from asterisk_connector.errors import Misconfigured
from asterisk_connector.setup.steps import Step

SERVICE = "asterisk-connector"
"""User and group of the service."""
STEPS = "apply"
"""Folder of the steps beside the configuration."""


def secret(file: Path) -> str:
    """The secret of a file, or a new one for it: 32 letters, digits, `-` and `_`."""
    with contextlib.suppress(FileNotFoundError), _told(file):
        if text := file.read_text(encoding="utf-8").strip():
            return text
    return secrets.token_urlsafe(24)


def write(file: Path, text: str, *, mode: int = 0o640) -> None:
    """Writes a file for root and, with 0640, for the service's group."""
    with _told(file):
        file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as new:
                _owned(new.fileno(), mode)
                new.write(text)
                new.flush()
                os.fsync(new.fileno())
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def write_steps(directory: Path, steps: Sequence[Step]) -> Path:
    """Writes the steps for root alone; the folder they are in. Steps of an earlier time go."""
    folder = directory / STEPS
    with _told(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
    for step in steps:
        write(folder / step.name, step.text, mode=0o600)
    return folder


def existing(file: Path) -> str | None:
    """The configuration that is there, None when there is none."""
    try:
        with _told(file):
            return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def difference(old: str, new: str, file: Path) -> str:
    """What would change. Both texts are shown as they are: without their secrets."""
    now, proposed = (text.splitlines(keepends=True) for text in (old, new))
    return "".join(difflib.unified_diff(now, proposed, f"{file} (now)", f"{file} (proposed)"))


def keep(file: Path, now: datetime) -> Path:
    """Keeps a file under another name, with its mode and owner; that name."""
    kept = file.with_name(f"{file.name}.{now:%Y%m%dT%H%M%S}")
    with _told(kept):
        kept.hardlink_to(file)  # the configuration is never absent: the new one replaces this name
    return kept


def _owned(descriptor: int, mode: int) -> None:
    os.fchmod(descriptor, mode)
    if mode & 0o040 and os.geteuid() == 0:
        with contextlib.suppress(KeyError):  # a host on which the package is not installed
            os.fchown(descriptor, 0, grp.getgrnam(SERVICE).gr_gid)


@contextlib.contextmanager
def _told(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        hint = "run it as root: sudo asterisk-connector setup" if isinstance(error, PermissionError) else ""
        raise Misconfigured(f"{file}: {error.strerror}", hint) from None

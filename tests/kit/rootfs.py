"""Asterisk root file systems, made once by mmdebstrap from Debian and kept under `.cache/rootfs`.

- A root is read-only to whoever uses it: what an instance writes lives elsewhere (`tests.kit.asterisk`).
- Its folder is named after the hash of its recipe: a changed recipe is another root, an old one is removed.
- Parallel test runs share a root through a file lock; with a warm cache nothing is downloaded.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "rootfs"


class CannotRun(Exception):
    """A server of the bench cannot run here; the message says why and which tests need none of them."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"{what} cannot run here: {why} `make test-fast` runs the tests that need neither root nor network."
        )


@dataclass(frozen=True, slots=True)
class Recipe:
    """A Debian suite and the packages wanted from it."""

    suite: str
    packages: tuple[str, ...]

    @property
    def stamp(self) -> str:
        return hashlib.sha256(repr((self.suite, self.packages, OPTIONS)).encode()).hexdigest()[:12]


OPTIONS = (
    # Old suites stay signed with a date that has passed.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    "--variant=minbase",
    # The security archive of an old suite lists packages that are gone from it; the suite itself is complete.
    '--setup-hook=sed -i /security/d "$1/etc/apt/sources.list"',
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)
ASTERISK_16 = Recipe("bullseye", ("asterisk", "asterisk-modules", "asterisk-voicemail"))
ASTERISK_22 = Recipe("forky", ("asterisk", "asterisk-modules", "odbc-mariadb", "odbc-postgresql"))


def root(recipe: Recipe) -> Path:
    """The root file system of a recipe, built when it is not there (about 40 s). Raises CannotRun."""
    CACHE.mkdir(parents=True, exist_ok=True)
    built = CACHE / f"{recipe.suite}-{recipe.stamp}"
    with (CACHE / f"{recipe.suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            for old in CACHE.glob(f"{recipe.suite}-*"):
                shutil.rmtree(old)
            _build(recipe, built)
    return built


def _build(recipe: Recipe, built: Path) -> None:
    what = f"Asterisk of Debian {recipe.suite}"
    if os.geteuid() != 0:
        raise CannotRun(what, "only root can build its root file system (run the tests once as root).")
    if shutil.which("mmdebstrap") is None:
        raise CannotRun(what, "mmdebstrap is missing (tests/kit/install-packages --all installs it).")
    print(f"building the root file system of Debian {recipe.suite} in {built} …", file=sys.__stderr__, flush=True)
    started = time.monotonic()
    partial = built.with_name(built.name + ".partial")
    made = subprocess.run(
        ["mmdebstrap", *OPTIONS, f"--include={','.join(recipe.packages)}", recipe.suite, str(partial)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        errors = " · ".join(line for line in made.stderr.splitlines() if line.startswith(("E:", "Err")))
        raise CannotRun(what, f"mmdebstrap failed (is Debian's archive reachable?): {errors or made.stderr[-600:]}.")
    partial.chmod(0o755)
    partial.rename(built)
    print(f"… built in {time.monotonic() - started:.0f} s", file=sys.__stderr__, flush=True)

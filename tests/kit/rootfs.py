"""Asterisk root file systems, made once by mmdebstrap from Debian and kept by `tests.kit.cache`.

A root is read-only to whoever uses it: what an instance writes lives elsewhere (`tests.kit.asterisk`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.kit.cache import CannotRun, cached

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


@dataclass(frozen=True, slots=True)
class Recipe:
    """A Debian suite and the packages wanted from it."""

    suite: str
    packages: tuple[str, ...]


ASTERISK_16 = Recipe("bullseye", ("asterisk", "asterisk-modules", "asterisk-voicemail"))
ASTERISK_22 = Recipe("forky", ("asterisk", "asterisk-modules", "odbc-mariadb", "odbc-postgresql"))


def root(recipe: Recipe) -> Path:
    """The root file system of a recipe, built when it is not there (about 45 s). Raises CannotRun."""

    def build(folder: Path) -> None:
        what = f"Asterisk of Debian {recipe.suite}"
        if os.geteuid() != 0:
            raise CannotRun(what, "only root can build its root file system (run the tests once as root).")
        if shutil.which("mmdebstrap") is None:
            raise CannotRun(what, "mmdebstrap is missing (tests/kit/install-packages --all installs it).")
        made = subprocess.run(
            ["mmdebstrap", *OPTIONS, f"--include={','.join(recipe.packages)}", recipe.suite, str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            errors = " · ".join(line for line in made.stderr.splitlines() if line.startswith(("E:", "Err")))
            raise CannotRun(
                what, f"mmdebstrap failed (is Debian's archive reachable?): {errors or made.stderr[-600:]}."
            )
        folder.chmod(0o755)

    return cached(f"rootfs-{recipe.suite}", repr((recipe, OPTIONS)), build)

"""What the bench fetches or builds once and keeps under `.cache` of the repository.

- A thing lies in a folder named after the stamp of its recipe: a changed recipe is another folder, the old one goes.
- Parallel test runs share it through a file lock; a build that fails or is killed leaves nothing that looks finished.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache"


class CannotRun(Exception):
    """A server of the bench cannot run here; the message says why, and which tests need none of them."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} cannot run here: {why} `make test-fast` runs what needs neither root nor network.")


def cached(name: str, recipe: str, build: Callable[[Path], None]) -> Path:
    """The folder of `name`, made by `build(folder)` when this recipe was never built here."""
    stamp = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    built = CACHE / f"{name}-{stamp}"
    if built.exists():
        return built
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            for old in CACHE.glob(f"{name}-*"):
                shutil.rmtree(old)
            print(f"building {name} in {built}, once …", file=sys.__stderr__, flush=True)
            started = time.monotonic()
            partial = built.with_name(built.name + ".partial")
            try:
                build(partial)
                partial.rename(built)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            print(f"… {name} built in {time.monotonic() - started:.0f} s", file=sys.__stderr__, flush=True)
    return built

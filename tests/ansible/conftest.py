"""Releases to roll out, each for both Debians, built once for the run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from asterisk_connector import __version__
from tests.conftest import saying_why
from tests.kit import package

# Versions of the tests: what is there first, an upgrade, one that ends at its start, one that migrates and then ends.
FIRST, SECOND, BROKEN, MIGRATING = __version__, "90.0.0", "91.0.0", "92.0.0"


def migrates_and_ends(root: Path) -> None:
    """A change for `repacked`: a release that brings the state to a newer schema and then crashes."""
    package.newer_state(root)
    run = next((root / "usr" / "lib" / package.NAME).glob("lib/python3*/site-packages/asterisk_connector/cli/run.py"))
    started = "self._agent.start()\n"
    assert run.read_text().count(started) == 1
    run.write_text(run.read_text().replace(started, f"{started}        os._exit(1)\n"))


Releases = Callable[[str, str], Path]


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    """`release("bookworm", SECOND)`: a package file, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("releases")
    changes = {BROKEN: package.cannot_start, MIGRATING: migrates_and_ends}
    made: dict[tuple[str, str], Path] = {}

    def of(suite: str, version: str) -> Path:
        if (suite, version) not in made:
            with saying_why():
                make = (
                    partial(package.built, suite)
                    if version == FIRST
                    else partial(package.repacked, of(suite, FIRST), version, change=changes.get(version))
                )
                made[suite, version] = make(into=folder)
        return made[suite, version]

    return of

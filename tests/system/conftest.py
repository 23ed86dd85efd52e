"""The package, built once for the run, and hosts to install it on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import saying_why
from tests.kit.cache import CACHE
from tests.kit.host import Host

REPOSITORY = CACHE.parent
SUITE = "bookworm"


def build(into: Path, umask: int = 0o022) -> Path:
    """A package of the sources as they are now."""
    command = [str(REPOSITORY / "packaging/build-deb"), SUITE, str(into)]
    made = subprocess.run(command, capture_output=True, text=True, check=False, umask=umask)
    assert made.returncode == 0, made.stdout + made.stderr
    return Path(made.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("package"))


@pytest.fixture
def host() -> Iterator[Host]:
    """A plain host, booted, the package not yet installed."""
    with saying_why():
        host = Host(SUITE)
    with host:
        yield host

"""Real servers for the whole test run: built and started when the first test asks for one, stopped at the end.

A test that uses one is marked `root` (and `asterisk`) by itself. Where a server cannot run the test fails with a
sentence that says why: nothing is skipped silently.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.kit.asterisk import Asterisk
from tests.kit.office import Office
from tests.kit.rootfs import CannotRun

SERVERS = {"asterisk16", "asterisk22"}
COLD_START = 600  # seconds: the first test may have to fetch and build its server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        used = SERVERS.intersection(getattr(item, "fixturenames", ()))
        if used:
            item.add_marker("root")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(COLD_START))
        if any(name.startswith("asterisk") for name in used):
            item.add_marker("asterisk")


@contextlib.contextmanager
def saying_why() -> Iterator[None]:
    """Fails the test with one sentence instead of a traceback when a server cannot run here."""
    try:
        yield
    except CannotRun as why:
        pytest.fail(str(why), pytrace=False)


@pytest.fixture(scope="session")
def asterisk22(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asterisk]:
    """Asterisk 22, running."""
    with saying_why():
        asterisk = Asterisk(22, tmp_path_factory.mktemp("asterisk22"))
    with asterisk:
        yield asterisk


@pytest.fixture(scope="session")
def asterisk16(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asterisk]:
    """Asterisk 16, running."""
    with saying_why():
        asterisk = Asterisk(16, tmp_path_factory.mktemp("asterisk16"))
    with asterisk:
        yield asterisk


@pytest.fixture(scope="session")
def office22(asterisk22: Asterisk) -> Iterator[Office]:
    """Phones and trunks around Asterisk 22: what `tests.kit.calls` is told with."""
    with Office(asterisk22) as office:
        yield office


@pytest.fixture(scope="session")
def office16(asterisk16: Asterisk) -> Iterator[Office]:
    """Phones and trunks around Asterisk 16."""
    with Office(asterisk16) as office:
        yield office

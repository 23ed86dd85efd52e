"""Real servers for the whole test run: built and started when the first test asks for one, stopped at the end.

A test that uses one is marked `root` (and `asterisk`) by itself. Where a server cannot run the test fails with a
sentence that says why: nothing is skipped silently.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.kit.asterisk import Asterisk
from tests.kit.cache import CannotRun
from tests.kit.kafka import Kafka
from tests.kit.mariadb import MariaDB
from tests.kit.office import Office
from tests.kit.postgresql import PostgreSQL

# In CI every run tries the same examples, so that a change is judged by itself; elsewhere each run tries others.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

ASTERISKS = {"asterisk16", "asterisk22", "office16", "office22"}
SERVERS = ASTERISKS | {"mariadb", "postgresql", "kafka", "kafka3"}
COLD_START = 600  # seconds: the first test may have to fetch and build its server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        # A parameter may name the server that a fixture then asks for.
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            names |= {value for value in item.callspec.params.values() if isinstance(value, str)}
        if not names & SERVERS:
            continue
        item.add_marker("root")
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(COLD_START))
        if names & ASTERISKS:
            item.add_marker("asterisk")


@contextlib.contextmanager
def saying_why() -> Iterator[None]:
    """Fails the test with one sentence instead of a traceback when a server cannot run here."""
    try:
        yield
    except CannotRun as why:
        pytest.fail(str(why), pytrace=False)


@pytest.fixture(scope="session")
def asterisk22() -> Iterator[Asterisk]:
    """Asterisk 22, running."""
    with saying_why():
        asterisk = Asterisk(22)
    with asterisk:
        yield asterisk


@pytest.fixture(scope="session")
def asterisk16() -> Iterator[Asterisk]:
    """Asterisk 16, running."""
    with saying_why():
        asterisk = Asterisk(16)
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


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """MariaDB, running; `mariadb.create(name)` gives an empty database."""
    with saying_why():
        server = MariaDB()
    with server:
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """PostgreSQL, running; `postgresql.create(name)` gives an empty database."""
    with saying_why():
        server = PostgreSQL()
    with server:
        yield server


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """Apache Kafka, one broker, running."""
    with saying_why():
        cluster = Kafka()
    with cluster:
        yield cluster


@pytest.fixture
def kafka3() -> Iterator[Kafka]:
    """Apache Kafka, three brokers of this test's own (about 1 GB of memory)."""
    with saying_why():
        cluster = Kafka(size=3)
    with cluster:
        yield cluster

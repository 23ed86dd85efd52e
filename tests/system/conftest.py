"""One booted host for each release, shared by all tests: a test asks for the state it needs, not for a host of its own.

Both packages and both root file systems are made at the same time, so that the second release is ready when the tests
of the first are through.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import COLD_START, saying_why
from tests.kit import host as hosts
from tests.kit.call_api import CallApi
from tests.kit.host import Host
from tests.kit.operator import Operator
from tests.kit.package import SUITES, build, built, repacked

# What a release of Debian has no say in is shown on one of them, on the other in the long form.
ON_ONE_RELEASE = pytest.mark.parametrize(
    "suite", ["bookworm", pytest.param("trixie", marks=pytest.mark.prove)], indirect=True
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here not in item.path.parents:
            continue
        item.add_marker("root")
        item.add_marker("slow")
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(COLD_START))


class Builds(NamedTuple):
    """The package for each release, as it will be; and built again under another umask, where a test asks for it."""

    first: dict[str, Future[Path]]
    again: dict[str, Future[Path]]


@pytest.fixture(scope="session")
def builds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builds]:
    """Made in the background, one maker for each release, while tests run that wait for nothing of it."""

    def prepare(suite: str) -> Path:
        package = built(suite, tmp_path_factory.mktemp(suite))
        hosts.root(suite)
        return package

    wanted = any("rebuilt" in getattr(item, "fixturenames", ()) for item in request.session.items)
    with ThreadPoolExecutor(len(SUITES)) as makers:
        first = {suite: makers.submit(prepare, suite) for suite in SUITES}
        folders = {suite: tmp_path_factory.mktemp(f"{suite}-again") for suite in SUITES if wanted}
        yield Builds(first, {suite: makers.submit(build, suite, into, 0o077) for suite, into in folders.items()})


@pytest.fixture(scope="session", params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    """The Debian release: every test that asks for it runs on each."""
    return str(request.param)


@pytest.fixture(scope="session")
def package(suite: str, builds: Builds) -> Path:
    with saying_why():
        return builds.first[suite].result()


@pytest.fixture(scope="session")
def rebuilt(suite: str, builds: Builds) -> Path:
    with saying_why():
        return builds.again[suite].result()


@pytest.fixture(scope="session")
def next_version(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repacked(package, "0.2.0", tmp_path_factory.mktemp("next"))


@pytest.fixture(scope="session")
def api(suite: str) -> Iterator[CallApi]:
    """Each host has its own, since their calls have the same numbers."""
    with CallApi() as api:
        yield api


@pytest.fixture(scope="session")
def operator(suite: str, package: Path, api: CallApi) -> Iterator[Operator]:
    """Somebody at a booted host that is in no state a test may count on."""
    with saying_why():
        host = Host(suite)
    with host:
        yield Operator(host, package, api)


@pytest.fixture
def bare(operator: Operator) -> Operator:
    """At a host with neither the package nor an Asterisk."""
    operator.bare()
    return operator


@pytest.fixture
def pbx(operator: Operator) -> Operator:
    """At a host with the files of an Asterisk, without the package."""
    operator.pbx()
    return operator


@pytest.fixture
def running(operator: Operator) -> Operator:
    """At a PBX with the package installed, configured and running."""
    operator.running()
    return operator

"""One booted host for each release, shared by all tests: a test asks for the state it needs, not for a host of its own.

Both packages and both root file systems are made at the same time, so that the second release is ready when the tests
of the first are through.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import COLD_START, saying_why
from tests.kit import host as hosts
from tests.kit.call_api import CallApi
from tests.kit.host import Host
from tests.kit.operator import Operator
from tests.kit.package import SUITES, built, repacked


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here not in item.path.parents:
            continue
        item.add_marker("root")
        item.add_marker("slow")
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(COLD_START))


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Path]]]:
    """The package for each release, as it will be there."""

    def prepare(suite: str) -> Path:
        package = built(suite, tmp_path_factory.mktemp(suite))
        hosts.root(suite)
        return package

    with ThreadPoolExecutor(len(SUITES)) as makers:
        yield {suite: makers.submit(prepare, suite) for suite in SUITES}


@pytest.fixture(scope="session", params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    """The Debian release: every test that asks for it runs on each."""
    return str(request.param)


@pytest.fixture(scope="session")
def package(suite: str, packages: dict[str, Future[Path]]) -> Path:
    with saying_why():
        return packages[suite].result()


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

"""The signed apt repository, as a host sees it: versions to choose from, and nothing but what was signed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.operator import Operator, version
from tests.kit.package import KEYRING, NAME, Repository, repacked
from tests.kit.package import REPOSITORY as PROJECT
from tests.system.conftest import ON_ONE_RELEASE

SOURCES = f"/etc/apt/sources.list.d/{NAME}.sources"
# Of our repository alone: a broken one of somebody else's is none of our business.
ONLY = ("-o", f"Dir::Etc::sourcelist={SOURCES}", "-o", "Dir::Etc::sourceparts=-", "-o", "APT::Get::List-Cleanup=0")
STRICT = ("-o", "APT::Update::Error-Mode=any")


@pytest.fixture(scope="session")
def versions(package: Path, next_version: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six versions of the package, oldest first; those between the first and the last have next to nothing in them."""
    folder = tmp_path_factory.mktemp("versions")

    def hollow(root: Path) -> None:
        shutil.rmtree(root / "usr" / "lib" / NAME)

    return [package, *(repacked(package, f"0.1.{patch}", folder, hollow) for patch in range(1, 5)), next_version]


@pytest.fixture
def repository(versions: list[Path], tmp_path: Path) -> Iterator[Repository]:
    with Repository(tmp_path) as repository:
        repository.publish(*versions)
        yield repository


@pytest.fixture
def strange(operator: Operator) -> Iterator[Operator]:
    """At a host that forgets afterwards what it is told of repositories."""
    yield operator
    told = f"{SOURCES} {KEYRING} /etc/apt/preferences.d/{NAME} /var/lib/apt/lists/*"
    operator.host.run("sh", "-c", f"rm -rf {told}; apt-get clean")


@pytest.fixture
def connected(strange: Operator, running: Operator, suite: str, repository: Repository) -> Operator:
    """At a running host that knows the repository and its key."""
    running.host.file(KEYRING).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(repository.key, running.host.file(KEYRING))
    running.host.file(KEYRING).chmod(0o644)
    running.host.file(SOURCES).write_text(repository.sources(suite))
    return running


def listed(operator: Operator) -> list[str]:
    return [line.split("|")[1].strip() for line in operator.host.said("apt-cache", "madison", NAME).splitlines()]


@ON_ONE_RELEASE
def test_the_words_of_the_readme_install_it(strange: Operator, pbx: Operator, repository: Repository) -> None:
    """Typed as they are, on a host that has no sudo, no curl and no network but the repository's."""
    words = (PROJECT / "README.md").read_text().partition("## Install with apt")[2].split("```")[1]
    words = words.partition("sudo asterisk-connector setup")[0].replace("https://packages.example.org", repository.url)
    fetch = "import sys, urllib.request; urllib.request.urlretrieve(sys.argv[2], sys.argv[1])"
    stand_ins = f"""sudo() {{ "$@"; }}; curl() {{ python3 -c '{fetch}' "$2" "$3"; }}"""
    pbx.host.run("mv", "/etc/apt/sources.list", "/root")
    try:
        pbx.host.run("bash", "-ec", f"{stand_ins}\n{words.replace('apt install', 'apt install --yes')}")
    finally:
        pbx.host.run("mv", "/root/sources.list", "/etc/apt")
    assert listed(pbx)[0] == pbx.installed()
    pbx.host.run("apt", "install", "--yes", "--allow-downgrades", f"{NAME}={version(pbx.package)}")
    assert pbx.installed() == version(pbx.package)
    assert pbx.host.said("dpkg", "--verify", NAME) == ""


def test_a_host_chooses_from_every_version_ever_published(connected: Operator, versions: list[Path]) -> None:
    """8.18: the newest by `upgrade`, any by its number; what is pinned stays, and is gone back to."""
    connected.host.run("apt-get", *ONLY, *STRICT, "update")
    assert listed(connected) == [version(package) for package in reversed(versions)]
    connected.host.run("apt-get", "upgrade", "-y")
    assert connected.installed() == version(versions[-1])
    pin = f"Package: {NAME}\nPin: version {version(versions[0])}\nPin-Priority: 1001\n"
    connected.host.file(f"/etc/apt/preferences.d/{NAME}").write_text(pin)
    connected.host.run("apt-get", "upgrade", "-y", "--allow-downgrades")
    assert connected.installed() == version(versions[0])
    connected.arrived(connected.write_call())


def changed_index(repository: Repository, suite: str) -> None:
    for index in (repository.folder / "dists" / suite).rglob("*"):
        if index.is_file() and index.name != "InRelease":
            index.write_bytes(b"Package: evil\n" + index.read_bytes())


def signed_by_somebody_else(repository: Repository, suite: str) -> None:
    release = repository.folder / "dists" / suite / "InRelease"
    with Repository(repository.folder.parent / "other") as other:
        other.publish(*(repository.folder / "pool" / suite).iterdir())
        shutil.copy(other.folder / "dists" / suite / "InRelease", release)


def changed_signature(repository: Repository, suite: str) -> None:
    release = repository.folder / "dists" / suite / "InRelease"
    release.write_text(release.read_text().replace("Components: main", "Components: main evil"))


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (changed_index, "unexpected size|Hash Sum mismatch"),
        (signed_by_somebody_else, "public key is not available|Missing key"),
        (changed_signature, "BADSIG|Bad signature|bad signature|[Vv]erifying signature"),
    ],
)
def test_what_was_tampered_with_is_refused(
    connected: Operator, repository: Repository, suite: str, tamper: Callable[[Repository, str], None], reason: str
) -> None:
    """8.18"""
    tamper(repository, suite)
    refused = connected.host.run("apt-get", *ONLY, *STRICT, "update", check=False)
    assert refused.returncode != 0
    assert re.search(reason, refused.stdout + refused.stderr), refused.stdout + refused.stderr
    assert listed(connected) == []


def test_a_package_that_was_changed_after_signing_is_not_installed(
    connected: Operator, repository: Repository, suite: str, versions: list[Path]
) -> None:
    connected.host.run("apt-get", *ONLY, *STRICT, "update")
    newest = repository.folder / "pool" / suite / versions[-1].name
    changed = bytearray(newest.read_bytes())
    changed[-100] ^= 1
    newest.write_bytes(changed)
    refused = connected.host.run("apt-get", "upgrade", "-y", check=False)
    assert refused.returncode != 0
    assert "Hash Sum mismatch" in refused.stdout + refused.stderr
    assert connected.installed() == version(versions[0])


def test_a_version_that_is_published_never_changes(
    repository: Repository, versions: list[Path], tmp_path: Path
) -> None:
    other = repacked(versions[0], "0.1.1", tmp_path, lambda root: (root / "usr" / "other").touch())
    with pytest.raises(AssertionError, match="a version that is published never changes"):
        repository.publish(other)


def test_nothing_is_published_without_a_key(versions: list[Path], tmp_path: Path) -> None:
    with Repository(tmp_path) as repository, pytest.raises(AssertionError, match="keyring has no key nobody"):
        repository.publish(*versions[:1], key="nobody@example.org")

"""What the .deb is, before anybody installs it: how it is made, what is in it and what it asks for."""

from __future__ import annotations

import fnmatch
import gzip
import re
import subprocess
from pathlib import Path

import pytest

from asterisk_connector import __version__
from tests.kit import host as hosts
from tests.kit.operator import version
from tests.kit.package import NAME, REPOSITORY
from tests.system.conftest import ON_ONE_RELEASE


def told(*command: str | Path) -> str:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="session")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("unpacked")
    told("dpkg-deb", "--extract", package, root)
    return root


@pytest.fixture
def site(unpacked: Path) -> Path:
    """Where its Python libraries are."""
    return next(unpacked.glob(f"usr/lib/{NAME}/lib/python3*/site-packages"))


def test_the_same_sources_make_the_same_package(package: Path, rebuilt: Path) -> None:
    """8.1, 8.2, 8.3: built again without network, in another folder under another umask; lintian objects to nothing."""
    assert rebuilt.read_bytes() == package.read_bytes()


def test_it_needs_the_python_that_it_was_made_for(package: Path, suite: str) -> None:
    """8.4: the exact minor version, which a dist-upgrade leaves installed, and the release's database libraries."""
    depends = told("dpkg-deb", "--field", package, "Depends")
    python = {"bookworm": "python3.11", "trixie": "python3.13"}[suite]
    assert {python, "adduser"} <= {word.strip() for word in depends.split(",")}
    assert all(library in depends for library in ("libmariadb3", "libpq5"))
    assert "<<" not in depends


def test_it_is_small_and_holds_nothing_of_its_build(package: Path, unpacked: Path) -> None:
    """8.5"""
    assert package.stat().st_size < 8_000_000
    left = [path for path in unpacked.rglob("*") if path.suffix == ".pyc" or path.name in {"RECORD", "direct_url.json"}]
    assert left == []
    assert subprocess.run(["grep", "-rl", "/tmp/tmp.", str(unpacked)], capture_output=True, check=False).stdout == b""


def test_every_library_in_it_is_the_one_that_is_locked_with_hashes(site: Path) -> None:
    locked = {}
    for name in ("package.txt", "package-build.txt"):
        for entry in re.split(r"\n(?=\S)", (REPOSITORY / "requirements" / name).read_text()):
            if "==" in entry:
                assert "--hash=sha256:" in entry, f"{name}: {entry}"
                library, _, rest = entry.partition("==")
                locked[normal(library)] = rest.split()[0]
    inside = {entry.name.removesuffix(".dist-info").rsplit("-", 1)[0]: entry.name for entry in site.glob("*.dist-info")}
    ours = NAME.replace("-", "_")
    assert {
        normal(name): wheel.removesuffix(".dist-info").rsplit("-", 1)[1] for name, wheel in inside.items()
    }.items() <= {
        **locked,
        normal(ours): __version__,
    }.items()


def normal(name: str) -> str:
    """A library's name as package indexes compare it, without its extras."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def test_its_copyright_tells_the_licence_of_everything_in_it(site: Path, unpacked: Path) -> None:
    text = (unpacked / f"usr/share/doc/{NAME}/copyright").read_text()
    patterns = [line.removeprefix("Files:").strip() for line in text.splitlines() if "/site-packages/" in line]
    libraries = {
        path.name for path in site.iterdir() if path.suffix != ".dist-info" and path.name != "asterisk_connector"
    }
    untold = {
        name
        for name in libraries
        if not any(
            fnmatch.fnmatch(f"usr/lib/{NAME}/lib/python3/site-packages/{name}/x", p.rstrip("/*") + "*")
            for p in patterns
        )
    }
    assert untold == set()
    assert set(re.findall(r"(?m)^License: (.*)", text)) == set(re.findall(r"(?m)^License: (.*)\n ", text))
    # Where it says so, the text is beside the library.
    assert [entry.name for entry in site.glob("*.dist-info") if not list(entry.rglob("LICENSE*"))] == []


def test_its_news_and_changelog_tell_of_this_version(package: Path, unpacked: Path, suite: str) -> None:
    docs = unpacked / f"usr/share/doc/{NAME}"
    release = {"bookworm": "deb12", "trixie": "deb13"}[suite]
    assert version(package) == f"{__version__}-1~{release}"
    first = gzip.decompress((docs / "changelog.Debian.gz").read_bytes()).decode().splitlines()[0]
    assert first == f"{NAME} ({version(package)}) {suite}; urgency=medium"
    assert b"config.yaml" in gzip.decompress((docs / "NEWS.Debian.gz").read_bytes())
    assert b"Keep a Changelog" in gzip.decompress((docs / "changelog.gz").read_bytes())


def test_its_manual_page_renders_without_a_warning_and_tells_every_command(unpacked: Path) -> None:
    page = unpacked / f"usr/share/man/man8/{NAME}.8.gz"
    command = ["man", "--warnings", "--local-file", str(page)]
    made = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"},
    )
    assert made.stderr == ""
    assert all(
        words in made.stdout
        for words in ("run", "check", "outbox retry", "EXIT STATUS", "/etc/asterisk-connector/config.yaml")
    )


def test_it_ships_no_file_that_an_administrator_edits(package: Path, tmp_path: Path) -> None:
    told("dpkg-deb", "--control", package, tmp_path)
    assert not (tmp_path / "conffiles").exists()


@ON_ONE_RELEASE
def test_piuparts_finds_nothing_left_behind(package: Path, suite: str) -> None:
    """8.6: installed, removed and purged in a plain root, which is then as it was."""
    # debconf of Debian 13 leaves the folder when apt has nothing to ask; piuparts of Debian 12 does not know it yet.
    ignored = "--ignore-regex=/var/cache/debconf/tmp\\.ci.*"
    root = f"--existing-chroot={hosts.root(suite)}"
    command = ["piuparts", root, "--no-eatmydata", f"--distribution={suite}", ignored]
    done = subprocess.run([*command, str(package)], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-2:][0].endswith("PASS: All tests."), done.stdout[-6000:] + done.stderr

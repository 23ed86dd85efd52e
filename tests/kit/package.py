"""The package as operators get it: built from the sources as they are, other versions of it, and a signed repository.

- `built(suite, into)`: the package for `bookworm` or `trixie`. It is built once for each state of the sources and kept
  under `.cache`; what a test gets is its own copy.
- `repacked(package, "0.2.0", into, change)`: another version of it, in seconds. `change(root)` edits the files it
  installs; `cannot_start` makes a release whose service ends at its start, `newer_state` one that migrates the state.
- `Repository(folder)`: an apt repository on loopback, made by `packaging/make-repo` and signed with a throw-away key;
  `publish(*packages)` adds versions, `sources(suite)` is the `.sources` file of a host, which needs `key` at `KEYRING`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from tests.kit.cache import CACHE, CannotRun, cached

NAME = "asterisk-connector"
SUITES = ("bookworm", "trixie")
KEYRING = f"/etc/apt/keyrings/{NAME}.gpg"
SIGNER = "releases@example.org"
REPOSITORY = CACHE.parent
PACKAGING = REPOSITORY / "packaging"


def build(suite: str, into: Path, umask: int = 0o022) -> Path:
    """A package of the sources as they are now, built anew. Raises CannotRun with the end of the build's log."""
    if os.geteuid() != 0:
        raise CannotRun(f"The package for {suite}", "only root can build it in a clean root file system.")
    command = [str(PACKAGING / "build-deb"), suite, str(into)]
    made = subprocess.run(command, capture_output=True, text=True, check=False, umask=umask)
    if made.returncode != 0:
        raise CannotRun(f"The package for {suite}", f"packaging/build-deb failed: {made.stderr[-3000:]}.")
    return Path(made.stdout.splitlines()[-1])


def built(suite: str, into: Path) -> Path:
    """The package of the sources as they are, built unless this state of them has been built here. Raises CannotRun."""

    def make(folder: Path) -> None:
        build(suite, folder)

    kept = cached(f"package-{suite}", _inputs(), make)
    into.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(next(kept.glob("*.deb")), into))


def _inputs() -> str:
    """What the package depends on: a sum of every file that goes into its build."""
    paths = (PACKAGING / "sources").read_text().split()
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths]
    names = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split("\0")
    files = [REPOSITORY / name for name in sorted(set(names)) if name]
    return "\n".join(
        f"{file} {file.stat().st_mode:o} {hashlib.sha256(file.read_bytes()).hexdigest()}"
        for file in files
        if file.is_file()
    )


def repacked(package: Path, version: str, into: Path, change: Callable[[Path], None] | None = None) -> Path:
    """A package of another version, `0.2.0`, that says so of itself; `change` gets the folder of what it installs."""
    with TemporaryDirectory(dir=into) as scratch:
        root = Path(scratch) / "root"
        subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(root)], check=True)
        control = root / "DEBIAN" / "control"
        control.write_text(re.sub(r"(?m)^Version: [^-]*", f"Version: {version}", control.read_text()))
        init = _agent(root) / "__init__.py"
        init.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', init.read_text()))
        if change is not None:
            change(root)
        release = package.name.partition("-1~")[2]
        made = into / f"{NAME}_{version}-1~{release}"
        command = ["dpkg-deb", "-Znone", "--root-owner-group", "--build", str(root), str(made)]
        subprocess.run(command, check=True, capture_output=True)
    return made


def cannot_start(root: Path) -> None:
    """A change for `repacked`: the service ends with code 1 as soon as it is started; other commands work."""
    run = _agent(root) / "cli" / "run.py"
    run.write_text(f'{run.read_text()}\nraise SystemExit("asterisk-connector: this release cannot start")\n')


def newer_state(root: Path) -> None:
    """A change for `repacked`: the state gets a schema that versions before do not know."""
    (_agent(root) / "store" / "migrations" / "9999_later.sql").write_text("CREATE TABLE later (id INTEGER) STRICT;\n")


def _agent(root: Path) -> Path:
    return next((root / "usr" / "lib" / NAME).glob("lib/python3*/site-packages/asterisk_connector"))


class Repository:
    """A signed apt repository in `folder`, served on an address of this machine while the context lasts."""

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        self.folder = folder / "repository"
        self.key = self.folder / f"{NAME}.gpg"
        # Not under `folder`: the path of an agent's socket has to be short.
        self._keyring = TemporaryDirectory(prefix="gpg-")
        self._environment = {**os.environ, "GNUPGHOME": self._keyring.name}
        new = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key"]
        self._run(*new, f"Releases <{SIGNER}>", "ed25519", "sign", "never")
        handler = partial(_Quiet, directory=str(self.folder))
        self._server = ThreadingHTTPServer((address, 0), handler)
        self.url = f"http://{address}:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._run("gpgconf", "--kill", "all")
        self._keyring.cleanup()

    def publish(self, *packages: Path, key: str = SIGNER) -> None:
        """Adds packages, of any release and version, to what is there, and signs the indexes anew."""
        self._run(str(PACKAGING / "make-repo"), "--key", key, str(self.folder), *map(str, packages))

    def sources(self, suite: str, url: str = "") -> str:
        """The content of `/etc/apt/sources.list.d/asterisk-connector.sources` for a host of `suite`."""
        fields = {"Types": "deb", "URIs": url or self.url, "Suites": suite, "Components": "main", "Signed-By": KEYRING}
        return "".join(f"{name}: {value}\n" for name, value in fields.items())

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing; apt tells what it did not get."""

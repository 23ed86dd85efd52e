"""What a rollout may have to go back to: the files it writes, and the agent's state. Runs on the host, as root.

- `take`, before anything is changed, copies to `before`. A `before` that is there already belongs to a rollout that was
  cut off: it stays, being the last that was known to work.
- `keep`, when all is well, makes it `previous`, for a rollback by hand, or forgets it where nothing was changed.
- `restore` brings files back and takes away what was not there; a configuration that is replaced by it stays readable
  as `config.yaml.rejected` until the next is kept. A database of the state is brought back only where its schema has
  moved on, so that the version before can read it at all: else all that was read since is in it and stays. The newer
  one is set aside.
- Files lie below /etc/asterisk-connector, for root alone. The state's copy lies in the state's directory, as its owner,
  who could put links there.
- SQLite copies a database while the agent goes on writing: its last commit, in one read transaction.

Prints one JSON object; ends with 1 and a sentence on stderr where something cannot be done.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

ROOT = Path("/")
ETC = ROOT / "etc/asterisk-connector"
BEFORE = ETC / "before"
KEPT = (
    "etc/asterisk-connector/config.yaml",
    "etc/asterisk-connector/secrets",
    "etc/systemd/system/asterisk-connector.service.d",
    "etc/apt/preferences.d/asterisk-connector",
)
DATABASES = ("calls.db", "ami.db")
POSITIONS = "positions.json"
REJECTED = "config.yaml.rejected"
SPARE = 256 << 20
"""Bytes that a copy of the state leaves free; the agent itself stops reading when there are 64 MiB."""

ASIDE = 3
"""Databases of newer versions that are left beside the one in use; the oldest go."""


def take(state: Path, version: str, with_state: bool) -> dict[str, object]:
    """Copies what is there, the state too where asked; what is copied already stays. Says which version that was."""
    if not BEFORE.exists():
        fresh = BEFORE.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        for name in _files(ROOT):
            _copy(ROOT / name, fresh / "files" / name)
        (fresh / "version").write_text(version)
        fresh.rename(BEFORE)
    copied = _copy_state(state) if with_state and state.is_dir() and not (state / "before").exists() else []
    return {"version": (BEFORE / "version").read_text(), "state": copied, "at": int(time.time())}


def keep(state: Path, version: str) -> dict[str, object]:
    """`before` becomes `previous` where version or files are others now; it is forgotten where they are not."""
    if (BEFORE / "version").read_text() == version and _content(BEFORE / "files") == _content(ROOT):
        forget(state)
        return {"changed": False}
    shutil.rmtree(ETC / "previous", ignore_errors=True)
    with _owner_of(state):
        copy, previous = state / "before", state / "previous"
        shutil.rmtree(previous, ignore_errors=True)
        if any((copy / name).exists() and _schema(state / name) > _schema(copy / name) for name in DATABASES):
            copy.rename(previous)
        shutil.rmtree(copy, ignore_errors=True)
    (ETC / REJECTED).unlink(missing_ok=True)
    BEFORE.rename(ETC / "previous")
    return {"changed": True}


def restore(state: Path, source: str) -> dict[str, object]:
    """Brings back the files of `source`, and of the state what the version before could not read."""
    wanted = ETC / source / "files"
    config = ETC / "config.yaml"
    if config.exists() and config.read_bytes() != _content(wanted).get(KEPT[0]):
        _copy(config, ETC / REJECTED)
    for name in set(_files(ROOT)) - set(_files(wanted)):
        (ROOT / name).unlink()
    for name in _files(wanted):
        _copy(wanted / name, ROOT / name)
    with _owner_of(state):
        return _restore_state(state, state / source)


def _restore_state(state: Path, source: Path) -> dict[str, object]:
    newer = [name for name in DATABASES if (source / name).exists() and _schema(state / name) > _schema(source / name)]
    aside = f"newer-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    for name in newer:
        for end in ("", "-wal", "-shm"):
            if (state / f"{name}{end}").exists():
                (state / f"{name}{end}").rename(state / f"{name}.{aside}{end}")
        shutil.copy2(source / name, state / name)
        for old in sorted(state.glob(f"{name}.newer-*Z"))[:-ASIDE]:
            for file in state.glob(f"{old.name}*"):
                file.unlink()
    if "calls.db" in newer and (source / POSITIONS).exists():
        shutil.copy2(source / POSITIONS, state / POSITIONS)
    return {"brought_back": newer, "set_aside": [f"{state / name}.{aside}" for name in newer]}


def forget(state: Path) -> dict[str, object]:
    """What `before` says holds again."""
    shutil.rmtree(BEFORE)
    with _owner_of(state):
        shutil.rmtree(state / "before", ignore_errors=True)
    return {}


def _files(root: Path) -> Iterator[str]:
    """The files below `root` that are kept, by their path from it."""
    for name in KEPT:
        place = root / name
        found = [place] if place.is_file() else sorted(place.rglob("*"))
        yield from (str(path.relative_to(root)) for path in found if path.is_file())


def _content(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in _files(root)}


def _copy(source: Path, to: Path) -> None:
    """A file with its owner and mode; whole or not at all."""
    to.parent.mkdir(mode=source.parent.stat().st_mode & 0o777, parents=True, exist_ok=True)
    fresh = to.with_name(f".{to.name}.new")
    fresh.touch(mode=0o600)
    shutil.copyfile(source, fresh)
    owner = source.stat()
    os.chown(fresh, owner.st_uid, owner.st_gid)
    shutil.copymode(source, fresh)
    fresh.replace(to)


def _copy_state(state: Path) -> list[str]:
    there = [name for name in DATABASES if (state / name).exists()]
    size = sum(
        Path(f"{state / name}{end}").stat().st_size
        for name in there
        for end in ("", "-wal")
        if Path(f"{state / name}{end}").exists()
    )
    disk = os.statvfs(state)
    free = disk.f_bavail * disk.f_frsize
    if there and free < size + SPARE:
        raise SystemExit(
            f"a copy of the state in {state} needs {size >> 20} MiB and leaves {SPARE >> 20} MiB free, but there are"
            f" {free >> 20} MiB: make room, or set asterisk_connector_backup_state to false and go without a way back"
        )
    with _owner_of(state):
        fresh = state / "before.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        for name in there:
            (fresh / name).touch(mode=0o640)
            with closing(_opened(state / name)) as source, closing(sqlite3.connect(fresh / name)) as target:
                source.backup(target)
        if (state / POSITIONS).exists():
            shutil.copy2(state / POSITIONS, fresh / POSITIONS)
        fresh.rename(state / "before")
    return there


def _schema(database: Path) -> int:
    """The version of a database's schema; 0 where there is none, and for a damaged one, which the agent repairs."""
    try:
        with closing(_opened(database)) as db:
            return int(db.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError:
        return 0


def _opened(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(database))}?mode=rw", uri=True, timeout=30)


@contextmanager
def _owner_of(state: Path) -> Iterator[None]:
    """What is done in the state's directory is done as its owner."""
    if not state.exists():
        yield
        return
    user, group, owner = os.geteuid(), os.getegid(), state.stat()
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)


def main() -> None:
    """One verb."""
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["take", "keep", "restore", "forget"])
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--version", default="", help="the version of the package that is installed")
    parser.add_argument("--with-state", action="store_true", help="take: a copy of the state too")
    parser.add_argument("--from", dest="source", choices=["before", "previous"], default="before")
    asked = parser.parse_args()
    try:
        match asked.verb:
            case "take":
                done = take(asked.state, asked.version, asked.with_state)
            case "keep":
                done = keep(asked.state, asked.version)
            case "restore":
                done = restore(asked.state, asked.source)
            case _:
                done = forget(asked.state)
    except (OSError, sqlite3.Error) as error:
        raise SystemExit(f"{asked.verb}: {error}") from error
    print(json.dumps(done))


if __name__ == "__main__":
    main()

"""Whether this host lets the agent do what its settings say: files, directories, limits.

- Looked at with the rights of the user who asks; root may read what the service may not, and is told so.
- Nothing is created, changed or kept open.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from asterisk_connector.config import asterisk_files
from asterisk_connector.config.finding import Finding, Level
from asterisk_connector.config.kinds import show_size
from asterisk_connector.config.model import Settings
from asterisk_connector.config.sources import Table

SERVICE = "asterisk-connector"
_GROUP_HINT = f"usermod -aG asterisk {SERVICE}, then restart the service"
_INOTIFY = Path("/proc/sys/fs/inotify")
_COUNTED = 50_000
"""Directories counted at most; a larger tree needs a larger limit anyway."""


def findings(settings: Settings, etc: Path = asterisk_files.ETC) -> list[Finding]:
    """All findings about this host."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _user,
        _read_files,
        _recordings,
        _given_files,
        _state,
        _written_files,
        _watches,
        lambda given: asterisk_files.hints(given, etc),
    )
    return [replace(finding, tier="host") for check in checks for finding in check(settings)]


def _user(_: Settings) -> Iterator[Finding]:
    if os.geteuid() == 0:
        hint = f"runuser -u {SERVICE} -- asterisk-connector check"
        yield Finding("ok", "", "looked at as root, who may read more than the service", hint)


def _read_files(settings: Settings) -> Iterator[Finding]:
    named = [(f"sources.cel_csv[{i}]", file.path) for i, file in enumerate(settings.sources.cel_csv)]
    named += [(f"sources.cdr_csv[{i}]", file.path) for i, file in enumerate(settings.sources.cdr_csv)]
    for path, file in named:
        setting = f"{path}.path"
        if problem := _closed(file.parent, os.R_OK | os.X_OK):
            level = problem[0]
            yield Finding(level, setting, f"directory {problem[1]}", problem[2])
        elif not file.exists():
            said = f"{file} does not exist (yet): Asterisk makes it with its first call, if it is told to"
            yield Finding("warning", setting, said)
        elif not file.is_file():
            yield Finding("error", setting, f"{file} is not a file")
        elif not os.access(file, os.R_OK, effective_ids=True):
            yield Finding("error", setting, f"{file} may not be read by this user", _GROUP_HINT)
        else:
            yield Finding("ok", setting, f"{file} can be read ({show_size(file.stat().st_size)})")


def _closed(directory: Path, mode: int) -> tuple[Level, str, str] | None:
    """Why a directory cannot be used: level, what, hint. None when it can."""
    try:
        found = directory.is_dir()
    except OSError:
        return "error", f"{directory} may not be entered by this user", _GROUP_HINT
    if not found:
        above = next((parent for parent in directory.parents if parent.is_dir()), None)
        if above is not None and not os.access(above, os.X_OK, effective_ids=True):
            return "error", f"{above} may not be entered by this user", _GROUP_HINT
        return "warning", f"{directory} does not exist", ""
    if not os.access(directory, mode, effective_ids=True):
        return "error", f"{directory} may not be {'written' if mode & os.W_OK else 'read'} by this user", _GROUP_HINT
    return None


def _recordings(settings: Settings) -> Iterator[Finding]:
    recordings = settings.sources.recordings
    if recordings is None:
        return
    mode = os.R_OK | os.X_OK
    if recordings.upload.enabled and recordings.upload.after != "keep":
        mode |= os.W_OK
    for index, directory in enumerate(recordings.paths):
        setting = f"sources.recordings.paths[{index}]"
        if problem := _closed(directory, mode):
            yield Finding(problem[0], setting, problem[1], problem[2])
        else:
            yield Finding("ok", setting, f"{directory} can be used")
    target = recordings.upload.move_to
    if target is not None and (problem := _closed(target, os.W_OK | os.X_OK)):
        yield Finding("error", "sources.recordings.upload.move_to", problem[1], problem[2])


def _given_files(settings: Settings) -> Iterator[Finding]:
    named: list[tuple[str, Path | None]] = []
    if settings.api is not None:
        named.append(("api.ca_file", settings.api.ca_file))
    if settings.ami is not None and settings.ami.tls is not None:
        named.append(("ami.tls.ca_file", settings.ami.tls.ca_file))
    recordings = settings.sources.recordings
    tables: tuple[tuple[str, Table | None], ...] = (
        ("sources.cel_table", settings.sources.cel_table),
        ("sources.cdr_table", settings.sources.cdr_table),
        ("sources.recordings.table", recordings.table if recordings else None),
    )
    for path, table in tables:
        if table is not None and table.tls is not None:
            tls = table.tls
            named += [(f"{path}.tls.ca_file", tls.ca_file), (f"{path}.tls.cert_file", tls.cert_file)]
            named.append((f"{path}.tls.key_file", tls.key_file))
    for index, file in enumerate(settings.sources.cel_csv):
        if isinstance(file.mapping, str) and file.mapping.startswith("/"):
            named.append((f"sources.cel_csv[{index}].mapping", Path(file.mapping)))
    for name, connection in settings.kafka.connections.items():
        ssl = connection.ssl
        path = f"kafka.connections.{name}.ssl"
        named += [(f"{path}.ca", ssl.ca), (f"{path}.cert", ssl.cert), (f"{path}.key", ssl.key)]
    for setting, given in named:
        if given is None:
            continue
        if not given.is_file():
            yield Finding("error", setting, f"{given} does not exist")
        elif not os.access(given, os.R_OK, effective_ids=True):
            yield Finding("error", setting, f"{given} may not be read by this user", f"chgrp {SERVICE} {given}")


def _state(settings: Settings) -> Iterator[Finding]:
    directory = settings.store.directory
    setting = "store.directory"
    if not directory.is_dir():
        hint = f"install -d -m 0750 -o {SERVICE} -g {SERVICE} {directory}"
        yield Finding("error", setting, f"{directory} does not exist", hint)
        return
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        owner = f"chown -R {SERVICE}: {directory}"
        yield Finding("error", setting, f"{directory} may not be written by this user", owner)
        return
    free = shutil.disk_usage(directory).free
    if free < settings.store.reserve:
        said = f"{show_size(free)} are free, less than store.reserve ({show_size(settings.store.reserve)})"
        yield Finding("error", setting, f"{said}: reading would pause at once", "make room or lower store.reserve")
    elif free < settings.store.reserve + min(settings.store.max_size, 1 << 30):
        yield Finding("warning", setting, f"only {_rough(free)} are free; a long outage of the API would fill it")
    else:
        yield Finding("ok", setting, f"{directory} can be written, {_rough(free)} are free")


def _rough(size: int) -> str:
    for unit, bytes_ in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if size >= bytes_:
            return f"{size / bytes_:.1f} {unit}"
    return f"{size} bytes"


def _written_files(settings: Settings) -> Iterator[Finding]:
    file = settings.calls.file
    if file is not None and (problem := _closed(file.path.parent, os.W_OK | os.X_OK)):
        yield Finding("error", "calls.file.path", problem[1], f"chown {SERVICE}: {file.path.parent}")


def _watches(settings: Settings) -> Iterator[Finding]:
    recordings = settings.sources.recordings
    if recordings is None:
        return
    limit = _limit("max_user_watches")
    needed = 0
    for root in recordings.paths:
        for _ in os.walk(root):
            needed += 1
            if needed >= _COUNTED:
                break
    if limit is not None and needed * 2 > limit:
        said = f"{needed} directories need as many inotify watches, this host gives a user {limit}"
        hint = f"sysctl -w fs.inotify.max_user_watches={max(needed * 4, 65536)} (until then they are polled)"
        yield Finding("warning", "sources.recordings.paths", said, hint)


def _limit(name: str) -> int | None:
    try:
        return int((_INOTIFY / name).read_text())
    except (OSError, ValueError):
        return None

"""What the rows say of recordings: names they announce, and the files themselves.

- MixMonitor announces a file, and two more with its options r and t (`app_mixmonitor.c`); the manager tells the
  absolute path of each recording however it was started (MIXMONITOR_START); a CDR row names one in `recordingfile`.
  Announced recordings have no size.
- A file that replaces another (moved, converted) stands for it; the newest state of a file counts.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from asterisk_connector.assembly.interpret import Scene
from asterisk_connector.call import Recording

_OPTIONS = re.compile(r"(?:[^,(]|\([^)]*\))*")
_ONE_SIDE = re.compile(r"[rt]\(([^()]+)\)")


def recordings(scene: Scene) -> tuple[Recording, ...]:
    """Announced ones first, then files; which file is which announced one's is found by enrichment."""
    found: dict[str, Recording] = {}
    for channel in scene.channels.values():
        for since, app, data in channel.apps:
            if app == "MixMonitor":
                for path in announced(data):
                    told = Recording(path, started_at=since, leg=channel.uniqueid, linked_by="mixmonitor")
                    found.setdefault(path, told)
    for event in scene.events:
        if event.type == "MIXMONITOR_START" and event.app_data:
            name = PurePosixPath(event.app_data).name
            found = {path: one for path, one in found.items() if PurePosixPath(path).name != name}
            found[event.app_data] = Recording(
                event.app_data, started_at=event.at, leg=event.uniqueid, linked_by="mixmonitor"
            )
    names = {PurePosixPath(path).name for path in found}
    for row in scene.cdrs:
        if row.recording_file and PurePosixPath(row.recording_file).name not in names:
            leg = row.uniqueid or None
            found.setdefault(row.recording_file, Recording(row.recording_file, leg=leg, linked_by="cdr"))
    files: dict[tuple[str, str], Recording] = {}
    for file in scene.recordings:
        files.pop((file.origin, file.replaces), None)
        files[file.origin, file.path] = Recording(
            file.path,
            file.size or None,
            file.duration,
            file.format or None,
            file.started_at,
            file.ended_at,
            file.uniqueid or None,
            "table" if file.origin == "table" else "source",
        )
    return (*found.values(), *files.values())


def announced(data: str) -> list[str]:
    """The files that `MixMonitor(file,options,command)` writes: both sides, then each side where it was asked for."""
    path, _, rest = data.partition(",")
    options = _OPTIONS.match(rest)
    return [each for each in (path, *_ONE_SIDE.findall(options[0] if options else "")) if each]

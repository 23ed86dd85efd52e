"""What Asterisk's own files say about what it will write for us: cel.conf, cel_custom.conf, cdr.conf.

- Hints, never conditions: the files may be unreadable, generated elsewhere, or read by Asterisk from a database.
- Only what is needed is understood: sections, `key = value`, `key => value`, comments after `;`, `#include`
  (main/config.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from asterisk_connector.config.conf_lines import joined
from asterisk_connector.config.finding import Finding
from asterisk_connector.config.model import Settings
from asterisk_connector.config.sources import CelCsv

ETC = Path("/etc/asterisk")

EVENTS = (
    "CHAN_START", "CHAN_END", "ANSWER", "HANGUP", "BRIDGE_ENTER", "BRIDGE_EXIT", "APP_START", "APP_END", "PARK_START",
    "PARK_END", "BLINDTRANSFER", "ATTENDEDTRANSFER", "PICKUP", "FORWARD", "LOCAL_OPTIMIZE", "LINKEDID_END",
)  # fmt: skip
"""Event types from which a call is told; without one of them something must be inferred or stays unknown."""

APPS = ("dial", "queue", "voicemail", "park", "mixmonitor", "confbridge", "followme", "page", "chanspy", "pickup")
"""Applications whose start and end say what a caller went through."""

Conf = Mapping[str, Mapping[str, str]]


def parse(text: str) -> Conf:
    """Sections of an Asterisk configuration, keys in lower case; of a repeated key the last counts."""
    sections: dict[str, dict[str, str]] = {}
    current = sections.setdefault("", {})
    for raw in text.splitlines():
        line = re.split(r"(?<!\\);", raw, maxsplit=1)[0].strip()
        if match := re.match(r"\[([^\]]+)\]", line):
            current = sections.setdefault(match[1].strip().lower(), {})
        elif "=" in line:
            key, _, value = line.partition("=")
            current[key.strip().lower()] = value.removeprefix(">").strip()
    return sections


def hints(settings: Settings, etc: Path = ETC) -> Iterator[Finding]:
    """What in Asterisk's files will keep calls from being told in full."""
    if not etc.is_dir():
        return
    sources = settings.sources
    if sources.cel_csv or sources.cel_table or sources.cel_ami:
        yield from _cel(settings, etc)
    for index, file in enumerate(sources.cel_csv):
        yield from _mapping(file, f"sources.cel_csv[{index}]", etc)
    yield from _cdr(settings, etc)


def _cel(settings: Settings, etc: Path) -> Iterator[Finding]:
    file = etc / "cel.conf"
    conf = _read(file)
    if conf is None:
        yield Finding("ok", "sources", f"{file} cannot be read by this user, so nothing is said about it")
        return
    general = conf.get("general", {})
    if general.get("enable", "no").lower() not in {"yes", "true", "on", "1", "y", "t"}:
        said = f"{file} does not enable CEL, so Asterisk writes no events"
        yield Finding("error", "sources", said, "set `enable=yes` and `core restart when convenient`")
        return
    events = {event.strip().upper() for event in general.get("events", "").split(",")}
    missing = [] if "ALL" in events else [event for event in EVENTS if event not in events]
    if missing:
        said = f"{file} leaves out {', '.join(missing)}; what they tell must be inferred or stays unknown"
        yield Finding("warning", "sources", said, "set `events=ALL` and `module reload cel`")
    apps = {app.strip().lower() for app in general.get("apps", "").split(",")} - {""}
    if not apps:
        said = f"{file} has no `apps=`, so APP_START and APP_END are never written: queues may stay unnamed"
        yield Finding("warning", "sources", said, f"set `apps={','.join(APPS)}`")
    dateformat = general.get("dateformat", "")
    if settings.sources.cel_csv and dateformat and not re.search(r"%\d?q", dateformat):
        said = f"{file} writes times in whole seconds (`dateformat={dateformat}`), so talk times are rough"
        yield Finding("warning", "sources.cel_csv", said, "remove `dateformat` or append `.%6q`")
    if settings.sources.cel_ami and conf.get("manager", {}).get("enabled", "no").lower() not in {
        "yes",
        "true",
        "on",
        "1",
    }:
        said = f"{file} does not send CEL events over AMI"
        yield Finding("error", "sources.cel_ami", said, "set `enabled=yes` under `[manager]`")


def _mapping(file: CelCsv, path: str, etc: Path) -> Iterator[Finding]:
    """Whether cel_custom writes the file that is to be read."""
    custom = etc / "cel_custom.conf"
    conf = _read(custom)
    if conf is None:
        return
    name = file.path.name.lower()
    if name in conf or any(key.endswith(name) for section in conf.values() for key in section):
        yield Finding("ok", path, f"{custom} writes {file.path.name}")
    else:
        said = f"{custom} has no mapping for {file.path.name}, so Asterisk may never write this file"
        yield Finding("warning", path, said)


def _cdr(settings: Settings, etc: Path) -> Iterator[Finding]:
    table = settings.sources.cdr_table
    conf = _read(etc / "cdr.conf")
    if table is None or conf is None:
        return
    general = conf.get("general", {})
    if general.get("batch", "no").lower() not in {"yes", "true", "on", "1"}:
        return
    delay = int(general["time"]) if general.get("time", "").isdecimal() else 300
    if delay > table.batch_time:
        said = f"{etc / 'cdr.conf'} holds rows back for up to {delay} s, longer than this"
        yield Finding("warning", "sources.cdr_table.batch_time", said, f"set it to {delay}s")


def _read(file: Path) -> Conf | None:
    def included(name: str) -> list[str]:
        pattern = file.parent / name
        found = sorted(pattern.parent.glob(pattern.name))
        return [path.read_text(encoding="utf-8", errors="replace") for path in found]

    try:
        return parse(joined(file.read_text(encoding="utf-8", errors="replace"), included))
    except (OSError, ValueError):
        return None

"""Which recording is which call's, and how that is known. Pure.

- The rules, best first: `path` (the row that started it names this very file), `name` (it names a file of that name:
  moved, converted, in a dated directory), `cdr` (likewise, by a CDR's recordingfile), `table` (likewise, by a row of
  the recordings table), `pattern` (the operator's own pattern found a uniqueid of the call), `uniqueid` (the file's
  name holds one), `one_touch`, `conference`, and `guess`: a number of the call and an instant within GUESS seconds of
  one of its own.
- A file that was finished before its call began is not its recording, whatever it is called.
- A recording that was announced but has no file below a searched directory is no recording: it is left out, and once
  the call is over that is noted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

from msgspec.structs import replace

from asterisk_connector.call import Call, Recording
from asterisk_connector.enrichment.file_names import SECOND, Name, NameRules, read_name
from asterisk_connector.records import Micros

GUESS = 5
RULES = ("path", "name", "cdr", "table", "pattern", "uniqueid", "one_touch", "conference", "guess")
_SLACK = 60 * SECOND
"""By how much a file server's clock may differ from Asterisk's."""


@dataclass(frozen=True, slots=True)
class RecordingRules:
    """`roots`: the directories that are searched; empty: none are, and what was announced is all there is to tell."""

    roots: tuple[str, ...] = ()
    names: NameRules = field(default_factory=NameRules)


class Link(NamedTuple):
    """Why a file belongs to a call, which channel it was started on, and when, where that is known."""

    rule: str
    leg: str | None = None
    started_at: Micros | None = None


def attach_recordings(call: Call, rules: RecordingRules) -> Call:
    """The call with every recording once: files with how they were linked, and what was only announced."""
    files = [recording for recording in call.recordings if recording.linked_by == "source"]
    announced = [recording for recording in call.recordings if recording.linked_by != "source"]
    call = replace(call, announced=tuple(announced))
    told: list[Recording] = []
    for file in files:
        link = link_of(call, file, rules)
        if link is None:
            told.append(file)
            continue
        announced = [each for each in announced if not _names(each, file)]
        told.append(
            replace(file, linked_by=link.rule, leg=file.leg or link.leg, started_at=link.started_at or file.started_at)
        )
    missing = [each for each in announced if each.linked_by != "table" and _searched(each.path, rules.roots)]
    told.extend(each for each in announced if each not in missing)
    over = call.complete or call.evidence.incomplete is not None
    if missing and over:
        notes = tuple(f"no recording was found under the announced name {name}" for name in _basenames(missing))
        call = replace(call, evidence=replace(call.evidence, notes=(*call.evidence.notes, *notes)))
    if any(recording.linked_by == "guess" for recording in told):
        call = replace(call, evidence=replace(call.evidence, inferred=(*call.evidence.inferred, "recordings")))
    return replace(call, recordings=tuple(told))


def link_of(call: Call, file: Recording, rules: RecordingRules) -> Link | None:
    """Why `file` is a recording of `call`, which went through `attach_recordings`; None when it is not."""
    if file.ended_at is not None and file.ended_at < call.started_at - _SLACK:
        return None
    name = read_name(file.path, rules.names)
    announced = next((each for each in call.announced if _is_path(each.path, file.path)), None)
    if announced is not None:
        return _announced("path", announced)
    announced = next((each for each in call.announced if _names(each, file)), None)
    if announced is not None:
        return _announced("name", announced)
    ids = uniqueids(call)
    if name.given in ids:
        return Link("pattern", name.given)
    if leg := next((uniqueid for uniqueid in ids if name.has(uniqueid)), None):
        return Link("uniqueid", leg)
    return _by_party(call, name)


def uniqueids(call: Call) -> dict[str, None]:
    """Every uniqueid of the call, its own legs first."""
    ids = {leg.uniqueid: None for leg in call.legs}
    ids.update((event.uniqueid, None) for event in call.thread if event.uniqueid)
    ids.update((linkedid, None) for linkedid in call.linkedids)
    return ids


def keys(call: Call) -> Iterator[str]:
    """Under which of `file_keys` a recording of this call may be filed."""
    for uniqueid in uniqueids(call):
        yield "id:" + uniqueid.rpartition("-")[2]
        yield "given:" + uniqueid
    for announced in call.announced:
        yield "name:" + PurePosixPath(announced.path).stem
    first = call.started_at // SECOND // 60
    last = max(call.ended_at or call.started_at, call.started_at) // SECOND // 60
    for minute in range(first - 1, min(last, first + 24 * 60) + 2):
        yield f"minute:{minute}"


def file_keys(file: Recording, rules: RecordingRules) -> Iterator[str]:
    """Under which names a recording that waits for its call is filed."""
    name = read_name(file.path, rules.names)
    yield "name:" + name.stem
    for uniqueid in name.ids:
        yield "id:" + uniqueid
    if name.given:
        yield "given:" + name.given
    for instant in name.at:
        yield f"minute:{instant // SECOND // 60}"


def _announced(rule: str, announced: Recording) -> Link:
    told_by = announced.linked_by if announced.linked_by in ("cdr", "table") else rule
    return Link(told_by, announced.leg, announced.started_at)


def _is_path(announced: str, path: str) -> bool:
    """Asterisk takes a relative name as one below its `monitor` directory."""
    return path == announced or (not announced.startswith("/") and path.endswith("/" + announced))


def _names(announced: Recording, file: Recording) -> bool:
    """The same name, wherever and with whatever ending."""
    return PurePosixPath(announced.path).stem == PurePosixPath(file.path).stem


def _by_party(call: Call, name: Name) -> Link | None:
    """By who took part and when."""
    if not name.at:
        return None
    parties = _parties(call)
    end = (call.ended_at or call.started_at) + GUESS * SECOND
    during = any(call.started_at - GUESS * SECOND <= instant <= end for instant in name.at)
    if during and name.one_touch is not None and set(name.one_touch) <= parties:
        return Link("one_touch")
    if during and name.room and call.conference is not None and call.conference.room == name.room:
        return Link("conference")
    if not name.numbers & parties:
        return None
    instants = _instants(call)
    near = any(abs(instant - known) <= GUESS * SECOND for instant in name.at for known in instants)
    return Link("guess") if near else None


def _parties(call: Call) -> set[str]:
    known = {call.caller.number, call.caller.extension, call.dialled, call.did, call.answered_by, *call.parties}
    known.update(leg.party for leg in call.legs)
    if call.conference is not None:
        known.add(call.conference.room)
    if call.queue is not None:
        known.add(call.queue.name)
    return {party for party in known if party}


def _instants(call: Call) -> set[Micros]:
    known = {call.started_at, call.answered_at, *(stretch.start for stretch in call.talk)}
    for leg in call.legs:
        known.update((leg.started_at, leg.answered_at))
    return {instant for instant in known if instant is not None}


def _searched(path: str, roots: tuple[str, ...]) -> bool:
    if not path.startswith("/"):
        return bool(roots)
    return any(path.startswith(root.rstrip("/") + "/") for root in roots)


def _basenames(recordings: list[Recording]) -> list[str]:
    return list(dict.fromkeys(PurePosixPath(recording.path).name for recording in recordings))

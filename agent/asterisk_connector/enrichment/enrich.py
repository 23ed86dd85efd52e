"""Takes a call through the steps of enrichment, one after the other.

- A step that raises leaves a note and a notice; the call goes on without what the step would have added (F62).
- Notice and note name the error and its place in the code, never its text, which may hold a caller's number.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import NamedTuple

from msgspec.structs import replace

from asterisk_connector.call import Call
from asterisk_connector.notices import EnrichmentFailed, Notify


class Step(NamedTuple):
    """One verb, with its settings bound, and the name by which its failure is told."""

    name: str
    verb: Callable[[Call], Call]


def enrich(call: Call, steps: Iterable[Step], notify: Notify) -> Call:
    """The call after all steps, in their order. Raises nothing for what a step does."""
    for step in steps:
        try:
            call = step.verb(call)
        except Exception as error:
            reason = _reason(error)
            notify(EnrichmentFailed(call.call_id, step.name, reason))
            notes = (*call.evidence.notes, f"{step.name} failed: {reason}")
            call = replace(call, evidence=replace(call.evidence, notes=notes))
    return call


def explained(call: Call, lines: Mapping[str, str]) -> Call:
    """The call with the rules that decided some fields added to `evidence.explain`."""
    if not lines:
        return call
    return replace(call, evidence=replace(call.evidence, explain={**call.evidence.explain, **lines}))


def _reason(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"

"""What reading or checking a configuration brought to light: one sentence, where it belongs, what to do.

- A finding never contains a secret.
- `path` is the dotted path of the setting (`api.region`, `sources.cel_csv[0].path`), empty for the whole file.
- `tier` says which look found it: the writing, the sense, this host, or what is reached from it.
- `place` is `file:line` or the name of the environment variable or credential that said it, empty when unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "ok"]
Tier = Literal["syntax", "meaning", "host", "reach"]
TIERS: tuple[Tier, ...] = ("syntax", "meaning", "host", "reach")


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark. `hint` says what to do, often as a command."""

    level: Level
    path: str
    message: str
    hint: str = ""
    place: str = ""
    tier: Tier = "syntax"

    def __str__(self) -> str:
        head = "".join(f"{part}: " for part in (self.place, self.path) if part)
        return f"{head}{self.message}" + (f" ({self.hint})" if self.hint else "")


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether any of them keeps the agent from running."""
    return any(finding.level == "error" for finding in findings)

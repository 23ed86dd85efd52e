"""The four tiers of `check`: how it is written, what it means, this host, what is reached from it.

- A tier is looked at only when those before it found no error: host and network are asked about settings that hold.
- All findings of a tier are returned at once, each with the line of its setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from asterisk_connector.config import host, reach
from asterisk_connector.config.asterisk_files import ETC
from asterisk_connector.config.finding import TIERS, Finding, Tier, has_errors
from asterisk_connector.config.load import load, placed
from asterisk_connector.config.model import Settings


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and which tiers were looked at."""

    findings: tuple[Finding, ...]
    looked_at: tuple[Tier, ...]

    @property
    def good(self) -> bool:
        """Whether the agent can run."""
        return not has_errors(self.findings)


def check(
    path: Path,
    upto: Tier = "reach",
    *,
    environ: Mapping[str, str] | None = None,
    etc: Path = ETC,
    checks: Mapping[str, reach.ReachCheck] = reach.CHECKS,
) -> Report:
    """Looks at the configuration in `path`, tier by tier, up to and with `upto`. Raises nothing."""
    wanted = TIERS[: TIERS.index(upto) + 1]
    loaded = load(path, environ)
    findings = [finding for finding in loaded.findings if finding.tier in wanted]
    if any(finding.level == "error" and finding.tier == "syntax" for finding in findings):
        return Report(tuple(findings), TIERS[:1])
    if has_errors(findings) or loaded.settings is None:
        return Report(tuple(findings), wanted[:2])
    looked_at: list[Tier] = list(wanted[:2])
    for tier in wanted[2:]:
        found = host.findings(loaded.settings, etc) if tier == "host" else _reached(loaded.settings, checks)
        findings += [placed(finding, loaded.places, str(path)) for finding in found]
        looked_at.append(tier)
        if has_errors(findings):
            break
    return Report(tuple(findings), tuple(looked_at))


def _reached(settings: Settings, checks: Mapping[str, reach.ReachCheck]) -> list[Finding]:
    return [replace(finding, tier="reach") for one in checks.values() for finding in one(settings)]

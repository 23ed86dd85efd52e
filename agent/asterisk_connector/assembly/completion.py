"""When a call is over: fed record by record, small, and asked at any time.

- Over means: every uniqueid seen has ended (CHAN_END; HANGUP where CHAN_END is not enabled) and so has every linkedid;
  then rows that come late are waited for (`settle`). LINKEDID_END alone proves nothing: it fires too when a call moves
  to another linkedid (call semantics, rule 3), and it may not be enabled at all; channels decide.
- A call without its end is closed as incomplete: after `idle` without a row, or when Asterisk started anew after its
  last row (rule 4): nothing of the old process can write any more.
- A record costs the same however many came before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from asterisk_connector.assembly.channels import Age, age
from asterisk_connector.records import CdrRow, CelEvent, Micros, Record

SECOND = 1_000_000
UNTOLD = 10
"""Where LINKEDID_END is enabled but missing for one linkedid, settle this much longer for it."""


YOUNG = 100
"""A uniqueid's counter below this is one of a process that has just started."""


class CompletionRules(NamedTuple):
    """Times in seconds. `settle`: after the last end, for late rows. `cdr_settle`: for calls known by CDR rows alone.
    `idle`: without a row, before an open call is given up."""

    settle: float = 2.0
    cdr_settle: float = 60.0
    idle: float = 14_400.0


@dataclass(slots=True)
class Verdict:
    """`ended` by `reason`, and whether `complete`; else `look_again` is when the answer may change without new rows."""

    ended: bool
    complete: bool
    reason: str
    look_again: Micros | None


class Progress:
    """How far one call has come."""

    __slots__ = (
        "_arrived",
        "_born",
        "_cdrs",
        "_ended",
        "_hung_up",
        "_linkedids",
        "_open",
        "_restarted",
        "_retired",
        "_rules",
    )

    def __init__(self, rules: CompletionRules | None = None) -> None:
        self._rules = rules or CompletionRules()
        self._open: set[str] = set()
        self._ended: set[str] = set()
        self._hung_up: set[str] = set()
        self._linkedids: set[str] = set()
        self._retired: set[str] = set()
        self._cdrs = 0
        self._arrived: Micros | None = None
        self._born: Micros | None = None
        self._restarted = False

    def observe(self, record: Record, now: Micros) -> None:
        """A record of the call arrived at `now`."""
        self._arrived = now if self._arrived is None else max(self._arrived, now)
        if isinstance(record, CelEvent):
            self._event(record)
        elif isinstance(record, CdrRow):
            self._cdrs += 1

    def restarted(self, at: Micros) -> None:
        """Asterisk started at this instant: what was created before and has not ended never will."""
        if self._born is not None and self._born < at:
            self._restarted = True

    def verdict(self, now: Micros) -> Verdict:
        """Whether the call has ended."""
        if self._arrived is None:
            return Verdict(False, False, "nothing seen", None)
        rules = self._rules
        if self._born is None:
            return self._after(now, rules.cdr_settle if self._cdrs else rules.idle, self._cdrs > 0, "cdr settled")
        if self._running():
            if self._restarted:
                return self._after(now, rules.settle, False, "asterisk restarted")
            return self._after(now, rules.idle, False, "idle")
        if not self._retired or self._linkedids <= self._retired:
            reason = "channels ended" if not self._retired else "channels and linkedids ended"
            return self._after(now, rules.settle, True, reason)
        return self._after(now, rules.settle * UNTOLD, True, "channels ended, a LINKEDID_END is missing")

    def _event(self, event: CelEvent) -> None:
        uniqueid = event.uniqueid
        self._linkedids.add(event.linkedid)
        if self._born is None or event.at < self._born:
            self._born = event.at
        if event.type == "CHAN_END":
            self._open.discard(uniqueid)
            self._ended.add(uniqueid)
        elif event.type == "LINKEDID_END":
            self._retired.add(event.linkedid)
        elif uniqueid not in self._ended:
            self._open.add(uniqueid)
            if event.type == "HANGUP":
                self._hung_up.add(uniqueid)

    @property
    def _untold(self) -> bool:
        """Do the rows tell no end of any channel (neither CHAN_END nor HANGUP enabled)?"""
        return not self._ended and not self._hung_up

    def _running(self) -> bool:
        """Is a channel still alive, as far as the rows can tell? Without CHAN_END rows a HANGUP is the end."""
        if not self._open:
            return False
        if self._untold:
            return not self._linkedids <= self._retired
        return bool(self._ended) or len(self._hung_up) < len(self._open)

    def _after(self, now: Micros, seconds: float, complete: bool, reason: str) -> Verdict:
        assert self._arrived is not None
        due = self._arrived + int(seconds * SECOND)
        if now < due:
            return Verdict(False, False, "open", due)
        return Verdict(True, complete, reason, None)


class Restarts:
    """Notices among rows that Asterisk has started anew: its uniqueids count from zero again at a later second.

    Hosts that share a table need `systemname` in asterisk.conf; each name is watched by itself.
    """

    def __init__(self) -> None:
        self._latest: dict[str, Age] = {}

    def observe(self, record: Record) -> Micros | None:
        """The instant Asterisk was up again, when this record is the first to show it; call `Progress.restarted`."""
        if not isinstance(record, CelEvent) or record.type != "CHAN_START":
            return None
        system = record.uniqueid.rpartition("-")[0]
        now = age(record.uniqueid)
        before = self._latest.get(system)
        if before is None or now[:2] > before[:2]:
            self._latest[system] = now
        if before is None or now[0] <= before[0] or now[1] >= min(before[1], YOUNG):
            return None
        return now[0] * SECOND

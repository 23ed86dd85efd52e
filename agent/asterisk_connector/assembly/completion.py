"""When a call is over: fed record by record, small, and asked at any time.

- Over means: every uniqueid seen has ended (CHAN_END or HANGUP, whichever is enabled) and so has every linkedid;
  then rows that come late are waited for (`settle`). LINKEDID_END alone proves nothing: it fires too when a call moves
  to another linkedid (call semantics, rule 3), and it may not be enabled at all (`Habit`); channels decide.
- Where neither CHAN_END nor HANGUP is enabled, calls wait for `idle`: a pickup's linkedid ends long before its talk.
- A call without its end is closed as incomplete: after `idle` without a row, or when Asterisk started anew after its
  last row (rule 4): nothing of the old process can write any more.
- A record costs the same however many came before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from asterisk_connector.records import CdrRow, CelEvent, Micros, Record

SECOND = 1_000_000
UNTOLD = 10
"""Where LINKEDID_END is usual but missing for one linkedid, settle this much longer for it."""
UNUSUAL = 3
"""So many calls in a row without any LINKEDID_END say that it is not enabled."""


class CompletionRules(NamedTuple):
    """Times in seconds. `settle`: after the last end, for late rows; `cdr_settle`: for calls known by CDR rows only.
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


class Habit:
    """Whether this Asterisk writes LINKEDID_END: one for all calls, learnt from them; expected until shown wrong."""

    def __init__(self) -> None:
        self._without = 0

    @property
    def writes_linkedid_end(self) -> bool:
        return self._without < UNUSUAL

    def learn(self, *, written: bool) -> None:
        """A LINKEDID_END was seen, or a call was over without any."""
        self._without = 0 if written else self._without + 1


class Progress:
    """How far one call has come."""

    __slots__ = (
        "_arrived",
        "_born",
        "_cdrs",
        "_ended",
        "_habit",
        "_linkedids",
        "_open",
        "_restarted",
        "_retired",
        "_rules",
    )

    def __init__(self, rules: CompletionRules | None = None, habit: Habit | None = None) -> None:
        self._rules = rules or CompletionRules()
        self._habit = habit or Habit()
        self._open: set[str] = set()
        self._ended: set[str] = set()
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
        if self._open:
            if self._restarted:
                return self._after(now, rules.settle, False, "asterisk restarted")
            ended = not self._ended and self._linkedids <= self._retired
            return self._after(now, rules.idle, ended, "linkedids ended, channels silent" if ended else "idle")
        if self._linkedids <= self._retired:
            return self._after(now, rules.settle, True, "channels and linkedids ended")
        if not self._retired and not self._habit.writes_linkedid_end:
            return self._after(now, rules.settle, True, "channels ended")
        verdict = self._after(now, rules.settle * UNTOLD, True, "channels ended, a LINKEDID_END is missing")
        if verdict.ended and not self._retired:
            self._habit.learn(written=False)
        return verdict

    def _event(self, event: CelEvent) -> None:
        uniqueid = event.uniqueid
        if event.linkedid:
            self._linkedids.add(event.linkedid)
        if self._born is None or event.at < self._born:
            self._born = event.at
        if event.type in ("CHAN_END", "HANGUP"):
            self._open.discard(uniqueid)
            self._ended.add(uniqueid)
        elif event.type == "LINKEDID_END":
            self._retired.add(event.linkedid)
            self._habit.learn(written=True)
        elif uniqueid not in self._ended:
            self._open.add(uniqueid)

    def _after(self, now: Micros, seconds: float, complete: bool, reason: str) -> Verdict:
        assert self._arrived is not None
        due = self._arrived + int(seconds * SECOND)
        if now < due:
            return Verdict(False, False, "open", due)
        return Verdict(True, complete, reason, None)

"""Was Asterisk started anew? Read from the numbers in uniqueids, which count from zero in each process.

- A uniqueid is `[system name-]<epoch of creation>.<count since start>` (`main/channel_internal_api.c`). A later epoch
  with a smaller count is a new process; two threads of one process can only swap neighbours within a second.
- Several Asterisks without system names that share one table look like restarts without end. So a restart is believed
  only when for `PROOF_SECONDS` nobody went on counting from where the old process was; one that does ends the matter
  for good.
"""

from __future__ import annotations

from asterisk_connector.records import Micros

PROOF_SECONDS = 30
_RACE_SECONDS = 2
_NEIGHBOURS = 16
_SECOND = 1_000_000


class Restarts:
    """Watches the uniqueids of new channels, in order of arrival."""

    def __init__(self) -> None:
        self._counters: dict[str, _Counter] = {}

    def observe(self, uniqueid: str, now: Micros) -> None:
        """A channel was created; its row arrived at `now`."""
        head, _, count = uniqueid.rpartition(".")
        system, _, epoch = head.rpartition("-")
        if not (count.isdigit() and epoch.isdigit()):
            return
        counter = self._counters.get(system)
        if counter is None:
            counter = self._counters[system] = _Counter()
        counter.observe(int(epoch), int(count), now)

    def proven(self, now: Micros) -> Micros | None:
        """When Asterisk was last started anew, if that became certain since the last question; else None."""
        found = [at for counter in self._counters.values() if (at := counter.proven(now)) is not None]
        return max(found, default=None)

    def look_again(self) -> Micros | None:
        """When `proven` may have news."""
        return min(
            (c.since + PROOF_SECONDS * _SECOND for c in self._counters.values() if c.since is not None), default=None
        )


class _Counter:
    """One system's count. `since` is when a restart was suspected."""

    def __init__(self) -> None:
        self.epoch = 0
        self.count = -1
        self.old_count = -1
        self.began = 0
        self.since: Micros | None = None
        self.shared = False

    def observe(self, epoch: int, count: int, now: Micros) -> None:
        if self.shared:
            return
        if self.since is not None and count > self.old_count and count - self.count > _NEIGHBOURS:
            self.shared, self.since = True, None
        elif count < self.count and epoch >= self.epoch + _RACE_SECONDS:
            self.old_count = max(self.old_count, self.count)
            self.began, self.since = epoch, now
            self.epoch, self.count = epoch, count
        elif count > self.count and epoch >= self.epoch:
            self.epoch, self.count = epoch, count

    def proven(self, now: Micros) -> Micros | None:
        if self.since is None or now < self.since + PROOF_SECONDS * _SECOND:
            return None
        self.since = None
        return self.began * _SECOND

"""From the session to the journal: what was read is filtered, encoded and committed in groups.

- `receive` only puts aside and never waits: it runs in the thread that reads the socket.
- Memory is bounded: beyond `max_waiting` bytes the oldest events go, counted, told and published as a gap (F51).
- While the disk takes nothing, the group at hand is kept and tried again each second; reading goes on.
- One event that cannot be encoded is that event's trouble: told and left out (18).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from asterisk_connector.ami.handshake import Answers
from asterisk_connector.ami.session import Alive, Item, Learned, Lost, Opened, Read
from asterisk_connector.clock import Clock
from asterisk_connector.errors import Transient
from asterisk_connector.notices import (
    AmiGap,
    EventRefused,
    EventsDropped,
    EventsJournalled,
    HostRenamed,
    Notify,
    StoreBlocked,
    StoreUnblocked,
)
from asterisk_connector.relay.encode import Encoder, Identity, Record
from asterisk_connector.relay.filters import Filters
from asterisk_connector.relay.gaps import dropped_gap, restarted, session_gap
from asterisk_connector.relay.journal import Dropped, Journal, Life

_LONGEST_WAIT = 1.0
_GROUP_ITEMS = 5000
_RETRY = 1.0
_SAVE_LIFE = 5.0
"""Seconds after which the last sign of life is written even where filters keep no event."""


class Recorder:
    """One thread calls `round` again and again; the session's thread calls `receive`; `wake` is free to all.

    `identify` makes the identity in force out of what Asterisk answered and the last one known. `committed` is called
    when new events can be read from the journal.
    """

    def __init__(
        self,
        journal: Journal,
        filters: Filters,
        encoder: Encoder,
        identify: Callable[[Answers, Identity | None], Identity],
        committed: Callable[[], None],
        *,
        clock: Clock,
        notify: Notify,
        gaps: bool = True,
        group: float = 0.005,
        max_waiting: int = 64 << 20,
    ) -> None:
        self._journal = journal
        self._filters = filters
        self._encoder = encoder
        self._identify = identify
        self._committed = committed
        self._clock = clock
        self._notify = notify
        self._gaps = gaps
        self._group = group
        self._max_waiting = max_waiting
        self._waiting: deque[Item] = deque()
        self._waiting_bytes = 0
        self._overflow: Dropped | None = None
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._life = self._saved = journal.life()
        self._saved_at = clock.monotonic()
        self._life_is_news = False
        self._answers = Answers()
        self._before = journal.last_identity()
        self._identity = identify(Answers(), self._before)
        self._records: list[Record] = []
        self._read = self._filtered = 0
        self._blocked_since: float | None = None

    @property
    def blocked(self) -> bool:
        """Whether the disk does not take what was read."""
        return self._blocked_since is not None

    def receive(self, items: Sequence[Item]) -> None:
        """Takes what the session read."""
        with self._lock:
            for item in items:
                self._waiting.append(item)
                if isinstance(item, Read):
                    self._waiting_bytes += len(item.body)
            if self._waiting_bytes > self._max_waiting:
                self._let_go()
        self._arrived.set()

    def wake(self) -> None:
        self._arrived.set()

    def round(self) -> None:
        """Commits one group, or waits a moment for something to commit."""
        if not self._records:
            if not self._waiting:
                self._arrived.wait(_LONGEST_WAIT)
            self._arrived.clear()
            if self._waiting and self._group:
                time.sleep(self._group)
            self._take()
        self._commit()

    def close(self) -> None:
        """Commits what has been read; what the disk does not take now is lost, and told. The journal stays open."""
        while self._waiting or self._records:
            self._take()
            self._commit()
            if self._blocked_since is not None:
                lost = len(self._records) + sum(isinstance(item, Read) for item in self._waiting)
                self._notify(EventsDropped("memory", lost, "the disk took nothing until the stop"))
                return

    def _let_go(self) -> None:
        """The oldest events in memory go; what the session said about itself stays."""
        kept: deque[Item] = deque()
        events, start, end = 0, 0, 0
        while self._waiting and self._waiting_bytes > self._max_waiting * 0.9:
            item = self._waiting.popleft()
            if isinstance(item, Read):
                self._waiting_bytes -= len(item.body)
                events, start, end = events + 1, start or item.at, item.at
            else:
                kept.append(item)
        self._waiting.extendleft(reversed(kept))
        before = self._overflow
        self._overflow = Dropped(
            events + (before.events if before else 0), before.start if before else start, end, "memory was full"
        )

    def _take(self) -> None:
        """Turns what waits into records; a change of identity begins a new group."""
        with self._lock:
            overflow, self._overflow = self._overflow, None
        if overflow:
            self._notify(EventsDropped("memory", overflow.events, overflow.reason))
            self._record_gap(dropped_gap(overflow), overflow.end)
        for item in self._group_of_one_identity():
            if isinstance(item, Read):
                self._event(item)
            elif isinstance(item, Opened | Learned):
                self._answers = item.answers
                self._identity = self._identify(item.answers, self._identity)
                if isinstance(item, Opened):
                    self._tell_rename()
                    self._tell_gap(item)
            elif isinstance(item, Alive):
                self._answers = self._answers._replace(calls=item.calls)
            self._life = Life(item.at, self._answers.startup, self._answers.calls)
            if isinstance(item, Lost):
                self._life = self._life._replace(reason=item.reason)
            if not isinstance(item, Read):
                self._life_is_news = True

    def _group_of_one_identity(self) -> list[Item]:
        group: list[Item] = []
        waiting = self._waiting
        with self._lock:
            while waiting and len(group) < _GROUP_ITEMS:
                if isinstance(waiting[0], Opened | Learned) and (group or self._records):
                    break
                item = waiting.popleft()
                if isinstance(item, Read):
                    self._waiting_bytes -= len(item.body)
                group.append(item)
        return group

    def _event(self, read: Read) -> None:
        self._read += 1
        body = read.body
        try:
            if self._filters.admits(body[7 : body.index(b"\r\n")], body):
                self._records.append(self._encoder.encode(body, read.at, self._identity))
            else:
                self._filtered += 1
        except Exception as error:  # one event must never stop the others, whatever is in it
            self._notify(EventRefused("", body[7:40].decode(errors="replace"), len(body), repr(error)))

    def _tell_rename(self) -> None:
        """A cloned host would publish under the name of the one it was cloned from (35)."""
        before, self._before = self._before, self._identity
        if before and before.entity_id == self._identity.entity_id and before.hostname != self._identity.hostname:
            self._notify(HostRenamed(before.entity_id, before.hostname, self._identity.hostname))

    def _tell_gap(self, opened: Opened) -> None:
        life = self._life
        if life is None:
            return
        anew = restarted(life, opened.answers)
        self._notify(AmiGap(life.heard, opened.at, life.reason, anew))
        self._record_gap(session_gap(life, opened.answers, opened.at), opened.at)

    def _record_gap(self, body: bytes, at: int) -> None:
        if self._gaps:
            self._records.append(self._encoder.encode(body, at, self._identity))

    def _commit(self) -> None:
        now = self._clock.monotonic()
        if self._life != self._saved and now - self._saved_at >= _SAVE_LIFE:
            self._life_is_news = True
        if not self._records and not self._life_is_news and not self._journal.due:
            self._tell_read()
            return
        try:
            dropped = self._journal.commit(self._records, self._identity, self._life)
        except Transient as error:
            if self._blocked_since is None:
                self._blocked_since = now
                hint = "free space or mend the disk; events wait in memory meanwhile"
                self._notify(StoreBlocked(str(error), hint, "journal"))
            time.sleep(_RETRY)
            return
        if self._blocked_since is not None:
            self._notify(StoreUnblocked(now - self._blocked_since, "journal"))
            self._blocked_since = None
        self._saved, self._saved_at, self._life_is_news = self._life, now, False
        if self._records:
            self._committed()
        self._tell_read()
        for lost in dropped:
            self._notify(EventsDropped("journal", lost.events, lost.reason))
            self._record_gap(dropped_gap(lost), lost.end)

    def _tell_read(self) -> None:
        if self._read or self._records:
            self._notify(EventsJournalled(self._read, len(self._records), self._filtered))
        self._records, self._read, self._filtered = [], 0, 0

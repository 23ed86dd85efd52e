"""CEL over AMI: the `CEL` events of the manager session as a source (Asterisk `cel/cel_manager.c`).

- Promise: every CEL event the session read and this source gave out is kept and delivered at least once. What Asterisk
  said while no session stood cannot be had (calls that lack their end are closed as incomplete), and what was read but
  not yet committed is lost with a `kill -9`. CSV files and tables promise more.
- `receive` runs in the session's thread and never waits; memory is bounded by `max_waiting` events, the oldest go
  first, counted and told.
- The instant is the event's `Timestamp` (`timestampevents=yes` in manager.conf), some 0.3 ms after the row's own
  (measured), else `EventTime`, whole seconds of local time.
- Where a recording goes is told by the variable MIXMONITOR_FILENAME alone, for every way to start one (`VarSet`, class
  dialplan, just before MixMonitorStart, which has no name; measured). It becomes a row of type MIXMONITOR_START, as
  patched Asterisks write it, with the absolute path as application data.
- There is nothing to go back to: the position only keeps names of rows from being used twice.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from datetime import UTC, tzinfo

from asterisk_connector.ami.session import Alive, Item, Opened, Read
from asterisk_connector.clock import Clock
from asterisk_connector.notices import CelUnseen, EventsDropped, Notify
from asterisk_connector.records import Batch, CelEvent, Micros, Seen, SetAside
from asterisk_connector.sources.base import Extent
from asterisk_connector.sources.csv.events import name_event
from asterisk_connector.sources.csv.times import Times

_CEL = b"Event: CEL\r\n"
_HANGUP = b"Event: Hangup\r\n"
_VARSET = b"Event: VarSet\r\n"
_RECORDING = b"\r\nVariable: MIXMONITOR_FILENAME\r\n"
_BATCH = 1000
_PATIENCE = 5
"""Calls that may pass before it is told that none of them was seen."""

_FIELDS = {
    "UniqueID": "uniqueid",
    "LinkedID": "linkedid",
    "Channel": "channel",
    "CallerIDnum": "cid_num",
    "CallerIDname": "cid_name",
    "CallerIDani": "cid_ani",
    "CallerIDrdnis": "cid_rdnis",
    "CallerIDdnid": "cid_dnid",
    "Exten": "exten",
    "Context": "context",
    "Application": "app_name",
    "AppData": "app_data",
    "AccountCode": "account_code",
    "PeerAccount": "peer_account",
    "Userfield": "user_field",
    "UserDefType": "user_defined_type",
    "Peer": "peer",
    "Extra": "extra",
    "AMAFlags": "ama_flags",
    "TenantID": "tenant_id",
}


class CelAmi:
    """The source. `receive` is handed to the session; the rest is the source's own protocol.

    `cel` False: CEL comes from elsewhere, only the names of recordings are taken from the session.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        notify: Notify,
        zone: tzinfo = UTC,
        max_waiting: int = 100_000,
        cel: bool = True,
    ) -> None:
        self.name = name
        self._clock = clock
        self._notify = notify
        self._times = Times(zone)
        self._max_waiting = max_waiting
        self._waiting: deque[Read] = deque()
        self._arrived = threading.Condition()
        self._woken = False
        self._era = 0
        self._count = 0
        self._cel = cel
        self._watch = _Watch()
        self._waiting_bytes = self._given = self._read = 0
        self._oldest: Micros | None = None

    def receive(self, items: Sequence[Item]) -> None:
        """Takes the CEL events, and the names of recordings, out of what the session read."""
        found = [item for item in items if isinstance(item, Read) and self._wanted(item.body)]
        if self._cel:
            unseen = self._watch.look(items, sum(item.body.startswith(_CEL) for item in found))
            if unseen is not None:
                self._notify(unseen)
        if not found:
            return
        with self._arrived:
            self._waiting += found
            self._waiting_bytes += sum(len(one.body) for one in found)
            surplus = len(self._waiting) - self._max_waiting
            for _ in range(surplus):
                self._waiting_bytes -= len(self._waiting.popleft().body)
            self._arrived.notify_all()
        if surplus > 0:
            self._notify(EventsDropped(self.name, surplus, "rows were not taken as fast as they came"))

    def _wanted(self, body: bytes) -> bool:
        return (self._cel and body.startswith(_CEL)) or (body.startswith(_VARSET) and _RECORDING in body)

    def open(self, position: bytes | None) -> None:
        """Begins a new era of row names, later than the one before the restart."""
        before = int(position.split(b".")[0]) if position else 0
        self._era = max(before + 1, self._clock.now())
        self._count = 0

    def read(self, timeout: float) -> Batch | None:
        with self._arrived:
            self._read, self._oldest = self._given, None  # who reads on has kept what was given out
            if not self._waiting and not self._woken:
                self._arrived.wait(timeout)
            self._woken = False
            taken = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            if taken:
                size = sum(len(one.body) for one in taken)
                self._oldest, self._given, self._waiting_bytes = (
                    taken[0].at,
                    self._given + size,
                    self._waiting_bytes - size,
                )
        if not taken:
            return None
        seen: list[Seen] = []
        set_aside: list[SetAside] = []
        for one in taken:
            self._count += 1
            ident = f"{self._era}.{self._count}"
            try:
                read = cel_event if one.body.startswith(_CEL) else recording_event
                seen.append(Seen(ident, read(one.body, self._times)))
            except ValueError as error:
                set_aside.append(SetAside(ident, str(error), one.body))
        return Batch(self.name, seen, f"{self._era}.{self._count}".encode(), set_aside)

    def wake(self) -> None:
        with self._arrived:
            self._woken = True
            self._arrived.notify_all()

    def extent(self) -> Extent:
        """What was read from the session and is not kept yet; while there is no session, nothing is."""
        with self._arrived:
            unread = self._waiting_bytes + self._given - self._read
            oldest = self._oldest if self._oldest is not None else self._waiting[0].at if self._waiting else None
        return Extent(self._read, unread, oldest is None, self._clock.now() if oldest is None else oldest)

    def close(self) -> None:
        """What waits is kept: the session goes on."""


def cel_event(body: bytes, times: Times) -> CelEvent:
    """The row a CEL event of the manager tells. Raises ValueError for one without its time or its channel."""
    headers = _headers(body)
    uniqueid = headers.get("UniqueID", "")
    if not uniqueid or "EventName" not in headers:
        raise ValueError("a CEL event without EventName or UniqueID")
    at, tick = times.read(headers.get("Timestamp") or headers.get("EventTime", ""), uniqueid)
    fields = {field: headers.get(name, "") for name, field in _FIELDS.items()}
    kind, fields["user_defined_type"] = name_event(
        headers["EventName"], "", fields["user_defined_type"], fields["app_name"]
    )
    return CelEvent(kind, at, resolution=tick, **fields)


def recording_event(body: bytes, times: Times) -> CelEvent:
    """The row a MIXMONITOR_FILENAME tells. Raises ValueError for one without its time or its channel."""
    headers = _headers(body)
    uniqueid = headers.get("Uniqueid", "")
    if not uniqueid:
        raise ValueError("a MIXMONITOR_FILENAME without its channel")
    created = uniqueid.rpartition(".")[0].rpartition("-")[2]  # without timestampevents: not before its channel
    at, tick = times.read(headers.get("Timestamp") or f"{created}.0", uniqueid)
    return CelEvent(
        "MIXMONITOR_START",
        at,
        uniqueid,
        headers.get("Linkedid", ""),
        channel=headers.get("Channel", ""),
        app_name="MixMonitor",
        app_data=headers.get("Value", ""),
        resolution=tick,
    )


def _headers(body: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in body.decode(errors="replace").replace("\r\n", "\n").split("\n"):
        name, separator, value = line.partition(": ")
        if separator:
            headers.setdefault(name, value)
    return headers


class _Watch:
    """Notices a session that cannot see CEL: calls pass, but no CEL event comes."""

    def __init__(self) -> None:
        self._hangups = 0
        self._calls: int | None = None
        self._done = False

    def look(self, items: Sequence[Item], cel: int) -> CelUnseen | None:
        """Told once per session, in the words of what has to be changed."""
        for item in items:
            if isinstance(item, Opened):
                self._hangups, self._calls, self._done = 0, item.answers.calls, False
            elif isinstance(item, Read):
                self._hangups += item.body.startswith(_HANGUP)
            elif isinstance(item, Alive) and not self._done and not self._hangups and self._grown(item.calls):
                self._done = True
                return CelUnseen(
                    "calls are made but no event of class call arrives",
                    "give the account `read = call` in manager.conf, and ask for it in `ami.events`",
                )
        if cel:
            self._done = True
        if self._hangups >= _PATIENCE and not self._done:
            self._done = True
            return CelUnseen(
                "calls end but Asterisk sends no CEL events",
                "set `enabled = yes` under [manager] in cel.conf, load cel_manager.so, and list `events=` in [general]",
            )
        return None

    def _grown(self, calls: int | None) -> bool:
        return calls is not None and self._calls is not None and calls - self._calls >= _PATIENCE

"""The words the store speaks with other rooms: frozen shapes, no behaviour.

- `call` is the store's own number of a call; numbers grow with time, the older of two merged calls survives.
- Instants are UTC microseconds, durations seconds, sizes bytes.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from asterisk_connector.records import Micros, Record, RecordingFile

HOUR = 3600.0
DAY = 24 * HOUR


class Limits(Struct, frozen=True):
    """How much the store may keep and for how long.

    Appends pause while the file system has less than `reserve_bytes` free or the database holds more than `max_bytes`;
    what was sent can still be written down then. `keep_rows` counts from when a call was settled.
    """

    reserve_bytes: int = 64 << 20
    max_bytes: int = 4 << 30
    keep_rows: float = 48 * HOUR
    keep_calls: float = 30 * DAY
    keep_dead: float = 30 * DAY
    max_dead: int = 10_000
    max_set_aside: int = 10_000


class Appended(NamedTuple):
    """What a batch changed: new records by call in arrival order, calls that became one, calls never seen before, and
    recordings that name no call."""

    touched: dict[int, list[Record]]
    merged: list[tuple[int, int]]
    new: list[int]
    recordings: tuple[RecordingFile, ...] = ()


class Owed(Struct, frozen=True):
    """One sink's share of a settlement. `body` is the call as `call.encode` wrote it."""

    sink: str
    phase: str
    body: bytes


class Settlement(Struct, frozen=True):
    """What assembly knows of a call after the row `last_record`. `state` is `open`, `settled` or `history`.

    `body` is the call as it stays to be looked up; what is owed carries its own.

    A settlement that owes anything carries a revision above the one before: call id and revision name a delivery.
    """

    call: int
    last_record: int
    state: str
    call_id: str
    complete: bool
    revision: int
    digest: bytes
    body: bytes
    owed: tuple[Owed, ...] = ()
    phase: str | None = None


class KnownCall(Struct, frozen=True, array_like=True):
    """What is known of a call. `phase` and `shipped_at` are of the last settlement that owed anything.

    `fresh` is false for calls known from history alone. `trimmed` says that raw rows were deleted by age or size, so
    that the rows still there tell less than `body` does. `body` is empty before the first settlement.
    """

    call: int
    state: str
    fresh: bool
    opened_at: Micros
    touched_at: Micros
    settled_at: Micros | None
    trimmed: bool
    call_id: str
    complete: bool
    revision: int
    digest: bytes
    phase: str | None
    shipped_at: Micros | None
    body: bytes


class Pending(Struct, frozen=True, array_like=True):
    """A delivery that is owed; `reason` is why it was not taken last time, empty before the first."""

    id: int
    sink: str
    call_id: str
    revision: int
    phase: str
    attempts: int
    created_at: Micros
    due_at: Micros
    reason: str


class SettledCall(Struct, frozen=True, array_like=True):
    """A call that has ended, as its last settlement told it; `left` when some sink has not taken all of it."""

    body: bytes
    left: bool


class DeadLetter(Struct, frozen=True, array_like=True):
    """A delivery that was given up. `superseded` when a later revision of its call exists."""

    id: int
    sink: str
    call_id: str
    revision: int
    phase: str
    attempts: int
    created_at: Micros
    buried_at: Micros
    reason: str
    superseded: bool


class Left(Struct, frozen=True, array_like=True):
    """A delivery that was not taken. `state` is `pending` or `dead`; `reason` is what was said last."""

    sink: str
    revision: int
    state: str
    reason: str


class Letter(Struct, frozen=True):
    """A dead letter with all that was kept of it."""

    head: DeadLetter
    body: bytes
    request: str
    answer: str


class Backlog(Struct, frozen=True):
    """What one sink is owed. `oldest` is when its oldest unsent delivery was owed, None where nothing is."""

    pending: int
    oldest: Micros | None


class Unreadable(Struct, frozen=True):
    """A row that was set aside; `raw` holds at most its first 64 KiB."""

    id: int
    source: str
    ident: str
    reason: str
    raw: bytes
    seen_at: Micros


class Counts(Struct, frozen=True):
    """How much there is of everything, for status and metrics."""

    open_calls: int
    backlog: dict[str, Backlog]
    dead: dict[str, int]
    set_aside: int
    unlinked_recordings: int
    bytes: int

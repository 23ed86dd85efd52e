"""What a sink is: someone to whom one item can be offered, who answers at once.

- A sink never sleeps and never retries; time belongs to delivery.
- `deliver` may be called by several threads at once, never twice at once for the same call.
- The same item offered again carries the same idempotency key, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from asterisk_connector.records import Micros


@dataclass(frozen=True, slots=True)
class Item:
    """One revision of one call, owed to one sink. `body` is the call as `call.encode` wrote it."""

    id: int
    call_id: str
    revision: int
    phase: str
    body: bytes
    attempts: int
    created_at: Micros
    host: str

    @property
    def idempotency_key(self) -> str:
        """Names this revision of this call on this host; equal on every attempt (F32)."""
        return f"{self.host}:{self.call_id}:{self.revision}"


@dataclass(frozen=True, slots=True)
class Delivered:
    """Taken for good."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now. `after` is the sink's own wish in seconds; `outage` says that others would fare no better."""

    reason: str
    after: float | None = None
    outage: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Never: this item is buried with the request and the answer."""

    reason: str
    request: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Paused:
    """Nobody's item would be taken until the operator acts (credentials, address)."""

    reason: str
    hint: str


Outcome = Delivered | Deferred | Refused | Paused


class Sink(Protocol):
    """A place where calls go."""

    name: str

    def deliver(self, item: Item) -> Outcome:
        """Offers one item; raises nothing for what the other side or the network does."""

    def close(self) -> None:
        """Gives connections back."""

"""What a source is: something that can be read from a position onwards.

- `open` raises Transient or Misconfigured and may be called again later; it connects, it does not read.
- `read` returns complete records only, in arrival order, with the position after them; a half record never moves a
  position. It returns None when nothing came within `timeout`. It never skips what it could not understand: that is set
  aside in the same batch.
- A source keeps no durable state. The position it returns is committed by the store in the same transaction as the
  records (law 1) and handed back to `open` after a restart; until the next `open`, `read` goes on from what it last
  returned, whether or not that has been committed, because a batch is retried until it is committed.
- One thread calls `open`, `read` and `close`; any thread may call `wake`, which ends a waiting `read` early.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from asterisk_connector.records import Batch


class Source(Protocol):
    """A place where Asterisk writes."""

    name: str
    """Stable across restarts: the key of its position. Example: `cel_csv:/var/log/asterisk/cel-custom/Master.csv`."""

    def open(self, position: bytes | None) -> None:
        """Connects, at `position`, or at the configured start where there is none."""

    def read(self, timeout: float) -> Batch | None:
        """The next records, or None after `timeout` seconds without any."""

    def wake(self) -> None:
        """Makes a waiting `read` return; safe from any thread, at any time."""

    def close(self) -> None:
        """Gives everything back; `open` may follow."""


@runtime_checkable
class FetchesCdr(Protocol):
    """A source that can be asked for the CDR rows of channels that have ended."""

    def fetch(self, uniqueids: Iterable[str]) -> None:
        """They come out of `read` as soon as they are there; safe from any thread."""

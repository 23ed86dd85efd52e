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

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from asterisk_connector.records import Batch, Micros, Record, SetAside


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


class Extent(NamedTuple):
    """How far a source has come with what was kept of it; None is what it cannot tell.

    `read`: bytes since the process began. `unread`: bytes that wait. `caught_up`: at the last look, and that was not
    too long ago, nothing waited; `caught_up_at`: when that was so last. `missing`: what is waited for to appear.
    """

    read: int | None = None
    unread: int | None = None
    caught_up: bool = False
    caught_up_at: Micros | None = None
    missing: str = ""


@runtime_checkable
class Measured(Protocol):
    """A source that can tell how far it has come."""

    def extent(self) -> Extent:
        """As of now; safe from any thread, looks at a file's size at most."""


class Stretch(NamedTuple):
    """What one question to the past brought: records in order of arrival, and what could not be understood."""

    records: Sequence[Record]
    set_aside: Sequence[SetAside] = ()


class Past(Protocol):
    """A place that still has what Asterisk wrote earlier. It keeps no position and is asked by one thread.

    `open` and `read` raise Transient or Misconfigured.
    """

    name: str
    reach: float
    """How far calls reach over the edges of a period, in seconds: the longest call that is still found whole."""

    def open(self) -> None:
        """Connects."""

    def read(self, since: Micros, until: Micros) -> Iterator[Stretch]:
        """At least every row of that time, each once; rows around it may come too."""

    def close(self) -> None:
        """Gives everything back; `open` may follow."""

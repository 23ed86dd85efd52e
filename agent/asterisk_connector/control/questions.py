"""What can be asked of the agent: one frozen type a question.

- A question is answered by rows, JSON objects in order (`answers.py` says which); `limit` bounds them.
- `Retry` and `Drop` change what is owed; every other question only looks.
- A type that changes its meaning gets another name: service and command may be of two versions during an upgrade.
"""

from __future__ import annotations

from msgspec import Struct

from asterisk_connector.records import Micros


class Question(Struct, frozen=True, forbid_unknown_fields=True, tag_field="ask"):
    """Something that is asked."""


class StatusNow(Question, frozen=True):
    """The status document."""


class MetricsNow(Question, frozen=True):
    """What Prometheus would read; the service alone knows."""


class Configuration(Question, frozen=True):
    """What is in force, without secrets; the service alone knows."""


class StateFacts(Question, frozen=True):
    """Schema and counts of the state."""


class NewestCalls(Question, frozen=True):
    """Calls from the newest backwards."""

    limit: int


class OneCall(Question, frozen=True):
    """The call with that call id, uniqueid or linkedid."""

    name: str
    explain: bool = False


class CallsSettled(Question, frozen=True):
    """Calls that came to their end after instant `at`, or then and with a higher number than `call`."""

    at: Micros
    call: int


class Owed(Question, frozen=True):
    """How much every sink, or `sink`, is owed."""

    sink: str | None = None


class PendingDeliveries(Question, frozen=True):
    """Deliveries that are owed, the oldest first, or the newest."""

    limit: int
    sink: str | None = None
    newest: bool = False


class DeadLetters(Question, frozen=True):
    """Dead letters by number; `limit` None: all."""

    limit: int | None = None
    sink: str | None = None


class OneDeadLetter(Question, frozen=True):
    """A dead letter with request, answer and call."""

    number: int


class WholeDeadLetters(Question, frozen=True):
    """All dead letters with request, answer and call."""

    sink: str | None = None


class UnlinkedRecordings(Question, frozen=True):
    """Recordings that belong to no call, oldest first."""

    limit: int


class RowsSetAside(Question, frozen=True):
    """Rows that could not be understood, newest first."""

    limit: int


class Change(Question, frozen=True):
    """Changes dead letters: those of `numbers`, or where there are none all (of `sink`)."""

    numbers: tuple[int, ...] = ()
    sink: str | None = None


class Retry(Change, frozen=True):
    """Owes dead letters again."""


class Drop(Change, frozen=True):
    """Deletes dead letters for good."""


AnyQuestion = (
    StatusNow
    | MetricsNow
    | Configuration
    | StateFacts
    | NewestCalls
    | OneCall
    | CallsSettled
    | Owed
    | PendingDeliveries
    | DeadLetters
    | OneDeadLetter
    | WholeDeadLetters
    | UnlinkedRecordings
    | RowsSetAside
    | Retry
    | Drop
)
"""Every question there is."""

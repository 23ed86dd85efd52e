"""Every question's answer, one function each, from what the asked one knows: the service, or the state alone.

- Rows are dicts of JSON's own kinds; instants are RFC 3339 texts, numbers of callers are whole.
- A change is all or nothing: where one of the numbers is no dead letter, nothing is changed and the row says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from asterisk_connector.call import Call, decode, document, rfc3339
from asterisk_connector.control import questions as q
from asterisk_connector.errors import NotRunning
from asterisk_connector.gist import gist
from asterisk_connector.records import Record
from asterisk_connector.store.store import Store
from asterisk_connector.store.words import DeadLetter, KnownCall, Letter

Row = dict[str, Any]
_PAGE = 500
START = "systemctl start asterisk-connector; why it ended: journalctl -u asterisk-connector -n 50"


@dataclass(frozen=True, slots=True)
class Running:
    """What only the running service knows: its metrics in their text form, its settings without secrets."""

    metrics: Callable[[], bytes]
    configuration: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Desk:
    """What answers come from. `tell` tells a call from its rows as it looks now; `owed` wakes whoever delivers."""

    store: Callable[[], Store]
    status: Callable[[], object]
    tell: Callable[[Sequence[Record]], Call]
    owed: Callable[[], None]
    running: Running | None = None


def answer(question: q.AnyQuestion, desk: Desk) -> Iterator[Row]:
    """The rows of the answer. Raises NotRunning where only a running service knows it, and what the store raises."""
    match question:
        case q.StatusNow():
            yield {"status": desk.status()}
        case q.MetricsNow():
            yield {"text": _running(desk).metrics().decode()}
        case q.Configuration():
            yield {"text": _running(desk).configuration()}
        case q.StateFacts():
            yield _state_facts(desk.store())
        case q.NewestCalls():
            yield from _calls(desk.store(), desk.store().calls(question.limit))
        case q.OneCall():
            yield from _one_call(question, desk)
        case q.CallsSettled():
            yield from _calls(desk.store(), desk.store().settled_after(question.at, question.call))
        case q.Owed():
            yield from _owed(desk.store(), question.sink)
        case q.PendingDeliveries():
            yield from _pending(desk.store(), question)
        case q.DeadLetters():
            yield from map(_head, islice(_letters(desk.store(), question.sink), question.limit))
        case q.OneDeadLetter():
            yield from _whole(desk.store(), [question.number])
        case q.WholeDeadLetters():
            yield from _whole(desk.store(), (letter.id for letter in _letters(desk.store(), question.sink)))
        case q.UnlinkedRecordings():
            yield from _recordings(desk.store(), question.limit)
        case q.RowsSetAside():
            yield from _set_aside(desk.store(), question.limit)
        case q.Retry():
            yield _change(desk, question, Store.retry)
            desk.owed()
        case q.Drop():
            yield _change(desk, question, Store.drop)


def _running(desk: Desk) -> Running:
    if desk.running is None:
        raise NotRunning("the service is not running", START)
    return desk.running


def _state_facts(store: Store) -> Row:
    counts = store.counts()
    return {
        "schema": store.schema(),
        "open_calls": counts.open_calls,
        "owed": {name: backlog.pending for name, backlog in counts.backlog.items()},
        "dead": counts.dead,
        "set_aside": counts.set_aside,
        "unlinked_recordings": counts.unlinked_recordings,
        "bytes": counts.bytes,
        "rows": store.rows_by_table(),
        "sources": sorted(store.positions()),
    }


def _calls(store: Store, found: Iterable[KnownCall]) -> Iterator[Row]:
    """`document` is what was told of a call, None where it is open and nothing was told of it yet."""
    for each in found:
        try:
            known = store.known(each.call)
        except LookupError:  # merged into another while we look
            continue
        told = decode(known.body) if known.body else None
        yield {
            "number": known.call,
            "state": known.state,
            "call_id": known.call_id if told is None else told.call_id,
            "began": rfc3339(known.opened_at if told is None else told.started_at),
            "settled_at": known.settled_at,
            "story": "" if told is None else gist(told),
            "document": None if told is None else document(told),
        }


def _one_call(question: q.OneCall, desk: Desk) -> Iterator[Row]:
    store = desk.store()
    known = store.find(question.name)
    if known is None:
        return
    rows = [record for _, record in store.rows(known.call)]
    found: Row = document(decode(known.body) if known.body else desk.tell(rows))
    yield {"call": found, **_explained(store, known, rows)} if question.explain else found


def _explained(store: Store, known: KnownCall, rows: Iterable[Record]) -> Row:
    return {
        "state": known.state,
        "revision": known.revision,
        "shipped": {"phase": known.phase, "at": rfc3339(known.shipped_at)} if known.phase else None,
        "settled_at": rfc3339(known.settled_at),
        "rows_trimmed": known.trimmed,
        "keys": store.keys(known.call),
        "rows": [_record(record) for record in rows],
    }


def _record(record: Record) -> Row:
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    said = {name: value for name, value in fields.items() if value not in ("", None)}
    if "at" in said:
        said["at"] = rfc3339(said["at"])
    return {"kind": record.__struct_config__.tag, **said}


def _owed(store: Store, sink: str | None) -> Iterator[Row]:
    counts = store.counts()
    for name in sorted({*counts.backlog, *counts.dead}):
        if sink in {None, name}:
            backlog = counts.backlog.get(name)
            yield {
                "sink": name,
                "owed": backlog.pending if backlog else 0,
                "oldest": rfc3339(backlog.oldest) if backlog else None,
                "dead": counts.dead.get(name, 0),
            }


def _pending(store: Store, question: q.PendingDeliveries) -> Iterator[Row]:
    for owed in store.pending(question.sink, limit=question.limit, newest=question.newest):
        yield {
            "number": owed.id,
            "sink": owed.sink,
            "call_id": owed.call_id,
            "revision": owed.revision,
            "phase": owed.phase,
            "attempts": owed.attempts,
            "owed_at": rfc3339(owed.created_at),
            "due_at": rfc3339(owed.due_at),
            "reason": owed.reason,
        }


def _letters(store: Store, sink: str | None) -> Iterator[DeadLetter]:
    after = 0
    while page := store.dead_letters(sink, after=after, limit=_PAGE):
        yield from page
        after = page[-1].id


def _head(head: DeadLetter) -> Row:
    return {
        "number": head.id,
        "sink": head.sink,
        "call_id": head.call_id,
        "revision": head.revision,
        "phase": head.phase,
        "attempts": head.attempts,
        "owed_at": rfc3339(head.created_at),
        "buried_at": rfc3339(head.buried_at),
        "reason": head.reason,
        "superseded": head.superseded,
    }


def _whole(store: Store, numbers: Iterable[int]) -> Iterator[Row]:
    for number in numbers:
        letter = store.dead_letter(number)
        if letter is not None:
            yield _letter(letter)


def _letter(letter: Letter) -> Row:
    told = document(decode(letter.body))
    return {**_head(letter.head), "request": letter.request, "answer": letter.answer, "call": told}


def _recordings(store: Store, limit: int) -> Iterator[Row]:
    for file in store.unlinked_recordings(limit):
        yield {
            "path": file.path,
            "size": file.size,
            "seconds": file.duration,
            "started_at": rfc3339(file.started_at),
            "ended_at": rfc3339(file.ended_at),
        }


def _set_aside(store: Store, limit: int) -> Iterator[Row]:
    for row in store.set_aside(limit):
        yield {
            "source": row.source,
            "ident": row.ident,
            "seen_at": rfc3339(row.seen_at),
            "reason": row.reason,
            "raw": row.raw.decode("utf-8", "backslashreplace"),
        }


def _change(desk: Desk, question: q.Change, work: Callable[[Store, Sequence[int]], int]) -> Row:
    store = desk.store()
    numbers = question.numbers or tuple(letter.id for letter in _letters(store, question.sink))
    unknown = [number for number in question.numbers if store.dead_letter(number) is None]
    return {"changed": 0 if unknown else work(store, numbers), "unknown": unknown}

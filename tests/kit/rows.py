"""Small rows and settlements for tests of the store."""

from __future__ import annotations

from collections.abc import Sequence

from asterisk_connector import call
from asterisk_connector.records import Batch, CelEvent, Seen
from asterisk_connector.store import Owed, Settlement, Store

SOURCE = "cel_csv:/var/log/asterisk/cel-custom/Master.csv"


def cel(uniqueid: str, linkedid: str = "", mark: str = "") -> CelEvent:
    """A row; `mark` is carried in the user field to tell rows apart."""
    return CelEvent("CHAN_START", 1_800_000_000_000_000, uniqueid, linkedid or uniqueid, user_field=mark)


def batch(
    *rows: CelEvent, first: int = 0, source: str = SOURCE, history: bool = False, position: bytes | None = None
) -> Batch:
    """Rows with idents counted from `first`; the position after them is their number unless given."""
    seen = [Seen(str(first + n), row) for n, row in enumerate(rows)]
    return Batch(source, seen, str(first + len(rows)).encode() if position is None else position, history=history)


def settlement(
    store: Store, number: int, *, sinks: Sequence[str] = ("api",), call_id: str = "", last_record: int | None = None
) -> Settlement:
    """Settles the call as it is stored now, owing its next revision to `sinks`."""
    rows = store.rows(number)
    known = store.known(number)
    name = call_id or f"call-{number}"
    revision = known.revision + 1 if sinks else known.revision
    body = call.encode(call.Call(name, (name,), complete=True, started_at=1, revision=revision, host="pbx1"))
    return Settlement(
        call=number,
        last_record=rows[-1][0] if last_record is None else last_record,
        state="settled",
        call_id=name,
        complete=True,
        revision=revision,
        digest=revision.to_bytes(4, "big"),
        body=body,
        owed=tuple(Owed(sink, "complete", body) for sink in sinks),
        phase="complete" if sinks else known.phase,
    )

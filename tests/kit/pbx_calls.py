"""Numbered calls in CEL and CDR tables, and the judgement of what arrived of them.

Each call arrives complete, with all that both tables say of it; nothing unknown arrives; the same content never comes
under two keys, nor two contents under one.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from asterisk_connector.records import CdrRow, Record
from asterisk_connector.sources.csv.capture import parse
from tests.kit.call_api import CallApi
from tests.kit.mariadb import MariaDB
from tests.kit.pbx_tables import CDR_SCHEMAS, CEL_SCHEMAS, Pbx
from tests.kit.postgresql import PostgreSQL
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

SCHEMAS = {"mariadb": "freepbx", "postgresql": "sipstack"}
"""What is found beside each database in the field: FreePBX has no id in cdr, and whole seconds in both."""


def numbered(first: int, last: int, *, gap: float = 0.01) -> list[NumberedCall]:
    """Calls of today, since tables without an id are searched by time."""
    base = int(time.time())
    return [NumberedCall(number, gap, base) for number in range(first, last)]


def events(call: NumberedCall) -> Sequence[Record]:
    return parse(b"\n".join(row for _, row in call.rows()))[0]


def cdr_row(call: NumberedCall) -> CdrRow:
    """The row Asterisk writes of such a call: three seconds, two of them talk."""
    start = int(call.start * 1_000_000)
    return CdrRow(
        uniqueid=call.linkedid,
        linkedid=call.linkedid,
        start=start,
        answer=start + 1_001_000,
        end=start + 3_005_000,
        duration=3.0,
        billsec=2.0,
        disposition="ANSWERED",
        src=call.caller,
        dst=call.callee,
        dcontext="from-internal",
        clid=f'"Phone {call.caller}" <{call.caller}>',
        channel=f"PJSIP/{call.caller}-{call.number:08x}",
        dstchannel=f"PJSIP/{call.callee}-{call.number:08x}",
        last_app="Dial",
        last_data=f"PJSIP/{call.callee},20",
        account_code=f"acct{call.number}",
        sequence=call.number,
    )


class PbxCalls:
    """A PBX whose calls go into a CEL and a CDR table of one database."""

    def __init__(
        self, server: MariaDB | PostgreSQL, cel_schema: str = "", cdr_schema: str = "", name: str = "calls"
    ) -> None:
        self.server = server
        self.cel = Pbx(server, name, CEL_SCHEMAS[cel_schema or SCHEMAS[server.kind]])
        self.cdr = Pbx(server, name, CDR_SCHEMAS[cdr_schema or SCHEMAS[server.kind]], beside=self.cel)

    def write(self, calls: Sequence[NumberedCall]) -> None:
        self.cel.write([event for call in calls for event in events(call)])
        self.cdr.write([cdr_row(call) for call in calls])

    def reconnect(self) -> None:
        for pbx in (self.cel, self.cdr):
            pbx.pen = pbx.connect()

    def close(self) -> None:
        self.cel.close()
        self.cdr.close()

    def sources(self, *tables: str, **options: Any) -> dict[str, Any]:
        """`sources` of a configuration that reads these tables (both)."""
        found = {}
        for pbx in (self.cel, self.cdr):
            place = pbx.database
            found[f"{pbx.table}_table"] = {
                "driver": pbx.driver,
                "host": place.host,
                "port": place.port,
                "user": place.reader,
                "password": place.password,
                "database": place.name,
                "table": pbx.table,
                **options,
            }
        return {name: found[name] for name in tables or found}


class Writing:
    """Writes calls one after the other, `a_second` of them, in a thread; an error of the database ends the test."""

    def __init__(self, pbx: PbxCalls, calls: Sequence[NumberedCall], a_second: float) -> None:
        self._pbx, self._calls, self._pause = pbx, calls, 1 / a_second
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="pbx", daemon=True)
        self.written = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(30)

    def finish(self, within: float = 60.0) -> None:
        until(lambda: self.written == len(self._calls), within, f"{len(self._calls)} calls written")

    def _write(self) -> None:
        for call in self._calls:
            self._pbx.write([call])
            self.written += 1
            if self._stop.wait(self._pause):
                return


def judge(api: CallApi, calls: Sequence[NumberedCall], within: float, said: Callable[[], str]) -> None:
    """Waits until all has arrived and checks what arrived."""
    expected = {call.linkedid: call for call in calls}

    def missing() -> list[str]:
        return [name for name in expected if api.calls.get(name, {}).get("call_threads_count") != 12]

    until(lambda: not missing(), within, f"all {len(expected)} calls at the API\n{said()[-3000:]}")
    assert api.calls.keys() == expected.keys()
    for linkedid, payload in api.calls.items():
        call = expected[linkedid]
        assert payload["src_extension"] == call.caller
        assert payload["dst_extension"] == call.callee
        assert payload["disposition"] == "ANSWERED"
        assert payload["duration_seconds"] == 3
        assert payload["is_complete"] is True
    no_content_under_two_keys(api)


def no_content_under_two_keys(api: CallApi) -> None:
    """A repetition carries the key of what it repeats; another key means that there is more to tell."""
    keys, contents = defaultdict(set), defaultdict(set)
    for request in api.requests:
        payload = request.call
        del payload["shipped_at"]
        content = json.dumps(payload, sort_keys=True)
        keys[content].add(request.key)
        contents[request.key].add(content)
    assert [found for found in keys.values() if len(found) > 1] == []
    assert [key for key, found in contents.items() if len(found) > 1] == []

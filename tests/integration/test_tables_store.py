"""Tables read into the real store: what is read again after a restart is known, and history stays history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asterisk_connector.sources.cdr_table import CdrTableSource
from asterisk_connector.sources.tables.poller import Polling
from asterisk_connector.store.store import Store
from tests.kit.clock import FakeClock
from tests.kit.pbx_tables import CDR_SCHEMAS, Pbx, cdr

NOON = 1_795_262_400


@pytest.mark.parametrize("bench", ["mariadb", "postgresql"])
@pytest.mark.parametrize("schema", ["sipstack", "freepbx"])
def test_rows_read_again_after_a_restart_are_not_seen_again(
    request: pytest.FixtureRequest, tmp_path: Path, bench: str, schema: str
) -> None:
    server: Any = request.getfixturevalue(bench)
    pbx = Pbx(server, "cdr_store", CDR_SCHEMAS[schema])
    pbx.write([cdr(n, NOON - 100 + n) for n in range(50)])
    clock = FakeClock(now=NOON * 1_000_000)
    new: list[str] = []
    past = 0
    for run in range(4):
        store = Store.open(tmp_path, clock=clock, notify=lambda _: None)
        source = CdrTableSource(
            "cdr", pbx.server(), Polling(table="cdr", zone=pbx.zone), clock=clock, notify=lambda _: None
        )
        source.open(store.position("cdr"))
        if run:
            pbx.write([cdr(100 * run + n, NOON - 50 + n) for n in range(30)])
        clock.advance(2)
        while (batch := source.read(0)) is not None:
            appended = store.append(batch)
            came = [getattr(r, "uniqueid", "") for records in appended.touched.values() for r in records]
            if batch.history:
                past += len(came)
            else:
                new += came
        source.close()
        store.close()
    assert past == 50
    assert sorted(new) == sorted(cdr(100 * run + n, NOON - 50 + n).uniqueid for run in (1, 2, 3) for n in range(30))
    pbx.close()

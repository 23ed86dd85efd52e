"""`replay` reads what people have, without being told what it is."""

from __future__ import annotations

import pytest

from asterisk_connector.assembly.assemble import assemble
from asterisk_connector.assembly.connect import connect
from asterisk_connector.records import CdrRow, CelEvent
from asterisk_connector.sources.captures import read_capture
from tests.kit.captures import CAPTURES, VERSIONS, load
from tests.kit.traffic import NumberedCall

SCENARIO = "s07_inbound_did_answered"
FULL = (CAPTURES / "22.10" / SCENARIO / "cdr_full.csv").read_bytes()

CEL_OF_MANAGER = """Asterisk Call Manager/11.0.0
Response: Success
Message: Authentication accepted

Event: CEL
Privilege: call,all
Timestamp: 1795289560.983443
EventName: CHAN_START
CallerIDnum: 100
Exten: 101
Context: from-internal
Channel: PJSIP/100-00000001
EventTime: 2026-11-21 19:32:40
UniqueID: 1795289560.1
LinkedID: 1795289560.1

Event: Newexten
Channel: PJSIP/100-00000001

Event: CEL
Privilege: call,all
Timestamp: 1795289562.5
EventName: CHAN_END
Channel: PJSIP/100-00000001
UniqueID: 1795289560.1
LinkedID: 1795289560.1

"""

CDR_FROM_MYSQL = """
+---------------------+------------+------+----------+----------+-------------+------------------+-----------------+
| calldate            | src        | dst  | duration | billsec  | disposition | channel          | uniqueid        |
+---------------------+------------+------+----------+----------+-------------+------------------+-----------------+
| 2026-11-21 19:32:40 | 5145550001 | 101  |        5 |        4 | ANSWERED    | PJSIP/trunka-01  | 1795289560.583  |
+---------------------+------------+------+----------+----------+-------------+------------------+-----------------+
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_cdr_with_linkedids_is_known_by_its_columns(version: str) -> None:
    data = (CAPTURES / version / SCENARIO / "cdr_full.csv").read_bytes()
    records, set_aside = read_capture(data)
    assert not set_aside
    assert tuple(records) == load(version, SCENARIO, "CDR alone")


def test_cdr_with_a_header_is_read_by_its_names() -> None:
    names = ["calldate", "src", "dst", "disposition", "uniqueid", "linkedid"]
    cells = ["2026-11-21 19:32:40", "1", "2", "BUSY", "1795289560.5", "1795289560.5"]
    records, set_aside = read_capture(("\t".join(names) + "\n" + "\t".join(cells) + "\n").encode())
    assert not set_aside
    (row,) = records
    assert isinstance(row, CdrRow)
    assert (row.src, row.dst, row.disposition, row.linkedid) == ("1", "2", "BUSY", "1795289560.5")


def test_cdr_pasted_from_mysql_is_read() -> None:
    (row,), set_aside = read_capture(CDR_FROM_MYSQL.encode())
    assert not set_aside
    assert isinstance(row, CdrRow)
    assert (row.src, row.billsec, row.start) == ("5145550001", 4.0, 1_795_289_560_000_000)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_cel_events_of_a_manager_session_are_rows(ending: str) -> None:
    records, set_aside = read_capture(CEL_OF_MANAGER.replace("\n", ending).encode())
    assert not set_aside
    assert [r.type for r in records if isinstance(r, CelEvent)] == ["CHAN_START", "CHAN_END"]
    assert records[0].uniqueid == "1795289560.1"


def test_cel_and_cdr_of_one_call_are_one_call() -> None:
    cel = load("22.10", SCENARIO, "stock") or ()
    rows, _ = read_capture(FULL)
    (group,) = connect([*cel, *rows])
    call = assemble(group)
    assert call.did == "5551000"
    assert sum(call.evidence.rows.values()) == len(cel) + len(rows)


def test_one_torn_row_does_not_make_cel_into_something_else() -> None:
    rows = [row for _, row in NumberedCall(1).rows()]
    records, set_aside = read_capture(b"\n".join([b'"torn', *rows]) + b"\n")
    assert len(records) == len(rows)
    assert len(set_aside) == 1

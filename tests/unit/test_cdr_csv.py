"""CDR files of cdr_csv and cdr_custom, in every width, through the source that follows them."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from asterisk_connector.errors import Misconfigured
from asterisk_connector.records import CdrRow
from asterisk_connector.sources.cdr_csv import CdrCsvSource
from asterisk_connector.sources.csv.cdr import CDR_CSV, CDR_CUSTOM, CdrDialect, CdrRows, named_fields, read_cdr_custom
from asterisk_connector.sources.csv.rows import Unreadable
from asterisk_connector.sources.csv.split import Splitter
from tests.kit import captures
from tests.kit.clock import FakeClock
from tests.kit.follower import Follower

SCENARIOS = (
    "s03_no_answer_timeout",
    "s07_inbound_did_answered",
    "s25_attended_refer_by_callee",
    "s63_callerid_quotes_utf8",
)


def master(version: str, scenario: str) -> bytes:
    """What cdr_csv wrote, with all 21 columns."""
    return gzip.decompress((captures.CAPTURES / version / scenario / "cdr_master.csv.gz").read_bytes())


def truth(version: str, scenario: str) -> list[CdrRow]:
    """The same rows as cdr_custom wrote them with microseconds, cut to what cdr_csv keeps."""
    rows = captures.load(version, scenario, "CDR alone") or ()
    kept = []
    for row in rows:
        assert isinstance(row, CdrRow)
        times = {name: _whole(getattr(row, name)) for name in ("start", "answer", "end")}
        kept.append(replace(row, **times, did="", recording_file=""))
    return kept


def _whole(at: int | None) -> int | None:
    return None if at is None else at - at % 1_000_000


def read(data: bytes, rows: CdrRows) -> list[CdrRow | Unreadable]:
    return [found.event for piece in Splitter(CdrDialect()).feed(data) for found in rows.read(piece)]


@pytest.mark.parametrize("version", captures.VERSIONS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_full_master_file_is_read_as_it_was_captured(version: str, scenario: str) -> None:
    assert read(master(version, scenario), CdrRows(CdrDialect())) == truth(version, scenario)


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ((), ()),
        (("uniqueid",), ("uniqueid",)),
        (("userfield",), ("user_field",)),
        (("uniqueid", "userfield"), ("uniqueid", "user_field")),
        (("new",), ("peer_account", "linkedid", "sequence")),
        (("uniqueid", "new"), ("uniqueid", "peer_account", "linkedid", "sequence")),
        (("userfield", "new"), ("user_field", "peer_account", "linkedid", "sequence")),
    ],
)
def test_every_width_of_cdr_csv_is_told_by_its_content(options: tuple[str, ...], fields: tuple[str, ...]) -> None:
    version, scenario = "22.10", "s07_inbound_did_answered"
    full = next(csv.reader(io.StringIO(master(version, scenario).decode())))
    columns = full[:16]
    columns += full[16:17] if "uniqueid" in options else []
    columns += ["order 7"] if "userfield" in options else []
    columns += full[18:] if "new" in options else []
    line = (",".join('"' + cell.replace('"', '""') + '"' for cell in columns) + "\n").encode()
    (row,) = read(line, CdrRows(CdrDialect()))
    expected = truth(version, scenario)[0]
    kept = {f: getattr(expected, f) for f in (*CDR_CSV, *fields)} | (
        {"user_field": "order 7"} if "user_field" in fields else {}
    )
    assert row == CdrRow(**{"uniqueid": "", **kept})


def test_the_sample_mapping_of_cdr_custom_is_recognised() -> None:
    values = dict.fromkeys(CDR_CUSTOM, "") | {
        "clid": '"A" <100>', "src": "100", "start": "2026-11-21 19:30:56", "end": "2026-11-21 19:30:59",
        "disposition": "NO ANSWER", "uniqueid": "1795289456.87", "sequence": "4",
    }  # fmt: skip
    line = ",".join('"' + values[f].replace('"', '""') + '"' for f in CDR_CUSTOM) + "\n"
    (row,) = read(line.encode(), CdrRows(CdrDialect()))
    assert isinstance(row, CdrRow)
    assert (row.src, row.clid, row.uniqueid, row.sequence) == ("100", '"A" <100>', "1795289456.87", 4)
    assert row.answer is None


def test_a_told_mapping_reads_the_capture_with_microseconds() -> None:
    version, scenario = "22.10", "s25_attended_refer_by_callee"
    fields = named_fields(captures.CDR_COLUMNS)
    data = (captures.CAPTURES / version / scenario / "cdr_full.csv").read_bytes()
    assert tuple(read(data, CdrRows(CdrDialect(), fields))) == captures.load(version, scenario, "CDR alone")


def test_a_mapping_is_read_from_cdr_custom_conf() -> None:
    text = """
[mappings]
; Custom.csv => nothing
Custom.csv => ${CSV_QUOTE(${CDR(clid)})},${CSV_QUOTE(${CDR(start)})},${CSV_QUOTE(${CDR(disposition,u)})},"${CDR(did)}"
"""
    assert read_cdr_custom(text, "/var/log/asterisk/cdr-custom/Custom.csv") == ("clid", "start", "disposition", "did")
    with pytest.raises(Misconfigured, match=r"no mapping for Other\.csv \(it has: Custom\.csv\)"):
        read_cdr_custom(text, "Other.csv")


def test_a_mapping_without_a_start_is_the_operators_mistake() -> None:
    with pytest.raises(Misconfigured, match="no start time"):
        named_fields(["clid", "src", "dst"])


def test_what_is_no_row_is_set_aside_with_its_reason() -> None:
    rows = CdrRows(CdrDialect())
    results = read(b'"a","b","c"\n\n"","1","2","never closed\n' + master("22.10", SCENARIOS[1]), rows)
    assert [r.reason.split(";")[0] for r in results if isinstance(r, Unreadable)] == [
        "3 columns of no known CDR file",
        "quotes do not add up: a record torn by a crash, a full disk or a cut of the file",
    ]
    assert [r for r in results if isinstance(r, CdrRow)] == truth("22.10", SCENARIOS[1])


def test_the_night_when_clocks_go_back_is_told_by_uniqueid_and_duration() -> None:
    zone = ZoneInfo("America/Toronto")
    change = int(datetime(2026, 11, 1, 6, 0, tzinfo=UTC).timestamp())
    for start, seconds in ((change - 1200, 2400), (change + 1200, 60), (change - 1800, 60)):
        local = [datetime.fromtimestamp(start + after, zone).strftime("%Y-%m-%d %H:%M:%S") for after in (0, 2, seconds)]
        cells = ["", "1", "2", "d", "", "A", "B", "Dial", "", *local, str(seconds), str(seconds - 2), "ANSWERED", "3"]
        cells.append(f"{start}.7")
        (row,) = read((",".join(f'"{c}"' for c in cells) + "\n").encode(), CdrRows(CdrDialect(), zone=zone))
        assert isinstance(row, CdrRow)
        assert (row.start, row.answer, row.end) == tuple((start + after) * 1_000_000 for after in (0, 2, seconds))


def test_the_source_follows_a_file_through_rotation_and_knows_history(tmp_path: Path) -> None:
    path = tmp_path / "Master.csv"
    old, first, second = (master("22.10", s) for s in SCENARIOS[:3])
    path.write_bytes(old)
    clock = FakeClock()
    agent = Follower(lambda: CdrCsvSource("cdr", path, notify=lambda _: None, clock=clock))
    agent.round()
    with path.open("ab") as file:
        file.write(first)
    agent.round()
    path.rename(tmp_path / "Master.csv.1")
    path.write_bytes(second)
    for _ in range(4):
        clock.advance(3)
        agent.round()
    agent.kill()
    agent.round()
    assert agent.new == truth("22.10", SCENARIOS[1]) + truth("22.10", SCENARIOS[2])
    assert len(agent.history) == len(truth("22.10", SCENARIOS[0]))
    agent.close()

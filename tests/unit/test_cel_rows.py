"""CEL text in every encoding: real captures of Asterisk 16 and 22, and every trap that is known."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from asterisk_connector.errors import Misconfigured
from asterisk_connector.records import CelEvent
from asterisk_connector.sources.csv.capture import parse
from asterisk_connector.sources.csv.cel_custom import read_cel_custom
from asterisk_connector.sources.csv.dialect import STOCK, Dialect, detect_dialect
from asterisk_connector.sources.csv.events import name_event
from asterisk_connector.sources.csv.mapping import STOCK as STOCK_MAPPING
from asterisk_connector.sources.csv.mapping import from_names
from asterisk_connector.sources.csv.times import Times

DATA = Path(__file__).parent / "data" / "cel"
SCENARIOS = sorted(path for path in DATA.glob("asterisk-*/*") if path.is_dir())
NAMES = [f"{path.parent.name}/{path.name}" for path in SCENARIOS]

ROW = (
    '"HANGUP","1795289858.653134","Alice","100","100","","613","h","from-internal","PJSIP/100-000000b4","Wait","1",'
    '"3","acct100","1795289858.2041","1795289858.2040","","uf","","{""hangupcause"":16,""dialstatus"":""""}"'
)


def events_of(text: str, **told: object) -> list[CelEvent]:
    events, set_aside = parse(text.encode(), **told)  # type: ignore[arg-type]
    assert set_aside == []
    return events


def without(event: CelEvent, *fields: str) -> CelEvent:
    return msgspec.structs.replace(event, **dict.fromkeys(fields, ""))


def load(scenario: Path, name: str) -> list[CelEvent]:
    events, set_aside = parse((scenario / name).read_bytes())
    assert set_aside == []
    return events


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_the_stock_mapping_is_read_whole(scenario: Path) -> None:
    events = load(scenario, "cel_master.csv")
    assert len(events) == (scenario / "cel_master.csv").read_text().count("\n")
    assert {event.resolution for event in events} == {1}
    assert events[-1].type == "LINKEDID_END"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_nineteen_columns_give_the_same_events_but_for_the_userfield(scenario: Path) -> None:
    stock = [without(event, "user_field") for event in load(scenario, "cel_master.csv")]
    assert load(scenario, "cel_sipstack19.csv") == stock


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_the_broken_mapping_gives_the_same_events_but_for_what_it_lost(scenario: Path) -> None:
    lost = ("user_field", "extra", "user_defined_type")
    stock = [without(event, *lost) for event in load(scenario, "cel_master.csv")]
    assert [without(event, *lost) for event in load(scenario, "cel_broken.csv")] == stock


@pytest.mark.parametrize(
    "scenario", [s for s in SCENARIOS if s.parent.name == "asterisk-22.10"], ids=lambda path: path.name
)
def test_advanced_output_gives_the_same_events_as_the_stock_mapping(scenario: Path) -> None:
    stock = load(scenario, "cel_master.csv")
    assert load(scenario, "cel_adv.csv") == stock
    assert [without(e, "peer_account") for e in load(scenario, "cel_adv.json")] == stock
    few = [(e.type, e.at, e.uniqueid, e.linkedid, e.channel, e.cid_name, e.cid_num, e.exten, e.extra) for e in stock]
    assert [
        (e.type, e.at, e.uniqueid, e.linkedid, e.channel, e.cid_name, e.cid_num, e.exten, e.extra)
        for e in load(scenario, "cel_adv_nonnum.csv")
    ] == few


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_degraded_views_keep_their_order_and_tell_their_tick(scenario: Path) -> None:
    stock = {(e.type, e.uniqueid, e.at // 1_000_000, e.extra) for e in load(scenario, "cel_master.csv")}
    seconds, millis = load(scenario, "freepbx-1s.csv"), load(scenario, "sipstack-readme.csv")
    assert {e.resolution for e in seconds} == {1_000_000}
    assert {e.resolution for e in millis} == {1_000}
    for event in (*seconds, *millis):
        assert (event.type, event.uniqueid, event.at // 1_000_000, event.extra) in stock


def test_a_row_fills_every_field() -> None:
    [event] = events_of(ROW + "\n")
    assert event == CelEvent(
        "HANGUP", 1_795_289_858_653_134, "1795289858.2041", "1795289858.2040", "PJSIP/100-000000b4",
        cid_name="Alice", cid_num="100", cid_ani="100", cid_dnid="613", exten="h", context="from-internal",
        app_name="Wait", app_data="1", account_code="acct100", user_field="uf", ama_flags="3",
        extra='{"hangupcause":16,"dialstatus":""}',
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ('O"Neil', 'O""Neil'),
        ('x","y', 'x"",""y'),
        ('",', '"",'),
        ('"', '""'),
        (',"', ',""'),
        ("two\nlines", "two\nlines"),
        ("nul\0", "nul\0"),
        ('a"b","c', 'a""b"",""c'),
        ('"HANGUP","1795289858.653134"', '""HANGUP"",""1795289858.653134""'),
    ],
)
def test_any_text_in_a_field_comes_back(value: str, written: str) -> None:
    before, after = ROW, ROW.replace("HANGUP", "CHAN_END")
    events = events_of("\n".join([before, ROW.replace("Alice", written), after, ""]))
    assert [event.cid_name for event in events] == ["Alice", value, "Alice"]


def test_carriage_returns_and_blank_lines_do_no_harm() -> None:
    assert len(events_of(f"\r\n{ROW}\r\n\r\n{ROW}\r\n\n")) == 2


def test_invalid_utf8_is_marked_and_the_row_kept() -> None:
    events, set_aside = parse(ROW.encode().replace(b"Alice", b"Al\xffice") + b"\n")
    assert events[0].cid_name == "Al\ufffdice"
    assert not set_aside


def test_a_record_longer_than_any_event_is_set_aside_and_the_next_is_read() -> None:
    events, set_aside = parse(f"{ROW}\n{ROW.replace('Alice', 'x' * 10_000_000)}\n{ROW}\n".encode())
    assert len(events) == 2
    assert "longer than any event" in set_aside[0].reason
    assert len(set_aside[0].raw) <= 1024


@pytest.mark.parametrize("cut", range(1, len(ROW)))
@pytest.mark.parametrize("joint", ["", "\n"])
def test_a_record_torn_anywhere_never_costs_the_next_one_nor_mixes_with_it(cut: int, joint: str) -> None:
    torn = ROW.replace("HANGUP", "ANSWER").replace("2041", "2050").replace("2040", "2050")
    events, set_aside = parse(f"{ROW}\n{torn[:cut]}{joint}{ROW}\n{ROW}\n".encode())
    [whole] = events_of(ROW)
    assert [event for event in events if event.type == "HANGUP"] == [whole] * 3
    assert all(event.uniqueid == "1795289858.2050" for event in events if event.type == "ANSWER")
    assert len(events) + len(set_aside) == 4


def test_a_row_of_nonsense_is_set_aside_with_its_reason_and_place() -> None:
    events, set_aside = parse(f"{ROW}\nhello, world\n{ROW}\n".encode())
    assert len(events) == 2
    [row] = set_aside
    assert row.ident == str(len(ROW) + 1)
    assert row.raw == b"hello, world"
    assert "2 columns" in row.reason


def test_a_mapping_that_changes_in_the_middle_of_a_file_is_noticed() -> None:
    nineteen = ROW.replace('"uf",', "")
    literal = ROW.replace('"HANGUP",', '"HANGUP","My Literal",')
    eighteen = ROW.replace('"uf","",', "")
    events = events_of("\n".join([ROW, nineteen, literal, eighteen, ROW, ""]))
    assert [event.extra for event in events] == [events[0].extra] * 5
    assert [event.channel for event in events] == ["PJSIP/100-000000b4"] * 5


@pytest.mark.parametrize(
    ("separator", "quote"), [(";", '"'), ("\t", '"'), ("|", "'"), (",", "'"), (":", '"'), ("^", '"')]
)
def test_any_separator_and_quote_is_found_or_told(separator: str, quote: str) -> None:
    [stock] = events_of(ROW)
    cells = STOCK.fields(ROW) or []
    text = separator.join(quote + cell.replace(quote, quote * 2) + quote for cell in cells) + "\n"
    assert events_of(text * 2) == [stock, stock]
    assert events_of(text, dialect=Dialect(separator, quote, quote)) == [stock]


@pytest.mark.parametrize("method", ["minimal", "non_numeric"])
def test_fields_without_quotes_are_read(method: str) -> None:
    def write(cell: str) -> str:
        numeric = cell.replace(".", "").isdigit()
        if (method == "non_numeric" and not numeric) or any(sign in cell for sign in ',"\n'):
            return '"' + cell.replace('"', '""') + '"'
        return cell

    [stock] = events_of(ROW)
    assert events_of(",".join(write(cell) for cell in STOCK.fields(ROW) or []) + "\n") == [stock]


def test_quotes_escaped_with_a_backslash_are_read() -> None:
    [stock] = events_of(ROW)
    text = ROW.replace('""hangupcause"":16,""dialstatus"":""""', r"\"hangupcause\":16,\"dialstatus\":\"\"")
    assert events_of(text + "\n", dialect=Dialect(escape="\\")) == [stock]


def test_json_with_unescaped_backslashes_is_repaired() -> None:
    text = (
        r'{"eventtype":"MY_EVENT","eventenum":"USER_DEFINED","userdeftype":"MY_EVENT","eventtime":"1795289858.651236",'
        r'"name":"O\\"Neil C:\dir","uniqueid":"1795289858.2041","linkedid":"1795289858.2041","amaflags":3,'
        r'"eventextra":"{\"extra\":\"hello \\"world\\", with comma\"}","tenantid":"t1"}'
    )
    [event] = events_of(text + "\n")
    assert event.cid_name == 'O\\"Neil C:\\dir'
    assert event.extra == r'{"extra":"hello \"world\", with comma"}'
    assert (event.type, event.user_defined_type) == ("USER_DEFINED", "MY_EVENT")
    assert (event.ama_flags, event.tenant_id) == ("3", "t1")


def test_a_torn_json_line_is_set_aside_and_the_next_is_read() -> None:
    line = '{"eventtype":"HANGUP","eventtime":"1795289858.651236","uniqueid":"1795289858.2","linkedid":"1795289858.2"}'
    events, set_aside = parse(f'{line[:40]}\n{line}\n{{"eventtype":"HA\n{line}\n'.encode())
    assert len(events) == 2
    assert len(set_aside) == 2
    assert "no JSON" in set_aside[0].reason


def test_integers_in_the_type_column_are_those_of_cel_h() -> None:
    assert events_of(ROW.replace("HANGUP", "12"))[0].type == "ATTENDEDTRANSFER"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (("MY_EVENT", "", "MY_EVENT", "CELGenUserEvent"), ("USER_DEFINED", "MY_EVENT")),
        (("MY_EVENT", "USER_DEFINED", "", ""), ("USER_DEFINED", "MY_EVENT")),
        (("USER_DEFINED", "", "MY_EVENT", ""), ("USER_DEFINED", "MY_EVENT")),
        (("MY_EVENT", "", "", "CELGenUserEvent"), ("USER_DEFINED", "MY_EVENT")),
        (("HANGUP", "", "HANGUP", ""), ("USER_DEFINED", "HANGUP")),
        (("DTMF", "", "Received", "Dial"), ("DTMF", "Received")),
        (("STREAM_BEGIN", "", "FILE_STREAM_BEGIN", ""), ("STREAM_BEGIN", "FILE_STREAM_BEGIN")),
        (("MIXMONITOR_START", "", "", "MixMonitor"), ("MIXMONITOR_START", "")),
        (("BRIDGE_START", "", "", ""), ("BRIDGE_START", "")),
        (("HANGUP", "", "", "CELGenUserEvent"), ("HANGUP", "")),
    ],
)
def test_an_event_is_a_users_only_where_a_column_says_so(
    columns: tuple[str, str, str, str], expected: tuple[str, str]
) -> None:
    assert name_event(*columns) == expected


# mappings


def test_the_sample_mapping_of_cel_custom_conf_is_the_stock_mapping() -> None:
    caller = [f"CALLERID({name})" for name in ("name", "num", "ANI", "RDNIS", "DNID")]
    place = [f"CHANNEL({name})" for name in ("exten", "context", "channame", "appname", "appdata", "amaflags")]
    ids = [f"CHANNEL({name})" for name in ("accountcode", "uniqueid", "linkedid")]
    cells = ["eventtype", "eventtime", *caller, *place, *ids]
    cells += ["BRIDGEPEER", "CHANNEL(userfield)", "userdeftype", "eventextra"]
    quoted = ",".join(f"${{CSV_QUOTE(${{{cell}}})}}" for cell in cells)
    text = f"; a comment\n[mappings]\n/var/log/asterisk/cel-custom/Master.csv => {quoted} ; more\nOther.csv => x\n"
    layout = read_cel_custom(text, "/srv/Master.csv")
    assert layout.mapping == STOCK_MAPPING
    assert layout.dialect == STOCK
    forgotten_brace = text.replace("${CSV_QUOTE(${eventextra})}", "${CSV_QUOTE(${CHANNEL(extra)})")
    assert read_cel_custom(forgotten_brace, "Master.csv").mapping == STOCK_MAPPING


def test_an_advanced_mapping_is_read_with_its_signs() -> None:
    text = r"""
[mappings]
[cel_master.tsv]
separator_character = \t
quote_character = '
quoting_method = minimal
fields = EventType,EventEnum,"My, Literal",EventTime(%F),UserEventName,CIDName,Num,AcctCode,UniqueID,LinkedID,X
[cel.json]
format = json
fields = EventType
"""
    layout = read_cel_custom(text, "cel_master.tsv")
    assert layout.dialect == Dialect("\t", "'", "'")
    assert layout.mapping is not None
    assert layout.mapping.columns == (
        "type", "enum", "", "at", "user_defined_type", "cid_name", "cid_num", "account_code", "uniqueid", "linkedid",
        "",
    )  # fmt: skip
    assert read_cel_custom(text, "cel.json").mapping is None


def test_a_mapping_told_is_used_where_content_would_not_tell() -> None:
    mapping = from_names(["eventtime", "linkedid", "uniqueid", "context", "eventtype"])
    [event] = events_of("1795289858.5,1795289858.1,1795289858.2,ANSWER,HANGUP\n", mapping=mapping)
    assert (event.type, event.context, event.uniqueid, event.resolution) == ("HANGUP", "ANSWER", "1795289858.2", 10**5)


def test_a_mapping_without_what_a_call_needs_is_refused_with_a_sentence() -> None:
    with pytest.raises(Misconfigured, match="no column for type, linkedid"):
        from_names(["eventtime", "uniqueid", "exten"])
    with pytest.raises(Misconfigured, match=r"no mapping for Master.csv \(it has: Other.csv\)"):
        read_cel_custom("[mappings]\nOther.csv => ${eventtype}\n", "Master.csv")


def test_a_dialect_is_found_by_the_first_bytes() -> None:
    assert detect_dialect(b"") == STOCK
    assert detect_dialect(b"'HANGUP';'1'") == Dialect(";", "'", "'")
    assert detect_dialect(b'{"a":').escape == "\\"


# times

MONTREAL = ZoneInfo("America/Montreal")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1795289858.653134", (1_795_289_858_653_134, 1)),
        ("1795289858", (1_795_289_858_000_000, 1_000_000)),
        ("1795289858.6", (1_795_289_858_600_000, 100_000)),
        ("2026-11-21 14:37:38.653", (1_795_289_858_653_000, 1_000)),
        ("2026/11/21 14:37:38", (1_795_289_858_000_000, 1_000_000)),
        ("2026-11-21T19:37:38.653134Z", (1_795_289_858_653_134, 1)),
        ("2026-11-21T21:07:38.653134+0130", (1_795_289_858_653_134, 1)),
        ("2026-11-21 14:37:38-05:00", (1_795_289_858_000_000, 1_000_000)),
    ],
)
def test_times_are_read_in_the_zone_of_the_host(text: str, expected: tuple[int, int]) -> None:
    assert Times(MONTREAL).read(text, "1795289858.1") == expected


def test_the_hour_that_happens_twice_is_told_by_the_uniqueid() -> None:
    first, second = 1_793_511_000, 1_793_514_600  # 2026-11-01 01:30 in Montreal, before and after the change
    for epoch in (first, second):
        assert Times(MONTREAL).read("2026-11-01 01:30:05", f"pbx-1-{epoch}.7")[0] == (epoch + 5) * 1_000_000


def test_a_long_call_in_the_hour_that_happens_twice_follows_the_rows_before_it() -> None:
    times = Times(MONTREAL)
    old = "1793509200.1"  # made at 01:00, the first time
    assert times.read("2026-11-01 01:50:00", old)[0] == 1_793_512_200_000_000
    assert times.read("2026-11-01 01:10:00", old)[0] == 1_793_513_400_000_000


def test_an_unusual_date_format_has_to_be_told() -> None:
    with pytest.raises(ValueError, match="time_format"):
        Times(UTC).read("21.11.2026 19:37:38", "1795289858.1")
    told = Times(MONTREAL, "%d.%m.%Y %H:%M:%S.%3q")
    assert told.read("21.11.2026 14:37:38.653", "1795289858.1") == (1_795_289_858_653_000, 1_000)
    assert Times(UTC, "%F %T %z").read("2026-11-21 14:37:38 -0500", "x")[0] == 1_795_289_858_000_000


# tables pasted from a terminal

MYSQL = """
mysql> select * from cel;
+----+------------+---------------------+----------+-----------------+-----------------+--------------+-------+
| id | eventtype  | eventtime           | cid_name | uniqueid        | linkedid        | appdata      | extra |
+----+------------+---------------------+----------+-----------------+-----------------+--------------+-------+
|  1 | CHAN_START | 2026-11-21 19:37:38 | Alice    | 1795289858.2041 | 1795289858.2041 | SIP/a | b    |       |
|  2 | HANGUP     | 2026-11-21 19:37:39 | NULL     | 1795289858.2041 | 1795289858.2041 |              | {}    |
+----+------------+---------------------+----------+-----------------+-----------------+--------------+-------+
2 rows in set (0.00 sec)
"""

PSQL = """
 id | eventtype  |         eventtime          | channame |    uniqueid     |    linkedid     | extra
----+------------+----------------------------+----------+-----------------+-----------------+-------
  1 | CHAN_START | 2026-11-21 19:37:38.650943 | SIP/1-1  | 1795289858.2041 | 1795289858.2041 |
  2 | 14         | 2026-11-21 19:37:39.65     | SIP/1-1  | 1795289858.2041 | 1795289858.2041 | {}
(2 rows)
"""


def test_a_table_pasted_from_mysql_is_read() -> None:
    start, end = events_of(MYSQL)
    assert (start.type, start.cid_name, start.app_data) == ("CHAN_START", "Alice", "SIP/a | b")
    assert (end.cid_name, end.extra, end.at) == ("", "{}", 1_795_289_859_000_000)


def test_a_table_pasted_from_psql_is_read() -> None:
    start, end = events_of(PSQL)
    assert (start.channel, start.at, start.extra) == ("SIP/1-1", 1_795_289_858_650_943, "")
    assert (end.type, end.extra) == ("LINKEDID_END", "{}")


def test_mysql_batch_output_is_a_file_with_tabs() -> None:
    text = "eventtype\teventtime\tuniqueid\tlinkedid\nHANGUP\t2026-11-21 19:37:38\t1795289858.1\t1795289858.1\n"
    assert events_of(text)[0].type == "HANGUP"

from __future__ import annotations

import dataclasses
import io
import os
import re
import typing
from pathlib import Path

import pytest

from asterisk_connector import notices
from asterisk_connector.cli.main import VERBS
from asterisk_connector.clock import SystemClock
from asterisk_connector.config.model import Settings
from asterisk_connector.config.reference import reference
from asterisk_connector.telemetry.codes import CODES
from asterisk_connector.telemetry.journal import CALL_LINES, Journal
from asterisk_connector.telemetry.sentences import DEBUG, INFO, WARNING, Sentence, say
from tests.kit import journal_page
from tests.kit.clock import FakeClock
from tests.kit.journal_socket import JournalSocket
from tests.kit.wait import until


def told(
    clock: FakeClock, *heard: notices.Notice | Sentence, level: int = INFO, show_numbers: bool = False
) -> list[str]:
    out = io.StringIO()
    journal = Journal(clock, native=False, out=out, level=level, show_numbers=show_numbers)
    for notice in heard:
        journal.hear(notice)
    journal.close()
    return out.getvalue().splitlines()


def example(kind: type[notices.Notice], **given: object) -> notices.Notice:
    values: dict[str, object] = {
        "str": "x", "int": 3, "float": 1.5, "bool": True, "tuple[str, ...]": ("a",), "BaseException": OSError("boom"),
        "str | None": "y", "int | None": 7, "float | None": 2.5, "bool | None": True,
    }  # fmt: skip
    return kind(**({f.name: values[str(f.type)] for f in dataclasses.fields(kind)} | given))


KINDS = [
    kind
    for kind in vars(notices).values()
    if isinstance(kind, type) and issubclass(kind, notices.Notice) and not kind.__subclasses__()
]
COUNTED = {"RowsRead", "EventsJournalled", "EventsPublished"}
NUMBERS = {"caller": "+14165550137", "called": "0301234567", "answered_by": "201"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_every_notice_that_is_not_only_counted_is_said(kind: type[notices.Notice]) -> None:
    sentence = say(example(kind))
    assert (sentence is None) == (kind.__name__ in COUNTED)
    if sentence is not None:
        assert sentence.text
        assert sentence.priority <= DEBUG


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
@pytest.mark.parametrize("change", [{}, {"hint": ""}, {"reason": "age"}, {"expired": False}, {"complete": False}])
def test_every_line_of_trouble_has_a_code_that_the_page_explains(
    kind: type[notices.Notice], change: dict[str, object]
) -> None:
    names = {field.name for field in dataclasses.fields(kind)}
    sentence = say(example(kind, **{name: value for name, value in change.items() if name in names}))
    if sentence is not None and (sentence.code or sentence.priority <= WARNING):
        assert sentence.code in CODES


@pytest.mark.parametrize("code", CODES)
def test_what_a_code_tells_to_do_can_be_done(code: str) -> None:
    told = CODES[code]
    verbs = re.findall(r"`asterisk-connector ([a-z-]+)", told.action)
    assert [verb for verb in verbs if verb not in VERBS] == []
    pages = reference()
    for block, setting in re.findall(r"\b((?:[a-z]+\.)+)([a-z_]+)\b(?!\.conf)", f"{told.meaning} {told.action}"):
        if block.rstrip(".") in {field.name for field in dataclasses.fields(Settings)} | {"events.journal"}:
            chapter = pages.partition(f"## `{block.rstrip('.')}`")[2].partition("\n## ")[0]
            assert f"`{setting}`" in chapter, f"{block}{setting}"


def test_every_code_is_in_use() -> None:
    agent = Path(__file__).parents[2] / "agent" / "asterisk_connector"
    texts = [path.read_text() for path in agent.rglob("*.py") if path.name != "codes.py"]
    assert [code for code in CODES if not any(f'"{code}"' in text for text in texts)] == []


def test_the_page_of_the_journal_is_what_the_code_says() -> None:
    assert journal_page.PAGE.read_text() == journal_page.page()


def test_a_line_names_what_where_and_what_to_do() -> None:
    lines = told(
        FakeClock(), notices.SourceFailed("cel_csv:/a", "permission denied", "Add the user to group asterisk", 5)
    )
    assert len(lines) == 1
    assert "cannot read cel_csv:/a: permission denied; trying again in 5 s. Add the user to group asterisk" in lines[0]


def test_one_cause_is_told_once_and_what_was_held_back_is_counted() -> None:
    clock = FakeClock()
    out = io.StringIO()
    journal = Journal(clock, native=False, out=out)
    down = notices.SinkDown("call_api", "connection refused", 5)
    for _ in range(10):
        journal.hear(down)
    journal.hear(notices.SinkUp("call_api", 3.0))
    journal.close()
    assert out.getvalue().count("is down") == 1
    assert out.getvalue().count("takes calls again") == 1

    out = io.StringIO()
    journal = Journal(clock, native=False, out=out)
    for _ in range(3):
        journal._tell(typing.cast(Sentence, say(down)))
    clock.advance(31)
    journal._tell(typing.cast(Sentence, say(down)))
    journal.close()
    assert "(2 more like this)" in out.getvalue()


def test_less_important_lines_are_not_told() -> None:
    began = notices.CallOpened("1.1")
    assert told(FakeClock(), began) == []
    assert len(told(FakeClock(), began, level=DEBUG)) == 1


@pytest.mark.parametrize("kind", [notices.CallUpdated, notices.CallCompleted, notices.CallRevised])
def test_numbers_of_people_are_masked_unless_they_shall_be_shown(kind: type[notices.Notice]) -> None:
    call = example(kind, **NUMBERS)
    (line,) = told(FakeClock(), call, level=DEBUG)
    assert "4165550137" not in line
    assert "1234567" not in line
    assert "201 answered" in line
    (line,) = told(FakeClock(), call, level=DEBUG, show_numbers=True)
    assert "+14165550137 called 0301234567, 201 answered" in line


def test_the_name_of_a_recording_is_told_only_where_numbers_are() -> None:
    found = notices.RecordingLinked("1.1", "1.1", "/spool/out-0301234567-200.wav", "uniqueid")
    assert "1234567" not in told(FakeClock(), found, level=DEBUG)[0]
    assert "/spool/out-0301234567-200.wav" in told(FakeClock(), found, level=DEBUG, show_numbers=True)[0]


@pytest.mark.parametrize(
    "trouble",
    [
        notices.DeliveryBuried(
            "recording_api", "1795289858.1", 1, "'out-+14165550137-1795289858.7.wav' is gone", False
        ),
        notices.SinkMisconfigured("recording_api", "'in-14165550137.wav' may not be read", ""),
        notices.RowSetAside("cel_csv:/a", "1", "'14165550137' is not a time"),
        notices.WorkerFailed("assembler", "ValueError: 14165550137", 1.0, ValueError("+14165550137")),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
def test_numbers_in_texts_of_others_are_masked_and_ids_of_calls_are_not(trouble: notices.Notice) -> None:
    lines = "\n".join(told(FakeClock(), trouble))
    assert "4165550137" not in lines
    assert ("1795289858.7" in lines) == isinstance(trouble, notices.DeliveryBuried)
    assert "4165550137" in "\n".join(told(FakeClock(), trouble, show_numbers=True))


def test_rows_that_differ_in_what_is_wrong_are_one_cause() -> None:
    lines = told(FakeClock(), *[notices.RowSetAside("cel_csv:/a", str(n), f"'x{n}' is not a time") for n in range(50)])
    assert len(lines) == 1


def test_the_end_of_a_call_is_one_line_that_tells_it_all() -> None:
    call = example(
        notices.CallCompleted, call_id="1.1", direction="inbound", outcome="answered", seconds=95.2, talk_seconds=60.0,
        recordings=1, sinks=("call_api", "kafka"), caller="100", called="200", answered_by="200",
    )  # fmt: skip
    (line,) = told(FakeClock(), call)
    story = "100 called 200, who answered (inbound, answered, 95 s, talked 60 s, 1 recording); owed to call_api, kafka"
    assert line.endswith(f"call 1.1 ended: {story}")


def test_lines_of_single_calls_never_flood_and_what_is_held_back_is_told() -> None:
    clock = FakeClock()
    calls = [example(notices.CallCompleted, complete=True)] * (CALL_LINES + 500)
    lines = told(clock, *calls, Sentence(WARNING, "something else"))
    assert sum("ended" in line for line in lines) == CALL_LINES
    assert any("something else" in line for line in lines)
    assert "500 more lines of single calls were not told" in lines[-1]
    assert len(told(clock, *calls, level=DEBUG)) == CALL_LINES + 500


def test_calls_that_went_well_do_not_drive_out_those_that_did_not() -> None:
    well = [example(notices.CallCompleted, complete=True)] * (CALL_LINES + 1)
    dead = [notices.DeliveryBuried("call_api", "1.1", 1, "400", False)] * (CALL_LINES + 7)
    lines = told(FakeClock(), *well, *dead)
    assert sum("will not take" in line for line in lines) == CALL_LINES
    assert "8 more lines of single calls were not told" in lines[-1]


def test_nothing_is_held_back_at_debug() -> None:
    lines = told(
        FakeClock(), *[notices.DeliveryDeferred("call_api", f"1.{n}", 1, "503", 2.0) for n in range(9)], level=DEBUG
    )
    assert len(lines) == 9


def test_where_the_journal_reads_standard_error_each_line_carries_its_priority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sd-daemon(3), when the journal's own socket cannot be had."""
    with (tmp_path / "out").open("w+") as out:
        found = os.fstat(out.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        journal = Journal(FakeClock(), out=out, path=str(tmp_path / "nobody"))
        journal.hear(Sentence(3, "two\nlines", code="AC-BUG"))
        journal.close()
    assert (tmp_path / "out").read_text().splitlines() == ["<3>two", "<3>lines [AC-BUG]"]


def test_a_stream_that_the_journal_does_not_read_gets_no_priorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command below a service inherits JOURNAL_STREAM; its own output may be a file."""
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    (line,) = told(FakeClock(), Sentence(3, "text"))
    assert not line.startswith("<")


def test_an_entry_carries_its_fields_each_value_by_itself(tmp_path: Path) -> None:
    call = example(notices.CallCompleted, call_id="1.1", linkedids=("1.1", "1.9"), uniqueids=("1.1", "1.2"), revision=2)
    with JournalSocket(tmp_path / "socket") as journald:
        journal = Journal(FakeClock(), native=True, path=str(journald.path))
        journal.hear(call)
        journal.hear(notices.SinkMisconfigured("call_api", "401", "two\nlines"))
        journal.close()
    told, trouble = journald.entries
    assert told["ASTERISK_LINKEDID"] == ["1.1", "1.9"]
    assert told["ASTERISK_UNIQUEID"] == ["1.1", "1.2"]
    assert told["CALL_REVISION"] == ["2"]
    assert told["PRIORITY"] == ["6"]
    assert trouble["SINK"] == ["call_api"]
    assert trouble["ERROR_CODE"] == ["AC-SINK-CONFIG"]
    assert trouble["MESSAGE"] == ["call_api refuses us: 401; calls are kept. two\nlines [AC-SINK-CONFIG]"]


def test_an_entry_of_300_kb_arrives_whole(tmp_path: Path) -> None:
    """It does not fit into a datagram."""
    text = "x" * 300_000
    with JournalSocket(tmp_path / "socket") as journald:
        journal = Journal(FakeClock(), native=True, path=str(journald.path))
        journal.hear(Sentence(INFO, text))
        journal.close()
    assert [entry["MESSAGE"] for entry in journald.entries] == [[text]]
    assert journald.files == 1


def test_a_journal_that_was_restarted_is_found_again(tmp_path: Path) -> None:
    out = io.StringIO()
    with JournalSocket(tmp_path / "socket") as journald:
        journal = Journal(FakeClock(), native=True, path=str(journald.path), out=out)
        journal.hear(Sentence(INFO, "before"))
        until(lambda: journald.entries, 5, "the first entry")
    journal.hear(Sentence(INFO, "between"))
    until(lambda: "between" in out.getvalue(), 5, "the line on standard error")
    with JournalSocket(tmp_path / "socket") as journald:
        journal.hear(Sentence(INFO, "after"))
        journal.close()
    assert [entry["MESSAGE"] for entry in journald.entries] == [["after"]]


def test_a_blocked_log_target_holds_nobody() -> None:
    """F59: a full pipe on standard error."""
    reader, writer = os.pipe()
    out = os.fdopen(writer, "w")
    journal = Journal(SystemClock(), native=False, out=out)
    for number in range(12_000):
        journal.hear(Sentence(3, f"{number} " + "x" * 200))
    assert journal.dropped > 0
    os.close(reader)  # lets the blocked teller go
    journal.close()
    with pytest.raises(BrokenPipeError):
        out.close()

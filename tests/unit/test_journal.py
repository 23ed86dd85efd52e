from __future__ import annotations

import dataclasses
import io
import os
import typing

import pytest

from asterisk_connector import notices
from asterisk_connector.clock import SystemClock
from asterisk_connector.telemetry.journal import Journal
from asterisk_connector.telemetry.sentences import DEBUG, INFO, Sentence, say
from tests.kit.clock import FakeClock


def told(clock: FakeClock, *heard: notices.Notice | Sentence, level: int = INFO) -> list[str]:
    out = io.StringIO()
    journal = Journal(clock, native=False, out=out, level=level)
    for notice in heard:
        journal.hear(notice)
    journal.close()
    return out.getvalue().splitlines()


def example(kind: type[notices.Notice]) -> notices.Notice:
    values: dict[str, object] = {
        "str": "x", "int": 3, "float": 1.5, "bool": True, "tuple[str, ...]": ("a",), "BaseException": OSError("boom"),
        "str | None": "y", "int | None": 7, "float | None": 2.5, "bool | None": True,
    }  # fmt: skip
    return kind(**{f.name: values[str(f.type)] for f in dataclasses.fields(kind)})


KINDS = [k for k in vars(notices).values() if isinstance(k, type) and issubclass(k, notices.Notice)][1:]
COUNTED = {"RowsRead", "CallOpened", "EventsJournalled", "EventsPublished"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_every_notice_that_is_not_only_counted_is_said(kind: type[notices.Notice]) -> None:
    sentence = say(example(kind))
    assert (sentence is None) == (kind.__name__ in COUNTED)
    if sentence is not None:
        assert sentence.text
        assert sentence.priority <= DEBUG


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
    done = notices.CallCompleted("1.1", True, "all ended", 1, "inbound", "answered")
    assert told(FakeClock(), done) == []
    assert len(told(FakeClock(), done, level=DEBUG)) == 1


def test_under_systemd_each_line_carries_its_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    lines = told(FakeClock(), Sentence(3, "two\nlines"))
    assert lines == ["<3>two", "<3>lines"]


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

"""A table of recordings: what its rows say, and how a row and its file become one recording."""

from __future__ import annotations

from datetime import UTC

import pytest

from asterisk_connector.assembly.assemble import assemble
from asterisk_connector.call import Call
from asterisk_connector.enrichment.attach_recordings import RecordingRules, attach_recordings
from asterisk_connector.records import CelEvent, Record, RecordingFile
from asterisk_connector.sources.tables.columns import RECORDING, Columns, match
from asterisk_connector.sources.tables.database import Column
from asterisk_connector.sources.tables.rows import RecordingReader, Unreadable
from asterisk_connector.sources.tables.zones import Zone

START = 1_795_290_000_000_000
ID = "1795290000.7"


def reading(*fields: str) -> RecordingReader:
    return RecordingReader(fields, Columns(RECORDING, {f: Column(f, "local", 1) for f in fields}))


@pytest.mark.parametrize(
    ("path", "name", "meant"),
    [
        ("/rec/2026/a.wav", None, "/rec/2026/a.wav"),
        ("/rec/2026", "a.wav", "/rec/2026/a.wav"),
        ("/rec/2026/", "a.wav", "/rec/2026/a.wav"),
        ("/rec/2026/a.wav", "a.wav", "/rec/2026/a.wav"),
        ("", "a.wav", "a.wav"),
    ],
)
def test_a_row_names_its_file_whole_or_in_two_columns(path: str, name: str | None, meant: str) -> None:
    row = reading("at", "path", "name").record(("2026-11-21 19:40:00", path, name), Zone(UTC), None)
    assert (row.path, row.format, row.origin) == (meant, "wav", "table")


def test_a_row_says_whose_and_how_long_it_is() -> None:
    fields = ("at", "name", "uniqueid", "linkedid", "size", "duration")
    row = reading(*fields).record(("2026-11-21 19:40:00", "a.WAV", ID, "", "4096", "2.5"), Zone(UTC), None)
    assert row == RecordingFile(
        "a.WAV", 4096, uniqueid=ID, started_at=START, duration=2.5, format="wav49", origin="table"
    )


@pytest.mark.parametrize(("path", "name"), [(None, None), ("/rec/", ""), (" ", " ")])
def test_a_row_without_a_file_is_unreadable(path: str | None, name: str | None) -> None:
    with pytest.raises(Unreadable, match="no file name"):
        reading("at", "path", "name").record(("2026-11-21 19:40:00", path, name), Zone(UTC), None)


def test_columns_are_found_by_name_or_as_the_operator_maps_them() -> None:
    columns = [Column(name, "local", 1) for name in ("created_at", "file_path", "file_size", "call_ref")]
    found = match(RECORDING, "recordings", columns, {"uniqueid": "call_ref"})
    assert {field: column.name for field, column in found.fields.items()} == {
        "at": "created_at", "path": "file_path", "size": "file_size", "uniqueid": "call_ref",
    }  # fmt: skip


def told(*records: Record, roots: tuple[str, ...] = ("/rec",)) -> Call:
    rows = [CelEvent(kind, START, ID, ID, "P/1-1") for kind in ("CHAN_START", "HANGUP", "CHAN_END", "LINKEDID_END")]
    return attach_recordings(assemble([*rows, *records]), RecordingRules(roots=roots))


LISTED = RecordingFile("/rec/2026/a.wav", 10, uniqueid=ID, started_at=START, duration=2.0, origin="table")
FOUND = RecordingFile("/rec/2026/a.wav", 32_044, ended_at=START + 2_000_000, duration=2.0, format="wav")


@pytest.mark.parametrize("order", [(LISTED, FOUND), (FOUND, LISTED)])
def test_a_row_and_its_file_are_one_recording(order: tuple[RecordingFile, ...]) -> None:
    (recording,) = told(*order).recordings
    assert (recording.linked_by, recording.size, recording.leg) == ("table", 32_044, ID)


def test_a_row_whose_file_is_elsewhere_is_a_recording_all_the_same() -> None:
    call = told(LISTED)
    assert [(each.linked_by, each.size) for each in call.recordings] == [("table", 10)]
    assert call.evidence.notes == ()

"""Calls of the past: found in files, compared with the state, owed once."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from asterisk_connector import parts
from asterisk_connector.backfill import Backfill
from asterisk_connector.call import decode, rfc3339
from asterisk_connector.cli.configuration import settings_of
from asterisk_connector.cli.main import main
from asterisk_connector.clock import SystemClock
from asterisk_connector.delivery.courier import GIVEN_UP
from asterisk_connector.errors import Misconfigured
from asterisk_connector.notices import ignore
from asterisk_connector.past_calls import SLICE, Period
from asterisk_connector.records import Batch, CelEvent, Seen
from asterisk_connector.sinks.base import Item
from asterisk_connector.sources.csv.capture import parse
from asterisk_connector.sources.csv_past import CsvPast
from asterisk_connector.store.store import Store
from asterisk_connector.store.words import Settlement
from tests.kit.traffic import NumberedCall

CALLS = [NumberedCall(n, gap=60, base=int(time.time()) - 7200) for n in range(3)]


def raw(call: NumberedCall) -> bytes:
    return b"".join(row + b"\n" for _, row in call.rows())


def rows(call: NumberedCall) -> list[CelEvent]:
    return parse(raw(call))[0]


class Pbx:
    """A host with a CEL file and a state directory; verbs run on its configuration."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.file = home / "Master.csv"
        self.file.write_bytes(b"".join(raw(call) for call in CALLS))
        self.state = home / "state"
        self.config = home / "config.yaml"
        self._capture = capture
        settings = {
            "host": "pbx1",
            "sources": {"cel_csv": [{"path": str(self.file), "zone": "UTC"}]},
            "calls": {"file": {"path": str(home / "calls.jsonl")}},
            "store": {"directory": str(self.state), "keep_calls": "9000d"},
        }
        self.config.write_text(yaml.safe_dump(settings))

    def verb(self, name: str, *words: str, ends: int = 0) -> dict[str, Any]:
        """The JSON summary of a verb over the period of all captures."""
        since, until = self.period
        told = ["--config", str(self.config), "--since", since, "--until", until, "--rate", "0", "--json"]
        self._capture.readouterr()
        code = main([name, *told, *words])
        out, err = self._capture.readouterr()
        assert code == ends, err
        return dict(json.loads(out)) if out else {"said": err}

    @property
    def period(self) -> tuple[str, str]:
        times = [row.at for call in CALLS for row in rows(call)]
        return _iso(min(times) - 60_000_000), _iso(max(times) + 60_000_000)

    def store(self) -> Store:
        return Store.open(self.state, clock=SystemClock(), notify=ignore)

    def items(self) -> list[Item]:
        store = self.store()
        try:
            return store.lease("calls_file", 1000)
        finally:
            store.close()


def _iso(at: int) -> str:
    return rfc3339(at) or ""


@pytest.fixture
def pbx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Pbx:
    return Pbx(tmp_path, capsys)


def test_what_nobody_was_told_of_is_owed_once(pbx: Pbx) -> None:
    first = pbx.verb("backfill")
    assert (first["calls"], first["missing"], first["owed"]) == (3, 3, 3)
    items = pbx.items()
    assert {item.idempotency_key for item in items} == {f"pbx1:{item.call_id}:1" for item in items}
    assert len(items) == 3
    again = pbx.verb("backfill")
    assert (again["calls"], again["missing"], again["owed"]) == (3, 0, 0)
    assert pbx.items() == items


def test_a_dry_run_counts_and_leaves_the_state_alone(pbx: Pbx) -> None:
    pbx.store().close()
    found = pbx.verb("backfill", "--dry-run")
    assert (found["missing"], found["owed"]) == (3, 0)
    assert pbx.items() == []


def test_rows_nobody_understands_are_told_once(pbx: Pbx) -> None:
    with pbx.file.open("ab") as file:
        file.write(b'"garbage"\n"CHAN_START","no time","","","","","","","","","","","","","1.1","1.1","","","",""\n')
    found = pbx.verb("backfill", "--since", _iso(SystemClock().now() - 3 * SLICE))
    assert (found["owed"], found["unreadable"]) == (3, 2)


def test_what_is_missing_is_listed_before_what_is_on_its_way(pbx: Pbx) -> None:
    first = CALLS[0].linkedid
    around = ["--since", _iso(CALLS[0].base * 1_000_000 - 1), "--until", _iso(CALLS[0].base * 1_000_000 + 1_000_000)]
    assert main(["backfill", "--config", str(pbx.config), *around]) == 0
    found = pbx.verb("reconcile", ends=1)
    standings = [(each["linkedid"], each["standing"]) for each in found["differences"]]
    assert standings[-1] == (first, "owed")
    assert {standing for _, standing in standings[:-1]} == {"unknown"}


def test_a_running_service_is_named_and_what_to_do(pbx: Pbx) -> None:
    store = pbx.store()
    said = pbx.verb("backfill", ends=75)["said"]
    assert "pid" in said
    assert "systemctl stop asterisk-connector" in said
    assert pbx.verb("backfill", "--dry-run")["missing"] == 3
    store.close()


def test_rotated_and_compressed_files_are_read_too(pbx: Pbx) -> None:
    whole = pbx.file.read_bytes()
    at = len(raw(CALLS[0]))
    with gzip.open(pbx.file.with_name("Master.csv.2.gz"), "wb") as packed:
        packed.write(whole[:at])
    pbx.file.with_name("Master.csv.1").write_bytes(whole[at:])
    pbx.file.write_bytes(b"")
    assert pbx.verb("backfill")["owed"] == 3


def test_a_period_has_the_calls_that_began_in_it_whole(pbx: Pbx) -> None:
    began = sorted(min(row.at for row in rows(call)) for call in CALLS)
    around = ["--since", _iso(began[1]), "--until", _iso(began[2] - 1000)]
    assert main(["backfill", "--config", str(pbx.config), *around]) == 0
    (item,) = pbx.items()
    assert pbx.verb("backfill")["owed"] == 2
    assert [other for other in pbx.items() if other.call_id == item.call_id] == [item]
    assert decode(item.body).complete


def test_a_file_is_read_no_farther_than_the_period(pbx: Pbx) -> None:
    source = CsvPast("cel", pbx.file, reach=3600)
    since, until = (min(row.at for row in rows(CALLS[0])) + shift for shift in (-86_400_000_000 * 2, -86_400_000_000))
    assert list(source.read(since, until)) == []
    pbx.file.unlink()
    with pytest.raises(Misconfigured, match="does not exist"):
        source.open()


def test_what_was_history_at_the_first_start_is_shipped_when_asked_for(pbx: Pbx) -> None:
    store = pbx.store()
    seen = [Seen(str(n), row) for n, row in enumerate(rows(CALLS[0]))]
    appended = store.append(Batch("cel_csv:old", seen, b"1", history=True))
    (call,) = appended.new
    last = store.rows(call)[-1][0]
    store.settle(Settlement(call, last, "history", "", False, 0, b"", b""))
    store.close()
    found = pbx.verb("reconcile", ends=1)
    assert found["counts"]["history"] == 1
    assert found["counts"]["unknown"] == found["linkedids"] - 1
    assert pbx.verb("backfill")["owed"] == 3
    store = pbx.store()
    assert len(store.rows(call)) == len(seen)
    store.close()


def test_every_linkedid_is_accounted_for(pbx: Pbx) -> None:
    store = pbx.store()
    store.close()
    assert pbx.verb("reconcile", ends=1)["counts"]["unknown"] >= 3
    repaired = pbx.verb("reconcile", "--repair")
    assert (repaired["owed"], repaired["accounted"]) == (3, True)
    owed, refused, expired = pbx.items()
    store = pbx.store()
    store.bury(refused, "HTTP 400")
    store.bury(expired, f"{GIVEN_UP} 48 h: HTTP 503")
    store.close()
    found = pbx.verb("reconcile")
    told = {each["linkedid"]: each["standing"] for each in found["differences"]}
    assert told[owed.call_id] == "owed"
    assert told[refused.call_id] == "refused"
    assert told[expired.call_id] == "expired"
    store = pbx.store()
    store.delivered(owed)
    store.close()
    assert pbx.verb("reconcile")["counts"]["shipped"] >= 1


def test_a_call_that_has_not_ended_is_left_to_the_service(pbx: Pbx) -> None:
    now = SystemClock().now()
    uniqueid = f"{now // 1_000_000 - 60}.7"
    stamp = f"{(now - 60_000_000) // 1_000_000}.{now % 1_000_000:06d}"
    columns = ["CHAN_START", stamp, "Anna", "101", "", "", "", "102", "internal", "PJSIP/101-1", "", "", "3", "",
               uniqueid, uniqueid, "", "", "", ""]  # fmt: skip
    pbx.file.write_text(",".join(f'"{column}"' for column in columns) + "\n")
    pbx.store().close()
    assert main(["reconcile", "--config", str(pbx.config), "--since", "1h"]) == 0
    assert main(["backfill", "--config", str(pbx.config), "--since", "1h"]) == 0
    assert pbx.items() == []


def test_an_interrupted_backfill_goes_on_where_it_was(pbx: Pbx) -> None:
    period = Period(1_000_000_000_000_000, 1_000_000_000_000_000 + 3 * SLICE)
    store = pbx.store()
    rules = parts.rules(settings_of(pbx.config), ignore)
    first = Backfill(store, rules, period, clock=SystemClock())
    assert first.begun == period.since
    first.looked_at(period.since + SLICE)
    store.close()
    store = pbx.store()
    second = Backfill(store, rules, period, clock=SystemClock())
    assert second.begun == period.since + SLICE
    second.looked_at(period.until)
    assert second.begun == period.since
    store.close()


def test_rows_the_service_reads_later_again_change_nothing(pbx: Pbx) -> None:
    pbx.verb("backfill")
    items = pbx.items()
    store = pbx.store()
    seen = [Seen(str(n), row) for n, row in enumerate(r for call in CALLS for r in rows(call))]
    store.append(Batch("cel_csv:live", seen, b"1"))
    store.close()
    found = pbx.verb("reconcile")
    assert found["missing"] == 0
    assert pbx.items() == items


@pytest.mark.parametrize("words", [["--since", "yesterday"], ["--since", "1h", "--until", "2h"], ["--rate", "fast"]])
def test_a_time_or_rate_nobody_can_read_is_a_usage_error(pbx: Pbx, words: list[str]) -> None:
    given = words if "--since" in words else ["--since", "1h", *words]
    assert main(["backfill", "--config", str(pbx.config), *given]) == 64


def test_a_source_that_remembers_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    settings = {
        "sources": {"cel_ami": {}},
        "ami": {"user": "agent", "secret": "x"},
        "calls": {"file": {"path": str(tmp_path / "calls.jsonl")}},
        "store": {"directory": str(tmp_path / "state")},
    }
    config.write_text(yaml.safe_dump(settings))
    config.chmod(0o600)
    assert main(["backfill", "--config", str(config), "--since", "1h"]) == 78
    assert "remembers nothing" in capsys.readouterr().err


def test_a_repair_for_nobody_is_refused(pbx: Pbx, capsys: pytest.CaptureFixture[str]) -> None:
    settings = yaml.safe_load(pbx.config.read_text())
    del settings["calls"]
    pbx.config.write_text(yaml.safe_dump(settings))
    code = main(["reconcile", "--config", str(pbx.config), "--since", "1d", "--repair"])
    assert code == 78
    assert capsys.readouterr().err

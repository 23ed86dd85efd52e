"""`calls`, `outbox`, `recordings`, `set-aside`: looking at the state, changing it while the service is stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asterisk_connector import parts
from asterisk_connector.call import encode
from asterisk_connector.cli import calls as verb
from asterisk_connector.cli.main import main
from asterisk_connector.clock import SystemClock
from asterisk_connector.config.model import Settings
from asterisk_connector.notices import ignore
from asterisk_connector.records import Batch, RecordingFile, Seen, SetAside
from asterisk_connector.sources.csv.capture import parse
from asterisk_connector.store import Owed, Settlement, Store
from tests.kit.rows import SOURCE
from tests.kit.traffic import NumberedCall


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(
        f"api: {{key: sk}}\nsources: {{cel_csv: [{{path: {tmp_path}/cel.csv}}]}}\n"
        f"store: {{directory: {tmp_path}/state, reserve: 1MiB}}\n"
    )
    file.chmod(0o600)
    return file


@pytest.fixture
def store(config: Path) -> Iterator[Store]:
    store = Store.open(config.parent / "state", clock=SystemClock(), notify=ignore)
    yield store
    store.close()


def read(store: Store, number: int) -> int:
    """Takes in the rows of a call; its number in the store."""
    rows, _ = parse(b"".join(row + b"\n" for _, row in NumberedCall(number).rows()))
    seen = [Seen(f"{number}:{n}", row) for n, row in enumerate(rows)]
    (call,) = store.append(Batch(SOURCE, seen, b"")).new
    return call


def settle(store: Store, call: int) -> str:
    """Settles a call and owes it to the API; its call id."""
    rows = store.rows(call)
    told = parts.rules(Settings(), ignore).tell([record for _, record in rows], None, None)
    body = encode(told)
    owed = (Owed("call_api", "complete", body),)
    assert store.settle(
        Settlement(call, rows[-1][0], "settled", told.call_id, True, 1, b"digest", body, owed, "complete")
    )
    return told.call_id


def bury(store: Store, number: int) -> int:
    """A dead letter; its number."""
    settle(store, read(store, number))
    (item,) = store.lease("call_api", 1)
    store.bury(item, "422: src_extension is missing", "POST /calls", "HTTP/1.1 422")
    return item.id


def ran(capsys: pytest.CaptureFixture[str], config: Path, *words: object, code: int = 0) -> str:
    capsys.readouterr()
    assert main([*map(str, words), "--config", str(config)]) == code
    out, err = capsys.readouterr()
    return out if code == 0 else err


def lines(capsys: pytest.CaptureFixture[str], config: Path, *words: object) -> list[Any]:
    return [json.loads(line) for line in ran(capsys, config, *words).splitlines()]


def test_the_outbox_tells_what_every_sink_is_owed(
    config: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(capsys, config, "outbox", "list") == "nothing is owed, and there is no dead letter\n"
    bury(store, 1)
    settle(store, read(store, 2))
    assert "call_api  1" in ran(capsys, config, "outbox", "list")
    (owed,) = lines(capsys, config, "outbox", "list", "--json")
    assert (owed["sink"], owed["owed"], owed["dead"]) == ("call_api", 1, 1)


def test_dead_letters_are_listed_while_the_service_runs(
    config: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(capsys, config, "outbox", "list", "--dead") == "there is no dead letter\n"
    letters = [bury(store, number) for number in range(3)]
    assert [found["number"] for found in lines(capsys, config, "outbox", "list", "--dead", "--json")] == letters
    assert len(lines(capsys, config, "outbox", "list", "--dead", "--json", "--limit", 2)) == 2
    assert not lines(capsys, config, "outbox", "list", "--dead", "--json", "--sink", "other")
    assert "422: src_extension is missing" in ran(capsys, config, "outbox", "list", "--dead")


def test_a_dead_letter_is_shown_with_request_answer_and_call(
    config: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    letter = bury(store, 7)
    text = ran(capsys, config, "outbox", "show", letter)
    assert "POST /calls" in text
    assert "HTTP/1.1 422" in text
    (whole,) = lines(capsys, config, "outbox", "show", letter, "--json")
    assert whole["call"]["call_id"] == NumberedCall(7).linkedid
    assert lines(capsys, config, "outbox", "export") == [whole]


def test_a_dead_letter_that_is_none_is_a_mistake_of_the_operator(
    config: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no dead letter 99" in ran(capsys, config, "outbox", "show", 99, code=64)
    store.close()
    assert "no dead letter 99" in ran(capsys, config, "outbox", "retry", 99, code=64)


def test_retrying_and_dropping_are_refused_while_the_service_runs(
    config: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    letter = bury(store, 1)
    assert "Stop it first" in ran(capsys, config, "outbox", "retry", letter, code=75)
    assert "Stop it first" in ran(capsys, config, "outbox", "drop", letter, "--yes", code=75)
    assert store.dead_letter(letter) is not None


def test_letters_are_owed_again_or_dropped_once_it_is_stopped(
    config: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    letters = [bury(store, number) for number in range(4)]
    store.close()
    assert ran(capsys, config, "outbox", "retry", letters[0]) == "1 owed again\n"
    assert ran(capsys, config, "outbox", "drop", letters[1], "--yes") == "1 dropped\n"
    assert ran(capsys, config, "outbox", "retry", "--all", "--sink", "call_api") == "2 owed again\n"
    (owed,) = lines(capsys, config, "outbox", "list", "--json")
    assert (owed["owed"], owed["dead"]) == (3, 0)


@pytest.mark.parametrize("words", [(), ("1", "--all"), ("1", "--sink", "call_api")])
def test_what_is_meant_must_be_said_exactly(
    config: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    ran(capsys, config, "outbox", "retry", *words, code=64)


def test_dropping_asks_first_and_is_refused_without_a_terminal(
    config: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = bury(store, 1)
    store.close()
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: PTH123, SIM115 - as a service would run it
    assert main(["outbox", "drop", str(letter), "--config", str(config)]) == 64
    with_letter = Store.read_only(config.parent / "state", clock=SystemClock())
    assert with_letter.dead_letter(letter) is not None
    with_letter.close()


def test_rows_that_were_set_aside_are_shown(config: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, config, "set-aside") == "no row was set aside\n"
    store.append(Batch(SOURCE, [], b"1", [SetAside("x:10", "quotes do not add up", b'"CHAN_START",\xff"')]))
    text = ran(capsys, config, "set-aside")
    assert "quotes do not add up" in text
    assert r'"CHAN_START",\xff"' in text
    (row,) = lines(capsys, config, "set-aside", "--json")
    assert (row["source"], row["raw"]) == (SOURCE, '"CHAN_START",\\xff"')


def test_recordings_of_no_call_are_listed(config: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recordings", "--config", str(config)]) == 0
    assert "every recording seen is on its call" in capsys.readouterr().out
    astray = RecordingFile("/monitor/odd \n name.wav", 16_044, ended_at=1_795_289_858_000_000, duration=1.0)
    store.append(Batch("recordings", [Seen("r1", astray)], b""))
    assert main(["recordings", "--config", str(config)]) == 0
    assert "/monitor/odd \\n name.wav" in capsys.readouterr().out
    assert main(["recordings", "--json", "--config", str(config)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["path"], told["size"], told["seconds"]) == (astray.path, 16_044, 1.0)


def test_calls_are_listed_newest_first_with_their_story(
    config: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(capsys, config, "calls", "list") == "no call is known yet\n"
    for number in range(3):
        settle(store, read(store, number))
    open_call = read(store, 3)
    text = ran(capsys, config, "calls", "list").splitlines()
    assert "open" in text[1]
    assert NumberedCall(2).linkedid in text[2]
    assert "answered by 2002" in text[2]
    ids = [call["call_id"] for call in lines(capsys, config, "calls", "list", "--json")]
    assert ids == [NumberedCall(number).linkedid for number in (2, 1, 0)]
    assert open_call


def test_a_call_is_shown_by_any_of_its_channels(config: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    call_id = settle(store, read(store, 1))
    shown = json.loads(ran(capsys, config, "calls", "show", call_id))
    assert shown["outcome"] == "answered"
    other = shown["legs"][1]["uniqueid"]
    assert json.loads(ran(capsys, config, "calls", "show", other)) == shown
    assert "no call nobody is known" in ran(capsys, config, "calls", "show", "nobody", code=64)


def test_a_call_is_explained_by_its_rows(config: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    call_id = settle(store, read(store, 1))
    found = json.loads(ran(capsys, config, "calls", "show", call_id, "--explain"))
    assert found["state"] == "settled"
    assert found["shipped"]["phase"] == "complete"
    assert [row["type"] for row in found["rows"]][-1] == "LINKEDID_END"
    assert found["rows"][0]["kind"] == "cel"
    assert call_id in found["keys"]


def test_an_open_call_is_shown_as_it_looks_now(config: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    read(store, 5)
    shown = json.loads(ran(capsys, config, "calls", "show", NumberedCall(5).linkedid))
    assert shown["complete"] is False
    assert shown["caller"]["number"] == NumberedCall(5).caller


def test_tail_tells_each_call_once_as_it_is_settled(
    config: Path, store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(store, read(store, 0))
    numbers = iter([1, 2])

    def work_meanwhile(seconds: float) -> None:
        number = next(numbers, None)
        if number is None:
            raise KeyboardInterrupt
        settle(store, read(store, number))

    monkeypatch.setattr(verb.time, "sleep", work_meanwhile)
    capsys.readouterr()
    assert main(["calls", "tail", "--config", str(config)]) == 130
    told = capsys.readouterr().out.splitlines()
    assert [NumberedCall(n).linkedid in line for n, line in zip((1, 2), told, strict=True)] == [True, True]


@pytest.mark.parametrize("words", [("calls", "list"), ("outbox", "list"), ("set-aside",)])
def test_without_any_state_it_is_said_what_to_do(
    config: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert "There is no state to read" in ran(capsys, config, *words, code=78)

"""When recordings meet their calls: as they come, as calls are told, late, and after a restart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asterisk_connector.call import Call, Party, Recording, encode
from asterisk_connector.enrichment.attach_recordings import RecordingRules, attach_recordings
from asterisk_connector.linker import PATIENCE, Linker
from asterisk_connector.notices import ignore
from asterisk_connector.records import Batch, CelEvent, RecordingFile, Seen
from asterisk_connector.store import Settlement, Store
from tests.kit.clock import FakeClock

RULES = RecordingRules(roots=("/rec",))
START = 1_800_000_000_000_000


class Bench:
    """A store with calls and recordings, and the linker between them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = Store.in_memory(clock=self.clock, notify=ignore)
        self.linker = Linker(self.store, clock=self.clock)

    def call(self, uniqueid: str) -> int:
        row = CelEvent("CHAN_START", START, uniqueid, uniqueid)
        return self.store.append(Batch("cel", [Seen(uniqueid, row)], b"")).new[0]

    def told(self, call: int, uniqueid: str, *announced: str, settled: bool = True) -> Call:
        recordings = tuple(Recording(path, leg=uniqueid, linked_by="mixmonitor") for path in announced)
        body = Call(uniqueid, (uniqueid,), True, START, caller=Party("101"), recordings=recordings)
        body = attach_recordings(body, RULES)
        if settled:
            last = self.store.rows(call)[-1][0]
            settlement = Settlement(
                call, last, "settled", uniqueid, True, 0, b"", body=encode(body), owed=(), phase=None
            )
            assert self.store.settle(settlement)
        return body

    def record(self, path: str, size: int = 100, **more: object) -> list[int]:
        file = RecordingFile(path, size, ended_at=START + size, **more)  # type: ignore[arg-type]
        appended = self.store.append(Batch("recordings", [Seen(f"{path}:{size}", file)], b""))
        return self.linker.take(appended.recordings, RULES)

    def files(self, call: int) -> list[tuple[str, int]]:
        rows = [row for _, row in self.store.rows(call)]
        return [(row.path, row.size) for row in rows if isinstance(row, RecordingFile)]

    def later(self) -> list[int]:
        self.clock.advance(PATIENCE / 1_000_000)
        return self.linker.search(RULES)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.store.close()


def test_a_uniqueid_in_the_name_links_at_once(bench: Bench) -> None:
    call = bench.call("1800000000.1")
    assert bench.record("/rec/q-600-1800000000.1.wav") == [call]
    assert bench.files(call) == [("/rec/q-600-1800000000.1.wav", 100)]
    assert bench.linker.search_at is None


def test_a_settled_call_is_open_again_when_its_recording_comes_late(bench: Bench) -> None:
    call = bench.call("1800000000.1")
    bench.told(call, "1800000000.1")
    bench.record("/rec/1800000000.1.wav")
    assert bench.store.known(call).state == "open"


def test_an_announced_recording_waits_until_its_call_is_told(bench: Bench) -> None:
    call = bench.call("1800000000.1")
    assert bench.record("/rec/x.wav") == []
    assert bench.linker.claim(call, bench.told(call, "1800000000.1", "x.wav", settled=False), RULES)
    assert bench.files(call) == [("/rec/x.wav", 100)]
    assert bench.store.unlinked_recordings() == []


def test_another_call_does_not_claim_it(bench: Bench) -> None:
    call = bench.call("1800000000.1")
    bench.record("/rec/x.wav")
    assert not bench.linker.claim(call, bench.told(call, "1800000000.1", "y.wav", settled=False), RULES)
    assert [file.path for file in bench.store.unlinked_recordings()] == ["/rec/x.wav"]


def test_what_nobody_claims_is_searched_among_calls_told_before(bench: Bench) -> None:
    call = bench.call("1800000000.1")
    bench.told(call, "1800000000.1", "x.wav")
    assert bench.record("/rec/x.wav") == []
    assert bench.linker.search_at == bench.clock.now() + PATIENCE
    assert bench.later() == [call]
    assert bench.store.known(call).state == "open"


def test_a_call_whose_rows_come_after_its_recording_gets_it(bench: Bench) -> None:
    assert bench.record("/rec/1800000000.1.wav") == []
    call = bench.call("1800000000.1")
    assert bench.later() == [call]


def test_a_guess_between_two_calls_is_not_made(bench: Bench) -> None:
    for uniqueid in ("1800000000.1", "1800000000.3"):
        bench.told(bench.call(uniqueid), uniqueid)
    bench.record("/rec/101-1800000001.wav")
    assert bench.later() == []
    assert [file.path for file in bench.store.unlinked_recordings()] == ["/rec/101-1800000001.wav"]


def test_a_guess_at_one_call_is_made(bench: Bench) -> None:
    call = bench.call("1800000000.1")
    bench.told(call, "1800000000.1")
    bench.record("/rec/101-1800000001.wav")
    assert bench.later() == [call]


def test_after_a_restart_what_waits_is_searched_for(bench: Bench) -> None:
    call = bench.call("1800000000.1")
    bench.told(call, "1800000000.1", "x.wav")
    bench.record("/rec/x.wav")
    bench.linker = Linker(bench.store, clock=bench.clock)
    bench.linker.remember(RULES)
    assert bench.later() == [call]


def test_a_file_that_grew_takes_the_place_of_what_was_known_of_it(bench: Bench) -> None:
    call = bench.call("1800000000.1")
    bench.record("/rec/1800000000.1.wav", 100)
    bench.told(call, "1800000000.1")
    assert bench.record("/rec/1800000000.1.wav", 200) == [call]
    assert bench.files(call) == [("/rec/1800000000.1.wav", 200)]


def test_the_same_file_read_again_changes_nothing(bench: Bench) -> None:
    call = bench.call("1800000000.1")
    bench.record("/rec/1800000000.1.wav")
    bench.told(call, "1800000000.1")
    assert bench.record("/rec/1800000000.1.wav") == []
    assert bench.store.known(call).state == "settled"


def test_a_moved_file_goes_to_the_call_of_the_one_it_replaces(bench: Bench) -> None:
    call = bench.call("1800000000.1")
    bench.record("/rec/1800000000.1.wav")
    assert bench.record("/rec/kept/anything.mp3", replaces="/rec/1800000000.1.wav") == [call]


def test_memory_of_those_who_wait_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asterisk_connector.linker.WAITING", 3)
    for number in range(5):
        bench.record(f"/rec/{number}.wav")
    call = bench.call("1800000000.1")
    told = bench.told(call, "1800000000.1", "0.wav", "4.wav", settled=False)
    assert bench.linker.claim(call, told, RULES)
    assert bench.files(call) == [("/rec/4.wav", 100)]
    assert len(bench.store.unlinked_recordings()) == 4

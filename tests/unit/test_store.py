"""The store's laws, one by one."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from asterisk_connector.errors import AlreadyRunning, Corrupt, Misconfigured, Stopping
from asterisk_connector.notices import Notice, StoreBlocked, StoreTrimmed, StoreUnblocked
from asterisk_connector.records import Batch, CdrRow, CelEvent, RecordingFile, Seen, SetAside
from asterisk_connector.store import Limits, Settlement, Store, database, outbox, trim
from asterisk_connector.store.positions import load
from tests.kit.clock import FakeClock
from tests.kit.rows import SOURCE, batch, cel, settlement
from tests.kit.wait import until

MICROS = 1_000_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def told() -> list[Notice]:
    return []


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock, told: list[Notice]) -> Iterator[Store]:
    opened = Store.open(tmp_path, clock=clock, notify=told.append, limits=Limits(reserve_bytes=0))
    yield opened
    opened.close()


def marks(store: Store, call: int) -> list[str]:
    return [record.user_field for _, record in store.rows(call) if isinstance(record, CelEvent)]


# Intake


def test_records_and_position_are_there_after_a_restart(tmp_path: Path, clock: FakeClock, store: Store) -> None:
    store.append(batch(cel("1.1", mark="a"), cel("1.2", "1.1", mark="b"), position=b"far"))
    store.close()
    again = Store.open(tmp_path, clock=clock, notify=print)
    try:
        (call,) = again.open_calls()
        assert marks(again, call) == ["a", "b"]
        assert again.position(SOURCE) == b"far"
        assert again.position("other") is None
    finally:
        again.close()


def test_every_kind_of_record_comes_back_as_it_went_in(store: Store) -> None:
    cdr = CdrRow("1.1", "1.1", start=5, answer=None, duration=1.5, sequence=7, did="4930")
    recording = RecordingFile("/rec/a.wav", 10, uniqueid="1.1", linkedid="1.1", duration=2.0)
    event = cel("1.1")
    store.append(Batch(SOURCE, [Seen("a", event), Seen("b", cdr), Seen("c", recording)], b"x"))
    (call,) = store.open_calls()
    assert [record for _, record in store.rows(call)] == [event, cdr, recording]


def test_a_row_read_twice_is_seen_once_in_one_batch_and_across_batches(store: Store) -> None:
    row = Seen("7", cel("1.1", mark="a"))
    store.append(Batch(SOURCE, [row, row], b"1"))
    appended = store.append(Batch(SOURCE, [row, Seen("8", cel("1.1", mark="b"))], b"2"))
    (call,) = store.open_calls()
    assert marks(store, call) == ["a", "b"]
    assert [r.user_field for r in appended.touched[call] if isinstance(r, CelEvent)] == ["b"]
    assert appended.new == []


def test_the_same_ident_in_two_sources_is_two_rows(store: Store) -> None:
    store.append(batch(cel("1.1", mark="a"), source="one"))
    store.append(batch(cel("1.1", mark="b"), source="two"))
    (call,) = store.open_calls()
    assert marks(store, call) == ["a", "b"]


def test_only_repeated_rows_leave_a_settled_call_settled(store: Store) -> None:
    rows = batch(cel("1.1"))
    store.append(rows)
    (call,) = store.open_calls()
    assert store.settle(settlement(store, call))
    assert store.append(rows).touched == {}
    assert list(store.open_calls()) == []


def test_a_later_row_opens_a_settled_call_again(store: Store) -> None:
    store.append(batch(cel("1.1")))
    (call,) = store.open_calls()
    assert store.settle(settlement(store, call))
    store.append(batch(cel("1.1"), first=1))
    assert list(store.open_calls()) == [call]
    assert store.known(call).revision == 1


def test_a_row_that_names_two_calls_makes_them_one_and_the_older_survives(store: Store) -> None:
    one = store.append(batch(cel("1.1", mark="a")))
    two = store.append(batch(cel("1.2", mark="b"), first=1))
    (older,), (younger,) = one.new, two.new
    assert store.settle(settlement(store, younger, call_id="young"))
    appended = store.append(batch(cel("1.2", "1.1", mark="c"), first=2))
    assert appended.merged == [(younger, older)]
    assert list(appended.touched) == [older]
    assert marks(store, older) == ["a", "b", "c"]
    with pytest.raises(LookupError):
        store.known(younger)
    assert (store.known(older).revision, store.known(older).call_id) == (1, "young")
    assert [(item.call_id, item.revision) for item in store.lease("api", 10)] == [("young", 1)]
    found = store.find("1.2")
    assert found is not None
    assert found.call == older


def test_every_name_of_a_call_that_was_absorbed_leads_to_the_survivor(store: Store) -> None:
    store.append(batch(cel("1.1", mark="a")))
    store.append(batch(cel("1.2", "1.3", mark="b"), first=1))
    store.append(batch(cel("1.2", "1.1", mark="c"), first=2))
    appended = store.append(batch(cel("1.3", mark="d"), first=3))
    assert (list(appended.touched), appended.new) == ([1], [])
    assert marks(store, 1) == ["a", "b", "c", "d"]


def test_calls_that_meet_inside_one_batch_are_new_once(store: Store) -> None:
    appended = store.append(batch(cel("1.1", mark="a"), cel("1.2", mark="b"), cel("1.2", "1.1", mark="c")))
    (call,) = appended.new
    assert appended.merged == []
    assert marks(store, call) == ["a", "b", "c"]
    assert list(store.open_calls()) == [call]


def test_a_chain_of_calls_met_by_one_batch_becomes_the_oldest(store: Store) -> None:
    for n in range(4):
        store.append(batch(cel(f"1.{n}", mark=str(n)), first=n))
    appended = store.append(batch(cel("1.3", "1.2"), cel("1.2", "1.1"), cel("1.1", "1.0"), first=10))
    assert sorted(appended.merged) == [(2, 1), (3, 1), (4, 1)]
    assert list(store.open_calls()) == [1]
    assert marks(store, 1)[:4] == ["0", "1", "2", "3"]
    assert store.keys(1) == ["1.0", "1.1", "1.2", "1.3"]


def test_a_record_without_names_is_a_call_of_its_own(store: Store) -> None:
    store.append(batch(cel("", mark="lost"), cel("", mark="lonely")))
    assert [marks(store, call) for call in store.open_calls()] == [["lost"], ["lonely"]]


def test_a_call_known_from_history_becomes_fresh_by_one_new_row(store: Store) -> None:
    store.append(batch(cel("1.1"), history=True))
    (call,) = store.open_calls()
    assert not store.known(call).fresh
    store.append(batch(cel("1.1"), history=True, first=1))
    assert not store.known(call).fresh
    store.append(batch(cel("1.1"), first=2))
    assert store.known(call).fresh


def test_a_row_that_cannot_be_stored_is_set_aside_and_the_rest_goes_on(store: Store) -> None:
    store.append(
        Batch(
            SOURCE,
            [Seen("1", cel("1.1", mark="\udcff")), Seen("\udcfe", cel("1.1", mark="b\0c"))],
            b"2",
            set_aside=[SetAside("0", "no columns", b"x" * 100_000)],
        )
    )
    (call,) = store.open_calls()
    assert marks(store, call) == ["b\0c"]
    aside = {row.ident: row for row in store.set_aside()}
    assert set(aside) == {"0", "1"}
    assert (aside["0"].source, aside["0"].reason, len(aside["0"].raw)) == (SOURCE, "no columns", 65_536)
    assert b"udcff" in aside["1"].raw


def test_names_with_any_character_hold_a_call_together(store: Store) -> None:
    name = "pbx\0-\"'%é-1.1"
    store.append(batch(cel(name, mark="a")))
    store.append(batch(cel("1.2", name, mark="b"), first=1))
    (call,) = store.open_calls()
    assert marks(store, call) == ["a", "b"]


def test_a_recording_without_names_waits_until_it_is_linked(store: Store) -> None:
    recording = RecordingFile("/rec/a.wav", 10)
    store.append(batch(cel("1.1")))
    store.append(Batch("recordings", [Seen("a", recording)], b"1"))
    store.append(Batch("recordings", [Seen("a", RecordingFile("/rec/a.wav", 12))], b"2"))
    (call,) = store.open_calls()
    assert store.unlinked_recordings() == [RecordingFile("/rec/a.wav", 12)]
    assert store.settle(settlement(store, call))
    assert store.link_recording("/rec/a.wav", call)
    assert not store.link_recording("/rec/a.wav", call)
    assert not store.link_recording("/rec/other.wav", call)
    assert store.unlinked_recordings() == []
    assert list(store.open_calls()) == [call]
    assert store.rows(call)[-1][1] == RecordingFile("/rec/a.wav", 12)


# Settling


def test_a_settlement_that_overlooked_a_row_is_refused_and_writes_nothing(store: Store) -> None:
    store.append(batch(cel("1.1")))
    (call,) = store.open_calls()
    stale = settlement(store, call)
    store.append(batch(cel("1.1"), first=1))
    assert not store.settle(stale)
    assert list(store.open_calls()) == [call]
    assert store.lease("api", 10) == []
    assert store.known(call).revision == 0


def test_a_settlement_of_a_call_that_was_merged_away_is_refused(store: Store) -> None:
    store.append(batch(cel("1.1"), cel("1.2")))
    stale = settlement(store, 2)
    store.append(batch(cel("1.2", "1.1"), first=2))
    assert not store.settle(stale)


def test_a_settlement_says_what_is_known_and_what_is_owed_at_once(store: Store, clock: FakeClock) -> None:
    store.append(batch(cel("1.1")))
    assert store.settle(settlement(store, 1, sinks=("api", "kafka")))
    known = store.known(1)
    assert (known.state, known.call_id, known.revision, known.phase) == ("settled", "call-1", 1, "complete")
    assert known.shipped_at == known.settled_at == clock.now()
    (item,) = store.lease("api", 10)
    assert (item.idempotency_key, item.phase, item.attempts, item.created_at) == (
        "pbx1:call-1:1",
        "complete",
        0,
        clock.now(),
    )
    assert item.body == known.body
    assert len(store.lease("kafka", 10)) == 1


def test_a_revision_is_owed_once(store: Store) -> None:
    store.append(batch(cel("1.1")))
    first = settlement(store, 1)
    assert store.settle(first)
    with pytest.raises(ValueError, match="already used"):
        store.settle(first)
    assert len(store.lease("api", 10)) == 1


def test_many_settlements_stand_each_for_itself(store: Store) -> None:
    store.append(batch(cel("1.1"), cel("1.2"), cel("1.3")))
    offered = [settlement(store, n) for n in (1, 2, 3)]
    store.append(batch(cel("1.2"), first=3))
    assert store.settle_all(offered) == [True, False, True]
    assert [item.call_id for item in store.lease("api", 10)] == ["call-1", "call-3"]
    with pytest.raises(ValueError, match="already used"):
        store.settle_all([offered[0], settlement(store, 2)])
    assert list(store.open_calls()) == []


def test_a_settlement_without_anything_owed_keeps_when_it_was_shipped(store: Store, clock: FakeClock) -> None:
    store.append(batch(cel("1.1")))
    assert store.settle(settlement(store, 1))
    shipped = clock.now()
    clock.advance(10)
    assert store.settle(settlement(store, 1, sinks=()))
    assert (store.known(1).shipped_at, store.known(1).revision) == (shipped, 1)


def test_a_body_of_unknown_form_is_kept_as_it_is(store: Store) -> None:
    store.append(batch(cel("1.1")))
    proper = settlement(store, 1)
    odd = [type(owed)(owed.sink, owed.phase, b"\xc1") for owed in proper.owed]
    fields = {name: getattr(proper, name) for name in proper.__struct_fields__} | {"owed": tuple(odd)}
    assert store.settle(Settlement(**fields))
    assert [(item.body, item.host) for item in store.lease("api", 1)] == [(b"\xc1", "")]


# Delivery


def owe(store: Store, calls: int, sinks: tuple[str, ...] = ("api",)) -> None:
    for n in range(calls):
        store.append(batch(cel(f"{n}.0"), first=n * 10))
        call = store.find(f"{n}.0")
        assert call is not None
        assert store.settle(settlement(store, call.call, sinks=sinks))


def test_deliveries_leave_by_success_and_each_sink_has_its_own(store: Store) -> None:
    owe(store, 2, ("api", "kafka"))
    for item in store.lease("api", 10):
        store.delivered(item)
    assert store.lease("api", 10) == []
    assert store.next_due("api") is None
    assert len(store.lease("kafka", 10)) == 2
    assert {sink: b.pending for sink, b in store.counts().backlog.items()} == {"kafka": 2}


def test_a_lease_brings_the_longest_due_first_and_leaves_out_what_is_in_flight(store: Store, clock: FakeClock) -> None:
    owe(store, 3)
    first, second, third = store.lease("api", 10)
    store.defer(first, clock.now() + 5 * MICROS, "500")
    assert [i.id for i in store.lease("api", 1)] == [second.id]
    assert [i.id for i in store.lease("api", 10, busy={second.id})] == [third.id]
    clock.advance(6)
    assert [i.id for i in store.lease("api", 10)] == [second.id, third.id, first.id]


def test_revisions_of_a_call_are_offered_in_order(store: Store, clock: FakeClock) -> None:
    store.append(batch(cel("1.1")))
    for _ in range(3):
        assert store.settle(settlement(store, 1))
    (one,) = store.lease("api", 10)
    assert one.revision == 1
    assert store.lease("api", 10, busy=[one.id]) == []
    store.defer(one, clock.now() + 60 * MICROS, "busy")
    assert store.lease("api", 10) == []
    assert store.next_due("api") == clock.now() + 60 * MICROS
    clock.advance(60)
    store.delivered(store.lease("api", 10)[0])
    (two,) = store.lease("api", 10)
    store.bury(two, "400")
    assert [item.revision for item in store.lease("api", 10)] == [3]


def test_an_outage_burns_no_attempt(store: Store, clock: FakeClock) -> None:
    owe(store, 1)
    (item,) = store.lease("api", 1)
    store.defer(item, clock.now(), "refused", counts=False)
    store.defer(item, clock.now(), "500")
    assert store.lease("api", 1)[0].attempts == 1


def test_no_delivery_waits_longer_than_an_hour_whatever_the_clock_does(store: Store, clock: FakeClock) -> None:
    owe(store, 1)
    (item,) = store.lease("api", 1)
    store.defer(item, clock.now() + 10**15, "much later")
    assert store.next_due("api") == clock.now() + 3600 * MICROS
    clock.step(-86400 * 365)
    assert store.next_due("api") == clock.now()
    assert [i.id for i in store.lease("api", 1)] == [item.id]


def test_a_dead_letter_keeps_its_story_and_can_be_retried_or_dropped(store: Store, clock: FakeClock) -> None:
    owe(store, 2)
    for item in store.lease("api", 2):
        store.bury(item, "400 Bad Request", "POST /calls", '{"error": "no"}')
    clock.advance(5)
    one, two = store.dead_letters()
    assert (one.reason, one.attempts, one.superseded, one.call_id) == ("400 Bad Request", 1, False, "call-1")
    assert [d.id for d in store.dead_letters("api", after=one.id)] == [two.id]
    assert store.dead_letters("kafka") == []
    letter = store.dead_letter(one.id)
    assert letter is not None
    assert (letter.head, letter.request, letter.answer) == (one, "POST /calls", '{"error": "no"}')
    assert store.counts().dead == {"api": 2}
    assert store.retry([one.id, one.id, 999]) == 1
    (again,) = store.lease("api", 2)
    assert (again.id, again.attempts, again.created_at) == (one.id, 0, clock.now())
    assert store.drop([one.id, two.id]) == 1
    assert store.dead_letter(two.id) is None


def test_a_dead_letter_says_when_a_later_revision_exists(store: Store) -> None:
    owe(store, 1)
    store.bury(store.lease("api", 1)[0], "400")
    assert store.settle(settlement(store, 1))
    assert store.dead_letters()[0].superseded


def test_backlog_tells_the_age_of_the_oldest_unsent_delivery(store: Store, clock: FakeClock) -> None:
    owe(store, 1)
    owed_at = clock.now()
    clock.advance(100)
    store.append(batch(cel("9.9"), first=90))
    assert store.settle(settlement(store, 2))
    backlog = store.counts().backlog["api"]
    assert (backlog.pending, backlog.oldest) == (2, owed_at)


@pytest.mark.parametrize("busy", [0, 3])
def test_delivery_looks_rows_up_by_index_and_sorts_nothing(tmp_path: Path, store: Store, busy: int) -> None:
    db = database.reading(tmp_path / "calls.db")
    plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + trim._OLD, (1, 200))]
    assert not any("SCAN delivery" in step or "SCAN call" in step for step in plan), plan
    for sql, arguments in (
        (outbox.lease_sql(busy), ["api", 0, 1, *range(busy), 10]),
        (outbox.next_due_sql(busy), ["api", *range(busy)]),
    ):
        plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + sql, arguments)]
        assert any("SEARCH d USING INDEX delivery_due (sink=?" in step for step in plan), plan
        assert any("earlier USING" in step and "delivery_turn (call=? AND sink=? AND rowid<?)" in step for step in plan)
        assert not any("SCAN" in step or "TEMP B-TREE FOR ORDER" in step for step in plan), plan
    db.close()


# Looking


def test_calls_are_listed_from_the_newest_and_found_by_any_of_their_names(store: Store) -> None:
    for n in range(3):
        store.append(batch(cel(f"1.{n}", f"1.{n}0"), first=n))
    assert store.settle(settlement(store, 2, call_id="1.10"))
    assert [known.call for known in store.calls(2)] == [3, 2]
    assert [known.call for known in store.calls(2, before=2)] == [1]
    assert all(known.body == b"" for known in store.calls())
    for name in ("1.1", "1.10"):
        found = store.find(name)
        assert found is not None
        assert (found.call, found.state) == (2, "settled")
        assert found.body
    assert store.find("nobody") is None


def test_a_store_can_be_looked_at_while_it_is_used_and_after(tmp_path: Path, clock: FakeClock, store: Store) -> None:
    store.append(batch(cel("1.1")))
    for _ in range(2):
        looking = Store.read_only(tmp_path, clock=clock)
        assert [known.call for known in looking.calls()] == [1]
        with pytest.raises(RuntimeError, match="reading only"):
            looking.drop([1])
        looking.close()
        store.close()


def test_looking_at_nothing_says_so(tmp_path: Path, clock: FakeClock) -> None:
    with pytest.raises(Misconfigured, match="no state to read"):
        Store.read_only(tmp_path, clock=clock)


def test_the_store_in_memory_does_the_same(clock: FakeClock) -> None:
    store = Store.in_memory(clock=clock, notify=print)
    owe(store, 2)
    for item in store.lease("api", 10):
        store.delivered(item)
    assert store.counts().backlog == {}
    assert not store.trim()
    store.close()


# Trimming


def test_rows_go_first_then_calls_and_only_what_is_settled_and_delivered(
    tmp_path: Path, clock: FakeClock, told: list[Notice], store: Store
) -> None:
    owe(store, 2, ("api", "kafka"))
    store.append(batch(cel("7.7"), first=70))
    for item in (*store.lease("api", 2), *store.lease("kafka", 1)):
        store.delivered(item)
    clock.advance(3600 * 49)
    while store.trim():
        pass
    assert (store.rows(1), store.rows(2), len(store.rows(3))) == ([], [], 1)
    assert [store.known(n).trimmed for n in (1, 2, 3)] == [True, True, False]
    assert store.find("0.0") is not None
    clock.advance(86400 * 31)
    while store.trim():
        pass
    assert store.find("0.0") is None
    assert store.known(2).state == "settled"
    assert [item.call_id for item in store.lease("kafka", 10)] == ["call-2"]
    assert list(store.open_calls()) == [3]
    assert {(n.table, n.rows, n.reason) for n in told if hasattr(n, "table")} == {
        ("record", 2, "age"),
        ("call", 1, "age"),
    }


def test_a_trimmed_call_that_comes_back_is_known_to_be_trimmed(store: Store, clock: FakeClock) -> None:
    owe(store, 1)
    clock.advance(3600 * 49)
    assert store.trim()
    store.append(batch(cel("0.0", mark="late"), first=5))
    assert store.known(1).trimmed
    assert marks(store, 1) == ["late"]


def test_over_size_the_oldest_rows_go_whatever_their_age(tmp_path: Path, clock: FakeClock) -> None:
    told: list[Notice] = []
    store = Store.open(tmp_path, clock=clock, notify=told.append, limits=Limits(reserve_bytes=0, max_bytes=400_000))
    owe(store, 1)
    store.delivered(store.lease("api", 1)[0])
    store.append(batch(*[cel("8.8", mark="x" * 1000)] * 1, first=100))
    store.append(batch(*[cel("8.8", mark="x" * 1000) for _ in range(300)], first=200))
    assert store.trim()
    assert store.known(1).trimmed
    assert len(store.rows(2)) == 301
    assert ("record", "size") in {(n.table, n.reason) for n in told if hasattr(n, "table")}
    store.close()


def test_dead_letters_and_set_aside_rows_are_bounded_in_number_and_age(tmp_path: Path, clock: FakeClock) -> None:
    limits = Limits(reserve_bytes=0, max_dead=2, max_set_aside=3)
    store = Store.open(tmp_path, clock=clock, notify=print, limits=limits)
    owe(store, 4)
    for item in store.lease("api", 10):
        store.bury(item, "400")
    store.append(Batch(SOURCE, [], b"x", set_aside=[SetAside(str(n), "odd", b"") for n in range(5)]))
    while store.trim():
        pass
    assert [letter.call_id for letter in store.dead_letters()] == ["call-3", "call-4"]
    assert [row.ident for row in store.set_aside()] == ["4", "3", "2"]
    clock.advance(86400 * 31)
    while store.trim():
        pass
    assert store.dead_letters() == []
    store.close()


# Safe positions


def test_a_position_is_safe_once_all_before_it_is_settled_and_delivered(tmp_path: Path, store: Store) -> None:
    safe = tmp_path / "positions.json"
    store.append(batch(cel("1.1"), position=b"1"))
    store.trim()
    assert load(safe) == {}
    assert store.settle(settlement(store, 1))
    store.trim()
    assert load(safe) == {}
    store.delivered(store.lease("api", 1)[0])
    store.trim()
    assert load(safe) == {SOURCE: b"1"}
    store.append(batch(cel("1.2"), first=1, position=b"2"))
    store.trim()
    assert load(safe) == {SOURCE: b"1"}


def test_no_position_is_safe_while_a_call_is_owed_whose_rows_were_trimmed(
    tmp_path: Path, clock: FakeClock, store: Store
) -> None:
    owe(store, 1)
    clock.advance(3600 * 49)
    while store.trim():
        pass
    store.close()
    again = Store.open(tmp_path, clock=clock, notify=print)
    assert again.rows(1) == []
    again.append(Batch(SOURCE, [], b"further"))
    again.trim()
    assert load(tmp_path / "positions.json") == {}
    assert again.append(batch(cel("2.2"), first=50)).new == [2]
    assert again.rows(2)[0][0] > 1
    again.delivered(again.lease("api", 1)[0])
    assert again.settle(settlement(again, 2, sinks=()))
    again.trim()
    assert load(tmp_path / "positions.json") == {SOURCE: b"51"}
    again.close()


def test_a_copy_of_positions_that_was_touched_is_no_copy(tmp_path: Path, store: Store) -> None:
    safe = tmp_path / "positions.json"
    store.append(Batch(SOURCE, [], b"\xff\x00"))
    store.trim()
    assert load(safe) == {SOURCE: b"\xff\x00"}
    safe.write_bytes(safe.read_bytes().replace(b"cel_csv", b"cel_CSV"))
    assert load(safe) == {}


# Opening, closing, one writer


def test_files_are_closed_to_others(tmp_path: Path, clock: FakeClock) -> None:
    directory = tmp_path / "state"
    store = Store.open(directory, clock=clock, notify=print)
    store.append(batch(cel("1.1")))
    store.trim()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o750
    for file in directory.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o027 == 0, file
    store.close()


def test_a_second_instance_is_refused_with_the_pid_of_the_first(tmp_path: Path, clock: FakeClock, store: Store) -> None:
    with pytest.raises(AlreadyRunning, match=rf"pid {os.getpid()}\b"):
        Store.open(tmp_path, clock=clock, notify=print)
    store.close()
    Store.open(tmp_path, clock=clock, notify=print).close()


def test_a_newer_schema_is_refused_with_both_versions(tmp_path: Path, clock: FakeClock, store: Store) -> None:
    store.append(batch(cel("1.1")))
    store.close()
    with sqlite3.connect(tmp_path / "calls.db") as db:
        db.execute("PRAGMA user_version=99")
    newest = database.steps()[-1][0]
    for opening in (
        lambda: Store.open(tmp_path, clock=clock, notify=print),
        lambda: Store.read_only(tmp_path, clock=clock),
    ):
        with pytest.raises(Misconfigured, match=rf"schema 99; .* up to {newest}"):
            opening()
    with sqlite3.connect(tmp_path / "calls.db") as db:
        assert db.execute("SELECT count(*) FROM record").fetchone() == (1,)


def test_a_place_that_cannot_be_a_state_directory_is_the_operators_trouble(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="cannot be used"):
        Store.open(tmp_path / "file", clock=clock, notify=print)


def test_a_closed_store_takes_nothing_more(store: Store) -> None:
    store.close()
    with pytest.raises(Stopping):
        store.append(batch(cel("1.1")))


def test_a_job_that_fails_hurts_no_other(store: Store) -> None:
    store.append(batch(cel("1.1")))
    bad = settlement(store, 1)
    assert store.settle(bad)
    failures: list[Exception] = []

    def fail() -> None:
        try:
            store.settle(bad)
        except ValueError as error:
            failures.append(error)

    threads = [threading.Thread(target=fail) for _ in range(4)]
    threads += [
        threading.Thread(target=store.append, args=(batch(cel(f"2.{n}"), first=100 + n, source=f"s{n}"),))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 4
    assert len(list(store.open_calls())) == 8


def test_waiting_jobs_share_a_commit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = store._writer
    assert writer is not None
    commits: list[int] = []
    commit = writer._commit
    inside, go_on = threading.Event(), threading.Event()

    def slow_commit() -> None:
        commits.append(1)
        inside.set()
        assert go_on.wait(10)
        commit()

    monkeypatch.setattr(writer, "_commit", slow_commit)
    threads = [threading.Thread(target=store.append, args=(batch(cel(f"1.{n}"), source=f"s{n}"),)) for n in range(10)]
    threads[0].start()
    assert inside.wait(10)
    for thread in threads[1:]:
        thread.start()
    until(lambda: len(writer._growth) == 9)
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(commits) == 2
    assert len(list(store.open_calls())) == 10


def test_a_full_disk_makes_callers_wait_and_is_told_once(
    store: Store, told: list[Notice], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store._writer
    assert writer is not None
    commit = writer._commit
    left = [3]

    def full() -> None:
        if left[0]:
            left[0] -= 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        commit()

    monkeypatch.setattr(writer, "_commit", full)
    appended = store.append(batch(cel("1.1"), position=b"1"))
    assert appended.new == list(store.open_calls())
    blocked, unblocked = told
    assert isinstance(blocked, StoreBlocked)
    assert "Free space" in blocked.hint
    assert isinstance(unblocked, StoreUnblocked)


def test_somebody_else_holding_the_database_is_waited_for(
    tmp_path: Path, store: Store, told: list[Notice], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store._writer
    assert writer is not None
    writer._db.execute("PRAGMA busy_timeout=1")
    other = sqlite3.connect(tmp_path / "calls.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = threading.Thread(target=store.append, args=(batch(cel("1.1")),))
    waiting.start()
    until(lambda: told)
    other.execute("ROLLBACK")
    other.close()
    waiting.join(20)
    assert not waiting.is_alive()
    blocked, unblocked = told
    assert isinstance(blocked, StoreBlocked)
    assert "Another program" in blocked.hint
    assert isinstance(unblocked, StoreUnblocked)
    assert len(list(store.open_calls())) == 1


def test_below_the_reserve_reading_pauses_but_outcomes_are_written(tmp_path: Path, clock: FakeClock) -> None:
    told: list[Notice] = []
    free = Store.open(tmp_path, clock=clock, notify=told.append, limits=Limits(reserve_bytes=0))
    owe(free, 1)
    free.close()
    store = Store.open(tmp_path, clock=clock, notify=told.append, limits=Limits(reserve_bytes=1 << 60))
    stopped: list[Exception] = []

    def append() -> None:
        try:
            store.append(batch(cel("5.5"), first=50))
        except Stopping as error:
            stopped.append(error)

    waiting = threading.Thread(target=append)
    waiting.start()
    until(lambda: any(isinstance(n, StoreBlocked) for n in told))
    store.delivered(store.lease("api", 1)[0])
    assert store.lease("api", 1) == []
    assert waiting.is_alive()
    store.close()
    waiting.join()
    assert len(stopped) == 1
    assert sum(isinstance(n, StoreBlocked) for n in told) == 1


def test_a_database_over_its_size_makes_reading_wait_until_there_is_something_to_let_go(
    tmp_path: Path, clock: FakeClock
) -> None:
    told: list[Notice] = []
    store = Store.open(tmp_path, clock=clock, notify=told.append, limits=Limits(reserve_bytes=0, max_bytes=300_000))
    store.append(batch(*[cel("1.1", mark="x" * 1000) for _ in range(400)]))
    waiting = threading.Thread(target=store.append, args=(batch(cel("2.2"), first=1000),))
    waiting.start()
    until(lambda: any(isinstance(n, StoreBlocked) for n in told))  # rows of an open call are never let go
    assert store.settle(settlement(store, 1, sinks=()))
    waiting.join(20)
    assert not waiting.is_alive()
    assert any(isinstance(n, StoreTrimmed) and n.reason == "space" for n in told)
    assert isinstance(told[-1], StoreUnblocked)
    assert store.find("2.2") is not None
    store.close()


def test_a_state_directory_deleted_while_running_is_refused_loudly(
    tmp_path: Path, clock: FakeClock, told: list[Notice], store: Store
) -> None:
    store.append(batch(cel("1.1")))
    for file in tmp_path.iterdir():
        file.unlink()
    for _ in range(2):
        with pytest.raises(Corrupt, match="deleted or replaced"):
            store.append(batch(cel("1.2"), first=1))
    assert sum(isinstance(n, StoreBlocked) for n in told) == 1
    store.close()
    again = Store.open(tmp_path, clock=clock, notify=told.append)
    again.append(batch(cel("1.2"), first=1))
    again.close()

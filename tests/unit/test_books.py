"""What cannot be accounted for shows, whatever lost it; what goes for a reason does not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from asterisk_connector.notices import ignore
from asterisk_connector.store import Limits, Store, database
from asterisk_connector.store.words import DAY
from tests.kit.clock import FakeClock
from tests.kit.rows import batch, cel, settlement

LIMITS = Limits(reserve_bytes=0, max_dead=2)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    opened = Store.open(tmp_path, clock=clock, notify=ignore, limits=LIMITS)
    yield opened
    opened.close()


def owe(store: Store, calls: int) -> None:
    """So many calls, settled and owed to two sinks."""
    appended = store.append(batch(*(cel(f"{n}.1", f"{n}.1") for n in range(calls))))
    for call in appended.new:
        assert store.settle(settlement(store, call, sinks=("api", "kafka")))


def behind_its_back(tmp_path: Path, sql: str) -> None:
    with closing(sqlite3.connect(tmp_path / database.NAME, isolation_level=None)) as db:
        assert db.execute(sql).rowcount


def test_deliveries_that_were_taken_refused_and_retried_are_accounted_for(store: Store) -> None:
    owe(store, 4)
    one, two, *_ = store.lease("api", 10)
    store.delivered(one)
    store.delivered(one)
    store.bury(two, "no")
    store.retry([two.id])
    assert store.unaccounted() == 0


def test_dead_letters_that_were_dropped_or_were_too_many_are_accounted_for(store: Store) -> None:
    owe(store, 6)
    for item in store.lease("api", 10):
        store.bury(item, "no")
    assert store.drop([store.dead_letters()[0].id]) == 1
    while store.trim():
        pass
    assert sum(store.counts().dead.values()) == LIMITS.max_dead
    assert store.unaccounted() == 0


def test_calls_that_became_one_or_went_by_age_are_accounted_for(store: Store, clock: FakeClock) -> None:
    store.append(batch(cel("1.1", "1.1"), cel("2.1", "2.1")))
    assert store.append(batch(cel("1.1", "2.1"), first=2)).merged
    assert store.unaccounted() == 0
    (call,) = store.open_calls()
    assert store.settle(settlement(store, call))
    store.delivered(store.lease("api", 1)[0])
    clock.advance(40 * DAY)
    while store.trim():
        pass
    assert store.calls() == []
    assert store.unaccounted() == 0


@pytest.mark.parametrize(
    ("loss", "sql"),
    [
        ("a delivery that is gone", "DELETE FROM delivery WHERE id = (SELECT min(id) FROM delivery)"),
        ("a delivery nobody owed", "UPDATE delivery SET sink = 'elsewhere' WHERE id = (SELECT min(id) FROM delivery)"),
        ("a call that is gone", "DELETE FROM call WHERE id = (SELECT min(id) FROM call)"),
        ("a call that ended untold", "UPDATE call SET revision = 0 WHERE id = (SELECT min(id) FROM call)"),
    ],
)
def test_what_went_for_no_reason_shows_and_still_does_after_a_restart(
    tmp_path: Path, clock: FakeClock, store: Store, loss: str, sql: str
) -> None:
    owe(store, 3)
    assert store.unaccounted() == 0
    behind_its_back(tmp_path, sql)
    found = store.unaccounted()
    assert found > 0, loss
    store.close()
    again = Store.open(tmp_path, clock=clock, notify=ignore, limits=LIMITS)
    assert again.unaccounted() == found
    again.close()


def test_an_open_call_without_a_row_shows(tmp_path: Path, store: Store) -> None:
    store.append(batch(cel("1.1", "1.1")))
    assert store.unaccounted() == 0
    behind_its_back(tmp_path, "DELETE FROM record")
    assert store.unaccounted() == 1


def test_a_repair_that_told_what_it_lost_begins_new_books(tmp_path: Path, clock: FakeClock, store: Store) -> None:
    owe(store, 3)
    behind_its_back(tmp_path, "DELETE FROM delivery WHERE id = (SELECT min(id) FROM delivery)")
    store.close()
    (tmp_path / f"{database.NAME}.suspect").touch()
    healed = Store.open(tmp_path, clock=clock, notify=ignore, limits=LIMITS)
    assert healed.unaccounted() == 0
    assert healed.counts().backlog["kafka"].pending == 3
    healed.close()


def test_books_of_a_state_from_before_begin_with_what_is_there(tmp_path: Path, clock: FakeClock) -> None:
    """The first schema had no books."""
    path = tmp_path / database.NAME
    with closing(database.writing(path)) as db:
        db.executescript(f"BEGIN;{database.steps()[0][1]};PRAGMA user_version=1;COMMIT;")
        db.execute(
            "INSERT INTO call (id, state, fresh, first_record, opened_at, touched_at) VALUES (1,'settled',0,1,0,0)"
        )
        db.execute(
            "INSERT INTO delivery (call, sink, host, call_id, revision, phase, body, created_at, due_at)"
            " VALUES (1, 'api', 'h', '1.1', 1, 'complete', x'', 0, 0)"
        )
    upgraded = Store.open(tmp_path, clock=clock, notify=ignore, limits=LIMITS)
    assert upgraded.unaccounted() == 0
    upgraded.delivered(upgraded.lease("api", 1)[0])
    assert upgraded.unaccounted() == 0
    upgraded.close()

from dataclasses import replace
from typing import Any

import msgspec

from asterisk_connector.call import Call, Evidence
from asterisk_connector.delivery.shipping import (
    COMPLETE,
    INITIAL,
    SECOND,
    UPDATE,
    Plan,
    Shipped,
    ShippingPolicy,
    digest,
    plan,
)

START = 1_800_000_000 * SECOND
ONCE = ShippingPolicy("complete", long_call_update_interval=600, update_interval=60)
PROGRESSIVE = replace(ONCE, mode="progressive")
NOTHING = Shipped()
RINGING = Call(call_id="1.1", linkedids=("1.1",), complete=False, started_at=START)
TALKING = msgspec.structs.replace(RINGING, answered_at=START + SECOND)
OVER = msgspec.structs.replace(TALKING, complete=True, ended_at=START + 9 * SECOND)


def at(seconds: float, call: Call, shipped: Shipped = NOTHING, policy: ShippingPolicy = ONCE, **more: Any) -> Plan:
    now = START + round(seconds * SECOND)
    return plan(shipped, call, ended=more.get("ended", call.complete), now=now, policy=policy)


def test_a_short_call_is_shipped_once_at_its_end() -> None:
    open_call = at(1, TALKING)
    assert open_call.phase is None
    assert open_call.shipped == NOTHING
    ended = at(9, OVER)
    assert (ended.phase, ended.shipped.revision, ended.look_again) == (COMPLETE, 1, None)


def test_the_same_call_is_never_shipped_twice() -> None:
    first = at(9, OVER)
    assert at(10, OVER, first.shipped) == Plan(None, first.shipped, None)


def test_a_revision_number_alone_is_no_change() -> None:
    assert digest(OVER) == digest(msgspec.structs.replace(OVER, revision=4))


def test_the_order_of_a_mapping_is_no_change() -> None:
    one, other = ({"cel": 8, "cdr": 1}, {"cdr": 1, "cel": 8})
    assert digest(msgspec.structs.replace(OVER, evidence=Evidence(rows=one))) == digest(
        msgspec.structs.replace(OVER, evidence=Evidence(rows=other))
    )


def test_evidence_after_the_end_ships_a_higher_revision_as_complete() -> None:
    first = at(9, OVER)
    late = at(70, msgspec.structs.replace(OVER, did="5551000"), first.shipped)
    assert (late.phase, late.shipped.revision) == (COMPLETE, 2)


def test_a_call_given_up_as_incomplete_ships_as_complete_too() -> None:
    assert at(14_400, TALKING, ended=True).phase == COMPLETE


def test_a_long_call_is_updated_each_interval() -> None:
    early = at(10, TALKING)
    assert early.look_again == START + 600 * SECOND
    first = at(600, TALKING)
    assert (first.phase, first.shipped.revision, first.look_again) == (UPDATE, 1, START + 1200 * SECOND)
    assert at(900, TALKING, first.shipped).phase is None
    second = at(1200, TALKING, first.shipped)
    assert (second.phase, second.shipped.revision) == (UPDATE, 2)
    assert at(1300, OVER, second.shipped).phase == COMPLETE


def test_without_an_interval_a_long_call_waits_for_its_end() -> None:
    silent = replace(ONCE, long_call_update_interval=0)
    assert at(86_400, TALKING, policy=silent) == Plan(None, NOTHING, None)


def test_progressive_ships_at_the_start_on_change_and_at_the_end() -> None:
    first = at(0, RINGING, policy=PROGRESSIVE)
    assert (first.phase, first.shipped.revision) == (INITIAL, 1)
    assert at(30, RINGING, first.shipped, PROGRESSIVE).phase is None
    throttled = at(30, TALKING, first.shipped, PROGRESSIVE)
    assert (throttled.phase, throttled.look_again) == (None, START + 60 * SECOND)
    update = at(60, TALKING, first.shipped, PROGRESSIVE)
    assert (update.phase, update.shipped.revision) == (UPDATE, 2)
    end = at(61, OVER, update.shipped, PROGRESSIVE)
    assert (end.phase, end.shipped.revision) == (COMPLETE, 3)


def test_an_end_is_never_throttled() -> None:
    first = at(0, RINGING, policy=PROGRESSIVE)
    assert at(0.1, OVER, first.shipped, PROGRESSIVE).phase == COMPLETE


def test_progressive_is_silent_while_nothing_changes() -> None:
    first = at(0, RINGING, policy=PROGRESSIVE)
    assert at(7200, RINGING, first.shipped, PROGRESSIVE) == Plan(None, first.shipped, None)


def test_progressive_without_a_throttle_ships_each_change() -> None:
    eager = replace(PROGRESSIVE, update_interval=0)
    first = at(0, RINGING, policy=eager)
    assert at(0.001, TALKING, first.shipped, eager).phase == UPDATE


def test_no_update_follows_a_complete_while_the_call_is_open_again() -> None:
    end = at(9, OVER, policy=PROGRESSIVE)
    reopened = msgspec.structs.replace(OVER, complete=False, ended_at=None, final_party="102")
    assert at(500, reopened, end.shipped, PROGRESSIVE).phase is None
    again = at(501, msgspec.structs.replace(OVER, final_party="102"), end.shipped, PROGRESSIVE)
    assert (again.phase, again.shipped.revision) == (COMPLETE, 2)


def test_a_clock_set_back_by_years_holds_no_update_back() -> None:
    future = Shipped(1, b"old", UPDATE, START + 10**15)
    assert at(700, TALKING, future).phase == UPDATE
    assert at(700, TALKING, future, PROGRESSIVE).phase == UPDATE


def test_a_throttled_change_is_not_forgotten() -> None:
    first = at(0, RINGING, policy=PROGRESSIVE)
    throttled = at(30, TALKING, first.shipped, PROGRESSIVE)
    assert at(60, TALKING, throttled.shipped, PROGRESSIVE).phase == UPDATE

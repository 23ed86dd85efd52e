"""Calls made on real Asterisks with phones, assembled from their rows, told as the people on the phones would."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from asterisk_connector.assembly.assemble import assemble
from asterisk_connector.assembly.connect import connect
from asterisk_connector.call import Call
from asterisk_connector.enrichment.direction import direction
from asterisk_connector.plan import Plan
from asterisk_connector.records import CelEvent
from asterisk_connector.sources.csv.capture import parse
from tests.kit import calls, harder_calls
from tests.kit.calls import Told
from tests.kit.office import Office
from tests.kit.wait import until
from tests.scenarios.truth import same

pytestmark = pytest.mark.slow


@pytest.fixture(params=["office22", "office16"])
def office(request: pytest.FixtureRequest) -> Office:
    found: Office = request.getfixturevalue(request.param)
    return found


SPARING = frozenset(
    {
        "CHAN_START",
        "CHAN_END",
        "HANGUP",
        "ANSWER",
        "BRIDGE_ENTER",
        "BRIDGE_EXIT",
        "PARK_START",
        "PARK_END",
        "LINKEDID_END",
    }
)
"""Types that a sparing cel.conf enables: no applications, transfers, pickups, forwards, streams or digits."""

NEED_APPLICATIONS = (calls.queue_abandoned, harder_calls.empty_queue, harder_calls.announcement)
"""Calls where nothing but the application's name tells a queue from a service, or paging from a conference."""


def read(cel: Path, since: int) -> list[CelEvent]:
    records, set_aside = parse(cel.read_bytes()[since:])
    assert set_aside == []
    return records


def tell(records: list[CelEvent]) -> list[Call]:
    plan = Plan()
    return [direction(assemble(group), plan) for group in connect(records)]


def sparing(records: list[CelEvent]) -> list[CelEvent]:
    return [row for row in records if row.type in SPARING]


def whole_seconds(records: list[CelEvent]) -> list[CelEvent]:
    return [replace(row, at=row.at // 1_000_000 * 1_000_000, resolution=1_000_000) for row in records]


def made(office: Office, make: calls.Scenario) -> tuple[Told, list[CelEvent]]:
    """What the people say, and the rows of the call once its last one is there."""
    cel = office.asterisk.cel_csv
    since = cel.stat().st_size if cel.exists() else 0
    told = make(office)
    until(lambda: (found := tell(read(cel, since))) and all(c.complete for c in found), 10, "the call's last row")
    return told, read(cel, since)


@pytest.mark.parametrize("make", [*calls.SCENARIOS, *harder_calls.SCENARIOS], ids=lambda make: make.__name__)
def test_a_call_is_told_as_the_people_on_the_phones_would(office: Office, make: calls.Scenario) -> None:
    if office.asterisk.release < 22 and make is calls.voicemail:
        pytest.skip("that Asterisk has no voicemail module")
    if office.asterisk.release < 22 and make is harder_calls.recalled:
        pytest.skip("Asterisk 16 was seen to hang while it called the transferer back")
    told, records = made(office, make)
    streams = office.asterisk.release >= 22
    (call,) = tell(records)
    assert compare(told, call, streams=streams) == []
    (call,) = tell(whole_seconds(records))
    assert compare(told, call, streams=streams, tolerance=2.6) == []
    if make in NEED_APPLICATIONS:
        return
    (call,) = tell(sparing(records))
    assert compare(told, call, streams=False, talk=not told.transfers) == []


def compare(told: Told, call: Call, *, streams: bool, tolerance: float = 0.6, talk: bool = True) -> list[str]:
    """What differs. Without STREAM rows a hold by keys is invisible, and so is the end of the talk before it."""
    differences = [
        f"{name}: {said!r}, assembled {found!r}"
        for name, said, found in (
            ("direction", told.direction, call.direction),
            ("outcome", told.outcome, call.outcome),
            ("click_to_call", told.click_to_call, call.click_to_call),
            ("forwarded", told.forwarded, call.forwarded),
            ("picked_up", told.picked_up, call.picked_up),
            ("voicemail", told.voicemail, call.voicemail.mailbox if call.voicemail else None),
        )
        if said != found
    ]
    differences += [
        f"{name}: {said!r}, assembled {found!r}"
        for name, said, found in (
            ("caller", told.caller, call.caller.number),
            ("dialled", told.dialled, call.dialled),
            ("answered_by", told.answered_by, call.answered_by),
            ("final_party", told.final_party, call.final_party),
            ("ended_by", told.ended_by, call.ended_by),
        )
        if not same(said, found)
    ]
    assert call.transfers is not None
    moves = [(t.kind, t.by, t.transferee, t.target, t.result) for t in call.transfers]
    said_moves = [(t["kind"], t["by"], t["transferee"], t["target"], t["result"]) for t in told.transfers]
    if moves != said_moves:
        differences.append(f"transfers: {said_moves!r}, assembled {moves!r}")
    if told.trunk and told.trunk not in (call.trunk.inbound, call.trunk.outbound):
        differences.append(f"trunk: {told.trunk!r}, assembled {call.trunk!r}")
    if told.queue and (call.queue is None or call.queue.name != told.queue["name"]):
        differences.append(f"queue: {told.queue!r}, assembled {call.queue!r}")
    by_keys = not streams and bool(told.transfers)
    pairs = sorted((*sorted((a, b)), s) for a, b, s in told.talk)
    found_pairs = sorted((*sorted((t.a, t.b)), t.seconds) for t in call.talk)
    if (
        talk
        and told.outcome != "page"
        and (
            [p[:2] for p in pairs] != [p[:2] for p in found_pairs]
            or any(
                abs(said[2] - found[2]) > (2.5 if by_keys else tolerance)
                for said, found in zip(pairs, found_pairs, strict=True)
            )
        )
    ):
        differences.append(f"talk: {pairs!r}, assembled {found_pairs!r}")
    return differences

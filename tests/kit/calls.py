"""Calls that people make on the bench: each function makes one on a real Asterisk and tells what happened.

- `Told` speaks the words of the call document (direction, outcome, kinds and results of transfers), so that a test can
  compare field by field; seconds are measured on the phones.
- A function returns when Asterisk has no channel left and has written its rows.
- The dial plan they rely on is `tests/kit/asterisk/extensions.conf`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.kit.office import OUTSIDE, Office
from tests.kit.sip_phone import Call, answers, forwards, rejects, rings

FAR = "5145559999"
TALK = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Told:
    """What a person says about one call. `talk` holds (one party, the other, seconds) for each stretch."""

    direction: str
    caller: str
    dialled: str
    outcome: str = "answered"
    answered_by: str | None = None
    final_party: str | None = None
    talk: tuple[tuple[str, str, float], ...] = ()
    transfers: tuple[dict[str, str], ...] = ()
    queue: dict[str, Any] | None = None
    voicemail: str | None = None
    forwarded: tuple[tuple[str, str], ...] = ()
    picked_up: tuple[str, str] | None = None
    conference: dict[str, Any] | None = None
    click_to_call: bool = False
    trunk: str | None = None
    ended_by: str = ""


def talk(seconds: float = TALK) -> None:
    """Two people talk: the one place where time itself is the effect."""
    time.sleep(seconds)


def _between(start: float, end: float) -> float:
    return round(end - start, 3)


def _ended(call: Call) -> float:
    return call.log[-1][0]


# two people


def plain(office: Office, seconds: float = TALK) -> Told:
    """100 calls 101, who answers; 100 hangs up."""
    office.behave(p101=answers(0.5))
    call = office["100"].dial("101").wait_answered()
    talk(seconds)
    call.bye()
    office.over()
    said = _between(call.when("answered"), call.when("hung up"))
    return Told("internal", "100", "101", "answered", "101", "101", (("100", "101", said),), ended_by="100")


def no_answer(office: Office) -> Told:
    """100 calls 101, who does not answer within 8 s."""
    office.behave(p101=rings())
    office["100"].dial("101").wait_ended()
    office.over()
    return Told("internal", "100", "101", "no_answer", ended_by="system")


def busy(office: Office) -> Told:
    """100 calls 101, whose phone says busy."""
    office.behave(p101=rejects(486))
    office["100"].dial("101").wait_ended()
    office.over()
    return Told("internal", "100", "101", "busy", ended_by="101")


def cancelled(office: Office) -> Told:
    """100 calls 101 and gives up while it rings."""
    office.behave(p101=rings())
    call = office["100"].dial("101").wait_ringing()
    talk(0.5)
    call.cancel()
    call.wait_ended()
    office.over()
    return Told("internal", "100", "101", "cancelled", ended_by="100")


def inbound(office: Office, seconds: float = TALK, name: str = "John Caller") -> Told:
    """Somebody outside calls 5551000; 101 answers; the caller hangs up."""
    office.behave(p101=answers(0.5))
    call = office.outside_calls("5551000", name=name).wait_answered()
    talk(seconds)
    call.bye()
    office.over()
    said = _between(call.when("answered"), call.when("hung up"))
    return Told(
        "inbound",
        OUTSIDE,
        "5551000",
        "answered",
        "101",
        "101",
        ((OUTSIDE, "101", said),),
        trunk="trunka",
        ended_by=OUTSIDE,
    )


def outbound(office: Office, seconds: float = TALK) -> Told:
    """100 dials 0 and an outside number; the far end answers and hangs up."""
    office.behave(trunka=answers(0.5))
    call = office["100"].dial("0" + FAR).wait_answered()
    far = office["trunka"].next_call()
    talk(seconds)
    far.bye()
    call.wait_ended()
    office.over()
    said = _between(call.when("answered"), far.when("hung up"))
    return Told(
        "outbound",
        "100",
        "0" + FAR,
        "answered",
        "0" + FAR,
        "0" + FAR,
        (("100", "0" + FAR, said),),
        trunk="trunka",
        ended_by="0" + FAR,
    )


def forwarded(office: Office, seconds: float = TALK) -> Told:
    """100 calls 101, whose phone sends the caller to 102 (302)."""
    office.behave(p101=forwards("102"), p102=answers(0.3))
    call = office["100"].dial("101").wait_answered()
    talk(seconds)
    call.bye()
    office.over()
    said = _between(call.when("answered"), call.when("hung up"))
    return Told(
        "internal",
        "100",
        "101",
        "answered",
        "102",
        "102",
        (("100", "102", said),),
        forwarded=(("101", "102"),),
        ended_by="100",
    )


def picked_up(office: Office, seconds: float = TALK) -> Told:
    """Somebody outside calls 101, which rings; 102 dials *8101 and takes the call."""
    office.behave(p101=rings())
    call = office.outside_calls("5551000").wait_ringing()
    office["101"].next_call()
    office["102"].dial("*8101").wait_answered()
    call.wait_answered()
    talk(seconds)
    call.bye()
    office.over()
    said = _between(call.when("answered"), call.when("hung up"))
    return Told(
        "inbound",
        OUTSIDE,
        "5551000",
        "answered",
        "102",
        "102",
        ((OUTSIDE, "102", said),),
        picked_up=("101", "102"),
        trunk="trunka",
        ended_by=OUTSIDE,
    )


def voicemail(office: Office, seconds: float = TALK) -> Told:
    """Somebody outside calls 5551101; 101 does not answer within 4 s; the caller speaks to the mailbox and hangs up."""
    office.behave(p101=rings())
    call = office.outside_calls("5551101").wait_answered()
    talk(seconds)
    call.bye()
    office.over()
    return Told("inbound", OUTSIDE, "5551101", "voicemail", voicemail="101", trunk="trunka", ended_by=OUTSIDE)


def recorded(office: Office, seconds: float = TALK) -> Told:
    """100 dials 612: MixMonitor records, 101 answers, 100 hangs up."""
    office.behave(p101=answers(0.3))
    call = office["100"].dial("612").wait_answered()
    talk(seconds)
    call.bye()
    office.over()
    said = _between(call.when("answered"), call.when("hung up"))
    return Told("internal", "100", "612", "answered", "101", "101", (("100", "101", said),), ended_by="100")


# three people


def _reaches_bob(office: Office) -> tuple[Call, Call]:
    """Somebody outside calls and 101 answers: both ends."""
    call = office.outside_calls("5551000").wait_answered()
    return call, office["101"].next_call().wait_answered()


def _transferred(kind: str, target: str, result: str = "completed") -> tuple[dict[str, str], ...]:
    return ({"kind": kind, "by": "101", "transferee": OUTSIDE, "target": target, "result": result},)


def _from_outside(final: str, *stretches: tuple[str, str, float], **more: Any) -> Told:
    told = Told("inbound", OUTSIDE, "5551000", "answered", "101", final, stretches, trunk="trunka", ended_by=OUTSIDE)
    return replace(told, **more)


def blind_transfer(office: Office, seconds: float = TALK) -> Told:
    """101 answers an outside caller and transfers to 102 without asking (REFER); the caller hangs up."""
    office.behave(p101=answers(0.3), p102=answers(0.3))
    call, bob = _reaches_bob(office)
    talk(seconds)
    bob.transfer("102")
    charlie = office["102"].next_call().wait_answered()
    talk(seconds)
    call.bye()
    office.over()
    first = _between(call.when("answered"), bob.when("transferred to 102"))
    second = _between(charlie.when("answered"), call.when("hung up"))
    return _from_outside(
        "102", (OUTSIDE, "101", first), (OUTSIDE, "102", second), transfers=_transferred("blind", "102")
    )


def attended_transfer(office: Office, seconds: float = TALK) -> Told:
    """101 holds an outside caller, asks 102, joins the two (REFER with Replaces); the caller hangs up."""
    office.behave(p101=answers(0.3), p102=answers(0.3))
    call, bob = _reaches_bob(office)
    talk(seconds)
    bob.hold()
    asking = office["101"].dial("102").wait_answered()
    talk(seconds)
    bob.transfer_to(asking, "102")
    asking.wait_ended()
    talk(seconds)
    call.bye()
    office.over()
    first = _between(call.when("answered"), bob.when("held"))
    second = _between(asking.when("answered"), _ended(asking))
    third = _between(_ended(asking), call.when("hung up"))
    stretches = ((OUTSIDE, "101", first), ("101", "102", second), (OUTSIDE, "102", third))
    return _from_outside("102", *stretches, transfers=_transferred("attended", "102"))


def attended_transfer_by_keys(office: Office, seconds: float = TALK) -> Told:
    """101 presses *2 102, talks with 102 and hangs up: the outside caller and 102 go on; the caller hangs up."""
    office.behave(p101=answers(0.3), p102=answers(0.3))
    call, bob = _reaches_bob(office)
    talk(seconds)
    bob.press("*2")
    talk(1.0)  # the prompt for the number
    bob.press("102")
    charlie = office["102"].next_call().wait_answered()
    talk(seconds)
    bob.bye()
    talk(seconds)
    call.bye()
    office.over()
    first = _between(call.when("answered"), bob.when("pressed *2"))
    second = _between(charlie.when("answered"), bob.when("hung up"))
    third = _between(bob.when("hung up"), call.when("hung up"))
    stretches = ((OUTSIDE, "101", first), ("101", "102", second), (OUTSIDE, "102", third))
    return _from_outside("102", *stretches, transfers=_transferred("attended", "102"))


def semi_attended_transfer(office: Office, seconds: float = TALK) -> Told:
    """101 holds an outside caller, dials 102 and joins them while 102 still rings; 102 answers; the caller hangs up."""
    office.behave(p101=answers(0.3), p102=answers(1.5))
    call, bob = _reaches_bob(office)
    talk(seconds)
    bob.hold()
    asking = office["101"].dial("102").wait_ringing()
    charlie = office["102"].next_call()
    bob.transfer_to(asking, "102")
    charlie.wait_answered()
    talk(seconds)
    call.bye()
    office.over()
    first = _between(call.when("answered"), bob.when("held"))
    second = _between(charlie.when("answered"), call.when("hung up"))
    return _from_outside(
        "102", (OUTSIDE, "101", first), (OUTSIDE, "102", second), transfers=_transferred("semi_attended", "102")
    )


def held(office: Office, seconds: float = TALK) -> Told:
    """101 answers an outside caller, holds and resumes; the caller hangs up. The talk counts the hold."""
    office.behave(p101=answers(0.3))
    call, bob = _reaches_bob(office)
    talk(seconds)
    bob.hold()
    talk(seconds)
    bob.resume()
    talk(seconds)
    call.bye()
    office.over()
    said = _between(call.when("answered"), call.when("hung up"))
    return _from_outside("101", (OUTSIDE, "101", said))


def blind_transfer_to_queue(office: Office, seconds: float = TALK) -> Told:
    """101 answers an outside caller and transfers to queue sales (600); 102 answers there; the caller hangs up."""
    office.behave(p101=answers(0.3), p102=answers(1.0))
    call, bob = _reaches_bob(office)
    talk(seconds)
    office["101"].behaviour = rings()
    bob.transfer("600")
    charlie = office["102"].next_call().wait_answered()
    talk(seconds)
    call.bye()
    office.over()
    first = _between(call.when("answered"), bob.when("transferred to 600"))
    waited = _between(bob.when("transferred to 600"), charlie.when("answered"))
    second = _between(charlie.when("answered"), call.when("hung up"))
    return _from_outside(
        "102",
        (OUTSIDE, "101", first),
        (OUTSIDE, "102", second),
        transfers=_transferred("blind", "sales"),
        queue={"name": "sales", "wait_seconds": waited, "result": "answered"},
    )


def parked(office: Office, seconds: float = TALK) -> Told:
    """101 answers an outside caller and parks the call (#72); 102 takes it from the lot; the caller hangs up."""
    office.behave(p101=answers(0.3))
    call, bob = _reaches_bob(office)
    talk(seconds)
    since = len(office.manager.events)
    bob.press("#72")
    space = office.manager.wait_event(lambda event: event.get("Event") == "ParkedCall", since)["ParkingSpace"]
    talk(seconds)
    charlie = office["102"].dial(space).wait_answered()
    talk(seconds)
    call.bye()
    office.over()
    first = _between(call.when("answered"), bob.when("pressed #72"))
    second = _between(charlie.when("answered"), call.when("hung up"))
    return _from_outside(
        "102", (OUTSIDE, "101", first), (OUTSIDE, "102", second), transfers=_transferred("park", "default", "retrieved")
    )


def conference(office: Office, seconds: float = TALK) -> Told:
    """100, 102 and 103 dial room 602 one after the other and leave in the same order."""
    office.behave()
    members = ["100", "102", "103"]
    calls = []
    for member in members:
        calls.append(office[member].dial("602").wait_answered())
        talk(seconds)
    for call in calls:
        call.bye()
        talk(seconds / 2)
    office.over()
    pairs = tuple(
        (a.phone.user, b.phone.user, _between(b.when("answered"), a.when("hung up")))
        for a, b in itertools.combinations(calls, 2)
    )
    return Told(
        "internal",
        "100",
        "602",
        "conference",
        talk=pairs,
        conference={"room": "602", "participants": members},
        ended_by="103",
    )


# queues, machines


def queue_answered(office: Office, seconds: float = TALK) -> Told:
    """Somebody outside calls queue sales; 101 and 102 ring; 101 answers; the caller hangs up."""
    office.behave(p101=answers(1.0), p102=rings())
    call = office.outside_calls("5551600").wait_answered()
    agent = office["101"].next_call().wait_answered()
    talk(seconds)
    call.bye()
    office.over()
    waited = _between(call.when("answered"), agent.when("answered"))
    said = _between(agent.when("answered"), call.when("hung up"))
    return Told(
        "inbound",
        OUTSIDE,
        "5551600",
        "answered",
        "101",
        "101",
        ((OUTSIDE, "101", said),),
        queue={"name": "sales", "wait_seconds": waited, "result": "answered"},
        trunk="trunka",
        ended_by=OUTSIDE,
    )


def queue_abandoned(office: Office, seconds: float = TALK) -> Told:
    """Somebody outside calls queue sales, both agents ring, the caller gives up."""
    office.behave(p101=rings(), p102=rings())
    call = office.outside_calls("5551600").wait_answered()
    office["101"].next_call()
    talk(seconds)
    call.bye()
    office.over()
    waited = _between(call.when("answered"), call.when("hung up"))
    return Told(
        "inbound",
        OUTSIDE,
        "5551600",
        "abandoned",
        queue={"name": "sales", "wait_seconds": waited, "result": "abandoned"},
        trunk="trunka",
        ended_by=OUTSIDE,
    )


def click_to_call(office: Office, seconds: float = TALK) -> Told:
    """A web page rings 101, then the far end (AMI Originate of Local/101@click); 101 hangs up."""
    office.behave(p101=answers(0.5), trunka=answers(0.5))
    dialled = "05145557777"
    office.manager.action(
        "Originate",
        Channel="Local/101@click",
        Exten=dialled,
        Context="from-internal",
        Priority=1,
        CallerID='"Click" <5145557777>',
        Async="true",
    )
    bob = office["101"].next_call().wait_answered()
    far = office["trunka"].next_call().wait_answered()
    talk(seconds)
    bob.bye()
    office.over()
    said = _between(far.when("answered"), bob.when("hung up"))
    return Told(
        "outbound",
        "101",
        dialled,
        "answered",
        dialled,
        dialled,
        (("101", dialled, said),),
        click_to_call=True,
        trunk="trunka",
        ended_by="101",
    )


Scenario = Callable[..., Told]
SCENARIOS: tuple[Scenario, ...] = (
    plain,
    no_answer,
    busy,
    cancelled,
    inbound,
    outbound,
    forwarded,
    picked_up,
    voicemail,
    recorded,
    blind_transfer,
    attended_transfer,
    attended_transfer_by_keys,
    semi_attended_transfer,
    held,
    blind_transfer_to_queue,
    parked,
    conference,
    queue_answered,
    queue_abandoned,
    click_to_call,
)

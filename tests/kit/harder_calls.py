"""Calls with more turns than those of `tests.kit.calls`: chains, refusals, calls that somebody leaves at a bad moment.

Written like those, and told in the same words; seconds of talk are taken from the phones.
"""

from __future__ import annotations

from tests.kit.calls import FAR, Told, talk
from tests.kit.office import OUTSIDE, Office
from tests.kit.sip_phone import Call, answers, forwards, rejects, rings


def _span(start: float, end: float) -> float:
    return round(end - start, 3)


def _bob_answers_outside(office: Office) -> tuple[Call, Call]:
    call = office.outside_calls("5551000").wait_answered()
    return call, office["101"].next_call().wait_answered()


def _move(kind: str, by: str, transferee: str, target: str, result: str) -> dict[str, str]:
    return {"kind": kind, "by": by, "transferee": transferee, "target": target, "result": result}


def _inbound(
    outcome: str = "answered", answered_by: str | None = "101", final: str | None = "101", **more: object
) -> Told:
    base = {"direction": "inbound", "caller": OUTSIDE, "dialled": "5551000", "trunk": "trunka", "ended_by": OUTSIDE}
    return Told(**{**base, "outcome": outcome, "answered_by": answered_by, "final_party": final, **more})  # type: ignore[arg-type]


def blind_transfer_by_the_caller(office: Office) -> Told:
    """100 calls 101, sends 101 to 102 and is gone; 101 and 102 talk; 102 hangs up."""
    office.behave(p101=answers(0.3), p102=answers(0.3))
    call = office["100"].dial("101").wait_answered()
    bob = office["101"].next_call().wait_answered()
    talk()
    call.transfer("102")
    charlie = office["102"].next_call().wait_answered()
    talk()
    charlie.bye()
    office.over()
    first = _span(call.when("answered"), call.when("transferred to 102"))
    second = _span(charlie.when("answered"), charlie.when("hung up"))
    assert bob.state == "ended"
    return Told(
        "internal",
        "100",
        "101",
        "answered",
        "101",
        "102",
        (("100", "101", first), ("101", "102", second)),
        (_move("blind", "100", "101", "102", "completed"),),
        ended_by="102",
    )


def blind_transfer_to_busy(office: Office) -> Told:
    """101 sends an outside caller to 102, who is busy."""
    office.behave(p101=answers(0.3), p102=rejects(486))
    call, bob = _bob_answers_outside(office)
    talk()
    bob.transfer("102")
    call.wait_ended()
    office.over()
    first = _span(call.when("answered"), bob.when("transferred to 102"))
    return _inbound(
        final=None,
        talk=((OUTSIDE, "101", first),),
        transfers=(_move("blind", "101", OUTSIDE, "102", "busy"),),
        ended_by="102",
    )


def blind_transfer_given_up(office: Office) -> Told:
    """101 sends an outside caller to 102; the caller hangs up while 102 rings."""
    office.behave(p101=answers(0.3), p102=rings())
    call, bob = _bob_answers_outside(office)
    talk()
    bob.transfer("102")
    office["102"].next_call()
    talk()
    call.bye()
    office.over()
    first = _span(call.when("answered"), bob.when("transferred to 102"))
    return _inbound(
        final=None,
        talk=((OUTSIDE, "101", first),),
        transfers=(_move("blind", "101", OUTSIDE, "102", "abandoned"),),
    )


def chain(office: Office) -> Told:
    """101 sends an outside caller to 102, who sends him on to 103."""
    office.behave(p101=answers(0.3), p102=answers(0.3), p103=answers(0.3))
    call, bob = _bob_answers_outside(office)
    talk()
    bob.transfer("102")
    charlie = office["102"].next_call().wait_answered()
    talk()
    charlie.transfer("103")
    dave = office["103"].next_call().wait_answered()
    talk()
    call.bye()
    office.over()
    stretches = (
        (OUTSIDE, "101", _span(call.when("answered"), bob.when("transferred to 102"))),
        (OUTSIDE, "102", _span(charlie.when("answered"), charlie.when("transferred to 103"))),
        (OUTSIDE, "103", _span(dave.when("answered"), call.when("hung up"))),
    )
    moves = (
        _move("blind", "101", OUTSIDE, "102", "completed"),
        _move("blind", "102", OUTSIDE, "103", "completed"),
    )
    return _inbound(final="103", talk=stretches, transfers=moves)


def attended_transfer_by_the_caller(office: Office) -> Told:
    """100 calls 101, holds, asks 102, joins the two and is gone; 101 hangs up."""
    office.behave(p101=answers(0.3), p102=answers(0.3))
    call = office["100"].dial("101").wait_answered()
    bob = office["101"].next_call().wait_answered()
    talk()
    call.hold()
    asking = office["100"].dial("102").wait_answered()
    talk()
    call.transfer_to(asking, "102")
    asking.wait_ended()
    talk()
    bob.bye()
    office.over()
    stretches = (
        ("100", "101", _span(call.when("answered"), call.when("held"))),
        ("100", "102", _span(asking.when("answered"), asking.log[-1][0])),
        ("101", "102", _span(asking.log[-1][0], bob.when("hung up"))),
    )
    moves = (_move("attended", "100", "101", "102", "completed"),)
    return Told("internal", "100", "101", "answered", "101", "102", stretches, moves, ended_by="101")


def attended_transfer_outside(office: Office) -> Told:
    """101 holds an outside caller, asks somebody outside and joins the two."""
    office.behave(p101=answers(0.3), trunka=answers(0.3))
    call, bob = _bob_answers_outside(office)
    talk()
    bob.hold()
    asking = office["101"].dial("0" + FAR).wait_answered()
    talk()
    bob.transfer_to(asking, "0" + FAR)
    asking.wait_ended()
    talk()
    call.bye()
    office.over()
    stretches = (
        (OUTSIDE, "101", _span(call.when("answered"), bob.when("held"))),
        ("101", "0" + FAR, _span(asking.when("answered"), asking.log[-1][0])),
        (OUTSIDE, "0" + FAR, _span(asking.log[-1][0], call.when("hung up"))),
    )
    moves = (_move("attended", "101", OUTSIDE, "0" + FAR, "completed"),)
    return _inbound(final="0" + FAR, talk=stretches, transfers=moves)


def left_during_consultation(office: Office) -> Told:
    """101 asks 102 by keys; the outside caller hangs up meanwhile; 101 and 102 go on for a while."""
    office.behave(p101=answers(0.3), p102=answers(0.3))
    call, bob = _bob_answers_outside(office)
    talk()
    bob.press("*2")
    talk(1.0)
    bob.press("102")
    charlie = office["102"].next_call().wait_answered()
    talk()
    call.bye()
    talk()
    charlie.bye()
    office.over()
    stretches = (
        (OUTSIDE, "101", _span(call.when("answered"), bob.when("pressed *2"))),
        ("101", "102", _span(charlie.when("answered"), charlie.when("hung up"))),
    )
    return _inbound(talk=stretches, transfers=(_move("attended", "101", OUTSIDE, "102", "abandoned"),))


def parked_and_given_up(office: Office) -> Told:
    """101 sends an outside caller to the lot; he hangs up there."""
    office.behave(p101=answers(0.3))
    call, bob = _bob_answers_outside(office)
    talk()
    bob.transfer("700")
    talk()
    call.bye()
    office.over()
    first = _span(call.when("answered"), bob.when("transferred to 700"))
    return _inbound(
        final=None,
        talk=((OUTSIDE, "101", first),),
        transfers=(_move("park", "101", OUTSIDE, "default", "abandoned"),),
    )


def group_pickup(office: Office) -> Told:
    """Somebody outside calls 101, which rings; 102 dials *8 and takes the call."""
    office.behave(p101=rings())
    call = office.outside_calls("5551000").wait_ringing()
    office["101"].next_call()
    office["102"].dial("*8").wait_answered()
    call.wait_answered()
    talk()
    call.bye()
    office.over()
    said = _span(call.when("answered"), call.when("hung up"))
    return _inbound(answered_by="102", final="102", talk=((OUTSIDE, "102", said),), picked_up=("101", "102"))


def tandem(office: Office) -> Told:
    """In by one trunk, out by the other."""
    office.behave(trunkb=answers(0.3))
    call = office.outside_calls("5551999").wait_answered()
    talk()
    call.bye()
    office.over()
    said = _span(call.when("answered"), call.when("hung up"))
    return _inbound(
        direction="tandem",
        dialled="5551999",
        answered_by="5557777",
        final="5557777",
        talk=((OUTSIDE, "5557777", said),),
    )


def forwarded_outside(office: Office) -> Told:
    """Somebody outside calls 101, whose phone sends him to a mobile."""
    office.behave(p101=forwards("0" + FAR), trunka=answers(0.3))
    call = office.outside_calls("5551000").wait_answered()
    talk()
    call.bye()
    office.over()
    said = _span(call.when("answered"), call.when("hung up"))
    return _inbound(
        answered_by="0" + FAR,
        final="0" + FAR,
        talk=((OUTSIDE, "0" + FAR, said),),
        forwarded=(("101", "0" + FAR),),
    )


def ring_group_over_local(office: Office) -> Told:
    """100 dials 608: two telephones behind Local channels; 102 answers."""
    office.behave(p101=rings(), p102=answers(0.5))
    call = office["100"].dial("608").wait_answered()
    talk()
    call.bye()
    office.over()
    said = _span(call.when("answered"), call.when("hung up"))
    return Told("internal", "100", "608", "answered", "102", "102", (("100", "102", said),), ended_by="100")


def local_optimised_away(office: Office) -> Told:
    """100 dials 609: one telephone behind a Local channel that Asterisk takes out of the way."""
    office.behave(p101=answers(0.3))
    call = office["100"].dial("609").wait_answered()
    talk()
    call.bye()
    office.over()
    said = _span(call.when("answered"), call.when("hung up"))
    return Told("internal", "100", "609", "answered", "101", "101", (("100", "101", said),), ended_by="100")


def declined(office: Office) -> Told:
    """100 calls 101, who declines."""
    office.behave(p101=rejects(603))
    office["100"].dial("101").wait_ended()
    office.over()
    return Told("internal", "100", "101", "declined", ended_by="101")


def both_trunks_fail(office: Office) -> Told:
    """100 dials outside; both trunks refuse."""
    office.behave(trunka=rejects(503), trunkb=rejects(503))
    office["100"].dial("9" + FAR).wait_ended()
    office.over()
    return Told("outbound", "100", "9" + FAR, "failed", trunk="trunkb", ended_by="system")


def unknown_number(office: Office) -> Told:
    """100 dials outside; the number does not exist."""
    office.behave(trunka=rejects(404))
    office["100"].dial("0" + FAR).wait_ended()
    office.over()
    return Told("outbound", "100", "0" + FAR, "failed", trunk="trunka", ended_by="system")


def menu_to_telephone(office: Office) -> Told:
    """Somebody outside is asked what he wants, presses 1, and 101 answers."""
    office.behave(p101=answers(0.3))
    call = office.outside_calls("5551800").wait_answered()
    talk()
    call.press("1")
    bob = office["101"].next_call().wait_answered()
    talk()
    call.bye()
    office.over()
    said = _span(bob.when("answered"), call.when("hung up"))
    return _inbound(dialled="5551800", talk=((OUTSIDE, "101", said),))


def menu_given_up(office: Office) -> Told:
    """Somebody outside hangs up in the menu."""
    office.behave()
    call = office.outside_calls("5551800").wait_answered()
    talk()
    call.bye()
    office.over()
    return _inbound("abandoned", None, None, dialled="5551800")


def empty_queue(office: Office) -> Told:
    """Somebody outside waits in a queue without agents until it gives up."""
    office.behave()
    call = office.outside_calls("5551604").wait_answered()
    call.wait_ended()
    office.over()
    return _inbound("queue_timeout", None, None, dialled="5551604", queue={"name": "empty"}, ended_by="system")


def announcement(office: Office) -> Told:
    """100 pages 101 and 102."""
    office.behave(p101=answers(0.2), p102=answers(0.2))
    call = office["100"].dial("610").wait_answered()
    office["101"].next_call().wait_answered()
    office["102"].next_call().wait_answered()
    talk()
    call.bye()
    office.over()
    return Told("internal", "100", "610", "page", ended_by="100")


def click_to_call_by_telephone(office: Office) -> Told:
    """A web page rings 101 itself, then 102; 102 hangs up."""
    office.behave(p101=answers(0.3), p102=answers(0.3))
    office.manager.action(
        "Originate",
        Channel="PJSIP/101",
        Exten="102",
        Context="from-internal",
        Priority=1,
        CallerID='"Click" <102>',
        Async="true",
    )
    office["101"].next_call().wait_answered()
    charlie = office["102"].next_call().wait_answered()
    talk()
    charlie.bye()
    office.over()
    said = _span(charlie.when("answered"), charlie.when("hung up"))
    return Told(
        "internal", "101", "102", "answered", "102", "102", (("101", "102", said),), click_to_call=True, ended_by="102"
    )


def recalled(office: Office) -> Told:
    """101 dials 102 by keys and hangs up while 102 rings; 102 does not answer; 101 is called back and talks again."""
    office.behave(p101=answers(0.3), p102=rings())
    call, bob = _bob_answers_outside(office)
    talk()
    bob.press("*2")
    talk(1.0)
    bob.press("102")
    office["102"].next_call()
    talk()
    bob.bye()
    again = office["101"].next_call(30).wait_answered()
    talk()
    call.bye()
    office.over()
    stretches = (
        (OUTSIDE, "101", _span(call.when("answered"), bob.when("pressed *2"))),
        (OUTSIDE, "101", _span(again.when("answered"), call.when("hung up"))),
    )
    return _inbound(talk=stretches, transfers=(_move("semi_attended", "101", OUTSIDE, "102", "recalled"),))


def attended_twice(office: Office) -> Told:
    """101 asks 102 and joins; 102 asks 103 and joins."""
    office.behave(p101=answers(0.3), p102=answers(0.3), p103=answers(0.3))
    call, bob = _bob_answers_outside(office)
    talk()
    bob.hold()
    asking = office["101"].dial("102").wait_answered()
    charlie = office["102"].next_call().wait_answered()
    talk()
    bob.transfer_to(asking, "102")
    asking.wait_ended()
    talk()
    charlie.hold()
    again = office["102"].dial("103").wait_answered()
    talk()
    charlie.transfer_to(again, "103")
    again.wait_ended()
    talk()
    call.bye()
    office.over()
    joined, rejoined = asking.log[-1][0], again.log[-1][0]
    stretches = (
        (OUTSIDE, "101", _span(call.when("answered"), bob.when("held"))),
        ("101", "102", _span(asking.when("answered"), joined)),
        (OUTSIDE, "102", _span(joined, charlie.when("held"))),
        ("102", "103", _span(again.when("answered"), rejoined)),
        (OUTSIDE, "103", _span(rejoined, call.when("hung up"))),
    )
    moves = (
        _move("attended", "101", OUTSIDE, "102", "completed"),
        _move("attended", "102", OUTSIDE, "103", "completed"),
    )
    return _inbound(final="103", talk=stretches, transfers=moves)


def outbound_then_inwards(office: Office) -> Told:
    """100 calls outside and sends the far end to 102."""
    office.behave(trunka=answers(0.3), p102=answers(0.3))
    call = office["100"].dial("0" + FAR).wait_answered()
    office["trunka"].next_call().wait_answered()
    talk()
    call.transfer("102")
    charlie = office["102"].next_call().wait_answered()
    talk()
    charlie.bye()
    office.over()
    stretches = (
        ("100", "0" + FAR, _span(call.when("answered"), call.when("transferred to 102"))),
        ("0" + FAR, "102", _span(charlie.when("answered"), charlie.when("hung up"))),
    )
    moves = (_move("blind", "100", "0" + FAR, "102", "completed"),)
    return Told(
        "outbound", "100", "0" + FAR, "answered", "0" + FAR, "102", stretches, moves, trunk="trunka", ended_by="102"
    )


def queue_then_asked(office: Office) -> Told:
    """An agent behind a Local channel takes a caller from the queue, asks 103, joins the two."""
    office.behave(p101=answers(0.3), p102=answers(5), p103=answers(0.3))
    call = office.outside_calls("5551603").wait_answered()
    bob = office["101"].next_call().wait_answered()
    talk()
    bob.hold()
    asking = office["101"].dial("103").wait_answered()
    talk()
    bob.transfer_to(asking, "103")
    asking.wait_ended()
    talk()
    call.bye()
    office.over()
    stretches = (
        (OUTSIDE, "101", _span(bob.when("answered"), bob.when("held"))),
        ("101", "103", _span(asking.when("answered"), asking.log[-1][0])),
        (OUTSIDE, "103", _span(asking.log[-1][0], call.when("hung up"))),
    )
    return _inbound(
        dialled="5551603",
        final="103",
        talk=stretches,
        transfers=(_move("attended", "101", OUTSIDE, "103", "completed"),),
        queue={"name": "support"},
    )


def queue_optimised(office: Office) -> Told:
    """An agent behind a Local channel that is taken out of the way."""
    office.behave(p101=answers(0.3), p102=rings())
    call = office.outside_calls("5551605").wait_answered()
    bob = office["101"].next_call().wait_answered()
    talk()
    bob.bye()
    office.over()
    said = _span(bob.when("answered"), bob.when("hung up"))
    assert call.state == "ended"
    return _inbound(dialled="5551605", talk=((OUTSIDE, "101", said),), queue={"name": "optimised"}, ended_by="101")


def click_to_call_not_taken(office: Office) -> Told:
    """A web page rings 101, who does not answer."""
    office.behave(p101=rings())
    office.manager.action(
        "Originate",
        Channel="PJSIP/101",
        Exten="102",
        Context="from-internal",
        Priority=1,
        CallerID='"Click" <102>',
        Timeout=2000,
        Async="true",
    )
    office["101"].next_call().wait_ended()
    office.over()
    return Told("internal", "101", "102", "not_taken", click_to_call=True, ended_by="system")


def blind_transfer_to_service(office: Office) -> Told:
    """101 sends an outside caller to the conference room, where he is alone."""
    office.behave(p101=answers(0.3))
    call, bob = _bob_answers_outside(office)
    talk()
    bob.transfer("602")
    talk()
    call.bye()
    office.over()
    first = _span(call.when("answered"), bob.when("transferred to 602"))
    return _inbound(
        final=None,
        talk=((OUTSIDE, "101", first),),
        transfers=(_move("blind", "101", OUTSIDE, "602", "completed"),),
    )


def hunt(office: Office) -> Told:
    """100 dials 616: 101 is busy, 102 answers."""
    office.behave(p101=rejects(486), p102=answers(0.3))
    call = office["100"].dial("616").wait_answered()
    talk()
    call.bye()
    office.over()
    said = _span(call.when("answered"), call.when("hung up"))
    return Told("internal", "100", "616", "answered", "102", "102", (("100", "102", said),), ended_by="100")


SCENARIOS = (
    blind_transfer_by_the_caller,
    blind_transfer_to_busy,
    blind_transfer_given_up,
    chain,
    attended_transfer_by_the_caller,
    attended_transfer_outside,
    left_during_consultation,
    parked_and_given_up,
    group_pickup,
    tandem,
    forwarded_outside,
    ring_group_over_local,
    local_optimised_away,
    declined,
    both_trunks_fail,
    unknown_number,
    menu_to_telephone,
    menu_given_up,
    empty_queue,
    announcement,
    click_to_call_by_telephone,
    recalled,
    attended_twice,
    outbound_then_inwards,
    queue_then_asked,
    queue_optimised,
    click_to_call_not_taken,
    blind_transfer_to_service,
    hunt,
)

"""Calls as people draw them, in the classes no capture shows: rows by hand, the call as a person would tell it."""

from __future__ import annotations

from asterisk_connector.assembly.assemble import AssemblyRules, assemble
from asterisk_connector.assembly.connect import connect
from asterisk_connector.call import Call
from asterisk_connector.enrichment.direction import direction
from asterisk_connector.plan import Plan
from tests.kit.sequence import rows


def tell(text: str, *, plan: Plan | None = None, without: tuple[str, ...] = ()) -> Call:
    """The one call of these rows."""
    plan = plan or Plan()
    groups = connect(rows(text, without=without))
    assert len(groups) == 1
    return direction(assemble(groups[0], AssemblyRules(plan)), plan)


def moves(call: Call) -> list[tuple[str, str | None, str | None, str | None, str | None]]:
    assert call.transfers is not None
    return [(t.kind, t.by, t.transferee, t.target, t.result) for t in call.transfers]


def pairs(call: Call) -> list[tuple[str, str, float]]:
    return [(t.a, t.b, round(t.seconds, 1)) for t in call.talk]


INBOUND = """
0.0 trunka start 5551000@from-trunka num=5145550001
0.0 trunka goto 101@from-internal
0.0 trunka app Dial PJSIP/101,8
0.0 101    start
1.0 101    answer
1.0 trunka answer
1.0 101    enter B1
1.0 trunka enter B1
"""
INTERNAL = """
0.0 100 start 101@from-internal
0.0 100 app Dial PJSIP/101,8
0.0 101 start
1.0 101 answer
1.0 100 answer
1.0 101 enter B1
1.0 100 enter B1
"""


def test_a_caller_who_sends_his_partner_on_is_followed_by_the_partner() -> None:
    call = tell(
        INTERNAL
        + """
        2.5 100 blind 102 101
        2.5 100 exit B1
        2.5 101 exit B1
        2.5 100 endapp
        2.5 100 hang 16 - ANSWER
        2.5 101 goto 102
        2.5 101 app Dial PJSIP/102,8
        2.6 102 start
        3.5 102 answer
        3.5 102 enter B2
        3.5 101 enter B2
        5.5 101 exit B2
        5.5 102 exit B2
        5.5 101 hang 16 self ANSWER
        5.5 102 hang 16 101
        5.5 102 retire
        """
    )
    assert (call.caller.number, call.answered_by, call.final_party, call.ended_by) == ("100", "101", "102", "101")
    assert moves(call) == [("blind", "100", "101", "102", "completed")]
    assert pairs(call) == [("100", "101", 1.5), ("101", "102", 2.0)]
    assert call.direction == "internal"


def test_a_transfer_to_a_busy_target_leaves_the_caller_with_nobody() -> None:
    call = tell(
        INBOUND
        + """
        2.5 101    blind 102 trunka
        2.5 trunka exit B1
        2.5 101    exit B1
        2.5 101    hang 16
        2.5 trunka goto 102
        2.5 trunka app Dial PJSIP/102,8
        2.5 102    start
        2.7 102    hang 17 self
        2.7 trunka endapp
        2.7 trunka hang 17 dialplan/builtin ANSWER
        2.7 trunka retire
        """
    )
    assert moves(call) == [("blind", "101", "5145550001", "102", "busy")]
    assert (call.outcome, call.answered_by, call.final_party) == ("answered", "101", None)


def test_a_caller_who_gives_up_while_the_transfer_rings_abandons_it() -> None:
    call = tell(
        INBOUND
        + """
        2.5 101    blind 102 trunka
        2.5 trunka exit B1
        2.5 101    exit B1
        2.5 101    hang 16
        2.5 trunka goto 102
        2.5 trunka app Dial PJSIP/102,8
        2.5 102    start
        4.5 trunka hang 16 self ANSWER
        4.5 102    hang 16
        4.5 102    retire
        """
    )
    assert moves(call) == [("blind", "101", "5145550001", "102", "abandoned")]
    assert (call.final_party, call.ended_by) == (None, "5145550001")


CHAIN = (
    INBOUND
    + """
    2.5 101    blind 102 trunka
    2.5 trunka exit B1
    2.5 101    exit B1
    2.5 101    hang 16
    2.5 trunka goto 102
    2.5 trunka app Dial PJSIP/102,8
    2.5 102    start
    3.5 102    answer
    3.5 102    enter B2
    3.5 trunka enter B2
    5.0 102    blind 103 trunka
    5.0 trunka exit B2
    5.0 102    exit B2
    5.0 102    hang 16
    5.0 trunka goto 103
    5.0 trunka app Dial PJSIP/103,8
    5.0 103    start
    6.0 103    answer
    6.0 103    enter B3
    6.0 trunka enter B3
    8.0 trunka exit B3
    8.0 103    exit B3
    8.0 trunka hang 16 self ANSWER
    8.0 103    hang 16 trunka
    8.0 103    retire
    """
)


def test_a_chain_of_blind_transfers_is_told_link_by_link() -> None:
    call = tell(CHAIN)
    assert moves(call) == [
        ("blind", "101", "5145550001", "102", "completed"),
        ("blind", "102", "5145550001", "103", "completed"),
    ]
    assert (call.answered_by, call.final_party) == ("101", "103")


def test_the_same_chain_is_inferred_where_transfers_write_no_event() -> None:
    told, inferred = tell(CHAIN), tell(CHAIN, without=("BLINDTRANSFER",))
    assert moves(inferred) == moves(told)
    assert "transfers" in inferred.evidence.inferred
    assert "transfers" not in told.evidence.inferred


def test_a_dial_plan_that_goes_on_after_the_callee_hung_up_is_no_transfer() -> None:
    call = tell(
        INBOUND
        + """
        2.5 101    exit B1
        2.5 101    hang 16 self
        2.5 trunka exit B1
        2.5 trunka endapp
        2.5 trunka app Dial PJSIP/102,8
        2.5 102    start
        5.0 102    hang 0
        5.0 trunka hang 16 dialplan/builtin ANSWER
        5.0 trunka retire
        """
    )
    assert call.transfers == ()
    assert call.answered_by == "101"


def test_an_outbound_partner_can_be_sent_inwards() -> None:
    call = tell(
        """
        0.0 100    start 05145559999@from-internal
        0.0 100    app Dial PJSIP/5145559999@trunka,20
        0.0 trunka start shows=05145559999
        1.0 trunka answer
        1.0 100    answer
        1.0 trunka enter B1
        1.0 100    enter B1
        2.5 100    blind 102 trunka
        2.5 100    exit B1
        2.5 trunka exit B1
        2.5 100    hang 16 - ANSWER
        2.5 trunka goto 102@from-internal
        2.5 trunka app Dial PJSIP/102,8
        2.5 102    start
        3.5 102    answer
        3.5 102    enter B2
        3.5 trunka enter B2
        5.5 102    exit B2
        5.5 trunka exit B2
        5.5 102    hang 16 self
        5.5 trunka hang 16 102 ANSWER
        5.5 102    retire
        """
    )
    assert (call.direction, call.caller.number, call.dialled) == ("outbound", "100", "05145559999")
    assert moves(call) == [("blind", "100", "05145559999", "102", "completed")]
    assert (call.answered_by, call.final_party, call.ended_by) == ("05145559999", "102", "102")


def test_a_caller_can_connect_two_others_and_leave() -> None:
    call = tell(
        INTERNAL
        + """
        2.8 100'  start 102@from-internal
        2.8 100'  app Dial PJSIP/102,8
        2.8 102   start in=100'
        3.8 102   answer
        3.8 100'  answer
        3.8 102   enter B2
        3.8 100'  enter B2
        5.3 101   exit B1
        5.3 100'  exit B2
        5.3 102   link 100
        5.3 101   enter B2
        5.3 100   attended 100' 101 102
        5.3 100   exit B1
        5.3 100   hang 16 - ANSWER
        5.3 100'  hang 16 - ANSWER
        5.3 100'  retire
        7.8 101   exit B2
        7.8 102   exit B2
        7.8 101   hang 16 self
        7.8 102   hang 16 101
        7.8 102   retire
        """
    )
    assert moves(call) == [("attended", "100", "101", "102", "completed")]
    assert (call.caller.number, call.answered_by, call.final_party) == ("100", "101", "102")
    assert pairs(call) == [("100", "101", 1.8), ("100", "102", 1.5), ("101", "102", 2.5)]
    assert len(call.linkedids) == 2


TWICE = (
    INBOUND
    + """
    2.8 101'   start 102@from-internal
    2.8 101'   app Dial PJSIP/102,8
    2.8 102    start in=101'
    3.8 102    answer
    3.8 101'   answer
    3.8 102    enter B2
    3.8 101'   enter B2
    5.3 trunka exit B1
    5.3 101'   exit B2
    5.3 102    link trunka
    5.3 trunka enter B2
    5.3 101    attended 101' trunka 102
    5.3 101    exit B1
    5.3 101    hang 16
    5.3 101'   hang 16 - ANSWER
    5.3 101'   retire
    7.0 102'   start 103@from-internal
    7.0 102'   app Dial PJSIP/103,8
    7.0 103    start in=102'
    8.0 103    answer
    8.0 102'   answer
    8.0 103    enter B3
    8.0 102'   enter B3
    9.5 trunka exit B2
    9.5 102'   exit B3
    9.5 103    link trunka
    9.5 trunka enter B3
    9.5 102    attended 102' trunka 103
    9.5 102    exit B2
    9.5 102    hang 16
    9.5 102'   hang 16 - ANSWER
    9.5 102'   retire
    12. trunka exit B3
    12. 103    exit B3
    12. trunka hang 16 self ANSWER
    12. 103    hang 16 trunka
    12. 103    retire
    """
)


def test_two_attended_transfers_in_a_row_lead_to_the_third() -> None:
    call = tell(TWICE)
    assert moves(call) == [
        ("attended", "101", "5145550001", "102", "completed"),
        ("attended", "102", "5145550001", "103", "completed"),
    ]
    assert (call.answered_by, call.final_party) == ("101", "103")
    assert len(call.linkedids) == 3
    assert call.hold_seconds == 5.0
    assert "hold_seconds" in call.evidence.inferred


def test_attended_transfers_need_no_event() -> None:
    assert moves(tell(TWICE, without=("ATTENDEDTRANSFER",))) == moves(tell(TWICE))


def test_a_caller_can_be_connected_to_somebody_outside() -> None:
    call = tell(
        INBOUND
        + """
        2.8 101'   start 05145558888@from-internal
        2.8 101'   app Dial PJSIP/5145558888@trunkb,20
        2.8 trunkb start in=101' shows=05145558888
        3.8 trunkb answer
        3.8 101'   answer
        3.8 trunkb enter B2
        3.8 101'   enter B2
        5.3 trunka exit B1
        5.3 101'   exit B2
        5.3 trunkb link trunka
        5.3 trunka enter B2
        5.3 101    attended 101' trunka trunkb
        5.3 101    exit B1
        5.3 101    hang 16
        5.3 101'   hang 16 - ANSWER
        5.3 101'   retire
        7.8 trunkb exit B2
        7.8 trunka exit B2
        7.8 trunkb hang 16 self
        7.8 trunka hang 16 trunkb ANSWER
        7.8 trunka retire
        """
    )
    assert call.direction == "inbound"
    assert moves(call) == [("attended", "101", "5145550001", "05145558888", "completed")]
    assert (call.final_party, call.ended_by) == ("05145558888", "05145558888")
    assert (call.trunk.inbound, call.trunk.outbound) == ("trunka", "trunkb")


DTMF_CONSULTATION = (
    INBOUND
    + """
    4.5 L(102@from-internal);1 start in=trunka
    4.5 L(102@from-internal);2 start in=trunka
    4.5 L(102@from-internal);2 app Dial PJSIP/102,8
    4.5 L(102@from-internal);1 enter B2
    4.5 101    exit B1
    4.5 102    start
    4.5 101    enter B2
    """
)


def test_a_caller_who_hangs_up_during_a_consultation_has_abandoned_it() -> None:
    call = tell(
        DTMF_CONSULTATION
        + """
        5.5 102    answer
        5.5 L(102@from-internal);1 answer
        5.5 L(102@from-internal);2 answer
        5.5 102    enter B3
        5.5 L(102@from-internal);2 enter B3
        6.5 trunka exit B1
        6.5 trunka hang 16 self ANSWER
        8.5 102    exit B3
        8.5 L(102@from-internal);2 exit B3
        8.5 L(102@from-internal);1 exit B2
        8.5 101    exit B2
        8.5 102    hang 16 self
        8.5 L(102@from-internal);2 hang 16 - ANSWER
        8.5 L(102@from-internal);1 hang 16
        8.5 101    hang 16
        8.5 101    retire
        """
    )
    assert moves(call) == [("attended", "101", "5145550001", "102", "abandoned")]
    assert (call.answered_by, call.final_party, call.ended_by) == ("101", "101", "5145550001")
    assert ("101", "102", 3.0) in pairs(call)


def test_a_target_that_does_not_answer_gives_the_caller_back_to_the_transferer() -> None:
    call = tell(
        DTMF_CONSULTATION
        + """
        5.5 101    exit B2
        5.5 L(102@from-internal);1 exit B2
        5.5 L(102@from-internal);1 enter B1
        5.5 101    attended 101 trunka N/A
        5.6 101    hang 16 self
        9.5 102    hang 0
        9.5 L(102@from-internal);2 hang 0 - NOANSWER
        9.5 L(102@from-internal);1 exit B1
        9.5 L(102@from-internal);1 hang 0
        9.6 101'   start originate
        10. 101'   answer
        10. 101'   link trunka
        10. 101'   enter B1
        12. trunka exit B1
        12. 101'   exit B1
        12. trunka hang 16 self ANSWER
        12. 101'   hang 16 trunka
        12. 101'   retire
        """
    )
    assert moves(call) == [("semi_attended", "101", "5145550001", "102", "recalled")]
    assert (call.answered_by, call.final_party) == ("101", "101")
    assert [leg.role for leg in call.legs] == ["caller", "dialled", "dialled", "recall"]


def test_a_parked_caller_who_gives_up_ends_with_nobody() -> None:
    call = tell(
        INBOUND
        + """
        2.5 trunka exit B1
        2.5 trunka park 101
        2.5 trunka enter B2 holding_bridge
        2.6 101    exit B1
        2.6 101    hang 16
        6.0 trunka unpark GiveUp
        6.0 trunka exit B2
        6.0 trunka hang 16 self ANSWER
        6.0 trunka retire
        """
    )
    assert call.transfers is not None
    assert moves(call) == [("park", "101", "5145550001", "default", "abandoned")]
    assert call.transfers[0].seconds == 3.5
    assert (call.answered_by, call.final_party, call.ended_by) == ("101", None, "5145550001")


def test_a_declined_call_is_declined_by_the_one_who_declined() -> None:
    call = tell(
        """
        0.0 100 start 101@from-internal
        0.0 100 app Dial PJSIP/101,8
        0.0 101 start
        1.0 101 hang 21 self
        1.0 100 endapp
        1.0 100 hang 21 dialplan/builtin NOANSWER
        1.0 100 retire
        """
    )
    assert (call.outcome, call.cause, call.ended_by, call.disposition) == ("declined", 21, "101", "NO ANSWER")
    assert call.legs[1].result == "declined"


def test_a_number_that_cannot_be_reached_has_failed() -> None:
    call = tell(
        """
        0.0 100    start 05145550000@from-internal
        0.0 100    app Dial PJSIP/5145550000@trunka,20
        0.0 trunka start shows=05145550000
        0.2 trunka hang 1 self
        0.2 100    hang 1 dialplan/builtin NOANSWER
        0.2 100    retire
        """
    )
    assert (call.direction, call.outcome, call.ended_by) == ("outbound", "failed", "system")
    assert call.trunk.outbound == "trunka"


def test_an_endpoint_that_does_not_exist_leaves_no_leg_but_a_failure() -> None:
    call = tell(
        """
        0.0 100 start 199@from-internal
        0.0 100 app Dial PJSIP/199,8
        0.0 100 endapp
        0.0 100 hang 34 dialplan/builtin
        0.0 100 retire
        """
    )
    assert (call.outcome, call.direction, call.dialled) == ("failed", "internal", "199")


def test_voicemail_after_busy_is_voicemail_and_nobody_answered() -> None:
    call = tell(
        """
        0.0 trunka start 5551101@from-trunka num=5145550001
        0.0 trunka goto 101@from-internal
        0.0 trunka app Dial PJSIP/101,8
        0.0 101    start
        0.2 101    hang 17 self
        0.2 trunka endapp
        0.2 trunka app VoiceMail 101@default,b
        0.2 trunka answer
        3.2 trunka endapp
        3.2 trunka hang 16 self BUSY
        3.2 trunka retire
        """
    )
    assert call.voicemail is not None
    assert (call.voicemail.mailbox, call.voicemail.seconds) == ("101", 3.0)
    assert (call.outcome, call.answered_by, call.final_party) == ("voicemail", None, None)
    assert call.ended_by == "5145550001"


def test_a_queue_that_gives_up_is_a_timeout_not_an_abandon() -> None:
    rounds = "".join(
        f"""
        {at}.0 101{"'" * at} start queue
        {at}.9 101{"'" * at} hang 0
        """
        for at in range(4)
    )
    call = tell(
        """
        0.0 trunka start 5551600@from-trunka num=5145550001
        0.0 trunka answer
        0.0 trunka app Queue sales,tT,,,20
        """
        + rounds
        + """
        4.0 trunka endapp
        4.0 trunka hang 16 dialplan/builtin
        4.0 trunka retire
        """
    )
    assert call.queue is not None
    assert (call.outcome, call.queue.result, call.queue.wait_seconds) == ("queue_timeout", "timeout", 4.0)
    assert [a.agent for a in call.queue.attempts] == ["101"] * 4
    assert call.ended_by == "system"


def test_an_empty_queue_has_no_attempts() -> None:
    call = tell(
        """
        0.0 trunka start 5551600@from-trunka num=5145550001
        0.0 trunka answer
        0.0 trunka app Queue empty,tT,,,5
        5.0 trunka endapp
        5.0 trunka hang 16 dialplan/builtin
        5.0 trunka retire
        """
    )
    assert call.queue is not None
    assert (call.outcome, call.queue.name, call.queue.attempts) == ("queue_timeout", "empty", ())


def test_hanging_up_in_a_menu_is_an_abandoned_call() -> None:
    call = tell(
        """
        0.0 trunka start 5551800@from-trunka num=5145550001
        0.0 trunka goto s@ivr
        0.0 trunka answer
        0.0 trunka app BackGround welcome
        2.0 trunka endapp
        2.0 trunka hang 0 self
        2.0 trunka retire
        """
    )
    assert call.ivr is not None
    assert (call.outcome, call.ivr.name, call.ended_by) == ("abandoned", "ivr", "5145550001")


def test_a_menu_then_a_queue_tells_both() -> None:
    call = tell(
        """
        0.0 trunka start 5551800@from-trunka num=5145550001
        0.0 trunka goto s@ivr
        0.0 trunka answer
        0.0 trunka app BackGround welcome
        1.0 trunka dtmf 2
        1.0 trunka goto 600@from-internal
        1.0 trunka app Queue sales,tT
        1.0 101    start queue
        2.0 101    answer
        2.0 101    enter B1
        2.0 trunka enter B1
        4.0 101    exit B1
        4.0 trunka exit B1
        4.0 101    hang 16 self
        4.0 trunka hang 16 101 ANSWER
        4.0 trunka retire
        """
    )
    assert call.ivr is not None
    assert call.queue is not None
    assert (call.ivr.choices, call.queue.name, call.queue.wait_seconds) == (("2",), "sales", 1.0)
    assert (call.outcome, call.answered_by, call.ended_by) == ("answered", "101", "101")


def test_a_choice_shows_as_extension_of_the_menu_where_digits_write_no_row() -> None:
    call = tell(
        """
        0.0 trunka start 5551800@from-trunka num=5145550001
        0.0 trunka goto s@ivr-2
        0.0 trunka answer
        1.0 trunka goto 3@ivr-2
        1.0 trunka app Dial PJSIP/101,8
        1.0 101    start
        2.0 101    hang 0
        2.0 trunka hang 16 dialplan/builtin NOANSWER
        2.0 trunka retire
        """
    )
    assert call.ivr is not None
    assert (call.ivr.name, call.ivr.choices, call.outcome) == ("ivr-2", ("3",), "no_answer")


FORWARD = """
0.0 trunka start 5551000@from-trunka num=5145550001
0.0 trunka goto 101@from-internal
0.0 trunka app Dial PJSIP/101,8
0.0 101    start rdnis=101
0.2 L(05145558888@from-internal);1 start in=trunka rdnis=101
0.2 L(05145558888@from-internal);2 start in=trunka rdnis=101
0.2 trunka forward 05145558888
0.2 101    hang 23 self
0.2 L(05145558888@from-internal);2 app Dial PJSIP/5145558888@trunkb,20
0.2 trunkb start shows=05145558888
1.2 trunkb answer
1.2 L(05145558888@from-internal);2 answer
1.2 L(05145558888@from-internal);1 answer
1.2 trunka answer
1.2 trunkb enter B1
1.2 L(05145558888@from-internal);2 enter B1
1.2 L(05145558888@from-internal);1 enter B2
1.2 trunka enter B2
3.2 trunka exit B2
3.2 L(05145558888@from-internal);1 exit B2
3.2 L(05145558888@from-internal);2 exit B1
3.2 trunkb exit B1
3.2 trunka hang 16 self ANSWER
3.2 L(05145558888@from-internal);1 hang 16 trunka
3.2 L(05145558888@from-internal);2 hang 16 - ANSWER
3.2 trunkb hang 16
3.2 trunkb retire
"""


def test_a_telephone_that_forwards_outside_keeps_the_call_inbound() -> None:
    call = tell(FORWARD)
    assert call.forwarded == (("101", "05145558888"),)
    assert (call.direction, call.answered_by, call.final_party) == ("inbound", "05145558888", "05145558888")
    assert next(leg.result for leg in call.legs if leg.party == "101") == "forwarded"


def test_a_forward_is_inferred_from_the_redirecting_number() -> None:
    call = tell(FORWARD, without=("FORWARD",))
    assert call.forwarded == (("101", "05145558888"),)
    assert "forwarded" in call.evidence.inferred


PICKUP = """
0.0 trunka start 5551000@from-trunka num=5145550001
0.0 trunka goto 101@from-internal
0.0 trunka app Dial PJSIP/101,8
0.0 101    start
1.5 102    start *8@from-internal
1.5 101    pickup 102
1.5 102    answer
1.5 trunka answer
1.5 101    hang 16
1.5 102    enter B1
1.5 102    retire
1.5 102    link trunka
1.5 trunka enter B1
3.5 trunka exit B1
3.5 102    exit B1
3.5 trunka hang 16 self ANSWER
3.5 102    hang 16 trunka
3.5 102    retire
"""


def test_a_group_pickup_names_who_rang_and_who_took_it() -> None:
    call = tell(PICKUP)
    assert call.picked_up == ("101", "102")
    assert (call.answered_by, call.final_party) == ("102", "102")
    assert next(leg.result for leg in call.legs if leg.party == "101") == "answered_elsewhere"


def test_a_pickup_is_inferred_where_it_writes_no_event() -> None:
    call = tell(PICKUP, without=("PICKUP",))
    assert call.picked_up == ("101", "102")
    assert "picked_up" in call.evidence.inferred


def test_click_to_call_by_the_telephone_itself_tells_who_wanted_whom() -> None:
    call = tell(
        """
        0.0 101 start originate shows=102
        1.0 101 answer
        1.0 101 goto 102@from-internal
        1.0 101 app Dial PJSIP/102,8
        1.0 102 start
        2.0 102 answer
        2.0 102 enter B1
        2.0 101 enter B1
        4.0 101 exit B1
        4.0 102 exit B1
        4.0 101 hang 16 self ANSWER
        4.0 102 hang 16 101
        4.0 102 retire
        """
    )
    assert call.click_to_call
    assert (call.caller.number, call.dialled, call.answered_by, call.final_party) == ("101", "102", "102", "102")
    assert pairs(call) == [("101", "102", 2.0)]


def test_a_call_from_trunk_to_trunk_is_tandem() -> None:
    call = tell(
        """
        0.0 trunka start 5551999@from-trunka num=5145550001
        0.0 trunka app Dial PJSIP/5557777@trunkb,20
        0.0 trunkb start shows=5551999
        1.0 trunkb answer
        1.0 trunka answer
        1.0 trunkb enter B1
        1.0 trunka enter B1
        3.0 trunka exit B1
        3.0 trunkb exit B1
        3.0 trunka hang 16 self ANSWER
        3.0 trunkb hang 16 trunka
        3.0 trunkb retire
        """
    )
    assert (call.direction, call.caller.number, call.final_party) == ("tandem", "5145550001", "5557777")
    assert (call.trunk.inbound, call.trunk.outbound) == ("trunka", "trunkb")


def test_paging_is_an_announcement_nobody_answered() -> None:
    call = tell(
        """
        0.0 100 start 603@from-internal
        0.0 100 answer
        0.0 100 app Page PJSIP/101&PJSIP/102
        0.0 101 start
        0.0 102 start
        0.2 101 answer
        0.2 102 answer
        0.2 101 enter B1 softmix
        0.2 102 enter B1 softmix
        0.3 100 enter B1 softmix
        3.0 100 exit B1
        3.0 101 exit B1
        3.0 102 exit B1
        3.0 100 hang 16 self
        3.0 101 hang 16
        3.0 102 hang 16
        3.0 102 retire
        """
    )
    assert (call.outcome, call.answered_by, call.final_party) == ("page", None, None)
    assert call.conference is not None
    assert set(call.conference.participants) == {"100", "101", "102"}


def test_a_call_moved_into_a_conference_stays_answered() -> None:
    call = tell(
        INTERNAL
        + """
        3.0 100 exit B1
        3.0 101 exit B1
        3.0 100 app ConfBridge 602
        3.0 101 app ConfBridge 602
        3.1 100 enter B2 softmix
        3.1 101 enter B2 softmix
        5.0 100 exit B2
        5.0 101 exit B2
        5.0 100 hang 16 self
        5.0 101 hang 16 self
        5.0 101 retire
        """
    )
    assert (call.outcome, call.answered_by) == ("answered", "101")
    assert call.conference is not None
    assert call.conference.room == "602"


def test_local_channels_that_are_optimised_away_cost_no_talk() -> None:
    call = tell(
        """
        0.0 100 start 609@from-internal
        0.0 100 app Dial Local/101@sub
        0.0 L(101@sub);1 start
        0.0 L(101@sub);2 start
        0.0 L(101@sub);2 app Dial PJSIP/101,8
        0.0 101 start
        1.0 101 answer
        1.0 L(101@sub);2 answer
        1.0 L(101@sub);1 answer
        1.0 100 answer
        1.0 101 enter B1
        1.0 L(101@sub);2 enter B1
        1.0 L(101@sub);1 enter B2
        1.0 100 enter B2
        1.01 100 exit B2
        1.01 L(101@sub);2 exit B1
        1.01 100 enter B1
        1.01 L(101@sub);2 hang 16
        1.01 L(101@sub);1 exit B2
        1.01 L(101@sub);1 hang 16
        4.0 100 exit B1
        4.0 101 exit B1
        4.0 100 hang 16 self ANSWER
        4.0 101 hang 16 100
        4.0 101 retire
        """
    )
    assert pairs(call) == [("100", "101", 3.0)]
    assert [leg.party for leg in call.legs] == ["100", "101"]
    assert call.transfers == ()


def test_a_caller_sent_to_a_room_is_transferred_though_nothing_says_so() -> None:
    text = (
        INBOUND
        + """
        2.5 101    blind 602 trunka
        2.5 trunka exit B1
        2.5 101    exit B1
        2.5 101    hang 16
        2.5 trunka goto 602@from-internal
        2.5 trunka app ConfBridge 602
        2.6 trunka enter B2 softmix
        4.0 trunka exit B2
        4.0 trunka hang 16 self ANSWER
        4.0 trunka retire
        """
    )
    for call in (tell(text), tell(text, without=("BLINDTRANSFER", "APP_START"))):
        assert moves(call) == [("blind", "101", "5145550001", "602", "completed")]
        assert (call.outcome, call.answered_by, call.final_party) == ("answered", "101", None)

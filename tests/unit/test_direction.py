"""Which way a call went, on stock Asterisk and on FreePBX."""

from __future__ import annotations

import pytest

from asterisk_connector.assembly.assemble import AssemblyRules, assemble
from asterisk_connector.call import Call
from asterisk_connector.enrichment.direction import direction
from asterisk_connector.plan import Plan
from asterisk_connector.records import CelEvent


def leg(number: int, name: str, context: str, exten: str, **more: str) -> list[CelEvent]:
    """A channel's first and last row; the second one is dialled in the first one's call."""
    uniqueid = f"1795290000.{number}"
    fields = {"channel": name, "context": context, "linkedid": "1795290000.0", "uniqueid": uniqueid}
    num, app, data = more.get("num", ""), more.get("app", ""), more.get("data", "")
    return [
        CelEvent(
            type="CHAN_START", at=number, cid_num=num if number == 0 else more.get("own", ""), exten=exten, **fields
        ),
        CelEvent(type="HANGUP", at=9, cid_num=num, exten=exten, app_name=app, app_data=data, **fields),
    ]


def call(caller: list[CelEvent], *legs: list[CelEvent], plan: Plan | None = None) -> Call:
    plan = plan or Plan()
    first = [row for rows in (caller, *legs) for row in rows[:1]]
    last = [row for rows in (*legs, caller) for row in rows[1:]]
    return direction(assemble([*first, *last], AssemblyRules(plan)), plan)


DIAL = {"app": "AppDial", "data": "(Outgoing Line)"}


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("PJSIP/twilio-00000001", "from-pstn"),
        ("PJSIP/telia-00000001", "from-trunk-pjsip-telia"),
        ("SIP/sbc-ca1-00000001", "from-trunk-sip-sbc-ca1"),
        ("IAX2/voipms-1234", "from-trunk"),
        ("DAHDI/i1/5145550001-3", "from-pstn"),
        ("DAHDI/4-1", "from-analog"),
        ("PJSIP/anonymous-00000001", "from-sip-external"),
        ("PJSIP/acme-00000001", "from-did-direct"),
        ("PJSIP/15145551000-00000001", "incoming"),
    ],
)
def test_a_call_by_a_trunk_to_a_telephone_is_inbound(name: str, context: str) -> None:
    told = call(
        leg(0, name, context, "5551000", num="5145550001", app="Dial", data="PJSIP/101,20"),
        leg(1, "PJSIP/101-00000002", "from-internal", "s", num="101", **DIAL),
    )
    assert (told.direction, told.caller.number, told.did) == ("inbound", "5145550001", "5551000")


@pytest.mark.parametrize(
    ("name", "context", "data"),
    [
        ("PJSIP/twilio-00000002", "from-pstn", "PJSIP/5145559999@twilio,300,Tb(func-apply-sipheaders^s^1)"),
        ("SIP/acme-00000002", "default", "SIP/acme/5145559999,300"),
        ("DAHDI/i1/5145559999-4", "from-digital", "DAHDI/g0/5145559999,300"),
        ("IAX2/voipms-1234", "from-trunk", "IAX2/voipms/5145559999"),
    ],
)
def test_a_call_of_a_telephone_by_a_trunk_is_outbound(name: str, context: str, data: str) -> None:
    told = call(
        leg(0, "PJSIP/101-00000001", "from-internal", "95145559999", num="101", app="Dial", data=data),
        leg(1, name, context, "s", num="95145559999", **DIAL),
    )
    assert (told.direction, told.caller.extension) == ("outbound", "101")
    assert told.legs[1].party == "95145559999"


def test_short_and_emergency_numbers_go_out_where_a_trunk_took_them() -> None:
    told = call(
        leg(0, "PJSIP/101-00000001", "from-internal", "911", num="101", app="Dial", data="PJSIP/911@acme,300"),
        leg(1, "PJSIP/acme-00000002", "from-pstn", "s", num="911", **DIAL),
    )
    assert (told.direction, told.dialled, told.legs[1].party) == ("outbound", "911", "911")


def test_telephones_with_names_are_internal() -> None:
    told = call(
        leg(0, "PJSIP/alice-00000001", "from-internal", "102", num="101", app="Dial", data="PJSIP/bob,20"),
        leg(1, "PJSIP/bob-00000002", "from-internal", "s", own="102", num="102", **DIAL),
    )
    assert (told.direction, told.caller.number, told.legs[1].party) == ("internal", "101", "102")


def test_a_ring_group_with_a_mobile_in_it_is_internal() -> None:
    told = call(
        leg(0, "PJSIP/100-00000001", "from-internal", "600", num="100", app="Dial", data="PJSIP/101&PJSIP/514@acme"),
        leg(1, "PJSIP/101-00000002", "from-internal", "s", num="101", **DIAL),
        leg(2, "PJSIP/acme-00000003", "from-pstn", "s", num="600", **DIAL),
    )
    assert told.direction == "internal"


def test_a_call_through_is_tandem() -> None:
    told = call(
        leg(0, "PJSIP/acme-00000001", "from-pstn", "5557777", num="5145550001", app="Dial", data="PJSIP/5557777@bolt"),
        leg(1, "PJSIP/bolt-00000002", "from-pstn", "s", num="5557777", **DIAL),
    )
    assert told.direction == "tandem"


def test_an_outside_number_that_could_not_even_be_dialled_was_outbound() -> None:
    told = call(
        leg(0, "PJSIP/100-00000001", "from-internal", "05145559999", num="100", app="Dial", data="PJSIP/x@none")
    )
    assert (told.outcome, told.direction) == ("failed", "outbound")


def test_settings_add_to_what_is_known() -> None:
    rows = (
        leg(0, "PJSIP/branch-00000001", "site-b", "101", num="201", app="Dial", data="PJSIP/101"),
        leg(1, "PJSIP/101-00000002", "from-internal", "s", num="101", **DIAL),
    )
    assert call(*rows).direction == "internal"
    assert call(*rows, plan=Plan(trunks=("^branch",))).direction == "inbound"
    assert call(*rows, plan=Plan(inbound_contexts=("^site-",))).direction == "inbound"


def test_every_direction_can_be_explained() -> None:
    told = call(leg(0, "PJSIP/100-00000001", "from-internal", "*98", num="100", app="VoiceMailMain", data="100"))
    assert (told.direction, told.outcome) == ("internal", "service")
    assert told.evidence.explain["direction"] == "no trunk at either end"


@pytest.mark.parametrize(
    ("number", "external"),
    [
        ("5145550001", True),
        ("+4512345678", True),
        ("12345678", True),
        ("101", False),
        ("911", False),
        ("*98", False),
        ("", False),
    ],
)
def test_numbers_of_seven_digits_and_more_that_are_no_extension_are_outside(number: str, external: bool) -> None:
    assert Plan().external(number) is external

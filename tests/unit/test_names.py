"""Names as people bear them."""

import pytest

from asterisk_connector.call import Call, Leg, Party
from asterisk_connector.enrichment.names import clean, names


@pytest.mark.parametrize(
    "name",
    [
        "ANNE-MARIE O'NEIL-SMITH VAN DER BERG CONSULTING",
        "Jean-Luc",
        "Zoë",
        "24-7 Plumbing",
        "3-D Printing",
        "Dr. Müller-Lüdenscheidt-Freifrau von und zu Hohenstein",
        'O"Neil',
        "101",
        "+4722334455",
    ],
)
def test_a_genuine_name_is_left_alone(name: str) -> None:
    assert clean(name) == name


@pytest.mark.parametrize(
    ("name", "person"),
    [
        ("338-64-Sales-Jane Doe", "Jane Doe"),
        ("338-64-Sales-ANNE-MARIE SMITH", "ANNE-MARIE SMITH"),
        ("338-6478752300-Jane Doe", "Jane Doe"),
        ("338-64-Sales-+14165551234", None),
        ("338-64-", None),
        ('"Jane Doe"', "Jane Doe"),
        ("  Jane \t Doe\n", "Jane Doe"),
        ("Jane\x00Doe", "Jane Doe"),
        ("   ", None),
    ],
)
def test_what_a_dial_plan_wrote_around_a_name_is_removed(name: str, person: str | None) -> None:
    assert clean(name) == person


def test_caller_legs_and_parties_are_cleaned() -> None:
    told = names(
        Call(
            call_id="1.1",
            linkedids=("1.1",),
            complete=True,
            started_at=0,
            caller=Party(number="1", name="338-64-Sales-Jane"),
            legs=(
                Leg("1.1", "PJSIP/1-1", "caller", "1", name="338-64-Sales-Jane"),
                Leg("1.2", "PJSIP/2-1", "dialled", "2"),
            ),
            parties={"1": Party(number="1", name="338-64-Sales-Jane")},
        )
    )
    assert (told.caller.name, told.legs[0].name, told.legs[1].name) == ("Jane", "Jane", None)
    assert told.parties["1"].name == "Jane"
    assert "caller.name" in told.evidence.explain


def test_a_clean_call_needs_no_explanation() -> None:
    told = Call(call_id="1.1", linkedids=("1.1",), complete=True, started_at=0, caller=Party(number="1", name="Jane"))
    assert names(told) == told

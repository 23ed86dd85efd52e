"""Which numbers are extensions and what the others are in E.164."""

import pytest

from asterisk_connector.call import Call, Evidence, Leg, Party, Talk, Transfer
from asterisk_connector.enrichment.numbers import NumberRules, numbers, read

CANADA = NumberRules(country="CA", strip_prefixes=("9", "*67"))
DENMARK = NumberRules(country="DK", strip_prefixes=("0",))
NOWHERE = NumberRules()


def call(**known: object) -> Call:
    return Call(call_id="1.1", linkedids=("1.1",), complete=True, started_at=0, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "rules", "e164"),
    [
        ("4165551234", CANADA, "+14165551234"),
        ("14165551234", CANADA, "+14165551234"),
        ("+14165551234", CANADA, "+14165551234"),
        ("(905) 555-1234", CANADA, "+19055551234"),
        ("sip:+14165551234@carrier.example;user=phone", CANADA, "+14165551234"),
        ("011442071838750", CANADA, "+442071838750"),
        ("442071838750", CANADA, "+442071838750"),
        ("33123456", DENMARK, "+4533123456"),
        ("4533123456", DENMARK, "+4533123456"),
        ("004722334455", DENMARK, "+4722334455"),
        ("+4722334455", NOWHERE, "+4722334455"),
        ("004722334455", NOWHERE, "+4722334455"),
    ],
)
def test_a_number_from_outside_becomes_e164(text: str, rules: NumberRules, e164: str) -> None:
    assert read(text, rules, outside=True)[:2] == (None, e164)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("4165551234", NOWHERE),
        ("1234567", CANADA),
        ("0005551234", CANADA),
        ("99999999999999999999", CANADA),
        ("22", DENMARK),
    ],
)
def test_what_is_no_valid_number_stays_unknown(text: str, rules: NumberRules) -> None:
    assert read(text, rules, outside=True)[:2] == (None, None)


@pytest.mark.parametrize(
    ("text", "rules", "e164"),
    [
        ("914165551234", CANADA, "+14165551234"),
        ("94165551234", CANADA, "+14165551234"),
        ("*67914165551234", CANADA, "+14165551234"),
        ("9055551234", CANADA, "+19055551234"),
        ("9165551234", CANADA, "+19165551234"),
        ("9011442071838750", CANADA, "+442071838750"),
        ("033123456", DENMARK, "+4533123456"),
        ("00033123456", DENMARK, None),
    ],
)
def test_a_dial_prefix_is_taken_off_only_where_that_gives_a_number(
    text: str, rules: NumberRules, e164: str | None
) -> None:
    assert read(text, rules, outside=True, dialled=True).e164 == e164


def test_a_dial_prefix_is_never_taken_off_a_caller_s_number() -> None:
    assert read("914165551234", CANADA, outside=True).e164 != "+14165551234"


def test_no_prefix_is_taken_off_unless_it_is_configured() -> None:
    assert read("94165551234", NumberRules(country="CA"), outside=True, dialled=True).e164 is None


@pytest.mark.parametrize("text", ["101", "7", "200045", "0010"])
def test_short_digits_inside_are_an_extension(text: str) -> None:
    assert read(text, CANADA) == (text, None, "extension: by length")


@pytest.mark.parametrize("text", ["alice", "phone-101", "bob.smith", "4165551234x22"])
def test_an_alphabetic_endpoint_is_an_extension(text: str) -> None:
    assert read(text, CANADA).extension == text


def test_a_long_extension_is_known_by_its_pattern() -> None:
    rules = NumberRules(country="CA", extensions=(r"^88\d{6}$",))
    assert read("88123456", rules)[:2] == ("88123456", None)


def test_a_long_extension_is_known_by_its_telephone() -> None:
    reading = read("55512345", CANADA, endpoint=True)
    assert reading[:2] == ("55512345", None)
    assert "telephone" in reading.rule


def test_a_telephone_named_by_its_public_number_is_both() -> None:
    assert read("4165551234", CANADA, endpoint=True)[:2] == ("4165551234", "+14165551234")


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("911", CANADA),
        ("9911", CANADA),
        ("112", NOWHERE),
        ("112", DENMARK),
        ("0112", DENMARK),
        ("999", NumberRules(country="GB")),
    ],
)
def test_emergency_numbers_are_kept(text: str, rules: NumberRules) -> None:
    assert read(text, rules, outside=True, dialled=True) == (None, None, "kept: emergency number")


@pytest.mark.parametrize("text", ["*97", "**102", "#31#", "*72"])
def test_feature_codes_are_kept(text: str) -> None:
    assert read(text, CANADA, dialled=True) == (None, None, "kept: feature code")


def test_numbers_on_the_operator_s_list_are_kept() -> None:
    rules = NumberRules(country="CA", keep=("4165551234",))
    assert read("416-555-1234", rules, outside=True)[:2] == (None, None)


@pytest.mark.parametrize("text", ["anonymous", "Unknown", "", "  ", "s"])
def test_a_withheld_number_is_nobody_s(text: str) -> None:
    assert read(text, CANADA)[:2] == (None, None)


def test_an_inbound_call_keeps_what_asterisk_wrote_beside_what_was_understood() -> None:
    told = numbers(
        call(
            direction="inbound",
            caller=Party(number="4165551234", name="JANE"),
            dialled="4165550100",
            did="4165550100",
            answered_by="101",
            final_party="101",
            talk=(Talk("4165551234", "101", 3.0, 0),),
            legs=(
                Leg("1.1", "PJSIP/trunk-1", "caller", "4165551234", trunk="trunk"),
                Leg("1.2", "PJSIP/101-2", "dialled", "101"),
            ),
            parties={"101": Party(number="101", name="Alice")},
        ),
        CANADA,
    )
    assert told.caller == Party(number="4165551234", name="JANE", e164="+14165551234")
    assert told.did == told.dialled == "4165550100"
    assert told.parties["4165550100"].e164 == "+14165550100"
    assert told.parties["101"] == Party(number="101", name="Alice", extension="101")


def test_an_outbound_call_understands_what_was_dialled() -> None:
    told = numbers(
        call(
            direction="outbound",
            caller=Party(number="alice"),
            dialled="914165551234",
            legs=(
                Leg("1.1", "PJSIP/alice-1", "caller", "alice"),
                Leg("1.2", "PJSIP/acme-2", "dialled", "914165551234", trunk="acme"),
            ),
        ),
        CANADA,
    )
    assert told.caller.extension == "alice"
    assert told.dialled == "914165551234"
    assert told.parties["914165551234"].e164 == "+14165551234"
    assert "dial prefix" in told.evidence.explain["dialled"]


def test_a_short_service_number_dialled_outside_is_no_extension() -> None:
    told = numbers(call(direction="outbound", caller=Party(number="101"), dialled="1881"), DENMARK)
    assert "1881" not in told.parties


def test_a_transfer_to_an_outside_number_is_understood_without_its_prefix() -> None:
    told = numbers(
        call(
            direction="inbound",
            caller=Party(number="4165551234"),
            transfers=(Transfer("blind", "101", "4165551234", "914165559999", "completed", 0),),
        ),
        CANADA,
    )
    assert told.parties["914165559999"].e164 == "+14165559999"


def test_what_is_known_already_is_not_overwritten() -> None:
    told = numbers(call(caller=Party(number="4165551234", extension="12", e164="+1999")), CANADA)
    assert (told.caller.extension, told.caller.e164) == ("12", "+1999")


def test_earlier_explanations_stay() -> None:
    told = numbers(call(caller=Party(number="101"), evidence=Evidence(explain={"outcome": "x"})), CANADA)
    assert told.evidence.explain == {"outcome": "x", "caller.number": "extension: by length"}


def test_a_call_without_anybody_is_left_as_it_is() -> None:
    assert numbers(call(), CANADA) == call()

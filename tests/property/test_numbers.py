"""Whatever stands in a number column: an answer, and E.164 only for what is a number."""

import re

from hypothesis import given
from hypothesis import strategies as st

from asterisk_connector.call import Call, Party
from asterisk_connector.enrichment.names import clean
from asterisk_connector.enrichment.numbers import NumberRules, numbers, read
from asterisk_connector.enrichment.tenant import TenantRules, tenant

written = (
    st.text(max_size=20) | st.text("0123456789+*#() -.", max_size=18) | st.from_regex(r"\+?[0-9]{1,16}", fullmatch=True)
)
rules = st.builds(
    NumberRules,
    country=st.sampled_from(["", "CA", "DK", "DE", "IT"]),
    extension_max_length=st.integers(1, 8),
    strip_prefixes=st.lists(st.sampled_from(["9", "0", "*67"]), max_size=2).map(tuple),
)


@given(written, rules, st.booleans(), st.booleans(), st.booleans())
def test_every_text_is_read_and_e164_is_always_one(
    text: str, rules: NumberRules, outside: bool, dialled: bool, endpoint: bool
) -> None:
    reading = read(text, rules, outside=outside, dialled=dialled, endpoint=endpoint)
    assert reading.rule
    assert reading.e164 is None or re.fullmatch(r"\+[1-9][0-9]{4,14}", reading.e164)
    assert reading.extension is None or reading.e164 is None or endpoint


@given(written, rules)
def test_a_number_in_e164_is_read_as_itself(text: str, rules: NumberRules) -> None:
    e164 = read(text, rules, outside=True).e164
    if e164:
        assert read(e164, rules, outside=True).e164 == e164


@given(st.text(max_size=60))
def test_a_cleaned_name_is_clean(name: str) -> None:
    cleaned = clean(name)
    assert cleaned is None or cleaned.strip() == cleaned != ""
    assert cleaned is None or not re.search(r"[\x00-\x1f]", cleaned)


@given(written, written, st.dictionaries(written, st.text(max_size=5), max_size=3), rules)
def test_enrichment_is_total_and_keeps_what_asterisk_wrote(
    number: str, did: str, dids: dict[str, str], rules: NumberRules
) -> None:
    call = Call(
        "1.1", ("1.1",), True, 0, direction="inbound", caller=Party(number=number), did=did, account_code=number
    )
    told = tenant(numbers(call, rules), TenantRules(dids=dids, account_codes=dids, numbers=rules))
    assert (told.caller.number, told.did) == (number, did)

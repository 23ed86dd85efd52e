"""Whose call it is: DID, account code, patterns, default; trunks and routing contexts never."""

import pytest

from asterisk_connector.call import Call, Leg, Party, ThreadEvent, Trunk
from asterisk_connector.enrichment.numbers import NumberRules
from asterisk_connector.enrichment.tenant import TenantPattern, TenantRules, tenant

CANADA = NumberRules(country="CA")


def call(*contexts: str, **known: object) -> Call:
    thread = tuple(ThreadEvent(0, "CHAN_START", "1.1", context=context) for context in contexts)
    return Call(call_id="1.1", linkedids=("1.1",), complete=True, started_at=0, thread=thread, **known)  # type: ignore[arg-type]


def of(told: Call, rules: TenantRules) -> str | None:
    return tenant(told, rules).tenant


@pytest.mark.parametrize("written", ["4165550100", "14165550100", "+14165550100", "416-555-0100", "(416) 555 0100"])
@pytest.mark.parametrize("seen", ["4165550100", "14165550100", "+14165550100"])
def test_a_did_is_found_however_it_is_written(written: str, seen: str) -> None:
    assert of(call(did=seen, direction="inbound"), TenantRules(dids={written: "Acme"})) == "Acme"


def test_a_did_of_another_country_is_found_by_its_country() -> None:
    rules = TenantRules(dids={"22334455": "fjord"}, numbers=NumberRules(country="NO"))
    assert of(call(did="+4722334455", direction="inbound"), rules) == "fjord"
    assert of(call(did="+4622334455", direction="inbound"), rules) is None


def test_a_did_that_only_ends_alike_is_another_one() -> None:
    assert of(call(did="4165550100"), TenantRules(dids={"5550100": "acme"})) is None


def test_what_was_dialled_counts_as_did_only_from_outside() -> None:
    rules = TenantRules(dids={"4165550100": "acme"}, numbers=CANADA)
    assert of(call(dialled="4165550100", direction="inbound"), rules) == "acme"
    assert of(call(dialled="4165550100", direction="outbound"), rules) is None


def test_an_account_code_is_compared_whole_then_by_its_longest_prefix() -> None:
    rules = TenantRules(account_codes={"AC": "short", "ACME": "acme", "ACME-7": "seven"})
    assert of(call(account_code="acme-7"), rules) == "seven"
    assert of(call(account_code="Acme-8"), rules) == "acme"
    assert of(call(account_code="acx"), rules) == "short"
    assert of(call(account_code="xac"), rules) is None


def test_the_documented_order_is_did_account_code_pattern_default() -> None:
    rules = TenantRules(
        dids={"4165550100": "by-did"},
        account_codes={"A": "by-code"},
        patterns=(TenantPattern("context", "^ctx-(?P<tenant>.*)$"),),
        default="by-default",
        numbers=CANADA,
    )
    assert of(call("ctx-pattern", did="4165550100", account_code="A"), rules) == "by-did"
    assert of(call("ctx-pattern", account_code="A"), rules) == "by-code"
    assert of(call("ctx-pattern"), rules) == "pattern"
    assert of(call("elsewhere"), rules) == "by-default"
    assert of(call("elsewhere"), TenantRules()) is None


@pytest.mark.parametrize(
    "context",
    [
        "from-internal", "from-trunk", "from-queue", "ext-queues", "ivr-1", "ivr-main", "default", "conf", "from-pstn",
        "from-internal-xfer", "from-internal-noxfer", "from-internal-additional", "from-internal-custom", "ext-local",
        "from-did-direct", "from-did-direct-ivr", "macro-dial-one", "macro-dialout-trunk", "app-blackhole", "acme-in",
        "from-sip-external", "ext-group", "timeconditions", "from-trunk-sip-acme", "closed-hours", "outgoing-calls-1x",
        "func-apply-sipheaders", "sub-record-check", "parkedcalls", "followme-check", "internal", "public", "closed-s",
    ],
)  # fmt: skip
def test_a_routing_context_is_never_a_tenant(context: str) -> None:
    assert of(call(context), TenantRules()) is None


@pytest.mark.parametrize(
    ("context", "name"),
    [
        ("closed-telair", "telair"),
        ("338-6478752300-338-CFLAW-gconnect", "gconnect"),
        ("from-outside-4165550100-main-acme", "acme"),
        ("ext-4165550100-acme", "acme"),
        ("from-did-direct-4165550100-acme", "acme"),
        ("from-internal-ACME", "acme"),
        ("from-inside-redir-cafe", "cafe"),
        ("local-extensions-abba", "abba"),
        ("outgoing-acme_north", "acme_north"),
    ],
)
def test_the_usual_forms_of_contexts_name_a_tenant(context: str, name: str) -> None:
    assert of(call("from-internal", context), TenantRules()) == name
    assert of(call(context), TenantRules(from_contexts=False)) is None


def test_a_trunk_is_never_a_tenant() -> None:
    assert of(call("from-internal-gconnect"), TenantRules(known_trunks=("GConnect",), default="d")) == "d"
    assert of(call("from-internal-gconnect", trunk=Trunk(outbound="gconnect")), TenantRules(default="d")) == "d"


def test_a_candidate_that_is_passed_over_does_not_end_the_search() -> None:
    rules = TenantRules(patterns=(TenantPattern("context", r"^from-(?P<tenant>\w+)"),), known_trunks=("carrier",))
    assert of(call("from-internal", "from-carrier", "from-acme"), rules) == "acme"


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("channel", {"legs": (Leg("1.1", "PJSIP/acme-101-0000001", "caller", "101"),)}),
        ("trunk", {"trunk": Trunk(inbound="x-acme-101")}),
        ("account_code", {"account_code": "acme-101"}),
        ("user_field", {"user_field": "acme-101"}),
    ],
)
def test_patterns_read_other_texts_too(field: str, known: dict[str, object]) -> None:
    rules = TenantRules(patterns=(TenantPattern(field, r"(?P<tenant>[a-z]{2,})-101"),))  # type: ignore[arg-type]
    assert of(call(**known), rules) == "acme"


def test_a_tenant_that_is_known_already_stays() -> None:
    assert of(call(tenant="mine"), TenantRules(default="other")) == "mine"


def test_the_decision_is_explained() -> None:
    told = tenant(call(account_code="A1", caller=Party(number="1")), TenantRules(account_codes={"a": "acme"}))
    assert told.evidence.explain["tenant"] == "prefix of the account code"

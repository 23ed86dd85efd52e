"""Whose call it is, in the documented order: DID, account code, patterns, default.

- A trunk is never a tenant, and neither is a context that only routes (`from-internal`, `ext-queues`, `ivr-1`,
  `default`): a candidate that is such a word is passed over and the search goes on (D-15).
- Tenants are written as the configuration writes them; those found by a pattern in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Literal

from msgspec.structs import replace

from asterisk_connector.call import Call, Party
from asterisk_connector.enrichment.enrich import explained
from asterisk_connector.enrichment.numbers import NumberRules, read

Field = Literal["context", "channel", "trunk", "account_code", "user_field"]


@dataclass(frozen=True, slots=True)
class TenantPattern:
    """A regular expression with the group `tenant`, searched for in one kind of text of the call."""

    field: Field
    match: str


_CONTEXT_FORMS = tuple(
    TenantPattern("context", match)
    for match in (
        r"^\d+-\d{7,}-\d+-[^-]+-(?P<tenant>[A-Za-z]\w*)$",
        r"^from-outside-\d{7,}-[^-]+-(?P<tenant>[A-Za-z]\w*)$",
        r"^ext-\d{7,}-(?P<tenant>[A-Za-z]\w*)$",
        r"^from-did-direct-\d{7,}-(?P<tenant>[A-Za-z]\w*)$",
        r"^from-(?:internal|inside)-(?:(?:restricted-)?redir-)?(?P<tenant>[A-Za-z]\w*)$",
        r"^(?:local-extensions|outgoing|closed|open)-(?P<tenant>[A-Za-z]\w*)$",
    )
)
"""Forms in which multi-tenant dial plans write a tenant at the end of a context."""

_ROUTING_WORDS = frozenset(
    {
        "additional", "app", "applications", "attended", "blind", "bridge", "business", "ca1", "ca2", "call", "calls",
        "catchall", "closed", "conf", "conference", "conferences", "confirm", "context", "custom", "dahdi", "day",
        "default", "dev", "dial", "did", "direct", "directory", "emergency", "ext", "exten", "extensions", "external",
        "fax", "feature", "featurecodes", "followme", "from", "group", "hangup", "hint", "hints", "holiday",
        "holidays", "hours", "iax", "iax2", "in", "inbound", "incoming", "inside", "intercom", "internal",
        "international", "ivr", "llc", "local", "macro", "main", "night", "no", "noservice", "nothing", "noxfer",
        "office", "open", "original", "out", "outbound", "outgoing", "outrt", "outside", "page", "parkedcalls",
        "parking", "peer", "pickup", "pjsip", "provider", "pstn", "public", "queue", "queues", "redir", "restricted",
        "ring", "ringgroups", "route", "routing", "s", "sbc", "service", "services", "sip", "sub", "test", "time",
        "timeconditions", "to", "transfer", "trunk", "trunks", "us1", "us2", "vm", "vmblast", "voicemail", "weekend",
        "xfer", "zap",
    }
)  # fmt: skip
"""Words of which routing contexts are made on stock Asterisk and FreePBX."""


@dataclass(frozen=True)
class TenantRules:
    """Where a tenant may be found, first hit first.

    `dids`: called number → tenant, in any spelling that `numbers` reads as the same number. `account_codes`: exact,
    then longest prefix, upper and lower case alike. `patterns`, then with `from_contexts` the known forms of contexts.
    `known_trunks`: names never taken for a tenant.
    """

    dids: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    account_codes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    patterns: tuple[TenantPattern, ...] = ()
    default: str = ""
    known_trunks: tuple[str, ...] = ()
    from_contexts: bool = True
    numbers: NumberRules = field(default_factory=NumberRules)

    @cached_property
    def by_spelling(self) -> Mapping[str, str]:
        """`dids` by every spelling of their numbers: made once, a host may have thousands."""
        return {spelled: name for number, name in self.dids.items() for spelled in _spellings(number, self.numbers)}

    @cached_property
    def by_code(self) -> Mapping[str, str]:
        """`account_codes` without regard to case."""
        return {code.casefold(): name for code, name in self.account_codes.items() if code}


def tenant(call: Call, rules: TenantRules) -> Call:
    """The call with its tenant, where one is known. One that is already set stays."""
    if call.tenant:
        return call
    for found, rule in _candidates(call, rules):
        if found:
            return explained(replace(call, tenant=found), {"tenant": rule})
    return call


def _candidates(call: Call, rules: TenantRules) -> Iterator[tuple[str | None, str]]:
    yield _by_did(call, rules), "DID"
    yield from _by_account_code(call.account_code or "", rules.by_code)
    patterns = rules.patterns + (_CONTEXT_FORMS if rules.from_contexts else ())
    trunks = {name.lower() for name in (*rules.known_trunks, call.trunk.inbound, call.trunk.outbound) if name}
    for pattern in patterns:
        for text in _texts(call, pattern.field):
            match = re.search(pattern.match, text)
            name = (match["tenant"] or "").lower() if match else ""
            if name and name not in trunks and _names_somebody(name):
                yield name, f"pattern on {pattern.field}"
    yield rules.default, "default"


def _by_did(call: Call, rules: TenantRules) -> str | None:
    if not rules.dids:
        return None
    known = rules.by_spelling
    texts = [text for text in (call.did, call.dialled if call.direction == "inbound" else None) if text]
    texts += [e164 for text in texts if (e164 := call.parties.get(text, Party()).e164)]
    for text in texts:
        for spelling in _spellings(text, rules.numbers):
            if spelling in known:
                return known[spelling]
    return None


@lru_cache(maxsize=8192)
def _spellings(number: str, rules: NumberRules) -> tuple[str, ...]:
    """A number's own digits, and those of its E.164 form: what two writings of one number have in common."""
    digits = re.sub(r"\D", "", number)
    e164 = read(number, rules, outside=True).e164
    # North America writes its numbers with and without the leading 1, also where no country is configured.
    national = digits[1:] if len(digits) == 11 and digits[0] == "1" else ""
    return tuple(spelling for spelling in (digits, e164.removeprefix("+") if e164 else "", national) if spelling)


def _by_account_code(code: str, known: Mapping[str, str]) -> Iterator[tuple[str | None, str]]:
    wanted = code.casefold()
    yield known.get(wanted), "account code"
    for length in range(len(wanted) - 1, 0, -1):
        yield known.get(wanted[:length]), "prefix of the account code"


def _texts(call: Call, kind: Field) -> Iterator[str]:
    """Texts of the call of one kind, in the order they were seen, each once."""
    match kind:
        case "context":
            texts = [event.context for event in call.thread]
        case "channel":
            texts = [leg.channel for leg in call.legs] + [event.channel for event in call.thread]
        case "trunk":
            texts = [name for name in (call.trunk.inbound, call.trunk.outbound) if name]
        case "account_code":
            texts = [call.account_code or ""]
        case "user_field":
            texts = [call.user_field or ""]
    yield from (text for text in dict.fromkeys(texts) if text)


def _names_somebody(candidate: str) -> bool:
    """Whether it is more than words of routing and digits."""
    words = re.split(r"[^a-z0-9]+", candidate)
    return any(word and not word.isdecimal() and word not in _ROUTING_WORDS for word in words)

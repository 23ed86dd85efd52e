"""Which of a call's numbers are extensions, and what the others are in E.164.

- What Asterisk wrote stays as it is (`number`, `dialled`, `did`); what was understood stands beside it in `Party`.
- A number becomes E.164 only when it is valid for its country; anything else stays unknown, never a guess.
- Feature codes (`*97`), emergency numbers and the operator's `keep` list are left alone.
- Dial prefixes are tried without only on what was dialled from inside, and only where that gives a valid number: a
  Toronto number 905… is not a `9` for a line and 05… (D-13).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from asterisk_connector.call import Call, Party
from asterisk_connector.enrichment.enrich import explained

_WITHHELD = frozenset(
    {"anonymous", "unknown", "restricted", "unavailable", "private", "withheld", "asterisk", "s", "i", "t", "h"}
)
_EMERGENCY = frozenset({"112", "911"})
"""Emergency numbers in every mobile network (3GPP TS 22.101 §10); a country's own come from its metadata."""
_PUNCTUATION = str.maketrans("", "", " ()-./")


@dataclass(frozen=True, slots=True)
class NumberRules:
    """How numbers are read on this PBX.

    `country`: ISO 3166 letters of whose national numbers are dialled and shown; empty: only international ones are
    understood. `extension_max_length`: digits up to this length are an extension, unless they came from outside.
    `extensions`: patterns of extensions of any length, searched for. `strip_prefixes`: what is dialled before a number
    to reach a line. `keep`: numbers nobody may change.
    """

    country: str = ""
    extension_max_length: int = 6
    extensions: tuple[str, ...] = ()
    strip_prefixes: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()


class Reading(NamedTuple):
    """What a text was understood as, and by which rule."""

    extension: str | None
    e164: str | None
    rule: str


def numbers(call: Call, rules: NumberRules) -> Call:
    """The call with `extension` and `e164` of its caller and of everybody in `parties`."""
    endpoints = frozenset(_endpoints(call))
    explain: dict[str, str] = {}
    caller = call.caller
    outside_caller = call.direction in {"inbound", "tandem"}
    if caller.number:
        reading = read(caller.number, rules, outside=outside_caller, endpoint=caller.number in endpoints)
        extension = caller.extension or reading.extension
        caller = replace(caller, extension=extension, e164=caller.e164 or reading.e164)
        explain["caller.number"] = reading.rule
    parties = dict(call.parties)
    for text, field in _others(call):
        outside = field == "did" or (field == "dialled" and call.direction in {"inbound", "outbound", "tandem"})
        dialled = field == "dialled" and call.direction != "inbound"
        known = parties.get(text, Party(number=text))
        endpoint = text in endpoints or known.extension == text
        reading = read(text, rules, outside=outside, dialled=dialled or field == "target", endpoint=endpoint)
        if reading.extension or reading.e164:
            extension = known.extension or reading.extension
            parties[text] = replace(known, extension=extension, e164=known.e164 or reading.e164)
        if field in {"dialled", "did"}:
            explain[field] = reading.rule
    return explained(replace(call, caller=caller, parties=parties), explain)


def _others(call: Call) -> Iterator[tuple[str, str]]:
    """Every text that names somebody but the caller, once, with the field that names it first."""
    seen: set[str] = set()
    named = [(call.dialled, "dialled"), (call.did, "did"), (call.answered_by, "party"), (call.final_party, "party")]
    named += [(leg.party, "party") for leg in call.legs if leg.role != "caller"]
    named += [(text, "party") for talk in call.talk for text in (talk.a, talk.b)]
    named += [(transfer.target, "target") for transfer in call.transfers or ()]
    named += [(target, "target") for _, target in call.forwarded]
    named += [(text, "party") for text in call.parties]
    for text, field in named:
        if text and text not in seen and text != call.caller.number:
            seen.add(text)
            yield text, field


def _endpoints(call: Call) -> Iterator[str]:
    """Names of the telephones that took part: a number that is one is an extension, however long it is."""
    for leg in call.legs:
        if leg.trunk is None:
            technology, slash, rest = leg.channel.partition("/")
            name, dash, _ = rest.rpartition("-")
            if slash and dash and technology != "Local":
                yield name


@lru_cache(maxsize=8192)
def read(
    text: str, rules: NumberRules, *, outside: bool = False, dialled: bool = False, endpoint: bool = False
) -> Reading:
    """What one text is. `outside`: it can only be a public number; `dialled`: prefixes may stand before it."""
    user = re.sub(r"^(sips?|tel):", "", text.strip()).partition("@")[0]
    number = user.translate(_PUNCTUATION)
    if user.lower() in _WITHHELD or not number:
        return Reading(None, None, "no number was shown")
    if user in rules.keep or number in rules.keep:
        return Reading(None, None, "kept: on the list of numbers nobody changes")
    if any(re.search(pattern, user) for pattern in rules.extensions):
        return Reading(user, None, "extension: by pattern")
    bare = _without_prefix(number, rules.strip_prefixes) if dialled else None
    if not endpoint and (_emergency(number, rules.country) or (bare and _emergency(bare, rules.country))):
        return Reading(None, None, "kept: emergency number")
    if number[0] in "*#" and bare is None:
        return Reading(None, None, "kept: feature code")
    if not re.fullmatch(r"[+*#]?\d+", number):
        return Reading(user, None, "extension: a name")
    if not outside and number.isdecimal() and len(number) <= rules.extension_max_length:
        return Reading(user, None, "extension: by length")
    extension = user if endpoint else None
    e164, rule = _international(number, bare, rules.country, carrier=outside and not dialled)
    if extension:
        return Reading(extension, e164, "extension: a telephone of that name took part")
    return Reading(None, e164, rule)


def _without_prefix(number: str, prefixes: tuple[str, ...]) -> str | None:
    """The number without its dial prefixes, each taken once; None when there were none."""
    rest = number
    left = sorted(prefixes, key=len, reverse=True)
    while hit := next((prefix for prefix in left if rest.startswith(prefix) and len(rest) > len(prefix)), None):
        rest = rest.removeprefix(hit)
        left.remove(hit)
    return rest if rest != number else None


def _international(number: str, bare: str | None, country: str, *, carrier: bool) -> tuple[str | None, str]:
    if bare is not None and (e164 := _valid(bare, country)):
        return e164, f"E.164: without its dial prefix, as dialled in {country}" if country else "E.164: without prefix"
    if e164 := _valid(number, country):
        return e164, f"E.164: as dialled in {country}" if country and number[0] != "+" else "E.164: as written"
    if number.startswith("00") and (e164 := _valid(f"+{number[2:]}", country)):
        return e164, "E.164: international prefix 00"
    # Carriers show foreign callers as country code and number without `+`; that long, nothing national is.
    if carrier and number.isdecimal() and len(number) >= 11 and (e164 := _valid(f"+{number}", country)):
        return e164, "E.164: country code without +"
    return None, f"not a valid number in {country}" if country else "national number, but no country is configured"


def _valid(number: str, country: str) -> str | None:
    # Imported at the first number: hosts whose calls are all internal never pay for it.
    import phonenumbers

    if not number.startswith("+") and not country:
        return None
    try:
        parsed = phonenumbers.parse(number, country or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _emergency(number: str, country: str) -> bool:
    if number in _EMERGENCY:
        return True
    if not country or len(number) > 6 or not number.isdecimal():
        return False
    import phonenumbers

    return bool(phonenumbers.is_emergency_number(number, country))

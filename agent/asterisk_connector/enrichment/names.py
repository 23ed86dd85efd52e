"""Names as people bear them: without what a dial plan wrote before them to route or to show the line.

- Only a name that begins with two or more groups of digits and hyphens (`338-64-Sales-Jane Doe`) is shortened: a
  long or hyphenated name is a name (`ANNE-MARIE O'NEIL-SMITH VAN DER BERG CONSULTING`).
- Quotes around a name and control characters are not part of it.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from asterisk_connector.call import Call, Party
from asterisk_connector.enrichment.enrich import explained

_ROUTED = re.compile(r"(?:\d+-){2,}(?P<rest>.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def names(call: Call) -> Call:
    """The call with the names of its caller, its legs and its parties cleaned."""
    caller = _cleaned(call.caller)
    parties = {text: _cleaned(party) for text, party in call.parties.items()}
    legs = tuple(replace(leg, name=clean(leg.name)) if leg.name else leg for leg in call.legs)
    lines = {"caller.name": "what the dial plan wrote around it was removed"} if caller != call.caller else {}
    return explained(replace(call, caller=caller, parties=parties, legs=legs), lines)


def clean(name: str | None) -> str | None:
    """The name itself; None when nothing but routing was in it."""
    if not name:
        return None
    text = " ".join(_CONTROL.sub(" ", name).split())
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].strip()
    routed = _ROUTED.fullmatch(text)
    if routed:
        # `338-64-Sales-Jane Doe`: the first word after the digits names the line, what follows it the person.
        word, _, person = routed["rest"].partition("-")
        text = (person or word).strip()
        if re.fullmatch(r"\+?\d*", text):
            return None
    return text or None


def _cleaned(party: Party) -> Party:
    name = clean(party.name)
    return party if name == party.name else replace(party, name=name)

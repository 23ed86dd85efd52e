"""The dial plan as far as it must be known to understand a call: which names are trunks, which contexts face outwards.

- What fits stock Asterisk and FreePBX is built in; a setting adds to it, `extensions` alone replaces it.
- Patterns are regular expressions, searched for without regard to case.
- Answers are cached: a host has few endpoints and contexts, a call has many rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

TRUNK_TECHNOLOGIES = frozenset({"DAHDI", "KHOMP", "MISDN", "CAPI", "DONGLE", "QUECTEL", "SRX", "OOH323", "H323"})
"""Channel technologies that are lines to elsewhere unless a context says that a telephone hangs on them."""

INBOUND_CONTEXTS = (
    r"^from-(trunk|pstn|did|dahdi|zaptel|external|outside|provider|carrier|sip-external)",
    r"^(incoming|inbound)",
    r"-(incoming|inbound|trunk-in)$",
)
INTERNAL_CONTEXTS = (
    r"^from-(internal|inside|queue|ringgroups)",
    r"^(internal|ext-|local-extensions|phones|users)",
)
IVR_CONTEXTS = (r"^(app-)?ivr", r"-ivr(-|$)", r"attendant", r"^menu|-menu$")
EXTENSIONS = (r"^\d{2,7}$",)


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operator knows of the dial plan.

    `trunks`: names of endpoints that lead outside (`^acme$`, `^PJSIP/twilio`), beyond what contexts tell.
    `inbound_contexts`: where calls from outside start; also the context a trunk's endpoint is configured with.
    `internal_contexts`: where calls of one's own telephones start. `ivr_contexts`: where menus are.
    `extensions`: what a name or number must look like to be one of one's own telephones; empty: two to seven digits.
    """

    trunks: tuple[str, ...] = ()
    inbound_contexts: tuple[str, ...] = ()
    internal_contexts: tuple[str, ...] = ()
    ivr_contexts: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()

    def inbound(self, context: str) -> bool:
        """Do calls that start in this context come from outside?"""
        return _found(INBOUND_CONTEXTS + self.inbound_contexts, context)

    def internal(self, context: str) -> bool:
        """Do calls that start in this context come from one's own telephones?"""
        return _found(INTERNAL_CONTEXTS + self.internal_contexts, context)

    def ivr(self, context: str) -> bool:
        """Is this context a menu?"""
        return _found(IVR_CONTEXTS + self.ivr_contexts, context)

    def extension(self, text: str) -> bool:
        """Does this name or number look like one of one's own telephones?"""
        return _found(self.extensions or EXTENSIONS, text)

    def external(self, number: str) -> bool:
        """Can this number only be outside: seven digits or more (`+`, `*67` and the like apart) and no extension?"""
        digits = number.lstrip("+*#")
        return len(digits) >= 7 and digits.isdigit() and not self.extension(number)

    def trunk(self, technology: str, endpoint: str, context: str) -> bool | None:
        """Is this channel a trunk's? None: neither name nor context tell.

        `context` is the channel's own first one. For a dialled leg that is the one its endpoint is configured with,
        also when somebody inside placed the call (measured, PJSIP on 16 and 22).
        """
        return _trunk(self, technology, endpoint, context)


@lru_cache(maxsize=4096)
def _trunk(plan: Plan, technology: str, endpoint: str, context: str) -> bool | None:
    if plan.trunks and (_found(plan.trunks, endpoint) or _found(plan.trunks, f"{technology}/{endpoint}")):
        return True
    line = technology.upper() in TRUNK_TECHNOLOGIES
    if not line and plan.extension(endpoint):
        return False
    if plan.inbound(context):
        return True
    return not plan.internal(context) if line else None


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{p})" for p in patterns), re.IGNORECASE)


@lru_cache(maxsize=8192)
def _found(patterns: tuple[str, ...], text: str) -> bool:
    return bool(text) and _compiled(patterns).search(text) is not None

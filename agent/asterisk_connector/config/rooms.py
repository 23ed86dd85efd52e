"""Settings as the rooms want them: each room has its own, and never sees the configuration."""

from __future__ import annotations

from datetime import tzinfo

from asterisk_connector.config.model import Settings
from asterisk_connector.enrichment.attach_recordings import RecordingRules
from asterisk_connector.enrichment.file_names import NameRules
from asterisk_connector.enrichment.numbers import NumberRules
from asterisk_connector.enrichment.tenant import TenantPattern, TenantRules
from asterisk_connector.plan import Plan


def plan(settings: Settings) -> Plan:
    """`directions`, for assembly and for the direction of a call."""
    given = settings.directions
    return Plan(
        trunks=given.trunks,
        inbound_contexts=given.inbound_contexts,
        internal_contexts=given.internal_contexts,
        ivr_contexts=given.ivr_contexts,
        extensions=given.extensions,
    )


def number_rules(settings: Settings) -> NumberRules:
    """`numbers`, with the extensions of `directions`."""
    given = settings.numbers
    return NumberRules(
        country=given.country or "",
        extension_max_length=given.extension_max_length,
        extensions=settings.directions.extensions,
        strip_prefixes=given.strip_prefixes,
        keep=given.keep,
    )


def recording_rules(settings: Settings, zone: tzinfo) -> RecordingRules:
    """`sources.recordings`; `zone` is the one local times in file names are in."""
    given = settings.sources.recordings
    if given is None:
        return RecordingRules()
    roots = tuple(str(path) for path in given.paths)
    return RecordingRules(roots=roots, names=NameRules(patterns=given.patterns, zone=zone))


def tenant_rules(settings: Settings) -> TenantRules:
    """`tenants`."""
    given = settings.tenants
    return TenantRules(
        dids=given.dids,
        account_codes=given.account_codes,
        patterns=tuple(TenantPattern(pattern.field, pattern.match) for pattern in given.patterns),
        default=given.default,
        known_trunks=given.known_trunks,
        from_contexts=given.from_contexts,
        numbers=number_rules(settings),
    )

"""Settings as the rooms want them: each room has its own, and never sees the configuration."""

from __future__ import annotations

from datetime import timedelta, tzinfo
from zoneinfo import ZoneInfo

from asterisk_connector.config.model import Settings
from asterisk_connector.config.sources import Table
from asterisk_connector.enrichment.attach_recordings import RecordingRules
from asterisk_connector.enrichment.file_names import NameRules
from asterisk_connector.enrichment.numbers import NumberRules
from asterisk_connector.enrichment.tenant import TenantPattern, TenantRules
from asterisk_connector.plan import Plan
from asterisk_connector.sources.tables.database import Server, Tls
from asterisk_connector.sources.tables.poller import Polling


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


def table_server(table: Table) -> Server:
    """Where the database of a table is."""
    tls = table.tls
    return Server(
        driver=table.driver,
        database=table.database,
        user=table.user,
        password=table.password.reveal() if table.password is not None else "",
        host=table.host,
        port=table.port,
        socket=str(table.socket or ""),
        tls=None if tls is None else Tls(*(str(file or "") for file in (tls.ca_file, tls.cert_file, tls.key_file))),
        connect_timeout=table.connect_timeout,
        statement_timeout=table.statement_timeout,
    )


def table_polling(table: Table, start_at: str | timedelta) -> Polling:
    """How it is polled."""
    return Polling(
        table=table.table,
        columns=table.columns,
        zone=ZoneInfo(table.zone) if table.zone else None,
        start_at=start_at,
        poll_interval=table.poll_interval,
        page=table.page,
        longest_call=table.longest_call,
        batch_time=table.batch_time,
        late_commits=table.late_commits,
        lookback_rows=table.lookback_rows,
    )

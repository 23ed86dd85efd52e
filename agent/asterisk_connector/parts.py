"""From settings to parts: sources, sinks, rules and policies, each planned from its own settings and nothing else.

- Names of sources and sinks are stable: positions and deliveries are kept under them.
- A plan carries what it is made of, so that a reload can tell which parts changed; building may raise Misconfigured.
- Rooms that need a driver are imported only when they are built (a host without Kafka does not pay for it).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from asterisk_connector import __version__
from asterisk_connector.assembler import Rules
from asterisk_connector.assembly.assemble import AssemblyRules, assemble
from asterisk_connector.assembly.completion import CompletionRules, Habit, Progress
from asterisk_connector.call import Call
from asterisk_connector.clock import Clock
from asterisk_connector.config import rooms
from asterisk_connector.config.model import Settings
from asterisk_connector.config.sources import (
    CdrCsv,
    CdrTable,
    CelCsv,
    CelTable,
    Recordings,
    RecordingsTable,
    Table,
    Upload,
)
from asterisk_connector.delivery.courier import CourierPolicy
from asterisk_connector.delivery.retry import RetryPolicy
from asterisk_connector.delivery.shipping import ShippingPolicy
from asterisk_connector.enrichment.attach_recordings import attach_recordings
from asterisk_connector.enrichment.direction import direction
from asterisk_connector.enrichment.enrich import Step, enrich
from asterisk_connector.enrichment.names import names
from asterisk_connector.enrichment.numbers import numbers
from asterisk_connector.enrichment.tenant import tenant
from asterisk_connector.errors import Misconfigured
from asterisk_connector.notices import Notify
from asterisk_connector.records import Micros, Record
from asterisk_connector.sinks.base import Sink
from asterisk_connector.sources.base import Past, Source
from asterisk_connector.sources.tables.zones import host_zone
from asterisk_connector.store.store import Store
from asterisk_connector.store.words import Limits

if TYPE_CHECKING:
    from asterisk_connector.manager import Manager
    from asterisk_connector.sinks.call_api import CallApiSettings
    from asterisk_connector.sources.csv.dialect import Dialect
    from asterisk_connector.sources.csv.mapping import Mapping as CelMapping

T = TypeVar("T")
_UPLOAD_SECONDS = 3600.0
"""For one recording with its answer; silence is bounded by the read timeout."""


_KAFKA_WORKERS = 8


class Planned(NamedTuple, Generic[T]):
    """A part that can be built. Two plans with equal `made_of` build the same part."""

    made_of: object
    build: Callable[[], T]


def made_of(plans: Mapping[str, Planned[T]]) -> dict[str, object]:
    """What each part is made of, by name."""
    return {name: plan.made_of for name, plan in plans.items()}


def limits(settings: Settings) -> Limits:
    """How much the state may keep."""
    store = settings.store
    return Limits(
        reserve_bytes=store.reserve,
        max_bytes=store.max_size,
        keep_rows=store.keep_rows,
        keep_calls=store.keep_calls,
        keep_dead=store.keep_dead,
    )


def sinks(settings: Settings, clock: Clock, notify: Notify, store: Callable[[], Store]) -> dict[str, Planned[Sink]]:
    """Where calls go, by name. `store` gives the one that is open when a sink asks."""
    planned: dict[str, Planned[Sink]] = {}
    if settings.api is not None:
        made_of = (settings.api, settings.host, settings.shipping.retry_for)
        planned["call_api"] = Planned(made_of, lambda: _call_api(settings, clock))
        recordings = settings.sources.recordings
        if recordings is not None and recordings.upload.enabled:
            audio = (settings.api, settings.host, recordings.paths, recordings.upload)
            planned["recording_api"] = Planned(audio, partial(_recording_api, settings, recordings, clock, store))
    if settings.calls.kafka is not None:
        connection = settings.kafka.connections.get(settings.calls.kafka.connection)
        planned["kafka_calls"] = Planned(
            (settings.calls.kafka, connection), lambda: _kafka_calls(settings, clock, notify)
        )
    if settings.calls.file is not None:
        planned["calls_file"] = Planned(settings.calls.file, lambda: _calls_file(settings))
    return planned


def courier_policy(settings: Settings, sink: str) -> CourierPolicy:
    """When and how often a sink is offered what it is owed. A file is written by one worker: its lines keep order."""
    retry = RetryPolicy(give_up_after=settings.shipping.retry_for)
    if sink == "call_api" and settings.api is not None:
        return CourierPolicy(workers=settings.api.workers, max_rate=settings.api.max_rate, retry=retry)
    recordings = settings.sources.recordings
    if sink == "recording_api" and recordings is not None:
        return CourierPolicy(workers=recordings.upload.workers, max_rate=0.0, retry=retry)
    return CourierPolicy(workers=1 if sink == "calls_file" else _KAFKA_WORKERS, max_rate=0.0, retry=retry)


def sources(settings: Settings, clock: Clock, notify: Notify) -> dict[str, Planned[Source]]:
    """What is read, by name."""
    planned: dict[str, Planned[Source]] = {}
    for file in settings.sources.cel_csv:
        name = f"cel_csv:{file.path}"
        planned[name] = Planned((file, settings.start_at), partial(_cel_csv, name, file, settings, clock, notify))
    for rows in settings.sources.cdr_csv:
        name = f"cdr_csv:{rows.path}"
        planned[name] = Planned((rows, settings.start_at), partial(_cdr_csv, name, rows, settings, clock, notify))
    for kind, table in (("cel_table", settings.sources.cel_table), ("cdr_table", settings.sources.cdr_table)):
        if table is not None:
            name = f"{kind}:{table.database}.{table.table}"
            planned[name] = Planned((table, settings.start_at), partial(_table, name, table, settings, clock, notify))
    recordings = settings.sources.recordings
    if recordings is not None and recordings.table is not None:
        listed = recordings.table
        name = f"recordings_table:{listed.database}.{listed.table}"
        planned[name] = Planned((listed, settings.start_at), partial(_table, name, listed, settings, clock, notify))
    if recordings is not None and recordings.paths:
        seen = dataclasses.replace(recordings, upload=Upload(), table=None, patterns=())
        planned["recordings"] = Planned(seen, partial(_recordings, seen, clock, notify))
    return planned


def past(settings: Settings, clock: Clock, notify: Notify) -> list[Past]:
    """Where the past can be read: tables and CEL files."""
    found: list[Past] = []
    for kind, table in (("cel_table", settings.sources.cel_table), ("cdr_table", settings.sources.cdr_table)):
        if table is not None:
            found.append(_table_past(f"{kind}:{table.database}.{table.table}", table, settings, clock, notify))
    found += [_csv_past(file, settings) for file in settings.sources.cel_csv]
    found += [_cdr_csv_past(rows, settings) for rows in settings.sources.cdr_csv]
    return found


def manager(settings: Settings, clock: Clock, notify: Notify) -> Planned[Manager] | None:
    """The manager session, where something is read from it."""
    reads_cel = settings.sources.cel_ami is not None and settings.sources.cel_ami.enabled
    names_recordings = settings.sources.recordings is not None
    if settings.ami is None or not (reads_cel or names_recordings or settings.events is not None):
        return None
    made_of = (settings.ami, settings.events, settings.kafka, settings.sources.cel_ami, names_recordings)
    return Planned(made_of, lambda: _manager(settings, reads_cel, clock, notify))


def rules_made_of(settings: Settings) -> object:
    """What the pure middle depends on."""
    return (
        settings.host,
        settings.calls,
        settings.shipping,
        settings.directions,
        settings.numbers,
        settings.tenants,
        settings.sources.recordings,
        *sink_names(settings),
    )


def rules(settings: Settings, notify: Notify) -> Rules:
    """The pure middle as configured."""
    assembly = AssemblyRules(plan=rooms.plan(settings), host=settings.host)
    completion = CompletionRules(
        settle=settings.calls.settle, cdr_settle=settings.calls.cdr_settle, idle=settings.calls.idle_timeout
    )
    habit = Habit()
    enrichment = steps(settings)

    def told(records: Sequence[Record], incomplete: str | None, as_of: Micros | None) -> Call:
        call = assemble(records, assembly, incomplete=incomplete, as_of=as_of)
        return enrich(call, enrichment, notify)

    return Rules(
        progress=lambda: Progress(completion, habit),
        tell=told,
        shipping=ShippingPolicy(
            mode=settings.shipping.mode,
            long_call_update_interval=settings.shipping.long_call_update_interval,
            update_interval=settings.shipping.update_interval,
        ),
        sinks=tuple(sink_names(settings)),
        audio_sinks=("recording_api",) if _uploads(settings) else (),
        recordings=rooms.recording_rules(settings, host_zone()),
    )


def steps(settings: Settings) -> tuple[Step, ...]:
    """Enrichment, in order."""
    plan, numbering, tenancy = rooms.plan(settings), rooms.number_rules(settings), rooms.tenant_rules(settings)
    recordings = rooms.recording_rules(settings, host_zone())
    return (
        Step("direction", lambda call: direction(call, plan)),
        Step("numbers", lambda call: numbers(call, numbering)),
        Step("names", names),
        Step("tenant", lambda call: tenant(call, tenancy)),
        Step("attach_recordings", lambda call: attach_recordings(call, recordings)),
    )


def sink_names(settings: Settings) -> list[str]:
    """The sinks that are owed every call."""
    wanted = {"call_api": settings.api, "kafka_calls": settings.calls.kafka, "calls_file": settings.calls.file}
    return [name for name, section in wanted.items() if section is not None]


def _call_api(settings: Settings, clock: Clock) -> Sink:
    from asterisk_connector.sinks.call_api import CallApi, endpoint

    api = settings.api
    assert api is not None
    return CallApi(_api_settings(settings, endpoint(api.region, api.url or "")), clock=clock)


def _recording_api(settings: Settings, recordings: Recordings, clock: Clock, store: Callable[[], Store]) -> Sink:
    from asterisk_connector.sinks.recording_api import RecordingApi, UploadSettings, recording_endpoint

    api, upload = settings.api, recordings.upload
    assert api is not None
    url = upload.url or recording_endpoint(api.region, api.url or "")
    api_settings = _api_settings(settings, url)
    return RecordingApi(
        UploadSettings(
            api=dataclasses.replace(api_settings, total_timeout=_UPLOAD_SECONDS, connections=upload.workers),
            roots=recordings.paths,
            rate=upload.rate,
            after=upload.after,
            move_to=upload.move_to,
        ),
        _Ledger(store),
        clock=clock,
    )


class _Ledger:
    """What the store remembers of calls and their audio."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store

    def accepted(self, call_id: str) -> bool:
        return not self._store().owes("call_api", call_id)

    def is_uploaded(self, path: str, state: str) -> bool:
        return self._store().is_uploaded(path, state)

    def uploaded(self, path: str, state: str) -> None:
        self._store().uploaded(path, state)


def _uploads(settings: Settings) -> bool:
    recordings = settings.sources.recordings
    return settings.api is not None and recordings is not None and recordings.upload.enabled


def _api_settings(settings: Settings, url: str) -> CallApiSettings:
    from asterisk_connector.sinks.call_api import CallApiSettings
    from asterisk_connector.sinks.call_api_payload import PayloadSettings

    api = settings.api
    assert api is not None
    return CallApiSettings(
        url=url,
        api_key=api.key.reveal(),
        payload=PayloadSettings(
            connector_version=__version__,
            customer_id=api.customer_id,
            tenant=settings.tenants.default,
            hostname=settings.host,
        ),
        connect_timeout=api.connect_timeout,
        total_timeout=api.timeout,
        connections=api.workers,
        ca_file=api.ca_file,
        proxy=api.proxy_address(),
    )


def _cel_csv(name: str, file: CelCsv, settings: Settings, clock: Clock, notify: Notify) -> Source:
    from asterisk_connector.sources.cel_csv import CelCsvSource

    dialect, mapping = _layout(file)
    return CelCsvSource(
        name,
        file.path,
        notify=notify,
        clock=clock,
        start_at=settings.start_at,
        lookback_bytes=file.lookback,
        mapping=mapping,
        dialect=dialect,
        zone=_zone(file),
        time_format=file.time_format or None,
    )


def _cdr_csv(name: str, file: CdrCsv, settings: Settings, clock: Clock, notify: Notify) -> Source:
    from asterisk_connector.sources.cdr_csv import CdrCsvSource

    return CdrCsvSource(
        name,
        file.path,
        notify=notify,
        clock=clock,
        start_at=settings.start_at,
        lookback_bytes=file.lookback,
        fields=_cdr_fields(file),
        zone=_zone(file),
    )


def _cdr_fields(file: CdrCsv) -> Sequence[str] | None:
    """Names of a CDR file's columns, as far as they were told; None is found by content."""
    from asterisk_connector.sources.csv.cdr import named_fields, read_cdr_custom

    match file.mapping:
        case "auto":
            return None
        case str() as conf:
            return read_cdr_custom(_text(Path(conf)), file.path.name)
        case names:
            return named_fields(names)


def _zone(file: CelCsv | CdrCsv) -> tzinfo:
    return ZoneInfo(file.zone) if file.zone else host_zone()


def _layout(file: CelCsv) -> tuple[Dialect | None, CelMapping | None]:
    """How a CEL file is written, as far as it was told; None is found by content."""
    from asterisk_connector.sources.csv import dialect, mapping

    plain = (file.separator, file.quote) == (",", '"')
    told = None if plain else dialect.Dialect(file.separator, file.quote, file.quote)
    match file.mapping:
        case "auto" | "freepbx":
            return told, None
        case "json":
            return dialect.JSON, None
        case "stock":
            return told, mapping.STOCK
        case "sipstack" | "sipstack-readme":
            return told, mapping.SIPSTACK
        case str() as path:
            return _told_by(Path(path), file.path.name)
        case names:
            return told, mapping.from_names(names)


def _told_by(conf: Path, filename: str) -> tuple[Dialect, CelMapping | None]:
    from asterisk_connector.sources.csv.cel_custom import read_cel_custom

    layout = read_cel_custom(_text(conf), filename)
    return layout.dialect, layout.mapping


def _recordings(recordings: Recordings, clock: Clock, notify: Notify) -> Source:
    from asterisk_connector.sources.recordings import RecordingsSource

    return RecordingsSource(
        "recordings",
        recordings.paths,
        notify=notify,
        clock=clock,
        extensions=recordings.extensions,
        ignore=recordings.ignore,
        settle=recordings.settle,
        min_size=recordings.min_size,
        max_age=recordings.max_age,
        poll=recordings.poll,
    )


def _text(conf: Path) -> str:
    try:
        return conf.read_text("utf-8", "replace")
    except OSError as error:
        raise Misconfigured(
            f"cannot read the mapping in {conf}: {error.strerror}", "chmod o+r, or name the columns yourself"
        ) from error


def _kafka_calls(settings: Settings, clock: Clock, notify: Notify) -> Sink:
    from asterisk_connector.config.publishing import kafka_properties
    from asterisk_connector.sinks.kafka_calls import KafkaCalls

    topic = settings.calls.kafka
    assert topic is not None
    properties = kafka_properties(settings.kafka.connections[topic.connection])
    return KafkaCalls(topic.topic, properties, topic.connection, clock=clock, notify=notify)


def _table(name: str, table: Table, settings: Settings, clock: Clock, notify: Notify) -> Source:
    from asterisk_connector.sources.cdr_table import CdrTableSource
    from asterisk_connector.sources.cel_table import CelTableSource
    from asterisk_connector.sources.recordings_table import RecordingsTableSource

    kinds = {CelTable: CelTableSource, CdrTable: CdrTableSource, RecordingsTable: RecordingsTableSource}
    make: Callable[..., Source] = kinds[type(table)]
    server, polling = rooms.table_server(table), rooms.table_polling(table, settings.start_at)
    return make(name, server, polling, clock=clock, notify=notify)


def _table_past(name: str, table: Table, settings: Settings, clock: Clock, notify: Notify) -> Past:
    from asterisk_connector.sources.tables.columns import CDR, CEL
    from asterisk_connector.sources.tables.past import TablePast

    layout = CEL if isinstance(table, CelTable) else CDR
    server, polling = rooms.table_server(table), rooms.table_polling(table, settings.start_at)
    return TablePast(name, layout, server, polling, clock=clock, notify=notify)


def _csv_past(file: CelCsv, settings: Settings) -> Past:
    from asterisk_connector.sources.csv.rows import Rows
    from asterisk_connector.sources.csv_past import CsvPast

    dialect, mapping = _layout(file)
    zone = _zone(file)
    return CsvPast(
        f"cel_csv:{file.path}",
        file.path,
        reach=settings.calls.idle_timeout,
        rows=lambda: Rows(dialect, mapping, zone=zone, time_format=file.time_format or None),
        dialect=dialect,
    )


def _cdr_csv_past(file: CdrCsv, settings: Settings) -> Past:
    from asterisk_connector.sources.csv.cdr import CdrDialect, CdrRows
    from asterisk_connector.sources.csv_past import CsvPast

    fields, zone, dialect = _cdr_fields(file), _zone(file), CdrDialect()
    return CsvPast(
        f"cdr_csv:{file.path}",
        file.path,
        reach=settings.calls.idle_timeout,
        rows=lambda: CdrRows(dialect, fields, zone),
        dialect=dialect,
    )


def _manager(settings: Settings, reads_cel: bool, clock: Clock, notify: Notify) -> Manager:
    from asterisk_connector.config import publishing
    from asterisk_connector.manager import Manager
    from asterisk_connector.relay.relay import Relay
    from asterisk_connector.sources.cel_ami import CelAmi

    assert settings.ami is not None
    session = publishing.ami_session(
        settings.ami, hide_own_login=settings.events is not None and settings.events.hide_own_login
    )
    relay = None
    if settings.events is not None:
        journal = settings.store.directory / "ami.db"
        relay = Relay(publishing.relay(settings), journal, clock=clock, notify=notify)
    source = None
    if reads_cel or settings.sources.recordings is not None:
        name = f"cel_ami:{session.host}:{session.port}"
        source = CelAmi(name, clock=clock, notify=notify, zone=host_zone(), cel=reads_cel)
    return Manager(session, relay, source, clock=clock, notify=notify)


def _calls_file(settings: Settings) -> Sink:
    from asterisk_connector.sinks.jsonl import JsonLines

    file = settings.calls.file
    assert file is not None
    return JsonLines(file.path, sync=file.fsync, name="calls_file")

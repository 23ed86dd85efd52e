"""Settings that are well written each and wrong together.

- Pure: nothing outside the settings is looked at.
- Each rule is a function `Settings → findings`; `contradictions` runs them all, so that everything is said at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial

from asterisk_connector.config.finding import Finding
from asterisk_connector.config.messaging import EventFilter
from asterisk_connector.config.model import Settings
from asterisk_connector.config.sources import CdrCsv, CdrTable, CelCsv, Table
from asterisk_connector.errors import Misconfigured

Rule = Callable[[Settings], Iterator[Finding]]

_CLOCKS_GO_BACK = 3600.0
_SHORTEST_TOKEN = 16
_MAPPINGS = frozenset({"auto", "stock", "sipstack", "sipstack-readme", "freepbx", "json"})


def contradictions(settings: Settings) -> list[Finding]:
    """All findings of all rules."""
    return [replace(finding, tier="meaning") for rule in _RULES for finding in rule(settings)]


def _something_to_do(settings: Settings) -> Iterator[Finding]:
    sources = settings.sources
    reads_calls = bool(sources.cel_csv or sources.cdr_csv or sources.cel_table or sources.cdr_table)
    reads_calls = reads_calls or _cel_over_ami(settings)
    ships_calls = bool(settings.api or settings.calls.kafka or settings.calls.file)
    relays = settings.events is not None and settings.events.enabled
    if not reads_calls and not relays:
        yield Finding(
            "error",
            "sources",
            "nothing is read: no CEL or CDR source is configured and `events` is off",
            "write one of cel_csv, cel_table, cel_ami, cdr_table, cdr_csv under `sources`",
        )
    if reads_calls and not ships_calls:
        yield Finding("error", "api", "calls are read but go nowhere", "write `api`, `calls.kafka` or `calls.file`")
    if ships_calls and not reads_calls and relays:
        yield Finding("warning", "sources", "no CEL or CDR source is configured, so no call is shipped")
    if sources.recordings and not reads_calls:
        yield Finding("error", "sources.recordings", "recordings are linked to calls, but no CEL or CDR source is read")


def _cel_over_ami(settings: Settings) -> bool:
    return settings.sources.cel_ami is not None and settings.sources.cel_ami.enabled


def _ami(settings: Settings) -> Iterator[Finding]:
    needed_by = []
    if _cel_over_ami(settings):
        needed_by.append("sources.cel_ami")
    if settings.events is not None and settings.events.enabled:
        needed_by.append("events")
    if settings.ami is None:
        for path in needed_by:
            yield Finding("error", path, "needs the manager session", "write `ami` with host, user and secret_file")
        return
    if not needed_by:
        yield Finding("warning", "ami", "is not used", "`events` or `sources.cel_ami` would use it")
    tls = settings.ami.tls
    if tls and tls.fingerprint and not re.fullmatch(r"([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}", tls.fingerprint):
        yield Finding("error", "ami.tls.fingerprint", "is not a SHA-256 fingerprint (32 bytes in hexadecimal)")
    # Rooms are asked only where they are configured, so that a host pays for no room it does not use.
    from asterisk_connector.ami.handshake import Account

    ami = settings.ami
    account = Account(user=ami.user, secret=ami.secret.reveal(), md5=ami.login == "md5", events=ami.events)
    yield from _refused("ami", account.check)


def _kafka(settings: Settings) -> Iterator[Finding]:
    connections = settings.kafka.connections
    used = []
    if settings.events is not None:
        used.append(("events.connection", settings.events.connection))
    if settings.calls.kafka is not None:
        used.append(("calls.kafka.connection", settings.calls.kafka.connection))
    for path, name in used:
        if name not in connections:
            known = ", ".join(sorted(connections)) or "none"
            yield Finding("error", path, f"there is no connection `{name}` under kafka.connections (known: {known})")
    for name, connection in connections.items():
        path = f"kafka.connections.{name}"
        if not connection.brokers:
            yield Finding("error", f"{path}.brokers", "names no broker")
        if connection.idempotence and connection.acks not in {"all", "-1"}:
            yield Finding("error", f"{path}.acks", "idempotence needs `acks: all`")
        if connection.idempotence and connection.retries < 1:
            yield Finding("error", f"{path}.retries", "idempotence needs at least one retry")
        if 0 < connection.message_timeout_ms <= connection.linger_ms:
            yield Finding("error", f"{path}.message_timeout_ms", "must be longer than linger_ms")
        if connection.reconnect_backoff_max_ms < connection.reconnect_backoff_ms:
            yield Finding("error", f"{path}.reconnect_backoff_max_ms", "is less than reconnect_backoff_ms")
        if connection.message_max_bytes < 1000:
            yield Finding("error", f"{path}.message_max_bytes", "must be at least 1000")
        secured = connection.security_protocol
        if secured.startswith("sasl") and connection.sasl is None:
            yield Finding("error", f"{path}.security_protocol", f"`{secured}` needs the block `sasl`")
        if connection.sasl is not None and not secured.startswith("sasl"):
            yield Finding("error", f"{path}.sasl", f"has no effect with `security_protocol: {secured}`")
        if (connection.ssl.ca or connection.ssl.cert) and not secured.endswith("ssl"):
            yield Finding("error", f"{path}.ssl", f"has no effect with `security_protocol: {secured}`")
        if bool(connection.ssl.cert) != bool(connection.ssl.key):
            yield Finding("error", f"{path}.ssl", "cert and key go together")


def _topics(settings: Settings) -> Iterator[Finding]:
    topics = []
    if settings.events is not None:
        topics.append(("events.topic", settings.events.topic))
    if settings.calls.kafka is not None:
        topics.append(("calls.kafka.topic", settings.calls.kafka.topic))
    for path, topic in topics:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic) or topic in {".", ".."}:
            yield Finding("error", path, "a topic has 1 to 249 letters, digits, dots, underscores and hyphens")


def _tables(settings: Settings) -> Iterator[Finding]:
    sources = settings.sources
    tables: list[tuple[str, Table | None]] = [
        ("sources.cel_table", sources.cel_table),
        ("sources.cdr_table", sources.cdr_table),
        ("sources.recordings.table", sources.recordings.table if sources.recordings else None),
    ]
    for path, table in tables:
        if table is None:
            continue
        if table.socket is not None and table.port is not None:
            yield Finding("error", f"{path}.port", "has no effect beside `socket`", "remove one of them")
        if table.socket is not None and table.tls is not None:
            yield Finding("error", f"{path}.tls", "has no effect over a unix socket", "remove one of them")
        if table.tls is not None and bool(table.tls.cert_file) != bool(table.tls.key_file):
            yield Finding("error", f"{path}.tls", "cert_file and key_file go together")
        if not 0.1 <= table.poll_interval <= 3600:
            yield Finding("error", f"{path}.poll_interval", "must be between 100ms and 1h")
        if table.connect_timeout <= 0 or table.statement_timeout <= 0:
            yield Finding("error", path, "connect_timeout and statement_timeout must be longer than 0s")
        # A CEL row is written when it happens, a CDR row when its call has ended. After a restart a table without an id
        # is read so far back again, and the store tells what is known already.
        lateness = table.longest_call + table.batch_time if isinstance(table, CdrTable) else 0.0
        looked_back = lateness + table.late_commits + _CLOCKS_GO_BACK
        if looked_back >= settings.store.keep_rows:
            yield Finding(
                "warning",
                "store.keep_rows",
                f"is not longer than what {path} is read again of after a restart if it has no id: longest_call,"
                f" batch_time, late_commits and an hour, {looked_back / 3600:.1f} h",
                "raise it, so that rows of finished calls are known for as long",
            )


def _files(settings: Settings) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    kinds: tuple[tuple[str, Sequence[CelCsv | CdrCsv]], ...] = (
        ("cel_csv", settings.sources.cel_csv),
        ("cdr_csv", settings.sources.cdr_csv),
    )
    for name, files in kinds:
        for index, file in enumerate(files):
            path = f"sources.{name}[{index}]"
            if (first := seen.setdefault(str(file.path), path)) != path:
                yield Finding("error", f"{path}.path", f"is already read by {first}")
            if isinstance(file.mapping, str) and not file.mapping.startswith("/"):
                known = sorted(_MAPPINGS) if name == "cel_csv" else ["auto"]
                if file.mapping not in known:
                    said = f"`{file.mapping}` is no mapping; known: {', '.join(known)}, a path, or a list of names"
                    yield Finding("error", f"{path}.mapping", said)
    for index, file in enumerate(settings.sources.cel_csv):
        if file.separator == file.quote:
            yield Finding("error", f"sources.cel_csv[{index}].quote", "is the same as the separator")
        if isinstance(file.mapping, tuple):
            from asterisk_connector.sources.csv.mapping import from_names

            yield from _refused(f"sources.cel_csv[{index}].mapping", partial(from_names, file.mapping))


def _recordings(settings: Settings) -> Iterator[Finding]:
    recordings = settings.sources.recordings
    if recordings is None:
        return
    if not recordings.paths and recordings.table is None:
        yield Finding("error", "sources.recordings.paths", "names no directory")
    for index, pattern in enumerate(recordings.patterns):
        groups = set(re.compile(pattern).groupindex)
        if "uniqueid" not in groups and not {"extension", "time"} <= groups:
            said = "needs the group (?P<uniqueid>…), or both (?P<extension>…) and (?P<time>…)"
            yield Finding("error", f"sources.recordings.patterns[{index}]", said)
    upload = recordings.upload
    path = "sources.recordings.upload"
    if upload.enabled and settings.api is None:
        yield Finding("error", path, "needs `api`")
    if upload.after == "move" and upload.move_to is None:
        yield Finding("error", f"{path}.move_to", "is missing for `after: move`")
    if upload.after != "move" and upload.move_to is not None:
        yield Finding("error", f"{path}.move_to", "has no effect without `after: move`")
    if upload.move_to is not None and any(upload.move_to.is_relative_to(root) for root in recordings.paths):
        yield Finding("error", f"{path}.move_to", "lies inside a directory that is searched for recordings")


def _shipping(settings: Settings) -> Iterator[Finding]:
    shipping = settings.shipping
    if 0 < shipping.long_call_update_interval < 10:
        yield Finding("error", "shipping.long_call_update_interval", "must be 0 (never) or at least 10s")
    if shipping.mode == "progressive" and shipping.update_interval < 1:
        yield Finding("error", "shipping.update_interval", "must be at least 1s")
    if shipping.retry_for < 60:
        yield Finding("error", "shipping.retry_for", "must be at least 1m; calls would be buried in a short outage")
    if settings.calls.idle_timeout < 60:
        yield Finding("error", "calls.idle_timeout", "must be at least 1m; calls on hold would be closed")
    if settings.store.keep_rows < settings.calls.idle_timeout:
        yield Finding("error", "store.keep_rows", "is less than calls.idle_timeout")
    if settings.api is not None and (settings.api.timeout <= 0 or settings.api.connect_timeout <= 0):
        yield Finding("error", "api.timeout", "timeout and connect_timeout must be longer than 0s")
    api = settings.api
    if api is not None and (bool(api.proxy_user) != bool(api.proxy_password) or (api.proxy_user and not api.proxy)):
        yield Finding("error", "api.proxy_user", "proxy_user and proxy_password go together, beside proxy")
    url = settings.api.url if settings.api and settings.api.url else ""
    if re.match(r"http://(?!(localhost|127\.[0-9.]+|\[::1\])([:/]|$))", url):
        yield Finding("warning", "api.url", "the API key travels unencrypted", "use https")


def _http(settings: Settings) -> Iterator[Finding]:
    http = settings.http
    if http.listen == "off":
        if http.token is not None or http.allow or http.names:
            yield Finding("warning", "http.listen", "is off, so the rest of `http` has no effect")
        return
    if not http.listen.loopback and http.token is None and not http.allow:
        yield Finding(
            "error",
            "http.listen",
            "is open to other hosts, and anybody there may read it",
            "write `http.token_file` or `http.allow`, or listen on 127.0.0.1",
        )
    if http.token is not None and len(http.token.reveal()) < _SHORTEST_TOKEN:
        yield Finding(
            "error", "http.token", f"has fewer than {_SHORTEST_TOKEN} characters", "make one: openssl rand -hex 24"
        )
    for index, network in enumerate(http.allow):
        if network.prefixlen == 0 and http.token is None:
            yield Finding("warning", f"http.allow[{index}]", "lets everybody in", "write `http.token_file` too")


def _tenants(settings: Settings) -> Iterator[Finding]:
    for index, pattern in enumerate(settings.tenants.patterns):
        if "tenant" not in re.compile(pattern.match).groupindex:
            yield Finding("error", f"tenants.patterns[{index}].match", "needs the group (?P<tenant>…)")
    for number in settings.tenants.dids:
        if not any(character.isdigit() for character in number):
            yield Finding("error", f"tenants.dids.{number}", "is not a number")


def _filters(settings: Settings) -> Iterator[Finding]:
    if settings.events is None or not settings.events.filters:
        return
    from asterisk_connector.relay.filters import Filters, parse_line, structured

    def compiled(one: str | EventFilter) -> object:
        return Filters([parse_line(one) if isinstance(one, str) else structured(**asdict(one))])

    for index, one in enumerate(settings.events.filters):
        yield from _refused(f"events.filters[{index}]", partial(compiled, one))


def _refused(path: str, read: Callable[[], object]) -> Iterator[Finding]:
    """What the room that will read a setting says against it."""
    try:
        read()
    except Misconfigured as error:
        yield Finding("error", path, str(error), error.hint)


_RULES: tuple[Rule, ...] = (
    _something_to_do,
    _ami,
    _kafka,
    _topics,
    _tables,
    _files,
    _recordings,
    _shipping,
    _http,
    _tenants,
    _filters,
)

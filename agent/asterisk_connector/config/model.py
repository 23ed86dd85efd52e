"""The configuration as one frozen object: every section, field, default and its meaning.

- This is the only place where a setting is named. Validation, defaults, example, JSON schema and reference page are
  made from it.
- Durations are seconds, sizes bytes, paths absolute; a section that may be absent is None.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from asterisk_connector.config.kinds import (
    Country,
    Duration,
    Endpoint,
    HttpUrl,
    IpNetwork,
    Listen,
    Pattern,
    Positive,
    Size,
    StartAt,
)
from asterisk_connector.config.messaging import Ami, CallsTopic, Events, Kafka
from asterisk_connector.config.secret import Secret
from asterisk_connector.config.shape import Doc
from asterisk_connector.config.sources import Sources

DEFAULT_FILE = Path("/etc/asterisk-connector/config.yaml")
"""Where the service finds its configuration."""
DEFAULT_LISTEN = Endpoint("127.0.0.1", 8000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The call API, to which every call is shipped."""

    region: Annotated[Literal["us1", "us2", "ca1", "dev"], Doc("Where your account lives.", example="ca1")] = "us1"
    url: Annotated[
        HttpUrl | None,
        Doc("Another address than the region's.", default="from `region`", example="https://calls.example/v1/calls"),
    ] = None
    key: Annotated[Secret, Doc("The API key.", example="/etc/asterisk-connector/api.key")]
    customer_id: Annotated[int, Doc("Your customer number.", example="42")] = 0
    ca_file: Annotated[
        Path | None, Doc("Certificates to trust.", default="the system's", example="/etc/ssl/certs/proxy-ca.pem")
    ] = None
    proxy: Annotated[
        HttpUrl | None, Doc("HTTP proxy; the environment's is not used.", example="http://proxy.example:3128")
    ] = None
    proxy_user: Annotated[str, Doc("Account at the proxy.", example="agent")] = ""
    proxy_password: Annotated[Secret | None, Doc("Its password.", example="/etc/asterisk-connector/proxy.password")] = (
        None
    )
    connect_timeout: Annotated[Duration, Doc("Until a connection must stand.")] = 10.0
    timeout: Annotated[Duration, Doc("Until a request must be answered, from its first byte.")] = 30.0
    workers: Annotated[Positive, Doc("Requests at the same time.")] = 8
    max_rate: Annotated[float, Doc("Calls a second at most while a backlog drains; 0: no bound.")] = 100.0

    def proxy_address(self) -> str | None:
        """The proxy with its account in it, as HTTP libraries take it. Holds the password: never to be shown."""
        if self.proxy is None or self.proxy_password is None:
            return self.proxy
        scheme, _, place = self.proxy.partition("://")
        return f"{scheme}://{quote(self.proxy_user, safe='')}:{quote(self.proxy_password.reveal(), safe='')}@{place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipping:
    """When a call is shipped, and for how long it is tried."""

    mode: Annotated[
        Literal["complete", "progressive"],
        Doc("`complete`: once, at its end; `progressive`: at its start, on change and at its end."),
    ] = "complete"
    long_call_update_interval: Annotated[
        Duration, Doc("`complete`: calls longer than this are updated each time it passes; 0: never.")
    ] = 600.0
    update_interval: Annotated[Duration, Doc("`progressive`: least time between two updates of one call.")] = 60.0
    retry_for: Annotated[Duration, Doc("A call nobody took for so long becomes a dead letter.")] = 172800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsFile:
    """Call documents to a file, one JSON a line."""

    path: Annotated[Path, Doc("The file; it is appended to.", example="/var/lib/asterisk-connector/calls.jsonl")]
    fsync: Annotated[bool, Doc("Whether each call is forced to the disk.")] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """When a call is over, and where calls go beside the API."""

    settle: Annotated[Duration, Doc("Wait after the last event of a call for rows that come late.")] = 2.0
    cdr_settle: Annotated[
        Duration, Doc("The same for calls known from CDR rows alone; at least `time` of cdr.conf's batch mode.")
    ] = 60.0
    idle_timeout: Annotated[
        Duration, Doc("A call without its end and without a new event for so long is closed as incomplete.")
    ] = 14400.0
    kafka: Annotated[CallsTopic | None, Doc("Calls to Kafka too; absent: no.")] = None
    file: Annotated[CallsFile | None, Doc("Calls to a file too; absent: no.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Directions:
    """How inbound, outbound and internal are told apart, beyond what stock Asterisk and FreePBX need."""

    trunks: Annotated[
        tuple[Pattern, ...],
        Doc("Endpoints that lead outside, as regular expressions.", example='["^acme$", "^PJSIP/twilio"]'),
    ] = ()
    inbound_contexts: Annotated[
        tuple[Pattern, ...], Doc("Contexts where calls from outside begin.", example='["^from-carrier"]')
    ] = ()
    internal_contexts: Annotated[
        tuple[Pattern, ...], Doc("Contexts where calls of your own telephones begin.", example='["^phones-"]')
    ] = ()
    ivr_contexts: Annotated[tuple[Pattern, ...], Doc("Contexts that are menus.", example='["^welcome$"]')] = ()
    extensions: Annotated[
        tuple[Pattern, ...],
        Doc("Numbers of your own telephones.", default="two to seven digits", example='["^[1-9]\\\\d{2,4}$"]'),
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """How numbers are brought into E.164. What Asterisk wrote always stays beside it."""

    country: Annotated[
        Country | None, Doc("Country whose national numbers are dialled; absent: only +… and 00… are known.")
    ] = None
    extension_max_length: Annotated[
        Positive, Doc("Shorter or equal digits are an extension unless they are a valid number.", example="6")
    ] = 6
    strip_prefixes: Annotated[
        tuple[str, ...], Doc("Dial prefixes taken off before a number is read.", example='["9", "*67"]')
    ] = ()
    keep: Annotated[tuple[str, ...], Doc("Numbers that are never changed.", example='["116117"]')] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPattern:
    """A tenant out of a text of the call."""

    field: Annotated[
        Literal["context", "channel", "trunk", "account_code", "user_field"], Doc("Which text is read.")
    ] = "context"
    match: Annotated[
        Pattern, Doc("Regular expression with the group `tenant`.", example='"^from-internal-(?P<tenant>[a-z]+)$"')
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenants:
    """Whose call it is. First hit: DID, account code, patterns, default."""

    dids: Annotated[Mapping[str, str], Doc("Called number → tenant.", example='{"+14165550100": acme}')] = field(
        default_factory=dict
    )
    account_codes: Annotated[
        Mapping[str, str], Doc("Account code → tenant; exact first, then the longest prefix.", example="{ACM: acme}")
    ] = field(default_factory=dict)
    patterns: Annotated[tuple[TenantPattern, ...], Doc("Patterns, tried in order.")] = ()
    from_contexts: Annotated[
        bool, Doc("Know the usual forms of multi-tenant contexts too (`from-internal-acme`, `ext-4165550100-acme`).")
    ] = True
    default: Annotated[str, Doc("When nothing fits.", example="acme")] = ""
    known_trunks: Annotated[
        tuple[str, ...], Doc("Names that are trunks and never a tenant.", example="[gconnect, sbc-ca1]")
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The state on disk: what was read, what is known, what is owed."""

    directory: Annotated[Path, Doc("Kept over restarts and upgrades.", example="/var/lib/asterisk-connector")] = Path(
        "/var/lib/asterisk-connector"
    )
    max_size: Annotated[Size, Doc("Reading pauses when the state is larger.")] = 4 << 30
    reserve: Annotated[Size, Doc("Reading pauses when the file system has less left.")] = 64 << 20
    keep_rows: Annotated[Duration, Doc("How long raw rows of finished calls stay for late evidence.")] = 172800.0
    keep_calls: Annotated[Duration, Doc("How long finished calls stay to be looked up.")] = 2592000.0
    keep_dead: Annotated[Duration, Doc("How long dead letters stay.")] = 2592000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What is told."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Doc("Least weight that is told.", example="debug")
    ] = "info"
    target: Annotated[
        Literal["auto", "journal", "stderr"], Doc("`auto`: the journal under systemd, else stderr. Read at start.")
    ] = "auto"
    show_numbers: Annotated[bool, Doc("Show people's numbers in full, and names of recordings, which hold them.")] = (
        False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """The status page and Prometheus' metrics: read-only, on this host alone unless it is opened to others."""

    listen: Annotated[
        Listen, Doc("Where it is served; beyond this host it needs `token` or `allow`.", example='"[::]:8000"')
    ] = DEFAULT_LISTEN
    token: Annotated[
        Secret | None,
        Doc(
            "Who asks must show it: `Authorization: Bearer …`, or once in the browser.",
            example="/etc/asterisk-connector/http.token",
        ),
    ] = None
    allow: Annotated[
        tuple[IpNetwork, ...],
        Doc(
            "Networks that may ask, beside this host itself.",
            default="with `token` all, else this host alone",
            example="[10.20.0.0/16]",
        ),
    ] = ()
    names: Annotated[
        tuple[str, ...],
        Doc("Names it may be asked by, beside IP addresses, localhost and `host`.", example="[pbx1.example]"),
    ] = ()


def _socket() -> Path:
    """In the runtime directory that systemd gave the service, which is the fixed one for everybody else."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(given or "/run/asterisk-connector") / "control.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The socket by which commands ask and steer the running service; its group may use it."""

    socket: Annotated[
        Path,
        Doc(
            "Where it is. Without its directory the service runs without it.",
            default="`control.sock` in the service's runtime directory",
            example="/run/asterisk-connector/control.sock",
        ),
    ] = field(default_factory=_socket)


def _nodename() -> str:
    return os.uname().nodename


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the agent can be told."""

    host: Annotated[
        str,
        Doc("This PBX's name, as the API shows it.", default="the host's own name (uname -n)", example="pbx1"),
    ] = field(default_factory=_nodename)
    start_at: Annotated[
        StartAt,
        Doc(
            "What the very first start ships: calls from `now` on, everything from the `beginning`, or calls of the "
            "last so many hours. Later starts go on where they stopped.",
        ),
    ] = "now"
    api: Annotated[Api | None, Doc("The call API.")] = None
    shipping: Annotated[Shipping, Doc("When calls are shipped.")] = Shipping()
    sources: Annotated[Sources, Doc("What is read.")] = field(default_factory=Sources)
    calls: Annotated[Calls, Doc("Completion, and other places calls go.")] = Calls()
    directions: Annotated[Directions, Doc("Inbound, outbound, internal.")] = Directions()
    numbers: Annotated[Numbers, Doc("Numbers.")] = Numbers()
    tenants: Annotated[Tenants, Doc("Tenants.")] = field(default_factory=Tenants)
    ami: Annotated[Ami | None, Doc("The manager session.")] = None
    kafka: Annotated[Kafka, Doc("Kafka clusters.")] = field(default_factory=Kafka)
    events: Annotated[Events | None, Doc("AMI events to Kafka.")] = None
    store: Annotated[Store, Doc("State on disk.")] = Store()
    log: Annotated[Log, Doc("Log.")] = Log()
    control: Annotated[Control, Doc("Control socket.")] = field(default_factory=Control)
    http: Annotated[Http, Doc("Status page and metrics.")] = Http()

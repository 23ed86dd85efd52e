"""Settings that contradict each other, each told at its own line."""

import pytest

from asterisk_connector.config.load import loads
from asterisk_connector.config.rooms import table_polling

API = "api: {key: k}\n"
CSV = "sources: {cel_csv: [{path: /cel.csv}]}\n"
AMI = "ami: {user: a, secret: b}\n"
KAFKA = "kafka: {connections: {main: {brokers: ['k:9092']}}}\n"
EVENTS = "events: {connection: main, topic: t}\n"


def errors(text: str) -> dict[str, str]:
    return {finding.path: finding.message for finding in loads(text).findings if finding.level == "error"}


@pytest.mark.parametrize(
    "text",
    [
        API + CSV,
        AMI + KAFKA + EVENTS,
        API + AMI + "sources: {cel_ami: {}}\n",
        API + CSV + "http: {listen: off}\n",
        API + CSV + "http: {listen: '[::1]:8000'}\n",
        API + CSV + "http: {listen: '0.0.0.0:8000', token: 0123456789abcdef}\n",
        API + CSV + "http: {listen: '10.0.0.7:8000', allow: [10.0.0.0/24, 'fd00::/8']}\n",
    ],
)
def test_what_makes_sense_is_not_complained_of(text: str) -> None:
    assert loads(text).findings == []


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (API, "sources", "nothing is read"),
        ("", "sources", "nothing is read"),
        (CSV, "api", "go nowhere"),
        (API + "sources: {cel_ami: {}}\n", "sources.cel_ami", "manager session"),
        (KAFKA + EVENTS, "events", "manager session"),
        (AMI + EVENTS, "events.connection", "no connection `main`"),
        (API + CSV + "calls: {kafka: {connection: x, topic: t}}\n", "calls.kafka.connection", "known: none"),
        (AMI + KAFKA + EVENTS.replace("topic: t", "topic: 'a b'"), "events.topic", "a topic has"),
        (API + CSV.replace("/cel.csv", "/cel.csv, mapping: stok"), "sources.cel_csv[0].mapping", "no mapping"),
        (API + "sources: {cel_csv: [{path: /a}, {path: /a}]}\n", "sources.cel_csv[1].path", "already read"),
        (API.replace("k}", "k, proxy_user: u}") + CSV, "api.proxy_user", "go together"),
        (API + CSV + "store: {keep_rows: 1h}\n", "store.keep_rows", "idle_timeout"),
        (API + CSV + "shipping: {retry_for: 5s}\n", "shipping.retry_for", "at least 1m"),
        (API + CSV + "tenants: {patterns: [{match: '^a$'}]}\n", "tenants.patterns[0].match", "group"),
        (API + CSV + "tenants: {dids: {sales: acme}}\n", "tenants.dids.sales", "not a number"),
        (
            API + "sources: {cdr_table: {database: d, socket: /s, port: 3306}}\n",
            "sources.cdr_table.port",
            "no effect beside `socket`",
        ),
        (
            API + CSV.replace("]}", "], recordings: {upload: {after: move}}}"),
            "sources.recordings.upload.move_to",
            "missing",
        ),
        (
            API + CSV.replace("]}", "], recordings: {paths: [/rec], upload: {after: move, move_to: /rec/done}}}"),
            "sources.recordings.upload.move_to",
            "inside a directory",
        ),
        (API + CSV + "http: {listen: '0.0.0.0:8000'}\n", "http.listen", "open to other hosts"),
        (API + CSV + "http: {listen: '[::]:8000'}\n", "http.listen", "open to other hosts"),
        (API + CSV + "http: {token: short}\n", "http.token", "fewer than 16"),
        (
            AMI + EVENTS + KAFKA.replace("]", "], acks: 1"),
            "kafka.connections.main.acks",
            "idempotence needs",
        ),
        (
            AMI + EVENTS + KAFKA.replace("]", "], security_protocol: sasl_ssl"),
            "kafka.connections.main.security_protocol",
            "needs the block `sasl`",
        ),
        (
            AMI + EVENTS + KAFKA.replace("]", "], message_timeout_ms: 5"),
            "kafka.connections.main.message_timeout_ms",
            "longer than linger_ms",
        ),
        (AMI + KAFKA + EVENTS.replace("t}", "t, filters: [{}]}"), "events.filters[0]", "method"),
        (
            AMI + KAFKA + EVENTS.replace("t}", "t, filters: ['eventfilter = (']}"),
            "events.filters[0]",
            "eventfilter = (",
        ),
        (AMI.replace("b}", "b, events: calls}") + KAFKA + EVENTS, "ami", "no event class"),
        (API + CSV.replace("/cel.csv", "/cel.csv, mapping: [eventtype]"), "sources.cel_csv[0].mapping", "uniqueid"),
    ],
)
def test_a_contradiction_is_told_at_its_setting(text: str, path: str, words: str) -> None:
    found = errors(text)
    assert words in found[path], found


def test_a_contradiction_has_the_line_of_its_setting() -> None:
    loaded = loads(API + CSV + "store:\n  keep_rows: 1h\n", "c.yaml")
    assert [(finding.place, finding.tier) for finding in loaded.findings] == [("c.yaml:4", "meaning")]


def test_a_key_sent_in_clear_is_a_warning_except_to_this_host() -> None:
    warned = loads("api: {key: k, url: 'http://calls.example/x'}\n" + CSV).findings
    assert [(finding.level, finding.path) for finding in warned] == [("warning", "api.url")]
    assert loads("api: {key: k, url: 'http://127.0.0.1:9/x'}\n" + CSV).findings == []


def test_credentials_in_an_address_are_refused_and_not_kept() -> None:
    loaded = loads("api: {key: k, proxy: 'http://u:hidden@proxy:1'}\n" + CSV)
    assert loaded.settings is None
    assert "no user or password" in loaded.findings[0].message
    assert "hidden" not in loaded.findings[0].message


TABLE = "sources: {cdr_table: {database: d, %s}}\nstore: {keep_rows: 5h}\n"


def test_rows_forgotten_before_a_table_without_id_is_done_with_them_are_warned_of() -> None:
    warned = loads(API + TABLE % "late_commits: 10m").findings
    assert [(finding.level, finding.path) for finding in warned] == [("warning", "store.keep_rows")]
    assert "5.2 h" in warned[0].message
    assert loads(API + TABLE % "longest_call: 2h").findings == []


def test_every_setting_of_a_table_reaches_its_polling() -> None:
    loaded = loads(API + "sources: {cdr_table: {database: d, late_commits: 7m, lookback_rows: 11}}\n").settings
    assert loaded is not None
    assert loaded.sources.cdr_table is not None
    polling = table_polling(loaded.sources.cdr_table, "now")
    assert (polling.late_commits, polling.lookback_rows) == (420.0, 11)

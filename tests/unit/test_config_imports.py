"""Other programs' settings become ours, and what had no effect there is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from asterisk_connector.cli.main import main
from asterisk_connector.config import conf_lines, publishing
from asterisk_connector.config.import_ami_kafka import import_ami_kafka
from asterisk_connector.config.import_env import import_env
from asterisk_connector.config.load import load
from asterisk_connector.config.model import Settings
from asterisk_connector.errors import Misconfigured

AMI_KAFKA = r"""
; events to Kafka
[General]
enabled = yes
Format=AMI
eventfilter = !Channel: Local/ ; no halves
eventfilter(action(include),name(Hangup)) =
EventFilter => a\;b
;-- eventfilter = XX[X
eventfilter = (
--;
[kafka]
connection = MY-kafka
topic = pbx_events
"""
KAFKA = r"""
[general]
enabled = no
[secure](!)
security_protocol = SASL_SSL
sasl_mechanisms = SCRAM-SHA-512
[my-kafka](secure)
type = connection
brokers = kafka1:9093, kafka2:9093
sasl_username = asterisk
sasl_password = s3cret
ssl_ca_location = /etc/ssl/certs/kafka.pem
compression_codec = zstd
message_max_bytes = 500
message_timeout_ms = 1000
queue_buffering_max_messages = 5000
enable_idempotence = no
acks = 1
group_id = x
spoon = 1
[other]
type = somethingelse
"""
ENV = """
# API
API_KEY=sk_0123456789abcdef0123456789abcdef   # from the portal
REGION=CA1
CUSTOMER_ID=42
HOSTNAME="pbx1.example"
TENANT=acme
DB_TYPE=postgres
DB_HOST=db.example
DB_NAME=asteriskcdrdb
DB_USER=reader
DB_PASSWORD='p#ss'
DB_TABLE_CEL=cel
CEL_MODE=db
CALL_SHIPPING_MODE=progressive
KNOWN_TRUNKS=trunka, trunkb
DID_TENANT_MAP=4165550100:acme,4165550101:other
RECORDING_PATHS=/var/spool/asterisk/monitor, /srv/rec
MAX_WORKERS=4
INCLUDE_RAW_DATA=true
LOG_LEVEL=DEBUG
MY_OWN=1
nonsense
"""


def loaded(text: str, folder: Path) -> Settings:
    secret = folder / "secret"
    secret.write_text("s3cret\n")
    file = folder / "config.yaml"
    file.write_text(text.replace("/etc/asterisk-connector/ami.secret", str(secret)))
    file.chmod(0o600)
    result = load(file, {})
    assert result.settings is not None, result.findings
    return result.settings


def test_the_modules_files_become_a_configuration_that_loads(tmp_path: Path) -> None:
    imported = import_ami_kafka(AMI_KAFKA, KAFKA)
    settings = loaded(imported.yaml, tmp_path)
    events = settings.events
    assert events is not None
    assert (events.connection, events.topic, events.format) == ("my-kafka", "pbx_events", "ami")
    filters = publishing.event_filters(events)
    assert [rule.match for rule in filters] == [b"Channel: Local/", b"", b"a;b"]
    properties = publishing.kafka_properties(settings.kafka.connections["my-kafka"])
    assert properties["bootstrap.servers"] == "kafka1:9093,kafka2:9093"
    assert properties["sasl.password"] == "s3cret"
    assert properties["ssl.ca.location"] == "/etc/ssl/certs/kafka.pem"
    assert properties["message.max.bytes"] == 1000
    assert properties["queue.buffering.max.messages"] == 5000
    assert (properties["acks"], properties["enable.idempotence"]) == ("all", True)


def test_what_had_no_effect_or_means_something_else_is_remarked() -> None:
    remarks = "\n".join(import_ami_kafka(AMI_KAFKA, KAFKA).remarks)
    for word in ("group_id", "spoon", "message_timeout_ms", "enable_idempotence", "acks = 1", "500 became 1000"):
        assert word in remarks
    assert "s3cret" not in remarks
    assert "manager.conf" in remarks


def test_a_filter_the_module_would_refuse_is_refused_with_its_line() -> None:
    with pytest.raises(Misconfigured, match=r"XX\[X.*ami_kafka.conf:2"):
        import_ami_kafka("[general]\neventfilter = XX[X\n[kafka]\nconnection=my-kafka\n", KAFKA)


def test_a_connection_that_is_not_there_is_refused() -> None:
    with pytest.raises(Misconfigured, match="my-kafka"):
        import_ami_kafka("[kafka]\nconnection = none\n", KAFKA)


def test_lines_are_read_as_asterisk_reads_them() -> None:
    conf = conf_lines.read("[a]\nx = 1\nx += 2\n[b](a)\ny => 3 ; c\n;-- z = 1\n--;\n#include w.conf\nv = 4\n", "f")
    assert [(line.section, line.name, line.value) for line in conf.lines] == [
        ("a", "x", "12"),
        ("b", "x", "12"),
        ("b", "y", "3"),
        ("b", "v", "4"),
    ]
    assert conf.lines[-1].number == 9
    assert "w.conf" in conf.remarks[0]


def test_the_containers_settings_become_a_configuration_that_loads(tmp_path: Path) -> None:
    imported = import_env(ENV)
    settings = loaded(imported.yaml, tmp_path)
    assert settings.api is not None
    assert settings.api.key.reveal() == "sk_0123456789abcdef0123456789abcdef"
    assert (settings.api.region, settings.api.customer_id, settings.host) == ("ca1", 42, "pbx1.example")
    table = settings.sources.cel_table
    assert table is not None
    assert (table.driver, table.host, table.port, table.user) == ("postgresql", "db.example", None, "reader")
    assert table.password is not None
    assert table.password.reveal() == "p#ss"
    assert settings.sources.cdr_table is not None
    assert settings.sources.recordings is not None
    assert [str(path) for path in settings.sources.recordings.paths] == ["/var/spool/asterisk/monitor", "/srv/rec"]
    assert settings.shipping.mode == "progressive"
    assert settings.tenants.default == "acme"
    assert settings.tenants.dids["4165550100"] == "acme"
    assert settings.tenants.known_trunks == ("trunka", "trunkb")
    assert settings.log.level == "debug"


def test_every_variable_is_taken_over_or_remarked() -> None:
    remarks = "\n".join(import_env(ENV).remarks)
    for name in ("CALL_SHIPPING_MODE", "KNOWN_TRUNKS", "DID_TENANT_MAP", "MAX_WORKERS", "INCLUDE_RAW_DATA", "MY_OWN"):
        assert name in remarks
    assert ".env:23: not understood" in remarks
    assert "API_KEY: the comment" in remarks
    assert "sk_0" not in remarks


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("CEL_MODE=csv\nCEL_CSV_PATH=/x/Master.csv\nAPI_KEY=k\nDB_NAME=d\n", "cel_csv"),
        ("CEL_MODE=ami\nAMI_USERNAME=u\nAMI_PASSWORD=p\nAPI_KEY=k\nDB_NAME=d\n", "cel_ami"),
        ("CEL_MODE=db\nAPI_KEY=k\nDB_NAME=d\n", "cel_table"),
    ],
)
def test_each_cel_mode_has_its_source(text: str, source: str, tmp_path: Path) -> None:
    ours = yaml.safe_load(import_env(text).yaml)
    assert source in ours["sources"]
    assert "cdr_table" in ours["sources"]
    loaded(import_env(text).yaml, tmp_path)


def test_an_unknown_region_is_not_taken_over_in_silence() -> None:
    imported = import_env("REGION=eu9\nAPI_KEY=k\n")
    assert yaml.safe_load(imported.yaml)["api"]["region"] == "us1"
    assert any("eu9" in remark for remark in imported.remarks)


def test_the_commands_print_yaml_and_remarks_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ami_kafka.conf").write_text(AMI_KAFKA)
    (tmp_path / "kafka.conf").write_text(KAFKA)
    (tmp_path / ".env").write_text(ENV)
    assert main(["config", "import-ami-kafka", str(tmp_path / "ami_kafka.conf"), str(tmp_path / "kafka.conf")]) == 0
    said = capsys.readouterr()
    assert yaml.safe_load(said.out)["events"]["topic"] == "pbx_events"
    assert "remark: " in said.err
    assert main(["config", "import-env", str(tmp_path / ".env")]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["api"]["region"] == "ca1"
    assert main(["config", "import-env", str(tmp_path / "none")]) == 78

"""What an operator writes, and what is said of it."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from asterisk_connector.config.load import Loaded, load, loads
from asterisk_connector.config.model import Settings

WHOLE = """\
api: {key: sk_test, region: ca1}
sources:
  cel_csv:
    - path: /var/log/asterisk/cel-custom/Master.csv
"""


def said(loaded: Loaded) -> list[str]:
    return [str(finding) for finding in loaded.findings]


def settings(text: str, environ: Mapping[str, str] | None = None) -> Settings:
    loaded = loads(text, environ=environ)
    assert loaded.settings is not None, said(loaded)
    return loaded.settings


def problem(text: str, environ: Mapping[str, str] | None = None) -> str:
    loaded = loads(text, environ=environ)
    errors = [str(finding) for finding in loaded.findings if finding.level == "error"]
    assert loaded.settings is None
    assert len(errors) == 1, errors
    return errors[0]


def test_a_small_file_gives_settings_with_defaults() -> None:
    given = settings(WHOLE)
    assert given.api is not None
    assert given.api.region == "ca1"
    assert given.api.key.reveal() == "sk_test"
    assert given.sources.cel_csv[0].path == Path("/var/log/asterisk/cel-custom/Master.csv")
    assert given.shipping.retry_for == 48 * 3600
    assert given.host


def test_every_problem_is_said_at_once_with_its_line() -> None:
    loaded = loads("api:\n  regoin: ca1\n  customer_id: x\nshipping:\n  mode: often\nstor: {}\n", "c.yaml")
    assert loaded.settings is None
    assert [finding.place for finding in loaded.findings] == [
        "c.yaml:2",
        "c.yaml:3",
        "c.yaml:2",
        "c.yaml:5",
        "c.yaml:6",
    ]


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    assert problem(WHOLE + "shiping: {}\n") == "config.yaml:5: shiping: unknown setting; did you mean `shipping`?"


def test_a_key_in_the_wrong_block_is_told_where_it_belongs() -> None:
    assert "did you mean `api.region`?" in problem(WHOLE + "region: ca1\n")


def test_a_key_like_no_other_is_told_what_is_known() -> None:
    assert "known here: level, target" in problem(WHOLE + "log: {zzz: 1}\n")


def test_a_value_of_the_wrong_kind_is_told_what_was_expected() -> None:
    message = problem(WHOLE + "shipping: {retry_for: long}\n")
    assert message == ("config.yaml:5: shipping.retry_for: expected a duration, got `long`, for example `10m`")


def test_an_unknown_region_is_an_error_and_not_us1() -> None:
    message = problem(WHOLE.replace("ca1", "eu1"))
    assert message == "config.yaml:1: api.region: expected one of us1, us2, ca1, dev, got `eu1`"


def test_a_repeated_key_is_an_error() -> None:
    assert problem(WHOLE + "log: {level: info, level: debug}\n").endswith("log.level: given twice; only one can hold")


def test_a_block_where_a_value_belongs_is_an_error() -> None:
    assert "expected a text, not a block" in problem(WHOLE + "host: {name: x}\n")


def test_a_value_where_a_list_belongs_is_an_error() -> None:
    assert "expected a list, not a single value" in problem(WHOLE + "numbers: {keep: 116117}\n")


def test_a_setting_without_a_value_is_an_error() -> None:
    assert "has no value" in problem(WHOLE + "host:\n")


def test_a_block_without_settings_has_its_defaults() -> None:
    assert settings(WHOLE + "shipping:\n").shipping.mode == "complete"


def test_a_missing_required_setting_is_said_with_an_example() -> None:
    message = problem(WHOLE + "kafka: {connections: {main: {client_id: x}}}\n")
    assert message.endswith(
        "kafka.connections.main.brokers: missing; for example `brokers: [kafka1:9092, kafka2:9092]`"
    )


def test_values_are_decoded_by_what_their_setting_is_and_not_by_what_yaml_guesses() -> None:
    given = settings(WHOLE + "numbers: {country: NO, keep: [0042, 1:30]}\nhost: 007\n")
    assert given.numbers.country == "NO"
    assert given.numbers.keep == ("0042", "1:30")
    assert given.host == "007"


def test_a_relative_path_is_refused() -> None:
    assert "does not start with /" in problem(WHOLE.replace("/var/log/asterisk/cel-custom/", ""))


def test_yaml_that_cannot_be_read_is_told_with_its_line() -> None:
    message = problem("api:\n  key: [\n")
    assert message.startswith("config.yaml:3: not valid YAML")


@pytest.mark.parametrize("text", ["[1, 2]", "just words", "--- a\n--- b\n", "\x00", '"\\UFFFFFFFF"', "&a [*a]"])
def test_a_file_that_is_no_configuration_is_an_error_and_not_a_crash(text: str) -> None:
    assert loads(text).settings is None


def test_deep_nesting_is_an_error_and_not_a_crash() -> None:
    assert loads("[" * 5000).settings is None


def test_anchors_and_merge_keys_share_what_two_tables_have_in_common() -> None:
    given = settings(
        "api: {key: x}\n"
        "sources:\n"
        "  cel_table: &db {database: pbx, host: db1, table: cel}\n"
        "  cdr_table: {<<: *db, table: cdr}\n"
    )
    assert given.sources.cdr_table is not None
    assert (given.sources.cdr_table.host, given.sources.cdr_table.table) == ("db1", "cdr")


def test_filters_are_lines_or_blocks() -> None:
    given = settings(
        WHOLE + "ami: {user: a, secret: b}\nkafka: {connections: {main: {brokers: [k:9092]}}}\n"
        "events: {connection: main, topic: t, filters: ['eventfilter = !Local/', {name: Hangup}]}\n"
    )
    assert given.events is not None
    first, second = given.events.filters
    assert first == "eventfilter = !Local/"
    assert not isinstance(second, str)
    assert second.name == "Hangup"


def test_a_start_may_lie_some_hours_back() -> None:
    assert settings(WHOLE + "start_at: 6h\n").start_at == timedelta(hours=6)


# Secrets


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    key = tmp_path / "api.key"
    key.write_text("sk_filed\n")
    key.chmod(0o600)
    given = settings(WHOLE.replace("key: sk_test", f"key_file: {key}"))
    assert given.api is not None
    assert given.api.key.reveal() == "sk_filed"
    assert given.api.key.origin == f"file {key}"


def test_a_secret_file_that_everybody_can_read_is_a_warning(tmp_path: Path) -> None:
    key = tmp_path / "api.key"
    key.write_text("sk_filed")
    key.chmod(0o644)
    loaded = loads(WHOLE.replace("key: sk_test", f"key_file: {key}"))
    assert loaded.settings is not None
    assert [(finding.level, finding.hint) for finding in loaded.findings] == [("warning", f"chmod o-r {key}")]


@pytest.mark.parametrize(("content", "words"), [("", "is empty"), ("\n", "is empty"), ("a\nb", "more than one line")])
def test_a_secret_file_without_one_secret_is_an_error(tmp_path: Path, content: str, words: str) -> None:
    key = tmp_path / "api.key"
    key.write_text(content)
    assert words in problem(WHOLE.replace("key: sk_test", f"key_file: {key}"))


def test_a_secret_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in problem(WHOLE.replace("key: sk_test", f"key_file: {tmp_path}/none"))


def test_a_secret_written_in_place_of_its_file_is_not_shown() -> None:
    message = problem(WHOLE.replace("key: sk_test", "key_file: sk_oops"))
    assert "sk_oops" not in message
    assert "absolute path of a file" in message


def test_a_secret_given_twice_is_an_error(tmp_path: Path) -> None:
    key = tmp_path / "api.key"
    key.write_text("sk")
    key.chmod(0o600)
    for pair in (f"key: a, key_file: {key}", f"key_file: {key}, key: a"):
        assert "given twice" in problem(WHOLE.replace("key: sk_test", pair))


def test_a_missing_secret_is_told_all_the_ways_to_give_it() -> None:
    message = problem(WHOLE.replace("key: sk_test, ", ""))
    for way in ("key_file", "credential api.key", "ASTERISK_CONNECTOR_API__KEY"):
        assert way in message


def test_a_secret_comes_from_a_credential(tmp_path: Path) -> None:
    (tmp_path / "api.key").write_text("sk_credential\n")
    (tmp_path / "api.key").chmod(0o600)
    given = settings(WHOLE.replace("key: sk_test, ", ""), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert given.api is not None
    assert given.api.key.reveal() == "sk_credential"
    assert given.api.key.origin == "credential api.key"


def test_a_credential_goes_before_the_file_and_the_environment_before_both(tmp_path: Path) -> None:
    (tmp_path / "api.key").write_text("sk_credential")
    (tmp_path / "api.key").chmod(0o600)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    from_credential = settings(WHOLE, environ)
    assert from_credential.api is not None
    assert from_credential.api.key.reveal() == "sk_credential"
    from_environment = settings(WHOLE, {**environ, "ASTERISK_CONNECTOR_API__KEY": "sk_environment"})
    assert from_environment.api is not None
    assert from_environment.api.key.reveal() == "sk_environment"


def test_a_credential_of_a_named_connection_is_found(tmp_path: Path) -> None:
    name = "kafka.connections.main.sasl.password"
    (tmp_path / name).write_text("pw")
    (tmp_path / name).chmod(0o600)
    given = settings(
        WHOLE + "kafka: {connections: {main: {brokers: [k:1], security_protocol: sasl_ssl,"
        " sasl: {mechanism: PLAIN, username: u}}}}\n",
        {"CREDENTIALS_DIRECTORY": str(tmp_path)},
    )
    sasl = given.kafka.connections["main"].sasl
    assert sasl is not None
    assert sasl.password.reveal() == "pw"


def test_a_credential_that_names_no_secret_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "api.kye").write_text("x")
    loaded = loads(WHOLE, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert [(finding.level, finding.path) for finding in loaded.findings] == [("warning", "api.kye")]


# Environment


def test_the_environment_goes_before_the_file() -> None:
    given = settings(WHOLE, {"ASTERISK_CONNECTOR_API__REGION": "us2", "ASTERISK_CONNECTOR_LOG__LEVEL": "debug"})
    assert given.api is not None
    assert (given.api.region, given.log.level) == ("us2", "debug")


def test_the_environment_alone_can_configure_the_agent() -> None:
    given = settings(
        "",
        {
            "ASTERISK_CONNECTOR_API__KEY": "sk",
            "ASTERISK_CONNECTOR_SOURCES__CEL_CSV__0__PATH": "/cel.csv",
            "ASTERISK_CONNECTOR_SOURCES__CEL_CSV__0__ZONE": "Europe/Oslo",
            "ASTERISK_CONNECTOR_DIRECTIONS__TRUNKS": "acme, twilio",
            "ASTERISK_CONNECTOR_KAFKA__CONNECTIONS__MAIN__BROKERS": "[k1:9092, k2:9092]",
            "ASTERISK_CONNECTOR_TENANTS__DIDS": "{'4165550100': acme}",
        },
    )
    assert given.sources.cel_csv[0].zone == "Europe/Oslo"
    assert given.directions.trunks == ("acme", "twilio")
    assert given.kafka.connections["main"].brokers == ("k1:9092", "k2:9092")
    assert given.tenants.dids == {"4165550100": "acme"}


def test_a_name_of_the_file_is_found_in_capitals() -> None:
    given = settings(
        WHOLE + "kafka: {connections: {my-kafka: {brokers: [k:1]}}}\n",
        {"ASTERISK_CONNECTOR_KAFKA__CONNECTIONS__MY_KAFKA__CLIENT_ID": "pbx1"},
    )
    assert given.kafka.connections["my-kafka"].client_id == "pbx1"


def test_an_unknown_variable_is_an_error_with_its_name() -> None:
    message = problem(WHOLE, {"ASTERISK_CONNECTOR_API__REGOIN": "ca1"})
    assert message.startswith("environment variable ASTERISK_CONNECTOR_API__REGOIN: api.regoin: unknown setting")
    assert "did you mean `region`?" in message


def test_a_wrong_value_of_a_variable_is_told_with_its_name() -> None:
    message = problem(WHOLE, {"ASTERISK_CONNECTOR_API__WORKERS": "many"})
    assert message.startswith("environment variable ASTERISK_CONNECTOR_API__WORKERS: api.workers: expected a whole")


def test_an_item_that_does_not_exist_is_an_error() -> None:
    assert "not the number of an item" in problem(WHOLE, {"ASTERISK_CONNECTOR_SOURCES__CEL_CSV__7__ZONE": "UTC"})


def test_other_variables_are_nobody_s_business() -> None:
    assert settings(WHOLE, {"PATH": "/bin", "ASTERISK_CONNECTOR_CONFIG": "/x"}).host


# The file itself


def test_a_missing_file_is_told_how_to_make_one(tmp_path: Path) -> None:
    loaded = load(tmp_path / "none.yaml", {})
    assert loaded.settings is None
    assert "there is no such file" in said(loaded)[0]
    assert "config example" in said(loaded)[0]


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    assert "cannot be read" in said(load(tmp_path, {}))[0]


def test_a_file_with_a_secret_that_everybody_can_read_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(WHOLE)
    file.chmod(0o644)
    loaded = load(file, {})
    assert loaded.settings is not None
    assert [finding.level for finding in loaded.findings] == ["warning"]
    file.chmod(0o640)
    assert load(file, {}).findings == []


def test_a_secret_is_in_no_finding_and_in_no_representation() -> None:
    loaded = loads(WHOLE + "ami: {user: a, secret: [hidden_secret]}\n")
    assert "hidden_secret" not in "".join(said(loaded))
    assert "sk_test" not in repr(settings(WHOLE))


def test_the_proxy_s_account_is_joined_to_its_address() -> None:
    given = settings(
        WHOLE.replace("key: sk_test", "key: k, proxy: 'http://p:3128', proxy_user: u, proxy_password: 'a@b'")
    )
    assert given.api is not None
    assert given.api.proxy_address() == "http://u:a%40b@p:3128"
    assert "a@b" not in repr(given)


def test_reading_a_broken_file_again_and_again_leaks_nothing(tmp_path: Path) -> None:
    """F55: a reload with a broken file, a hundred times."""
    file = tmp_path / "config.yaml"
    (tmp_path / "api.key").write_text("sk")
    file.write_text(f"api: {{key_file: {tmp_path}/api.key, regoin: x}}\n")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(100):
        assert load(file, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).settings is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before

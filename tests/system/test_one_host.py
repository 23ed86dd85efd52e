"""The real thing on one host: MariaDB, a real Asterisk 22, Kafka within reach, and the agent from the package.

What `asterisk-connector setup` proposes is applied as an operator would: word by word, as it is printed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.conftest import COLD_START, saying_why
from tests.kit.call_api import CallApi
from tests.kit.kafka import Kafka
from tests.kit.package import built
from tests.kit.pbx_host import ASTERISK, DATABASE, PbxHost
from tests.kit.sip_phone import SipPhone, answers
from tests.kit.wait import until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.asterisk, pytest.mark.timeout(COLD_START)]

NAME = "asterisk-connector"
ETC = f"/etc/{NAME}"
KEY = "sk_" + "b" * 32
TOPIC = "one_host"
AUDIO = "/v1/mqs/recording"


@pytest.fixture(scope="module")
def api() -> Iterator[CallApi]:
    with CallApi() as api:
        yield api


@pytest.fixture(scope="module")
def pbx() -> Iterator[PbxHost]:
    with saying_why():
        pbx = PbxHost()
    with pbx:
        yield pbx


@pytest.fixture(scope="module")
def setup_said(pbx: PbxHost, api: CallApi, kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The package installed, set up, what setup wants done, and the service started; what setup said."""
    with saying_why():
        package = built("bookworm", tmp_path_factory.mktemp("package"))
    host = pbx.host
    shutil.copy(package, host.file(f"/root/{package.name}"))
    host.run("apt-get", "install", "-y", f"/root/{package.name}")
    kafka.create_topic(TOPIC)
    (host.file("/root/api.key")).write_text(f"{KEY}\n")
    brokers = kafka.client("plain")["bootstrap.servers"]
    words = ["--root", ASTERISK, "--api-url", api.url, "--api-key-file", "/root/api.key", "--upload"]
    done = host.run(NAME, "setup", "--non-interactive", *words, "--kafka", brokers, "--topic", TOPIC)
    said = done.stdout + done.stderr
    for command in commands(said):
        host.run("sh", "-ec", command)
    host.run("systemctl", "enable", "--now", NAME)
    return said


def commands(said: str) -> list[str]:
    """What setup tells an operator to run."""
    return [line.strip()[2:] for line in said.splitlines() if line.strip().startswith("$ ")]


@pytest.fixture(scope="module")
def call_id(pbx: PbxHost, setup_said: str, api: CallApi) -> str:
    """A call of half a minute of a person's life: 100 calls 101 by a number that is recorded; its id."""
    until(lambda: "stands" in journal(pbx), 20, f"a manager session:\n{journal(pbx)}")
    alice, bob = SipPhone("100", pbx.address, 6001), SipPhone("101", pbx.address, 6002)
    try:
        bob.behaviour = answers(0.2)
        call = alice.dial("612").wait_answered()
        until(lambda: recordings(pbx), 10, "a recording")
        call.bye()
        call.wait_ended()
    finally:
        alice.close()
        bob.close()
    until(lambda: api.calls, 30, f"the call at the API:\n{journal(pbx)}")
    return next(iter(api.calls))


def journal(pbx: PbxHost) -> str:
    return pbx.host.said("journalctl", "--no-pager", "--output=cat", "--unit", NAME)


def recordings(pbx: PbxHost) -> list[str]:
    return pbx.host.said("find", "/var/spool/asterisk/monitor", "-name", "*.wav", "-size", "+1k").split()


def told(pbx: PbxHost, call_id: str) -> dict[str, Any]:
    """What the agent knows of a call."""
    document: dict[str, Any] = json.loads(pbx.host.run(NAME, "calls", "show", call_id).stdout)
    return document


def test_after_the_steps_of_setup_nothing_is_left_to_be_done(pbx: PbxHost, setup_said: str) -> None:
    checked = pbx.host.run("runuser", "-u", NAME, "--", NAME, "check", check=False)
    assert checked.returncode == 0, checked.stdout
    again = pbx.host.run(NAME, "setup", "--json", "--root", ASTERISK)
    found = json.loads(again.stdout)["found"]
    assert (found["cel"]["enabled"], found["cel"]["missing_events"]) == (True, [])
    assert NAME in found["manager"]["accounts"]


def test_setup_shows_no_secret_and_keeps_them_from_others(pbx: PbxHost, setup_said: str) -> None:
    for name in ("api.key", "db.password", "ami.secret"):
        assert pbx.host.run("cat", f"{ETC}/{name}").stdout.strip() not in setup_said
        assert pbx.host.said("stat", "--format=%a %U %G", f"{ETC}/{name}") == f"640 root {NAME}"
    assert pbx.host.said("stat", "--format=%a %U", f"{ETC}/apply", f"{ETC}/apply/database.sql") == "700 root\n600 root"
    assert pbx.host.said("stat", "--format=%a %U %G", f"{ETC}/config.yaml") == f"640 root {NAME}"


def test_the_database_account_may_read_calls_and_nothing_else(pbx: PbxHost, setup_said: str) -> None:
    password = pbx.host.run("cat", f"{ETC}/db.password").stdout.strip()
    login = ["mysql", "--user=asterisk_reader", f"--password={password}", DATABASE, "-e"]
    assert pbx.host.run(*login, "SELECT COUNT(*) FROM cdr").returncode == 0
    for forbidden in ("INSERT INTO cdr (calldate) VALUES (NOW())", "SELECT * FROM private", "DROP TABLE cdr"):
        refused = pbx.host.run(*login, forbidden, check=False)
        assert "denied" in refused.stderr, forbidden


def test_a_call_arrives_with_what_files_and_tables_say_of_it(pbx: PbxHost, api: CallApi, call_id: str) -> None:
    config = yaml.safe_load(pbx.host.run("cat", f"{ETC}/config.yaml").stdout)
    assert set(config["sources"]) == {"cel_csv", "cdr_table", "recordings"}
    until(lambda: told(pbx, call_id)["evidence"]["rows"].get("CDR"), 30, f"its CDR row:\n{journal(pbx)}")
    known = told(pbx, call_id)
    assert (known["outcome"], known["complete"]) == ("answered", True)
    assert {"CHAN_START", "APP_START", "BRIDGE_ENTER", "HANGUP", "LINKEDID_END"} <= set(known["evidence"]["rows"])
    assert int(pbx.query(f"SELECT COUNT(*) FROM cdr WHERE linkedid = '{call_id}'")) == known["evidence"]["rows"]["CDR"]


def test_its_recording_arrives_after_it(pbx: PbxHost, api: CallApi, call_id: str) -> None:
    (file,) = recordings(pbx)
    until(lambda: any(request.path == AUDIO for request in api.requests), 30, f"audio:\n{journal(pbx)}")
    named = [name["file_path"] for call in api.calls.values() for name in call.get("recording_files", ())]
    assert file in named


def test_its_manager_events_are_in_kafka(pbx: PbxHost, kafka: Kafka, call_id: str) -> None:
    records = kafka.consume(TOPIC, at_least=20)
    events = [json.loads(record.value()) for record in records]
    mine = [event["Event"] for event in events if event.get("Linkedid") == call_id]
    assert {"Newchannel", "DialBegin", "BridgeEnter", "Hangup"} <= set(mine)

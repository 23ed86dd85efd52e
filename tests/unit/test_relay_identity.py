"""Who the events come from, from every place it can be known."""

import subprocess
from pathlib import Path

import pytest

from asterisk_connector.ami.handshake import Answers
from asterisk_connector.relay.encode import Identity
from asterisk_connector.relay.identity import (
    Facts,
    computed_entity_id,
    entity_id,
    identify,
    is_this_host,
    read_asterisk_conf,
)

KNOWN = Identity("0a:00:00:00:00:01", "known", "20.1", "old-host")


def test_the_places_are_asked_in_their_order() -> None:
    every = {
        "configured": Facts("c", "configured"),
        "local": Facts("l", "local"),
        "known": KNOWN,
        "computed": "x",
        "hostname": "host",
    }
    answers = Answers("a", "22.10.1", "answered")
    assert identify(answers, **every) == Identity("c", "configured", "22.10.1", "host")  # type: ignore[arg-type]
    del every["configured"]
    assert identify(answers, **every) == Identity("a", "answered", "22.10.1", "host")  # type: ignore[arg-type]
    assert identify(Answers(), **every) == Identity("l", "local", "20.1", "host")  # type: ignore[arg-type]
    del every["local"]
    assert identify(Answers(), **every) == Identity(KNOWN.entity_id, "known", "20.1", "host")  # type: ignore[arg-type]
    assert identify(Answers(), computed="x") == Identity("x", "", "unknown", "unknown")
    assert identify(Answers()).entity_id == "00:00:00:00:00:00"


def test_an_asterisk_without_a_system_name_takes_back_the_one_known() -> None:
    assert identify(Answers("a", "22", ""), known=KNOWN).system_name == ""


def test_37_the_version_changes_with_an_upgrade() -> None:
    assert identify(Answers("a", "22.11.0", ""), known=KNOWN).asterisk_version == "22.11.0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AA:b:0c:1:2:3", "aa:0b:0c:01:02:03"),
        ("aa:bb:cc:dd:ee:ff and more", "aa:bb:cc:dd:ee:ff"),
        ("aa:bb:cc:dd:ee", ""),
        ("pbx", ""),
        ("", ""),
    ],
)
def test_an_entity_id_is_printed_as_asterisk_prints_it(text: str, expected: str) -> None:
    assert entity_id(text) == expected


def test_asterisk_conf_says_entity_and_system_name(tmp_path: Path) -> None:
    conf = tmp_path / "asterisk.conf"
    conf.write_text(
        "[directories](!)\nastetcdir => /etc/asterisk\nentityid = 1:1:1:1:1:1\n[options] ; here\n"
        ";systemname = no\nEntityID => 2:2:2:2:2:2\nsystemname = pbx-01 ; name\n"
    )
    assert read_asterisk_conf(conf) == Facts("02:02:02:02:02:02", "pbx-01")
    assert read_asterisk_conf(tmp_path / "none.conf") == Facts()


def test_the_computed_id_belongs_to_an_interface_of_this_host() -> None:
    links = subprocess.run(
        ["cat", *Path("/sys/class/net").glob("*/address")], capture_output=True, text=True, check=True
    )
    assert computed_entity_id() in {*links.stdout.split(), ""}


def test_only_the_loopback_is_this_host() -> None:
    assert is_this_host("127.0.0.1")
    assert is_this_host("::1")
    assert is_this_host("localhost")
    assert not is_this_host("192.0.2.7")
    assert not is_this_host("pbx.example")

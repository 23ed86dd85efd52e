"""The package on a booted Debian 12, under its systemd: what an operator does with it, from install to purge."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.call_api import CallApi
from tests.kit.host import Host
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until
from tests.system.conftest import build

pytestmark = [pytest.mark.prove, pytest.mark.root, pytest.mark.timeout(900)]

NAME = "asterisk-connector"
ETC = f"/etc/{NAME}"
CEL = "/var/log/asterisk/cel-custom/Master.csv"
SPOOL = "/var/spool/asterisk/monitor"
KEY = "sk_" + "a" * 32


@pytest.fixture
def api() -> Iterator[CallApi]:
    with CallApi() as api:
        yield api


@pytest.fixture
def pbx(host: Host) -> Host:
    """A host with the user, the group and the directories of an Asterisk."""
    host.run("useradd", "--system", "--user-group", "--no-create-home", "asterisk")
    for directory in (str(Path(CEL).parent), SPOOL):
        host.run("install", "-d", "-m", "0750", "-o", "asterisk", "-g", "asterisk", directory)
    host.run("chown", "asterisk:asterisk", "/var/log/asterisk", "/var/spool/asterisk")
    host.run("install", "-m", "0640", "-o", "asterisk", "-g", "asterisk", "/dev/null", CEL)
    return host


def install(host: Host, package: Path) -> None:
    shutil.copy(package, host.file(f"/root/{package.name}"))
    host.run("apt-get", "install", "-y", f"/root/{package.name}")


def settings(api: CallApi, **more: Any) -> dict[str, Any]:
    return {
        "start_at": "beginning",
        "api": {"url": api.url, "key_file": f"{ETC}/api.key"},
        "sources": {"cel_csv": [{"path": CEL}]},
        "calls": {"settle": "200ms"},
        **more,
    }


def configure(host: Host, text: str) -> None:
    """What an operator writes: a configuration and a key that the service, and nobody else, may read."""
    for name, content in (("api.key", KEY), ("config.yaml", text)):
        host.file(f"{ETC}/{name}").write_text(content)
        host.run("chown", f"root:{NAME}", f"{ETC}/{name}")
        host.run("chmod", "0640", f"{ETC}/{name}")


def drop_in(host: Host, text: str) -> None:
    directory = host.file(f"/etc/systemd/system/{NAME}.service.d")
    directory.mkdir(exist_ok=True)
    (directory / "test.conf").write_text(text)
    host.run("systemctl", "daemon-reload")


def write_call(host: Host, number: int) -> str:
    """A call's rows, as Asterisk appends them; its linkedid."""
    call = NumberedCall(number)
    with host.file(CEL).open("ab") as file:
        file.write(b"".join(row + b"\n" for _, row in call.rows()))
    return call.linkedid


def arrived(api: CallApi, linkedid: str, host: Host) -> None:
    until(lambda: linkedid in api.calls, 20, f"{linkedid} at the call API; the journal says:\n{journal(host)}")


def show(host: Host, what: str) -> str:
    return host.said("systemctl", "show", "--property", what, "--value", NAME)


def journal(host: Host) -> str:
    return host.said("journalctl", "--no-pager", "--output=cat", "--unit", NAME)


@pytest.fixture
def running(pbx: Host, package: Path, api: CallApi) -> Host:
    """A PBX with the package installed, configured and started."""
    install(pbx, package)
    configure(pbx, yaml.safe_dump(settings(api)))
    pbx.run("systemctl", "start", NAME)
    return pbx


def test_installed_and_not_configured_it_is_quiet(host: Host, package: Path) -> None:
    install(host, package)
    assert host.said("systemctl", "is-enabled", NAME) == "enabled"
    assert show(host, "ActiveState") == "inactive"
    assert show(host, "ConditionResult") == "no"
    assert host.said("systemctl", "--failed", "--plain", "--no-legend") == ""
    assert host.said("stat", "--format=%a %U %G", ETC) == f"750 root {NAME}"
    assert host.run(NAME, "version").stdout.strip()


def test_rows_that_asterisk_wrote_become_a_call_at_the_api(running: Host, api: CallApi) -> None:
    linkedid = write_call(running, 1)
    arrived(api, linkedid, running)
    assert show(running, "ActiveState") == "active"
    until(lambda: "1 source" in show(running, "StatusText"), 10, "the state in `systemctl status`")
    assert running.said("journalctl", "--output=cat", f"ASTERISK_LINKEDID={linkedid}")


def test_it_reads_as_a_user_who_is_nobody_else(running: Host) -> None:
    assert running.said("id", "--name", "--groups", NAME).split() == [NAME, "asterisk"]
    key = running.run("runuser", "-u", "nobody", "--", "cat", f"{ETC}/api.key", check=False)
    assert key.returncode != 0
    assert "Permission denied" in key.stderr


def test_a_reload_takes_a_good_configuration_and_refuses_a_bad_one(running: Host, api: CallApi) -> None:
    pid = show(running, "MainPID")
    configure(running, "api: [")
    assert running.run("systemctl", "reload", NAME, check=False).returncode != 0
    assert show(running, "ActiveState") == "active"
    arrived(api, write_call(running, 1), running)
    configure(running, yaml.safe_dump(settings(api, host="pbx-renamed")))
    running.run("systemctl", "reload", NAME)
    until(lambda: "configuration reloaded" in journal(running), 10, "the reload in the journal")
    arrived(api, write_call(running, 2), running)
    assert show(running, "MainPID") == pid


def test_a_wrong_configuration_is_told_once_and_not_tried_again(pbx: Host, package: Path) -> None:
    install(pbx, package)
    configure(pbx, "aip: {}\n")
    assert pbx.run("systemctl", "start", NAME, check=False).returncode != 0
    assert show(pbx, "ExecMainStatus") == "78"
    assert show(pbx, "ActiveState") == "failed"
    assert f"{ETC}/config.yaml:1" in journal(pbx)


def test_a_service_that_stands_still_is_started_anew_and_loses_nothing(running: Host, api: CallApi) -> None:
    drop_in(running, "[Service]\nWatchdogSec=2s\nTimeoutAbortSec=2s\nRestartSec=100ms\n")
    running.run("systemctl", "restart", NAME)
    running.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", NAME)
    linkedid = write_call(running, 1)
    until(lambda: show(running, "NRestarts") == "1", 30, "a restart by the watchdog")
    assert "Watchdog timeout" in journal(running)
    arrived(api, linkedid, running)


def test_a_secret_as_a_credential_needs_no_file_that_the_service_may_read(
    pbx: Host, package: Path, api: CallApi
) -> None:
    install(pbx, package)
    given = settings(api)
    del given["api"]["key_file"]
    configure(pbx, yaml.safe_dump(given))
    pbx.run("install", "-D", "-m", "0600", f"{ETC}/api.key", f"{ETC}/secrets/api.key")
    pbx.file(f"{ETC}/api.key").unlink()
    drop_in(pbx, pbx.file(f"/usr/share/doc/{NAME}/examples/credentials.conf").read_text())
    pbx.run("systemctl", "start", NAME)
    pbx.run("systemctl", "reload", NAME)
    arrived(api, write_call(pbx, 1), pbx)
    assert any(KEY in value for value in api.requests[-1].headers.values())


def test_the_sandbox_lets_it_read_what_it_needs_and_write_nothing_else(running: Host) -> None:
    unit = running.file(f"/lib/systemd/system/{NAME}.service").read_text()
    left_out = ("ExecReload", "ExecStart", "NotifyAccess", "Restart", "Type", "Watchdog")
    lines = [line for line in unit.splitlines() if not line.startswith(left_out)]
    tries = {
        "reads": f"cat {CEL}",
        "keeps": f"touch /var/lib/{NAME}/probe",
        "spool": f"touch {SPOOL}/probe",
        "etc": f"touch {ETC}/probe",
        "shadow": "cat /etc/shadow",
        "root": "ls /root",
    }
    probe = "; ".join(f"{command} >/dev/null 2>&1 && echo {name}" for name, command in tries.items())
    text = "\n".join(lines).replace("[Service]", f"[Service]\nType=oneshot\nExecStart=/bin/sh -c '{probe}; true'")
    running.file("/etc/systemd/system/probe.service").write_text(text)
    running.run("systemctl", "daemon-reload")
    running.run("systemctl", "start", "probe")
    said = running.said("journalctl", "--no-pager", "--output=cat", "--unit", "probe", "_COMM=sh").split()
    assert sorted(said) == ["keeps", "reads"]


def test_removing_keeps_what_is_owed_and_purging_leaves_nothing(running: Host, api: CallApi) -> None:
    arrived(api, write_call(running, 1), running)
    running.run("apt-get", "remove", "-y", NAME)
    assert running.file(f"/var/lib/{NAME}/calls.db").exists()
    assert running.file(f"{ETC}/config.yaml").exists()
    assert not running.file(f"/usr/lib/{NAME}").exists()
    running.run("apt-get", "purge", "-y", NAME)
    assert running.run("id", NAME, check=False).returncode != 0
    left = running.run("find", "/", "-xdev", "-name", f"*{NAME}*", "-not", "-path", "/root/*").stdout.split()
    assert left == []


def test_a_host_without_group_asterisk_can_have_it_too(host: Host, package: Path) -> None:
    install(host, package)
    assert host.said("id", "--name", "--groups", NAME) == NAME
    assert host.run("getent", "group", "asterisk", check=False).returncode != 0


def test_the_same_sources_make_the_same_package(package: Path, tmp_path: Path) -> None:
    again = build(tmp_path, umask=0o077)
    assert again.read_bytes() == package.read_bytes()


def test_the_package_is_small_and_holds_nothing_of_its_build(package: Path) -> None:
    assert package.stat().st_size < 8_000_000
    listed = subprocess.run(["dpkg-deb", "--contents", str(package)], capture_output=True, text=True, check=True).stdout
    assert [line for line in listed.splitlines() if line.endswith((".pyc", "/RECORD", "direct_url.json"))] == []
    depends = subprocess.run(["dpkg-deb", "-f", str(package), "Depends"], capture_output=True, text=True, check=True)
    assert {"python3.11", "adduser"} <= {word.strip() for word in depends.stdout.split(",")}
    assert all(library in depends.stdout for library in ("libmariadb3", "libpq5"))

"""The service on a booted host, under its systemd: what it does, what it may do, and what an operator does with it."""

from __future__ import annotations

import socket
import urllib.request

import pytest
import yaml

from tests.kit.operator import CEL, ETC, KEY, SPOOL, STATE, Operator
from tests.kit.package import NAME
from tests.kit.wait import until

UNIT = f"/lib/systemd/system/{NAME}.service"
SETTLED_SOON = "[Service]\nWatchdogSec=2s\nTimeoutAbortSec=2s\nRestartSec=100ms\n"


def test_rows_that_asterisk_wrote_become_a_call_at_the_api(running: Operator) -> None:
    """8.9, 8.14: and `systemctl status` and the journal tell of it."""
    linkedid = running.write_call()
    running.arrived(linkedid)
    assert running.show("ActiveState") == "active"
    until(lambda: "1 source" in running.show("StatusText"), 10, "the state in `systemctl status`")
    until(lambda: running.journal(f"ASTERISK_LINKEDID={linkedid}"), 10, "the call in the journal, by its field")


def test_a_reload_takes_a_good_configuration_and_refuses_a_bad_one(running: Operator) -> None:
    """8.12: on a host without procps, so that nothing needs `kill` or `pkill` of it."""
    assert running.host.run("sh", "-c", "command -v ps pkill", check=False).returncode != 0
    pid = running.show("MainPID")
    running.configure("api: [")
    assert running.host.run("systemctl", "reload", NAME, check=False).returncode != 0
    assert running.show("ActiveState") == "active"
    running.arrived(running.write_call())
    before = running.cursor()
    running.configure(running.settings(host="pbx-renamed"))
    running.host.run("systemctl", "reload", NAME)
    until(lambda: "configuration reloaded" in running.journal(before), 10, "the reload in the journal")
    running.arrived(running.write_call())
    assert running.show("MainPID") == pid


def test_a_wrong_configuration_is_told_once_and_not_tried_again(running: Operator) -> None:
    running.configure("aip: {}\n")
    before = running.cursor()
    assert running.host.run("systemctl", "restart", NAME, check=False).returncode != 0
    assert running.show("ExecMainStatus") == "78"
    assert running.show("ActiveState") == "failed"
    assert f"{ETC}/config.yaml:1" in running.journal(before)


def test_a_service_that_stands_still_is_started_anew_and_loses_nothing(running: Operator) -> None:
    """8.11"""
    running.drop_in(SETTLED_SOON)
    before = running.cursor()
    running.host.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", NAME)
    linkedid = running.write_call()
    until(lambda: running.show("NRestarts") == "1", 30, "a restart by the watchdog")
    assert "Watchdog timeout" in running.journal(before)
    running.arrived(linkedid)


@pytest.mark.parametrize("signal", ["KILL", "SEGV"])
def test_a_crash_is_mended_by_a_restart_and_loses_nothing(running: Operator, signal: str) -> None:
    running.drop_in("[Service]\nRestartSec=100ms\n")
    before = running.taken()
    first = [running.write_call() for _ in range(5)]
    running.host.run("systemctl", "kill", "--kill-whom=main", f"--signal={signal}", NAME)
    then = [running.write_call() for _ in range(5)]
    until(lambda: running.show("NRestarts") == "1", 30, "a restart")
    running.arrived(*first, *then)
    # A call that was under way when the process died may be told again, with the same key.
    assert before + 10 <= running.taken() <= before + 15


def test_a_secret_as_a_credential_needs_no_file_that_the_service_may_read(running: Operator) -> None:
    given = running.settings()
    del given["api"]["key_file"]
    running.configure(yaml.safe_dump(given))
    running.host.run("install", "-D", "-m", "0600", f"{ETC}/api.key", f"{ETC}/secrets/api.key")
    running.host.file(f"{ETC}/api.key").unlink()
    running.drop_in(running.host.file(f"/usr/share/doc/{NAME}/examples/credentials.conf").read_text())
    running.host.run("systemctl", "reload", NAME)
    running.arrived(running.write_call())
    assert any(KEY in value for value in running.api.requests[-1].headers.values())


def test_its_unit_is_locked_down_as_far_as_its_work_allows(running: Operator) -> None:
    """8.10: exposure 1.2 of 10 at most, and no line that this systemd does not know."""
    running.host.run("systemd-analyze", "security", "--offline=yes", "--threshold=12", UNIT)
    verified = running.host.run("systemd-analyze", "verify", "--man=no", UNIT)
    assert verified.stdout + verified.stderr == ""


def test_the_sandbox_lets_it_read_what_it_needs_and_write_nothing_else(running: Operator) -> None:
    """8.13: seen from inside, by a command in the same sandbox."""
    unit = running.host.file(UNIT).read_text()
    left_out = ("ExecReload", "ExecStart", "NotifyAccess", "Restart", "Type", "Watchdog")
    lines = [line for line in unit.splitlines() if not line.startswith(left_out)]
    tries = {
        "reads": f"cat {CEL}",
        "keeps": f"touch {STATE}/probe && rm {STATE}/probe",
        "spool": f"touch {SPOOL}/probe",
        "log": f"touch {CEL}",
        "etc": f"touch {ETC}/probe",
        "shadow": "cat /etc/shadow",
        "root": "ls /root",
        "home": "ls /home/*",
    }
    probe = "; ".join(f"({command}) >/dev/null 2>&1 && echo {name}" for name, command in tries.items())
    # With a runtime directory of its own: systemd removes the service's when the probe ends.
    text = "\n".join(lines).replace("RuntimeDirectory=asterisk-connector", "RuntimeDirectory=probe")
    text = text.replace("[Service]", f"[Service]\nType=oneshot\nExecStart=/bin/sh -c '{probe}; true'")
    running.host.file("/etc/systemd/system/probe.service").write_text(text)
    running.host.run("systemctl", "daemon-reload")
    running.host.run("systemctl", "start", "probe")
    said = running.host.said("journalctl", "--no-pager", "--output=cat", "--unit", "probe", "_COMM=sh").split()
    assert sorted(said) == ["keeps", "reads"]


def test_a_recording_that_asterisk_makes_is_seen_from_inside_the_sandbox(running: Operator) -> None:
    """8.13"""
    running.configure(running.settings() | {"sources": {"cel_csv": [{"path": CEL}], "recordings": {"paths": [SPOOL]}}})
    running.host.run("systemctl", "restart", NAME)
    as_asterisk = ["runuser", "-u", "asterisk", "--", "sh", "-c"]
    running.host.run(*as_asterisk, f"umask 027; head -c 20000 /dev/zero >{SPOOL}/20261122-120000-1795300000.9.wav")
    until(lambda: "1795300000.9.wav" in running.host.said(NAME, "recordings"), 30, "the recording")


def test_root_and_the_group_of_the_service_can_ask_it(running: Operator) -> None:
    running.host.run(NAME, "status", "--wait", "20")
    for path, rights in ((f"/run/{NAME}", "750"), (f"/run/{NAME}/control.sock", "660")):
        assert running.host.said("stat", "--format=%a %U %G", path) == f"{rights} {NAME} {NAME}"


def test_its_page_and_metrics_are_served_from_inside_the_sandbox(running: Operator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running.configure(running.settings(http={"listen": f"127.0.0.1:{port}"}))
    running.host.run("systemctl", "restart", NAME)

    def answer(path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answered:
            return bytes(answered.read())

    until(lambda: running.host.run(NAME, "status", "--wait", "20"), 30, "it is healthy")
    assert b"asterisk_connector_build_info" in answer("/metrics")
    assert b"<html" in answer("/")


def test_bash_completes_its_commands(running: Operator) -> None:
    script = f"""
        source /usr/share/bash-completion/completions/{NAME}
        COMP_WORDS=({NAME} out) COMP_CWORD=1
        $(complete -p {NAME} | sed 's/.*-F \\([^ ]*\\).*/\\1/') {NAME} out
        echo "${{COMPREPLY[*]}}"
    """
    assert running.host.run("bash", "-c", script).stdout.split() == ["outbox"]

"""From one version to another, forth and back, on a booted host that has work to do."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest

from tests.kit.call_api import Answer, take
from tests.kit.operator import ETC, STATE, Operator
from tests.kit.package import NAME, cannot_start, newer_state, repacked
from tests.kit.wait import until
from tests.system.conftest import ON_ONE_RELEASE


def starts(operator: Operator, since: str) -> list[str]:
    """What systemd says of each start."""
    return [line for line in operator.journal(since, "_PID=1").splitlines() if line.startswith("Started ")]


def schema(operator: Operator) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{operator.host.file(STATE)}/calls.db?mode=ro", uri=True)) as state:
        return int(state.execute("PRAGMA user_version").fetchone()[0])


def test_an_upgrade_with_a_backlog_loses_nothing_and_tells_nothing_twice(running: Operator, next_version: Path) -> None:
    """8.15: calls are owed, more come during the upgrade; the process changes once, what was edited stays."""
    before, since = running.taken(), running.cursor()
    running.host.run("sh", "-c", f"echo '# mine' >>{ETC}/config.yaml")
    running.api.script = lambda _: Answer(503)
    written = [running.write_call() for _ in range(40)]
    upgraded = threading.Event()

    def traffic() -> None:
        while not upgraded.wait(0.05):
            written.append(running.write_call())

    writer = threading.Thread(target=traffic)
    writer.start()
    try:
        running.install(next_version)
    finally:
        upgraded.set()
        writer.join()
    assert running.show("ActiveState") == "active"
    assert len(starts(running, since)) == 1
    assert running.show("NRestarts") == "0"
    running.api.script = take
    running.arrived(*written, within=60)
    running.host.run("systemctl", "stop", NAME)
    assert running.taken() == before + len(written)
    assert running.host.file(f"{ETC}/config.yaml").read_text().endswith("# mine\n")
    assert running.host.run("find", "/etc", "-name", "*.dpkg-*").stdout == ""


def test_an_upgrade_leaves_down_what_somebody_took_down(running: Operator, package: Path, next_version: Path) -> None:
    """8.15: stopped, disabled or masked, each across a change of version."""
    for down, version in (("stop", next_version), ("disable --now", package), ("mask --now", next_version)):
        running.host.run("systemctl", *down.split(), NAME)
        enabled, since = running.host.said("systemctl", "is-enabled", NAME), running.cursor()
        running.install(version)
        assert running.show("ActiveState") == "inactive"
        assert starts(running, since) == []
        assert running.host.said("systemctl", "is-enabled", NAME) == enabled


@ON_ONE_RELEASE
def test_after_a_release_that_cannot_start_the_one_before_goes_on(
    running: Operator, package: Path, tmp_path: Path
) -> None:
    """8.15: apt takes the release, as it takes every one; the service says so, and nothing is lost meanwhile."""
    broken = repacked(package, "0.3.0", tmp_path, cannot_start)
    since = running.cursor()
    running.install(broken)
    until(lambda: "this release cannot start" in running.journal(since), 20, "the reason in the journal")
    assert running.show("ActiveState") != "active"
    linkedid = running.write_call()
    running.install(package)
    until(lambda: running.show("ActiveState") == "active", 20, "the version before")
    running.arrived(linkedid)


@ON_ONE_RELEASE
def test_a_version_before_goes_on_where_the_state_is_of_the_same_schema(
    running: Operator, next_version: Path, package: Path
) -> None:
    before = running.taken()
    running.install(next_version)
    running.arrived(first := running.write_call())
    running.install(package)
    assert running.host.run(NAME, "version").stdout.split()[-1] == "0.1.0"
    running.arrived(first, running.write_call())
    assert running.taken() == before + 2


@ON_ONE_RELEASE
def test_a_version_before_refuses_a_newer_state_and_leaves_it_as_it_is(
    running: Operator, package: Path, tmp_path: Path
) -> None:
    later = repacked(package, "0.4.0", tmp_path, newer_state)
    running.install(later)
    running.arrived(running.write_call())
    assert schema(running) == 9999
    since = running.cursor()
    running.install(package)
    until(lambda: running.show("ActiveState") == "failed", 20, "the older version refuses")
    assert running.show("ExecMainStatus") == "78"
    assert "has schema 9999; this version of asterisk-connector understands up to" in running.journal(since)
    owed = running.write_call()
    assert schema(running) == 9999
    running.install(later)
    running.arrived(owed)
    running.purge()


@pytest.mark.parametrize("suite", ["bookworm"], indirect=True)
def test_an_upgrade_of_debian_12_to_13_keeps_it_installed(running: Operator) -> None:
    """8.17: what `apt-get dist-upgrade` would do with the archive of Debian 13."""
    trixie = running.host.file("/etc/apt/trixie.list")
    trixie.write_text("deb http://deb.debian.org/debian trixie main\n")
    only = ("-o", "Dir::Etc::sourcelist=/etc/apt/trixie.list", "-o", "Dir::Etc::sourceparts=-")
    running.host.run("apt-get", *only, "update")
    planned = running.host.run("apt-get", *only, "--simulate", "dist-upgrade").stdout.splitlines()
    running.host.run("sh", "-c", "rm -rf /etc/apt/trixie.list /var/lib/apt/lists/*")
    assert any(line.startswith("Inst libc6 ") for line in planned)
    assert [line for line in planned if line.startswith(("Remv python3.11", f"Remv {NAME}"))] == []

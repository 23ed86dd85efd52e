"""Installing, removing, purging: what an operator finds on a booted host before, between and after."""

from __future__ import annotations

import yaml

from tests.kit.operator import ETC, KEY, STATE, Operator
from tests.kit.package import NAME
from tests.kit.wait import until

LIBRARIES = "/usr/lib/x86_64-linux-gnu"


def test_installed_and_not_configured_it_is_quiet(bare: Operator) -> None:
    """8.7, 8.8; on a host without Asterisk."""
    bare.install(bare.package)
    assert bare.host.said("systemctl", "is-enabled", NAME) == "enabled"
    assert bare.show("ActiveState") == "inactive"
    assert bare.show("ConditionResult") == "no"
    assert bare.host.said("systemctl", "--failed", "--plain", "--no-legend") == ""
    assert bare.host.said("stat", "--format=%a %U %G", ETC) == f"750 root {NAME}"
    assert bare.host.run(NAME, "version").stdout.strip()


def test_an_asterisk_that_comes_later_is_read_after_its_group_is_joined(bare: Operator) -> None:
    """8.13: the package makes no group asterisk; the service starts without, and `check` says what to do later."""
    bare.install(bare.package)
    assert bare.host.said("id", "--name", "--groups", NAME) == NAME
    assert bare.host.run("getent", "group", "asterisk", check=False).returncode != 0
    bare.configure(bare.settings())
    bare.host.run("systemctl", "start", NAME)
    assert bare.show("ActiveState") == "active"
    bare.add_asterisk()
    linkedid = bare.write_call()
    told = bare.host.said("runuser", "-u", NAME, "--", NAME, "check", "--tier", "host")
    assert f"usermod -aG asterisk {NAME}, then restart the service" in told
    bare.host.run("usermod", "-aG", "asterisk", NAME)
    bare.host.run("systemctl", "restart", NAME)
    bare.arrived(linkedid)


def test_a_host_that_is_configured_before_the_install_starts_with_it(pbx: Operator) -> None:
    """8.9: in postinst the cache of libraries does not know yet what was installed along; drivers load nevertheless."""
    pbx.host.run("install", "-d", ETC)
    settings = pbx.settings()
    nobody_there = {"driver": "postgresql", "host": "127.0.0.1", "port": 1, "database": "asterisk", "password": "p"}
    settings["sources"]["cel_table"] = nobody_there
    for name, content in (("config.yaml", yaml.safe_dump(settings)), ("api.key", KEY)):
        pbx.host.file(f"{ETC}/{name}").write_text(content)
    # As it is while dpkg is at work: /etc/ld.so.cache is renewed by a trigger, after postinst.
    pbx.host.run("sh", "-c", f"mv {LIBRARIES}/libpq.so* /root && ldconfig && mv /root/libpq.so* {LIBRARIES}")
    assert "libpq" not in pbx.host.said("ldconfig", "-p")
    before = pbx.cursor()
    pbx.install(pbx.package)
    assert pbx.show("ActiveState") == "active"
    pbx.arrived(pbx.write_call())
    until(lambda: "refused" in pbx.journal(before), 20, "the table's host that refuses, in the journal")
    assert "ImportError" not in pbx.journal(before)
    assert pbx.host.said("stat", "--format=%a %U %G", ETC) == f"750 root {NAME}"


def test_nobody_else_reads_the_configuration(running: Operator) -> None:
    """8.8"""
    assert running.host.said("id", "--name", "--groups", NAME).split() == [NAME, "asterisk"]
    for name in ("config.yaml", "api.key"):
        refused = running.host.run("runuser", "-u", "nobody", "--", "cat", f"{ETC}/{name}", check=False)
        assert "Permission denied" in refused.stderr


def test_removing_keeps_what_is_owed_and_purging_leaves_nothing(running: Operator) -> None:
    """8.16: removed and installed again it goes on where it was; purged, nothing of it is left."""
    pid, before = running.show("MainPID"), running.taken()
    running.arrived(running.write_call())
    running.host.run("apt-get", "remove", "-y", NAME)
    assert running.host.file(f"{STATE}/calls.db").exists()
    assert running.host.file(f"{ETC}/config.yaml").exists()
    assert not running.host.file(f"/usr/lib/{NAME}").exists()
    assert running.host.run("test", "-e", f"/proc/{pid}", check=False).returncode != 0
    meanwhile = running.write_call()
    running.install(running.package)
    assert running.show("ActiveState") == "active"
    running.arrived(meanwhile)
    assert running.taken() == before + 2
    running.host.run("apt-get", "purge", "-y", NAME)
    assert running.host.run("id", NAME, check=False).returncode != 0
    left = running.host.run("find", "/", "-xdev", "-name", f"*{NAME}*", "-not", "-path", "/root/*").stdout.split()
    assert left == []

"""Several booted PBX hosts on a network of their own, reached by ssh like any fleet.

- Each host has its own loopback, so that the same ports are free on each; `address` is this machine, as they see it.
- They have the user, the files and the group of an Asterisk, but no network beyond: what roles install from Debian's
  archive (`ON_REQUEST`) lies in their apt cache, fetched when their root file system was made.
- `keep` and `reset` bring all of them back to where a test wants to start from, in seconds.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.kit import host
from tests.kit.cache import CannotRun, cached
from tests.kit.host import Host
from tests.kit.server import program

PACKAGES = f"{host.PACKAGES},ca-certificates,openssh-server"
ON_REQUEST = "python3-apt nftables acl"
DATABASES = "mariadb-server,postgresql"
CEL = "/var/log/asterisk/cel-custom/Master.csv"
SPOOL = "/var/spool/asterisk/monitor"
# What a PBX has before anybody thinks of an agent; $1 is its root.
_PBX = f"""
rm -f "$1/etc/hostname"
chroot "$1" useradd --system --user-group --no-create-home asterisk
for directory in {Path(CEL).parent} {SPOOL} /etc/asterisk; do
  chroot "$1" install -d -m 0750 -o asterisk -g asterisk "$directory"
done
chroot "$1" chown asterisk:asterisk /var/log/asterisk /var/spool/asterisk
chroot "$1" install -m 0640 -o asterisk -g asterisk /dev/null {CEL}
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get update --error-on=any -qq
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get install -qq --yes --download-only {ON_REQUEST}
for service in mariadb postgresql; do
  chroot "$1" systemctl --quiet disable $service 2>/dev/null || true
done
# Debian takes another port where the machine that builds this has a PostgreSQL of its own at work.
sed -i 's/^port = .*/port = 5432/' "$1"/etc/postgresql/*/main/postgresql.conf 2>/dev/null || true
"""


def root(suite: str, *, databases: bool = False) -> Path:
    """The root file system of a PBX of `suite`, with servers that are installed but off when `databases`."""
    packages = f"{PACKAGES},{DATABASES}" if databases else PACKAGES

    def build(folder: Path) -> None:
        if os.geteuid() != 0:
            raise CannotRun(f"A fleet of {suite}", "only root can build its root file system.")
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "--skip=cleanup/apt", f"--include={packages}"]
        docs = [f"--dpkgopt=path-exclude=/usr/share/{kind}/*" for kind in ("doc", "man", "locale")]
        made = subprocess.run(
            [*command, *docs, f"--customize-hook={_PBX}", suite, str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise CannotRun(f"A fleet of {suite}", f"mmdebstrap failed: {made.stderr[-1200:]}.")
        folder.chmod(0o755)

    name = f"databases-{suite}" if databases else f"fleet-{suite}"
    return cached(name, packages + ON_REQUEST + _PBX, build)


class Fleet:
    """`Fleet(pbx1="bookworm", pbx2="trixie")`: booted hosts by name; `fleet["pbx1"]` is a `tests.kit.host.Host`."""

    def __init__(self, *, databases: bool = False, **suites: str) -> None:
        self._ip = program("ip", "A fleet")
        self._exit = ExitStack()
        self._roots = {name: root(suite, databases=databases) for name, suite in suites.items()}
        self.suites = suites
        self.hosts: dict[str, Host] = {}
        self.addresses: dict[str, str] = {}
        self.address = ""
        self._key = Path()

    def __enter__(self) -> Self:
        with ExitStack() as undone:
            self._key = Path(undone.enter_context(tempfile.TemporaryDirectory(prefix="fleet-"))) / "key"
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._key)], check=True)
            prefix = undone.enter_context(self._bridge())
            self.address = f"{prefix}.1"
            for number, (name, suite) in enumerate(self.suites.items(), 2):
                self.addresses[name] = f"{prefix}.{number}"
                space = undone.enter_context(self._namespace(number, self.addresses[name]))
                # The network is its own, firewall included.
                network = [f"--network-namespace-path=/run/netns/{space}", "--capability=CAP_NET_ADMIN"]
                options = [*network, f"--hostname={name}"]
                machine = undone.enter_context(Host(suite, self._roots[name], options))
                machine.run("install", "-d", "-m", "0700", "/root/.ssh")
                machine.file("/root/.ssh/authorized_keys").write_text(self._key.with_suffix(".pub").read_text())
                self.hosts[name] = machine
            self._exit = undone.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._exit.close()

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.hosts)

    def keep(self) -> None:
        """What was done to all hosts so far is what `reset` goes back to."""
        for machine in self.hosts.values():
            machine.keep()

    def reset(self) -> None:
        """Takes back what was done to all hosts since `keep`."""
        for machine in self.hosts.values():
            machine.reset()

    def reached(self, name: str) -> dict[str, Any]:
        """The variables by which Ansible reaches a host."""
        unknown = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        return {
            "ansible_host": self.addresses[name],
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self._key),
            "ansible_ssh_common_args": unknown,
            "ansible_python_interpreter": "/usr/bin/python3",
        }

    @contextlib.contextmanager
    def _bridge(self) -> Iterator[str]:
        """A network that no other fleet of this machine has; yields its first three numbers."""
        for number in range(256):
            network, name = f"10.77.{number}", f"fleet{number}"
            made = subprocess.run([self._ip, "link", "add", name, "type", "bridge"], capture_output=True, check=False)
            if made.returncode == 0:
                break
        else:
            raise CannotRun("A fleet", f"no bridge can be made: {made.stderr.decode().strip()}.")
        self._bridge_name = name
        try:
            self._run("addr", "add", f"{network}.1/24", "dev", name)
            self._run("link", "set", name, "up")
            yield network
        finally:
            self._run("link", "delete", name)

    @contextlib.contextmanager
    def _namespace(self, number: int, address: str) -> Iterator[str]:
        """The network of one host, which outlives its boots; yields its name."""
        space = f"{self._bridge_name}-{number}"
        self._run("netns", "add", space)
        peer = f"{self._bridge_name}p{number}"
        try:
            self._run("link", "add", peer, "type", "veth", "peer", "name", "host0", "netns", space)
            try:
                self._run("link", "set", peer, "master", self._bridge_name, "up")
                self._run("-n", space, "link", "set", "lo", "up")
                self._run("-n", space, "addr", "add", f"{address}/24", "dev", "host0")
                self._run("-n", space, "link", "set", "host0", "up")
                yield space
            finally:
                # With the namespace alone it would go a moment later, and be in the way of the next fleet.
                self._run("link", "delete", peer)
        finally:
            self._run("netns", "delete", space)

    def _run(self, *words: str) -> None:
        done = subprocess.run([self._ip, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"

"""A whole PBX on one booted host: Debian's MariaDB, a real Asterisk 22, and room for the agent's package.

- Asterisk lives in a root file system of its own below `ASTERISK`, as in a chroot an operator made; its log, its spool
  and the database's socket are the host's. Its files are those of its Debian package, but for a few of the bench.
- It belongs to the host's user and group `asterisk`; `address` is a loopback address of its own, where AMI and SIP are.
"""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self

from tests.kit import fleet, rootfs
from tests.kit.asterisk import AMI_PORT, TEMPLATES
from tests.kit.host import Host
from tests.kit.server import hold_address
from tests.kit.wait import until

ASTERISK = "/srv/asterisk"
DATABASE = "asteriskcdrdb"
SUITE = "bookworm"
_OWN = (
    "confbridge",
    "extensions",
    "features",
    "followme",
    "modules",
    "pjsip",
    "queues",
    "res_parking",
    "rtp",
    "voicemail",
)
_SHARED = ("/var/log/asterisk", "/var/spool/asterisk", "/run/mysqld")
# FreePBX's table, as its module cdr makes it.
_TABLES = """
CREATE TABLE cdr (
  calldate datetime NOT NULL, clid varchar(80), src varchar(80), dst varchar(80), dcontext varchar(80),
  channel varchar(80), dstchannel varchar(80), lastapp varchar(80), lastdata varchar(80), duration int, billsec int,
  disposition varchar(45), amaflags int, accountcode varchar(20), uniqueid varchar(32), userfield varchar(255),
  did varchar(50), recordingfile varchar(255), linkedid varchar(32), peeraccount varchar(80), sequence int,
  KEY calldate (calldate), KEY uniqueid (uniqueid)
);
CREATE TABLE private (secret varchar(80));
"""
_UNIT = f"""
[Unit]
Description=Asterisk PBX
After=mariadb.service
[Service]
# By number: `asterisk` is another user inside.
ExecStart=/bin/sh -c "exec chroot --userspec=$$(id -u asterisk):$$(id -g asterisk) {ASTERISK} /usr/sbin/asterisk -f"
"""


class PbxHost:
    """A context manager; `host` is the booted host, with MariaDB and Asterisk running in it."""

    def __init__(self) -> None:
        self._held, self.address = hold_address()
        asterisk = rootfs.root(rootfs.ASTERISK_22)
        base = fleet.root(SUITE, databases=True)
        self.host = Host(SUITE, base=base, options=[f"--overlay={asterisk}::{ASTERISK}"])

    def __enter__(self) -> Self:
        try:
            self.host.__enter__()
        except BaseException:
            self._held.close()
            raise
        try:
            self._start_database()
            self._start_asterisk()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Powers the host off; everything on it is gone."""
        self.host.stop()
        self._held.close()

    def console(self, command: str) -> str:
        """What Asterisk's console answers."""
        return self.host.said("chroot", ASTERISK, "asterisk", "-rx", command)

    def query(self, sql: str) -> str:
        """What MariaDB answers its root, a row a line."""
        return self.host.said("mysql", "--batch", "--skip-column-names", DATABASE, "-e", sql)

    def _start_database(self) -> None:
        # The loopback is shared with other servers of the bench: the socket is enough.
        self._write("/etc/mysql/mariadb.conf.d/99-bench.cnf", "[mysqld]\nskip-networking\n")
        self.host.run("systemctl", "start", "mariadb")
        owner = "CREATE USER freepbxuser@localhost IDENTIFIED BY 'their-own';"
        grant = f"GRANT ALL ON {DATABASE}.* TO freepbxuser@localhost;"
        self.host.run("mysql", "-e", f"CREATE DATABASE {DATABASE}; USE {DATABASE}; {_TABLES} {owner} {grant}")

    def _start_asterisk(self) -> None:
        for name in _OWN:
            text = (TEMPLATES / f"{name}.conf").read_text().replace("@ADDRESS@", self.address)
            self._write(f"{ASTERISK}/etc/asterisk/{name}.conf", text)
        own = f"s/^bindaddr = .*/bindaddr = {self.address}/"
        self.host.run("sed", "-i", own, f"{ASTERISK}/etc/asterisk/manager.conf")
        odbc = "[MySQL-asteriskcdrdb]\nDriver = MariaDB Unicode\nServer = localhost\nSocket = /run/mysqld/mysqld.sock\n"
        self._write(f"{ASTERISK}/etc/odbc.ini", f"{odbc}Database = {DATABASE}\n")
        login = "dsn => MySQL-asteriskcdrdb\nusername => freepbxuser\npassword => their-own\npre-connect => yes\n"
        files = {
            "res_odbc.conf": f"[asteriskcdrdb]\nenabled => yes\n{login}",
            "cdr_adaptive_odbc.conf": "[asteriskcdrdb]\nconnection=asteriskcdrdb\ntable=cdr\nalias start => calldate\n",
        }
        for name, content in files.items():
            self._write(f"{ASTERISK}/etc/asterisk/{name}", content)
        self._write("/etc/systemd/system/asterisk.service", _UNIT)
        self.host.run("sh", "-ec", _PREPARE)
        self.host.run("systemctl", "start", "asterisk")
        until(lambda: "fully booted" in self.console("core waitfullybooted"), 60, f"Asterisk booted:\n{self._said()}")
        with socket.create_connection((self.address, AMI_PORT), timeout=5):
            pass

    def _said(self) -> str:
        return self.host.said("journalctl", "--no-pager", "--unit", "asterisk", "--lines", "40")

    def _write(self, path: str, text: str) -> None:
        """A file of the host; through the host, since what it mounts is not seen from outside."""
        self.host.run("sh", "-c", 'printf "%s" "$1" > "$2"', "sh", text, path)


_PREPARE = f"""
for directory in {" ".join(_SHARED)}; do
  mkdir -p {ASTERISK}$directory
  mount --bind $directory {ASTERISK}$directory
done
install -d {ASTERISK}/run/asterisk
chown -R asterisk:asterisk {ASTERISK}/etc/asterisk {ASTERISK}/etc/odbc.ini {ASTERISK}/var/lib/asterisk \
  {ASTERISK}/run/asterisk {ASTERISK}/var/cache/asterisk
install -d -m 0750 -o asterisk -g asterisk /var/log/asterisk/cdr-csv /var/log/asterisk/cdr-custom
"""

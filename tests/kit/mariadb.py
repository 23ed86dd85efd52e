"""A real MariaDB on a private data folder, socket and address; port 3306."""

from __future__ import annotations

from typing import Any

import MySQLdb

from tests.kit.database import Database
from tests.kit.server import Server, program
from tests.kit.wait import until


class MariaDB(Server):
    """MariaDB as Debian ships it; `options` are further words for mariadbd (`--default-time-zone=+02:00`)."""

    account = "mysql"
    kind = "mariadb"
    port = 3306

    def __init__(self, *options: str) -> None:
        self._daemon = program("mariadbd", "MariaDB")
        super().__init__()
        self.socket = self.home / "socket"
        self._options = options

    def start(self) -> None:
        data = self.home / "data"
        if not data.exists():
            installer = program("mariadb-install-db", "MariaDB")
            words = ("--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal")
            self.prepare([installer, *words, f"--datadir={data}"])
        self.launch(
            [
                self._daemon,
                "--no-defaults",
                f"--datadir={data}",
                f"--socket={self.socket}",
                f"--bind-address={self.address}",
                f"--port={self.port}",
                f"--pid-file={self.home / 'pid'}",
                "--innodb-buffer-pool-size=128M",
                "--innodb-log-file-size=64M",
                "--character-set-server=utf8mb4",
                *self._options,
            ]
        )
        until(self._serves, within=60, what="MariaDB serves")

    def _serves(self) -> bool:
        if not self.running:
            raise RuntimeError(f"MariaDB ended at once:\n{self.console[-2000:]}")
        try:
            return self.query("SELECT 1") == [(1,)]
        except MySQLdb.OperationalError:
            return False

    def connect(self, database: Database | None = None, **options: Any) -> Any:
        """A connection: as owner of a database by TCP, else as root by the socket."""
        if database is None:
            return MySQLdb.connect(unix_socket=str(self.socket), user="root", charset="utf8mb4", **options)
        return MySQLdb.connect(
            host=database.host,
            port=database.port,
            user=database.user,
            passwd=database.password,
            db=database.name,
            charset="utf8mb4",
            **options,
        )

    def query(self, sql: str, database: Database | None = None) -> list[tuple[Any, ...]]:
        """Runs one statement and returns its rows; commits."""
        connection = self.connect(database)
        try:
            cursor = connection.cursor()
            cursor.execute(sql)
            rows = list(cursor.fetchall())
            connection.commit()
            return rows
        finally:
            connection.close()

    def create(self, name: str) -> Database:
        """An empty database of this name (an old one goes), its owner, and a reader that may only SELECT."""
        made = Database(self.kind, self.address, self.port, name, f"{name}_owner", f"{name}_reader", str(self.socket))
        for statement in (
            f"DROP DATABASE IF EXISTS `{name}`",
            f"CREATE DATABASE `{name}`",
            f"CREATE OR REPLACE USER '{made.user}'@'%' IDENTIFIED BY '{made.password}'",
            f"CREATE OR REPLACE USER '{made.reader}'@'%' IDENTIFIED BY '{made.password}'",
            f"GRANT ALL ON `{name}`.* TO '{made.user}'@'%'",
            f"GRANT SELECT ON `{name}`.* TO '{made.reader}'@'%'",
        ):
            self.query(statement)
        return made

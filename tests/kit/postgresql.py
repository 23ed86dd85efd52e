"""A real PostgreSQL on a private data folder, socket and address; port 5432."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import psycopg

from tests.kit.database import Database
from tests.kit.server import Server, program
from tests.kit.wait import until


def _installed(name: str) -> str:
    """A server program of the newest installed release."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return program(name, "PostgreSQL", *folders)


class PostgreSQL(Server):
    """PostgreSQL as Debian ships it; `settings` go to the server (`timezone="Europe/Berlin"`)."""

    account = "postgres"
    kind = "postgresql"
    port = 5432

    def __init__(self, **settings: str) -> None:
        self._daemon = _installed("postgres")
        super().__init__()
        self._settings = settings

    def start(self) -> None:
        data = self.home / "data"
        if not data.exists():
            words = (
                "--username=postgres",
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "--encoding=UTF8",
                "--no-sync",
            )
            self.prepare([_installed("initdb"), *words, "--locale=C.UTF-8", "-D", str(data)])
        settings = {
            "listen_addresses": self.address,
            "port": str(self.port),
            "unix_socket_directories": str(self.home),
            **self._settings,
        }
        self.launch([self._daemon, "-D", str(data), *(f"--{key}={value}" for key, value in settings.items())])
        until(self._serves, within=60, what="PostgreSQL serves")

    def stop(self, timeout: float = 30) -> None:
        """The fast shutdown: sessions are ended, the data folder is clean."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._gone(timeout)

    def freeze(self) -> None:
        """Its sessions are processes of their own: they fall silent with it."""
        super().freeze()
        self._sessions(signal.SIGSTOP)

    def thaw(self) -> None:
        self._sessions(signal.SIGCONT)
        super().thaw()

    def _sessions(self, number: signal.Signals) -> None:
        for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), number)

    def _serves(self) -> bool:
        if not self.running:
            raise RuntimeError(f"PostgreSQL ended at once:\n{self.console[-2000:]}")
        try:
            return self.query("SELECT 1") == [(1,)]
        except psycopg.OperationalError:
            return False

    def connect(self, database: Database | None = None, **options: Any) -> psycopg.Connection[Any]:
        """A connection: as owner of a database by TCP, else as superuser by the socket. autocommit unless told."""
        options = {"autocommit": True, **options}
        if database is None:
            return psycopg.connect(host=str(self.home), port=self.port, user="postgres", dbname="postgres", **options)
        return psycopg.connect(
            host=database.host,
            port=database.port,
            user=database.user,
            password=database.password,
            dbname=database.name,
            **options,
        )

    def query(self, sql: str, database: Database | None = None) -> list[tuple[Any, ...]]:
        """Runs one statement and returns its rows; commits."""
        with self.connect(database) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def create(self, name: str) -> Database:
        """An empty database of this name (an old one goes), its owner, and a reader that may only SELECT."""
        made = Database(self.kind, self.address, self.port, name, f"{name}_owner", f"{name}_reader", str(self.home))
        self.query(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        for user in (made.user, made.reader):
            self.query(f'DROP ROLE IF EXISTS "{user}"')
            self.query(f"CREATE ROLE \"{user}\" LOGIN PASSWORD '{made.password}'")
        self.query(f'CREATE DATABASE "{name}" OWNER "{made.user}"')
        with self.connect(made) as connection:
            reading = f'ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO "{made.reader}"'
            connection.execute(reading.encode())
        return made

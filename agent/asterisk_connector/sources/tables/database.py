"""A database as the tables see it: short read-only questions, answers as text.

- Every answer is text or None, from both drivers: a value this Python cannot represent (year 0 or 10000, infinity,
  bytes that are no UTF-8) is a text like any other and stops nothing (F40).
- No statement, connection attempt or silent server (F41) holds the caller longer than the deadlines of `Server`.
- One thread uses a database; `mysql` and `postgresql` hold a `Connection` of this shape and are imported only when
  named.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from asterisk_connector.errors import Misconfigured

Row = tuple[str | None, ...]

TLS_HINT = (
    "check `tls`: ca_file must hold the server's authority, its certificate must carry the host, and it must offer TLS"
)


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS to the server; its certificate and name are always verified, against `ca_file` or the host's own list."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def trusted(self) -> str:
        """The file of certificates to trust."""
        return self.ca_file or ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where a database is. `driver` is `mysql` (MariaDB too) or `postgresql`; `socket` goes before host and port.

    `tls` None asks for none. Both timeouts in seconds; a stop waits for at most one of them.
    """

    driver: str
    database: str
    user: str
    password: str = field(default="", repr=False)
    host: str = "localhost"
    port: int | None = None
    socket: str = ""
    tls: Tls | None = None
    connect_timeout: float = 5.0
    statement_timeout: float = 5.0

    def __str__(self) -> str:
        place = self.socket or (self.host if self.port is None else f"{self.host}:{self.port}")
        return f"{self.driver} database {self.database} at {place}"


class Column(NamedTuple):
    """A column as the database declares it.

    `kind`: `instant` (names a moment: timestamptz, MySQL `timestamp` in a UTC session), `local` (a time without zone),
    `integer`, `number` (float, decimal) or `text`. `tick` is the resolution of a time in microseconds. `serial`: filled
    by the database, ascending. `indexed`: first column of an index.
    """

    name: str
    kind: str
    tick: int = 1
    serial: bool = False
    indexed: bool = False


class Access(NamedTuple):
    """What the account may do with a table: `writes` names rights beyond SELECT."""

    account: str
    writes: tuple[str, ...]


class Plan(NamedTuple):
    """How the server would answer a question: the index it would go by, None for reading the whole table."""

    by_index: str | None
    text: str


class Connection(Protocol):
    """One open connection, autocommit, READ COMMITTED, read-only, its session in UTC.

    Everything raises Transient for what may pass, Misconfigured (with a hint) for what only the operator can mend.
    """

    def query(self, sql: str, parameters: Sequence[int | str] = ()) -> list[Row]:
        """All rows of one statement; `%s` stands for a parameter."""

    def close(self) -> None:
        """Ends the connection; never raises."""

    def quote(self, identifier: str) -> str:
        """An identifier as it may stand in a statement for `query`."""

    def shown(self, column: str) -> str:
        """A quoted column as it must be selected to come out as text."""

    def second(self, quoted: str, column: Column) -> str:
        """Expression: the whole second of a time column in its own frame."""

    def bound(self, column: Column, second: int) -> tuple[str, int | str]:
        """A second as the bare column can be compared with it: placeholder and parameter. Index use depends on it."""

    def columns(self, table: Sequence[str]) -> list[Column]:
        """The columns of a table ([schema,] name); empty where there is no such table."""

    def session_zone(self) -> str:
        """The server's zone name before the session was put to UTC; empty where it has none of use."""

    def access(self, table: Sequence[str]) -> Access:
        """What the account may do with the table."""

    def plan(self, sql: str, parameters: Sequence[int | str]) -> Plan:
        """How the server would run a statement."""


def connect(server: Server) -> Connection:
    """Opens a connection with the driver the server is configured for."""
    if server.driver == "mysql":
        from asterisk_connector.sources.tables import mysql

        return mysql.Connection(server)
    if server.driver == "postgresql":
        from asterisk_connector.sources.tables import postgresql

        return postgresql.Connection(server)
    raise Misconfigured(f"unknown database driver {server.driver!r}", "use `mysql` (MariaDB too) or `postgresql`")


def table_name(text: str) -> tuple[str, ...]:
    """`cdr` or `asteriskcdrdb.cdr` as its parts. Raises Misconfigured for what cannot be a table's name."""
    parts = tuple(text.split("."))
    if len(parts) > 2 or not all(identifier_is_sound(p) for p in parts):
        raise Misconfigured(f"{text!r} is no table name", "write `table` or `schema.table`")
    return parts


def identifier_is_sound(name: str) -> bool:
    """Whether a name may be quoted into a statement at all (both servers allow at most 64 or 63 characters)."""
    return 0 < len(name) <= 64 and name.isprintable() and name == name.strip()

"""MySQL and MariaDB through mysqlclient.

- Session in UTC (`time_zone`), so that TIMESTAMP columns name instants and DATETIME columns stay as they were written.
- Deadlines on both sides: `max_statement_time`/`max_execution_time` where the server knows one (MariaDB ≥ 10.1, MySQL
  ≥ 5.7.8), and the client's read timeout for a server that says nothing (F41).
- Old servers stay usable (Issabel: MariaDB 5.5): a setting that the server does not know is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import MySQLdb
from MySQLdb.constants import FIELD_TYPE
from MySQLdb.converters import conversions

from asterisk_connector.errors import ConnectorError, Misconfigured, Transient
from asterisk_connector.sources.tables.database import TLS_HINT, Access, Column, Plan, Row, Server
from asterisk_connector.sources.tables.zones import local_text

_EPOCH_SECONDS = 62_167_219_200  # TO_SECONDS('1970-01-01')
_LAST_TIMESTAMP = 2**31 - 1
_INTEGERS = {"tinyint", "smallint", "mediumint", "int", "bigint", "year", "bit"}
_NUMBERS = {"decimal", "numeric", "float", "double", "real"}
_UNKNOWN_VARIABLE, _SYNTAX = 1193, 1064
_DENIED = {1045, 1698, 1524, 1130}
_NO_SELECT = {1044, 1142, 1143, 1370}
_ABSENT = {1049: "database", 1146: "table"}
_CHANGED = {1054}
_TLS = {2026}
_DEADLINE = {3024, 1969, 1205}


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _plain() -> dict[Any, Any]:
    """Python → SQL as the driver does it; SQL → Python always as text."""
    field_types = [v for k, v in vars(FIELD_TYPE).items() if k.isupper()]
    return {k: v for k, v in conversions.items() if not isinstance(k, int)} | dict.fromkeys(field_types, _text)


class Connection:
    """See `database.Connection`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        options: dict[str, Any] = {"unix_socket": server.socket} if server.socket else {}
        if server.tls:
            options |= {"ssl_mode": "VERIFY_IDENTITY", "ssl": _ssl(server)}
        # The client's deadline stands one second behind the server's, so that the server's clearer word comes first.
        patience = math.ceil(server.statement_timeout) + 1
        try:
            self._connection = MySQLdb.connect(
                host=_host(server),
                port=server.port or 3306,
                user=server.user,
                password=server.password,
                database=server.database,
                connect_timeout=max(1, math.ceil(server.connect_timeout)),
                read_timeout=patience,
                write_timeout=patience,
                charset="utf8mb4",
                use_unicode=False,
                conv=_plain(),
                autocommit=True,
                **options,
            )
        except MySQLdb.Error as error:
            raise self._meant(error) from error
        try:
            self._zone = self.query("SELECT @@session.time_zone")[0][0] or ""
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        deadline = self._server.statement_timeout
        self.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        self.query("SET SESSION time_zone = '+00:00'")
        mariadb = "mariadb" in self._connection.get_server_info().lower()
        for setting in (
            "TRANSACTION READ ONLY",
            f"max_statement_time = {deadline:.3f}" if mariadb else f"max_execution_time = {round(deadline * 1000)}",
            f"lock_wait_timeout = {max(1, round(deadline))}",  # else a year, behind somebody's ALTER TABLE
        ):
            try:
                self._run("SET SESSION " + setting, ())
            except MySQLdb.Error as error:
                if _code(error) not in {_UNKNOWN_VARIABLE, _SYNTAX}:
                    raise self._meant(error) from error

    def query(self, sql: str, parameters: Sequence[int | str] = ()) -> list[Row]:
        try:
            return self._run(sql, parameters)
        except MySQLdb.Error as error:
            raise self._meant(error) from error

    def _run(self, sql: str, parameters: Sequence[int | str]) -> list[Row]:
        with self._connection.cursor() as cursor:
            # An empty tuple too: a doubled percent sign means one, with parameters or without.
            cursor.execute(sql, tuple(parameters))
            return list(cursor.fetchall())

    def close(self) -> None:
        with suppress(MySQLdb.Error):  # it was lost already
            self._connection.close()

    def quote(self, identifier: str) -> str:
        return "`" + identifier.replace("`", "``").replace("%", "%%") + "`"

    def shown(self, column: str) -> str:
        return column

    def second(self, quoted: str, column: Column) -> str:
        if column.kind in {"instant", "local"}:
            return f"TO_SECONDS({quoted}) - {_EPOCH_SECONDS}"
        return f"FLOOR({quoted})"

    def bound(self, column: Column, second: int) -> tuple[str, int | str]:
        if column.kind == "instant":
            # A constant outside the type's range would be compared as a string, without the index.
            return "%s", local_text(min(max(second, 1), _LAST_TIMESTAMP))
        return "%s", local_text(max(second, 0)) if column.kind == "local" else second

    def columns(self, table: Sequence[str]) -> list[Column]:
        schema, name = (table[0], table[1]) if len(table) == 2 else (self._server.database, table[0])
        indexed = {
            r[0]
            for r in self.query(
                "SELECT DISTINCT column_name FROM information_schema.statistics"
                " WHERE table_schema = %s AND table_name = %s AND seq_in_index = 1",
                (schema, name),
            )
        }
        rows = self.query(
            "SELECT column_name, data_type, column_type, extra FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            (schema, name),
        )
        return [
            Column(
                name=name or "",
                kind=_kind(base or ""),
                tick=_tick(declared or ""),
                serial="auto_increment" in (extra or ""),
                indexed=name in indexed,
            )
            for name, base, declared, extra in rows
        ]

    def session_zone(self) -> str:
        return "" if self._zone == "SYSTEM" else self._zone

    def access(self, table: Sequence[str]) -> Access:
        account = self.query("SELECT CURRENT_USER()")[0][0] or ""
        grants = [r[0] or "" for r in self.query("SHOW GRANTS")]
        writes = sorted({right for grant in grants for right in _write_rights(grant, table)})
        return Access(account, tuple(writes))

    def plan(self, sql: str, parameters: Sequence[int | str]) -> Plan:
        with self._connection.cursor() as cursor:
            try:
                cursor.execute("EXPLAIN " + sql, tuple(parameters))
            except MySQLdb.Error as error:
                raise self._meant(error) from error
            names = [d[0] for d in cursor.description]
            first = dict(zip(names, cursor.fetchone() or (), strict=False))
        return Plan(first.get("key"), ", ".join(f"{k}={v}" for k, v in first.items() if v is not None))

    def _meant(self, error: MySQLdb.Error) -> ConnectorError:
        code, server = _code(error), self._server
        said = f"{server}: {error.args[-1] if error.args else error} ({code})"
        if code in _DENIED:
            return Misconfigured(said, f"check user and password; host and rights of account {server.user!r}")
        if code in _NO_SELECT:
            grant = f"GRANT SELECT ON {server.database}.* TO '{server.user}'@'…'"
            return Misconfigured(said, f"check the names of database, table and user; as administrator: {grant}")
        if code in _ABSENT:
            return Misconfigured(said, f"check the name of the {_ABSENT[code]}")
        if code in _TLS:
            return Misconfigured(said, TLS_HINT)
        if code in _CHANGED:
            return Transient(f"{said}: the columns of the table changed")
        if code in _DEADLINE:
            return Transient(
                f"{said}: not answered within {server.statement_timeout:g} s; is the column that is polled indexed?"
            )
        if isinstance(error, MySQLdb.ProgrammingError | MySQLdb.NotSupportedError):
            return Misconfigured(said, "`asterisk-connector check` tells what the table offers")
        return Transient(said)


def _host(server: Server) -> str:
    """To this client `localhost` means the usual socket; somebody who names a port means the network."""
    if server.socket:
        return "localhost"
    return "127.0.0.1" if server.host == "localhost" and server.port is not None else server.host


def _ssl(server: Server) -> dict[str, str]:
    tls = server.tls
    assert tls is not None
    options = {"ca": tls.trusted(), "cert": tls.cert_file, "key": tls.key_file}
    return {k: v for k, v in options.items() if v}


def _code(error: MySQLdb.Error) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _kind(base: str) -> str:
    if base == "timestamp":
        return "instant"
    if base == "datetime":
        return "local"
    if base in _INTEGERS:
        return "integer"
    return "number" if base in _NUMBERS else "text"


def _tick(declared: str) -> int:
    """`datetime(3)` → 1000; a plain `datetime` keeps whole seconds."""
    if not declared.startswith(("datetime", "timestamp")):
        return 1
    digits = re.search(r"\((\d)\)", declared)
    return int(10 ** (6 - int(digits[1]))) if digits else 1_000_000


def _write_rights(grant: str, table: Sequence[str]) -> list[str]:
    found = re.match(r"GRANT (.+?) ON (?:TABLE )?(\S+) TO", grant)
    if not found:
        return []
    scope = found[2].replace("`", "").replace("\\", "")
    if not (scope.startswith("*.") or scope.endswith((".*", "." + table[-1]))):
        return []
    rights = re.sub(r"\([^)]*\)", "", found[1]).split(",")
    return [r.strip() for r in rights if r.strip() in _WRITES]


_WRITES = {"ALL PRIVILEGES", "INSERT", "UPDATE", "DELETE", "DROP", "ALTER", "CREATE", "TRIGGER"}

"""PostgreSQL through psycopg 3.

- Session in UTC, so that `timestamptz` comes out as an instant and `timestamp` as it was written.
- Deadlines on both sides: `statement_timeout` and `lock_timeout` at the server, one second later the client's own for a
  server that says nothing (F41); keepalives and `tcp_user_timeout` end connections that died underway.
- Works behind a pooler: nothing is prepared, settings are set by a statement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import adapt
from psycopg.abc import PQGen

from asterisk_connector.errors import ConnectorError, Misconfigured, Transient
from asterisk_connector.sources.tables.database import TLS_HINT, Access, Column, Plan, Row, Server
from asterisk_connector.sources.tables.zones import local_text

_T = TypeVar("_T")
_TEXT_OID = 25
_LAST_SECOND = 253_402_300_799  # 9999-12-31 23:59:59
_KINDS = {
    "timestamptz": "instant",
    "timestamp": "local",
    "int2": "integer",
    "int4": "integer",
    "int8": "integer",
    "float4": "number",
    "float8": "number",
    "numeric": "number",
}
_CHANGED, _DEADLINE = {"42703"}, {"57014", "55P03"}
_REFUSALS = ("authentication failed", "no pg_hba.conf entry", "no password supplied", "does not exist", "not permitted")
_TLS_REFUSALS = ("certificate", "does not support SSL", "SSL error", "root.crt")


class _Lenient(adapt.Loader):
    """Text as it is; bytes that are no UTF-8 (an SQL_ASCII database) are replaced, not raised about."""

    def load(self, data: bytes | bytearray | memoryview) -> str:
        return bytes(data).decode("utf-8", "replace")


class _Patient(psycopg.Connection[Row]):
    """A connection whose every wait for the server ends, by `patience` in seconds."""

    patience: float = 6.0

    def wait(self, gen: PQGen[_T], interval: float = 0.1, timeout: float | None = None) -> _T:
        return super().wait(gen, interval, self.patience if timeout is None else timeout)


class Connection:
    """See `database.Connection`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        patience = math.ceil(server.statement_timeout) + 1
        try:
            self._connection = _Patient.connect(
                host=server.socket or server.host,
                port=server.port or 5432,
                user=server.user,
                password=server.password or None,
                dbname=server.database,
                connect_timeout=max(2, math.ceil(server.connect_timeout)),
                keepalives=1,
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=patience * 1000,
                client_encoding="utf8",
                application_name="asterisk-connector",
                autocommit=True,
                prepare_threshold=None,
                **_ssl(server),
            )
        except psycopg.Error as error:
            raise self._meant(error) from error
        self._connection.patience = patience
        self._connection.adapters.register_loader(_TEXT_OID, _Lenient)
        try:
            self._zone = self.query("SELECT current_setting('TimeZone')")[0][0] or ""
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        milliseconds = str(round(self._server.statement_timeout * 1000))
        settings = {
            "TimeZone": "UTC",
            "DateStyle": "ISO",
            "extra_float_digits": "1",
            "statement_timeout": milliseconds,
            "lock_timeout": milliseconds,
            "default_transaction_read_only": "on",
            "default_transaction_isolation": "read committed",
        }
        calls = ", ".join("set_config(%s, %s, false)" for _ in settings)
        self.query(f"SELECT {calls}", [part for setting in settings.items() for part in setting])

    def query(self, sql: str, parameters: Sequence[int | str] = ()) -> list[Row]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql.encode(), list(parameters))
                return cursor.fetchall()
        except psycopg.Error as error:
            raise self._meant(error) from error

    def close(self) -> None:
        # Without the farewell a dead peer would be waited for.
        self._connection.pgconn.finish()
        self._connection.close()

    def quote(self, identifier: str) -> str:
        return '"' + identifier.replace('"', '""').replace("%", "%%") + '"'

    def shown(self, column: str) -> str:
        return f"{column}::text"

    def second(self, quoted: str, column: Column) -> str:
        if column.kind in {"instant", "local"}:
            return f"floor(extract(epoch from {quoted}))::bigint"
        return f"floor({quoted})::bigint"

    def bound(self, column: Column, second: int) -> tuple[str, int | str]:
        second = min(max(second, 0), _LAST_SECOND)
        if column.kind == "instant":
            return "%s::timestamptz", local_text(second) + "+00"
        if column.kind == "local":
            return "%s::timestamp", local_text(second)
        return "%s", second

    def columns(self, table: Sequence[str]) -> list[Column]:
        rows = self.query(
            "SELECT a.attname::text, t.typname::text, a.atttypmod::text,"
            " (a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid), '') LIKE 'nextval(%%')::text,"
            " EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum"
            "  AND i.indisvalid AND i.indpred IS NULL)::text"
            " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
            " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
            " WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            (_written(table),),
        )
        return [
            Column(
                name=name or "",
                kind=_KINDS.get(base or "", "text"),
                tick=10 ** (6 - int(digits)) if (digits := mod or "-1").isdigit() and int(digits) <= 6 else 1,
                serial=serial == "true",
                indexed=indexed == "true",
            )
            for name, base, mod, serial, indexed in rows
        ]

    def session_zone(self) -> str:
        return self._zone

    def access(self, table: Sequence[str]) -> Access:
        rights = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
        asked = ", ".join(f"has_table_privilege(%s, '{right}')::text" for right in rights)
        name = _written(table)
        row = self.query(f"SELECT current_user::text, {asked}", [name] * len(rights))[0]
        return Access(row[0] or "", tuple(r for r, held in zip(rights, row[1:], strict=True) if held == "true"))

    def plan(self, sql: str, parameters: Sequence[int | str]) -> Plan:
        lines = [r[0] or "" for r in self.query("EXPLAIN " + sql, parameters)]
        index = next((line.split(" using ")[1].split(" on ")[0] for line in lines if " using " in line), None)
        if index is None:
            index = next((line.split(" on ")[1].split()[0] for line in lines if "Bitmap Index Scan on" in line), None)
        return Plan(index, "; ".join(line.strip() for line in lines))

    def _meant(self, error: psycopg.Error) -> ConnectorError:
        state, server = error.sqlstate or "", self._server
        said = f"{server}: {' '.join(str(error).split())}" + (f" ({state})" if state else "")
        if state.startswith("28") or (not state and any(r in said for r in _REFUSALS)):
            return Misconfigured(said, f"check user, password and database name, and pg_hba.conf for {server.user!r}")
        if not state and any(r in said for r in _TLS_REFUSALS):
            return Misconfigured(said, TLS_HINT)
        if state == "42501":
            return Misconfigured(said, f"as administrator: GRANT SELECT ON the table TO {server.user}")
        if state in {"3D000", "3F000", "42P01"}:
            return Misconfigured(said, "check the names of database, schema and table")
        if state in _CHANGED:
            return Transient(f"{said}: the columns of the table changed")
        if state in _DEADLINE:
            return Transient(
                f"{said}: not answered within {server.statement_timeout:g} s; is the column that is polled indexed?"
            )
        if state.startswith(("42", "0A", "22")):
            return Misconfigured(said, "`asterisk-connector check` tells what the table offers")
        return Transient(said)


def _ssl(server: Server) -> dict[str, Any]:
    tls = server.tls
    if tls is None:
        return {"sslmode": "prefer"}
    files = {"sslrootcert": tls.trusted(), "sslcert": tls.cert_file, "sslkey": tls.key_file}
    return {"sslmode": "verify-full"} | {k: v for k, v in files.items() if v}


def _written(table: Sequence[str]) -> str:
    """A table's name as `to_regclass` reads it: quoted, so that capitals stay."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in table)

"""CDR and CEL tables as they are found on real PBXs, made and written as Asterisk would.

Types are written once (`SERIAL`, `LOCAL0`, `LOCAL6`, `INSTANT`) and spelled for each database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from asterisk_connector.records import CdrRow, CelEvent, Record
from asterisk_connector.sources.tables.database import Server
from tests.kit.database import Database
from tests.kit.mariadb import MariaDB
from tests.kit.postgresql import PostgreSQL

TYPES = {
    "mysql": {
        "SERIAL": "bigint NOT NULL AUTO_INCREMENT PRIMARY KEY",
        "LOCAL0": "datetime",
        "LOCAL6": "datetime(6)",
        "INSTANT": "timestamp(6) NULL",
    },
    "postgresql": {
        "SERIAL": "bigserial PRIMARY KEY",
        "LOCAL0": "timestamp(0)",
        "LOCAL6": "timestamp",
        "INSTANT": "timestamptz",
        "double": "double precision",
    },
}
TIMES = ("at", "start", "answer", "end")
DISPOSITION_BITS = {"NO ANSWER": 1, "FAILED": 2, "BUSY": 4, "ANSWERED": 8, "CONGESTION": 16}


@dataclass(frozen=True)
class Schema:
    """A table: `columns` are our fields with the table's columns and types; `keys` are indexed columns."""

    name: str
    columns: Mapping[str, tuple[str, str]]
    keys: Sequence[str] = ()
    other: Sequence[str] = ()
    write: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    configured: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_id(self) -> bool:
        return "id" in self.columns

    def tick(self, field_: str) -> int:
        return 1_000_000 if self.columns[field_][1].startswith("LOCAL0") else 1

    def kept(self, record: Record) -> Record:
        """The record as far as this table can hold it: absent columns are unknown, times are cut to their tick."""
        values: dict[str, Any] = {}
        for name in record.__struct_fields__:
            value = getattr(record, name)
            if name in self.columns:
                if name in TIMES and value is not None:
                    value -= value % self.tick(name)
                values[name] = value
        if isinstance(record, CelEvent):
            values["resolution"] = self.tick("at")
        return type(record)(**values)


def _text(*names: str) -> dict[str, tuple[str, str]]:
    return {name: (name.replace("_", ""), "varchar(80)") for name in names}


_CDR_TEXTS = {
    "clid": ("clid", "varchar(80)"),
    "src": ("src", "varchar(80)"),
    "dst": ("dst", "varchar(80)"),
    "dcontext": ("dcontext", "varchar(80)"),
    "channel": ("channel", "varchar(80)"),
    "dstchannel": ("dstchannel", "varchar(80)"),
    "last_app": ("lastapp", "varchar(80)"),
    "last_data": ("lastdata", "varchar(80)"),
    "duration": ("duration", "int"),
    "billsec": ("billsec", "int"),
    "disposition": ("disposition", "varchar(45)"),
    "account_code": ("accountcode", "varchar(80)"),
    "uniqueid": ("uniqueid", "varchar(150)"),
    "user_field": ("userfield", "varchar(255)"),
    "linkedid": ("linkedid", "varchar(150)"),
    "peer_account": ("peeraccount", "varchar(80)"),
    "sequence": ("sequence", "int"),
}
_FREEPBX = {
    "start": ("calldate", "LOCAL0 NOT NULL"),
    **_CDR_TEXTS,
    "did": ("did", "varchar(50)"),
    "recording_file": ("recordingfile", "varchar(255)"),
    **_text("cnum", "cnam"),
    "outbound_cnum": ("outbound_cnum", "varchar(80)"),
    "outbound_cnam": ("outbound_cnam", "varchar(80)"),
    "dst_cnam": ("dst_cnam", "varchar(80)"),
}

CDR_SCHEMAS = {
    schema.name: schema
    for schema in (
        Schema(
            "sipstack",
            {
                "id": ("id", "SERIAL"),
                "start": ("calldate", "LOCAL0 NOT NULL"),
                **{k: v for k, v in _CDR_TEXTS.items() if k != "sequence"},
            },
            keys=("calldate", "linkedid"),
        ),
        Schema(
            "alembic",
            {"start": ("start", "LOCAL0"), "answer": ("answer", "LOCAL0"), "end": ("end", "LOCAL0"), **_CDR_TEXTS},
        ),
        Schema("freepbx", _FREEPBX, keys=("calldate", "dst", "accountcode", "uniqueid", "did", "recordingfile")),
        Schema("issabel", _FREEPBX, keys=("calldate", "uniqueid", "linkedid", "sequence")),
        Schema(
            "vitalpbx",
            {
                "id": ("cdr_id", "SERIAL"),
                "start": ("calldate", "LOCAL0"),
                **_CDR_TEXTS,
                "src": ("source", "varchar(80)"),
                "dst": ("destination", "varchar(80)"),
            },
            other=("calltype int",),
            keys=("calldate",),
        ),
        Schema(
            "handmade",
            {
                "id": ("AcctId", "SERIAL"),
                "start": ("calldate", "INSTANT"),
                "answer": ("answer", "INSTANT"),
                "end": ("end", "INSTANT"),
                **_CDR_TEXTS,
                "duration": ("duration", "double"),
                "disposition": ("disposition", "int"),
            },
            write={"disposition": lambda text: DISPOSITION_BITS.get(text, 0)},
        ),
    )
}

_CEL_TEXTS = {
    "cid_name": ("cid_name", "varchar(80)"),
    "cid_num": ("cid_num", "varchar(80)"),
    "cid_ani": ("cid_ani", "varchar(80)"),
    "cid_rdnis": ("cid_rdnis", "varchar(80)"),
    "cid_dnid": ("cid_dnid", "varchar(80)"),
    "exten": ("exten", "varchar(80)"),
    "context": ("context", "varchar(80)"),
    "channel": ("channame", "varchar(80)"),
    "app_name": ("appname", "varchar(80)"),
    "app_data": ("appdata", "varchar(255)"),
    "uniqueid": ("uniqueid", "varchar(150)"),
    "linkedid": ("linkedid", "varchar(150)"),
    "peer": ("peer", "varchar(255)"),
    "user_defined_type": ("userdeftype", "varchar(255)"),
    "extra": ("extra", "varchar(2048)"),
}
CEL_SCHEMAS = {
    schema.name: schema
    for schema in (
        Schema(
            "sipstack",
            {"id": ("id", "SERIAL"), "type": ("eventtype", "varchar(30)"), "at": ("eventtime", "LOCAL6"), **_CEL_TEXTS},
            keys=("linkedid",),
        ),
        Schema(
            "freepbx",
            {"id": ("id", "SERIAL"), "type": ("eventtype", "varchar(30)"), "at": ("eventtime", "LOCAL0"), **_CEL_TEXTS},
            other=("eventextra varchar(255)",),
            keys=("uniqueid", "linkedid"),
        ),
        Schema(
            "noid",
            {"type": ("eventtype", "varchar(30)"), "at": ("eventtime", "INSTANT"), **_CEL_TEXTS},
            keys=("eventtime",),
        ),
    )
}


class Pbx:
    """One database with one CDR or CEL table, and a pen to write into it. `zone` is the one Asterisk writes in.

    The database is a fresh one, or that of the table `beside`.
    """

    def __init__(
        self, bench: MariaDB | PostgreSQL, name: str, schema: Schema, zone: tzinfo = UTC, beside: Pbx | None = None
    ) -> None:
        self.bench = bench
        self.driver = "mysql" if bench.kind == "mariadb" else "postgresql"
        self.schema = schema
        self.zone = zone
        self.table = "cel" if "type" in schema.columns else "cdr"
        self.database: Database = beside.database if beside else bench.create(name)
        self.pen = self.connect()
        self.create()

    def server(self, **options: Any) -> Server:
        """How the agent reaches it, with the account that may only read."""
        place = self.database
        settings: dict[str, Any] = {"host": place.host, "port": place.port, "user": place.reader}
        return Server(
            **{"driver": self.driver, "database": place.name, "password": place.password, **settings, **options}
        )

    def connect(self) -> Any:
        connection = self.bench.connect(self.database, autocommit=True)
        if self.driver == "mysql":
            connection.cursor().execute("SET time_zone = '+00:00', sql_mode = ''")
        else:
            connection.execute("SET TimeZone = 'UTC'")
        return connection

    def quoted(self, column: str) -> str:
        return f"`{column}`" if self.driver == "mysql" else f'"{column}"'

    def create(self) -> None:
        self.run(f"DROP TABLE IF EXISTS {self.table}")
        columns = [f"{self.quoted(name)} {self._type(kind)}" for name, kind in self.schema.columns.values()]
        self.run(f"CREATE TABLE {self.table} ({', '.join([*columns, *self.schema.other])})")
        for key in self.schema.keys:
            self.run(f"CREATE INDEX {self.table}_{key} ON {self.table} ({self.quoted(key)})")

    def _type(self, kind: str) -> str:
        for ours, theirs in TYPES[self.driver].items():
            kind = kind.replace(ours, theirs)
        return kind

    def run(self, sql: str, pen: Any = None) -> list[tuple[Any, ...]]:
        cursor = (pen or self.pen).cursor()
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []

    def write(self, records: Iterable[Record], pen: Any = None, **override: Any) -> None:
        """Inserts records as rows; `override` sets fields of all of them (None is NULL)."""
        fields = [f for f in self.schema.columns if f != "id"]
        rows = [tuple(self._value(f, override.get(f, getattr(r, f)), f in override) for f in fields) for r in records]
        names = ", ".join(self.quoted(self.schema.columns[f][0]) for f in fields)
        marks = ", ".join(["%s"] * len(fields))
        cursor = (pen or self.pen).cursor()
        cursor.executemany(f"INSERT INTO {self.table} ({names}) VALUES ({marks})", rows)

    def _value(self, field_: str, value: Any, given: bool) -> Any:
        if given:
            return value
        if field_ in self.schema.write:
            return self.schema.write[field_](value)
        if field_ in TIMES and value is not None:
            instant = self.schema.columns[field_][1] == "INSTANT"
            value -= value % self.schema.tick(field_)
            moment = datetime.fromtimestamp(value // 1_000_000, UTC if instant else self.zone)
            text = f"{moment:%Y-%m-%d %H:%M:%S}.{value % 1_000_000:06d}"
            return text + "+00" if instant and self.driver == "postgresql" else text
        return value

    def close(self) -> None:
        self.pen.close()


def cdr(
    number: int, start: int, duration: int = 5, *, billsec: int | None = None, disposition: str = "ANSWERED"
) -> CdrRow:
    """One call between two phones. `start` in seconds since the epoch."""
    talked = duration - 2 if billsec is None else billsec
    uniqueid = f"{start}.{number}"
    return CdrRow(
        uniqueid=uniqueid,
        linkedid=uniqueid,
        start=start * 1_000_000,
        answer=(start + duration - talked) * 1_000_000 if disposition == "ANSWERED" else None,
        end=(start + duration) * 1_000_000,
        duration=float(duration),
        billsec=float(talked) if disposition == "ANSWERED" else 0.0,
        disposition=disposition,
        src=f"1{number % 100:02d}",
        dst=f"2{number % 100:02d}",
        dcontext="from-internal",
        clid=f'"Caller {number}" <1{number % 100:02d}>',
        channel=f"PJSIP/1{number % 100:02d}-{number:08x}",
        dstchannel=f"PJSIP/2{number % 100:02d}-{number:08x}",
        last_app="Dial",
        last_data=f"PJSIP/2{number % 100:02d},30",
        sequence=number,
    )

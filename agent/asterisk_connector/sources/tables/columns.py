"""Which column of a table means what: discovered by name, never assumed (call semantics §2.3).

- A column name from the configuration wins over every guess; one that does not exist is the operator's mistake.
- Names are compared without case and underscores. Known spellings: Asterisk's own (alembic, cel_odbc, cel_pgsql,
  cel_tds, cdr_adaptive_odbc), SIPSTACK, FreePBX, Issabel, VitalPBX, Bicom and hand-made tables found in the wild.
- An id is used as a cursor only if the database counts it up by itself: Yeastar keeps a column `id` that is always 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from asterisk_connector.errors import Misconfigured
from asterisk_connector.sources.tables.database import Column

ID = "id"


@dataclass(frozen=True, slots=True)
class Layout:
    """What a kind of table can hold: our field names with the spellings each is known by, most telling first.

    `time` is the field rows are ordered by; `identity` are the fields that tell rows apart and never change later
    (PBX scripts fill in recordingfile, userfield and the like afterwards).
    """

    what: str
    spellings: Mapping[str, tuple[str, ...]]
    required: tuple[str, ...]
    time: str
    identity: tuple[str, ...]


CEL = Layout(
    what="CEL",
    spellings={
        ID: ("id", "celid", "eventid"),
        "type": ("eventtype", "event", "eventname"),
        "at": ("eventtime", "time", "timestamp"),
        "uniqueid": ("uniqueid",),
        "linkedid": ("linkedid",),
        "channel": ("channame", "channel", "channelname"),
        "cid_num": ("cidnum", "num"),
        "cid_name": ("cidname", "name"),
        "cid_ani": ("cidani", "ani"),
        "cid_rdnis": ("cidrdnis", "rdnis"),
        "cid_dnid": ("ciddnid", "dnid"),
        "exten": ("exten", "extension"),
        "context": ("context",),
        "app_name": ("appname", "app"),
        "app_data": ("appdata",),
        "account_code": ("accountcode", "acctcode"),
        "peer_account": ("peeraccount", "peeracct"),
        "user_field": ("userfield",),
        "user_defined_type": ("userdeftype", "usereventname"),
        "peer": ("peer", "bridgepeer"),
        # FreePBX and Issabel keep an old `eventextra` that Asterisk never fills beside `extra`.
        "extra": ("extra", "eventextra"),
        "ama_flags": ("amaflags",),
        "tenant_id": ("tenantid",),
    },
    required=("type", "at", "uniqueid"),
    time="at",
    identity=("type", "at", "uniqueid", "linkedid", "channel", "app_name", "app_data", "peer", "extra"),
)

CDR = Layout(
    what="CDR",
    spellings={
        ID: ("id", "cdrid", "acctid", "recid"),
        "start": ("start", "calldate", "starttime", "callstart", "startdate", "initiated"),
        "answer": ("answer", "answertime", "answerdate", "callanswer"),
        "end": ("end", "endtime", "enddate", "callend", "hanguptime"),
        "uniqueid": ("uniqueid",),
        "linkedid": ("linkedid",),
        "duration": ("duration",),
        "billsec": ("billsec", "billableseconds"),
        "disposition": ("disposition",),
        "src": ("src", "source"),
        "dst": ("dst", "destination"),
        "dcontext": ("dcontext", "dstcontext", "destinationcontext"),
        "clid": ("clid", "callerid"),
        "channel": ("channel", "srcchannel"),
        "dstchannel": ("dstchannel", "destinationchannel"),
        "last_app": ("lastapp", "lastapplication"),
        "last_data": ("lastdata",),
        "account_code": ("accountcode", "account"),
        "peer_account": ("peeraccount",),
        "user_field": ("userfield",),
        "sequence": ("sequence",),
        "ama_flags": ("amaflags",),
        "did": ("did", "didnumber"),
        "recording_file": ("recordingfile", "recordingfilename", "filename", "recording"),
        "cnum": ("cnum",),
        "cnam": ("cnam",),
        "outbound_cnum": ("outboundcnum",),
        "outbound_cnam": ("outboundcnam",),
        "dst_cnam": ("dstcnam",),
    },
    required=("start",),
    time="start",
    identity=(
        "uniqueid", "sequence", "start", "answer", "end", "duration", "billsec", "disposition", "src", "dst",
        "dcontext", "clid", "channel", "dstchannel", "last_app",
    ),
)  # fmt: skip


RECORDING = Layout(
    what="recordings",
    spellings={
        ID: ("id", "recordingid", "recid"),
        "path": ("filepath", "fullpath", "path", "location", "directory", "folder"),
        "name": ("filename", "recordingfile", "file", "recording", "name"),
        "at": ("startedat", "starttime", "start", "calldate", "createdat", "created", "timestamp", "datetime", "date"),
        "uniqueid": ("uniqueid", "callid"),
        "linkedid": ("linkedid",),
        "size": ("filesize", "size", "bytes"),
        "duration": ("duration", "length", "seconds"),
    },
    required=("at",),
    time="at",
    identity=("at", "uniqueid", "linkedid", "path", "name"),
)


@dataclass(frozen=True, slots=True)
class Columns:
    """The fields of a layout that a table offers, with their columns; `id` only where it can serve as a cursor.

    `unknown` names columns of the table that mean nothing to us.
    """

    layout: Layout
    fields: Mapping[str, Column]
    unknown: tuple[str, ...] = ()

    @property
    def key(self) -> Column | None:
        """The id to poll by."""
        return self.fields.get(ID)

    @property
    def time(self) -> Column:
        """The column rows are ordered by."""
        return self.fields[self.layout.time]

    @property
    def missing(self) -> tuple[str, ...]:
        """Fields of the layout that the table does not have."""
        return tuple(f for f in self.layout.spellings if f not in self.fields)


def match(layout: Layout, table: str, columns: Sequence[Column], configured: Mapping[str, str]) -> Columns:
    """Finds each field's column. `configured` maps our field (or any spelling of it) to a column of the table.

    Raises Misconfigured when the table is not there, when the configuration names a field or column that is not, or
    when a required field has no column.
    """
    if not columns:
        raise Misconfigured(
            f"table {table} does not exist or cannot be seen", "check its name, the database and the account's rights"
        )
    found = _named(layout, table, columns, configured)
    taken = {c.name for c in found.values()}
    by_plain = {_plain(c.name): c for c in columns if c.name not in taken}
    for field, spellings in layout.spellings.items():
        column = next((by_plain[s] for s in spellings if s in by_plain), None)
        if field in found or column is None or (field == ID and not _counts(column)):
            continue
        found[field] = column
        del by_plain[_plain(column.name)]
    absent = [f for f in layout.required if f not in found]
    if absent:
        raise Misconfigured(
            f"table {table} has no column for {_list(absent)} of {layout.what};"
            f" it has {_list(c.name for c in columns)}",
            f"name it in `columns`, for example `columns: {{{absent[0]}: theirs}}`",
        )
    used = {c.name for c in found.values()}
    return Columns(layout, found, tuple(c.name for c in columns if c.name not in used))


def field_of(layout: Layout, name: str) -> str | None:
    """Our field for any spelling of it; None where there is none."""
    plain = _plain(name)
    return next((f for f, spellings in layout.spellings.items() if plain in {_plain(f), *spellings}), None)


def _named(layout: Layout, table: str, columns: Sequence[Column], configured: Mapping[str, str]) -> dict[str, Column]:
    by_name = {c.name.lower(): c for c in columns}
    found: dict[str, Column] = {}
    for ours, theirs in configured.items():
        field = field_of(layout, ours)
        if field is None:
            raise Misconfigured(
                f"`columns` names {ours!r}, which is no field of {layout.what}",
                f"fields are {_list(layout.spellings)}",
            )
        column = by_name.get(theirs.lower())
        if column is None:
            raise Misconfigured(
                f"`columns` says {ours}: {theirs}, but table {table} has no column {theirs}",
                f"it has {_list(c.name for c in columns)}",
            )
        if field == ID and column.kind != "integer":
            raise Misconfigured(f"column {theirs} of table {table} is no integer and cannot be polled by as an id")
        found[field] = column
    return found


def _counts(column: Column) -> bool:
    return column.serial and column.kind == "integer"


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)

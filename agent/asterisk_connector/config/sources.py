"""Settings of what is read: CEL and CDR files and tables, CEL over AMI, recordings.

- A source that is not written is not read; each may be told apart by its name in positions, logs and metrics.
- A value is what the room that reads it needs: seconds, bytes, paths; nothing here opens anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from asterisk_connector.config.kinds import Character, Duration, HttpUrl, Pattern, Port, Positive, Size, Zone
from asterisk_connector.config.secret import Secret
from asterisk_connector.config.shape import Doc


@dataclass(frozen=True, slots=True, kw_only=True)
class CelCsv:
    """One CEL file written by cel_custom, followed through rotation."""

    path: Annotated[Path, Doc("The live file; rotated generations beside it are found by themselves.")]
    mapping: Annotated[
        str | tuple[str, ...],
        Doc(
            "How columns are named: `auto` (found by content), `stock`, `sipstack`, "
            "`sipstack-readme`, `freepbx`, `json`, the path of a cel_custom.conf, or a list of field names.",
            example="[eventtype, eventtime, cidname, cidnum, exten, context, channame, uniqueid, linkedid]",
        ),
    ] = "auto"
    separator: Annotated[Character, Doc("Column separator.", example='";"')] = ","
    quote: Annotated[Character, Doc("Quote around values; doubled inside.", example='"\'"')] = '"'
    time_format: Annotated[
        str,
        Doc("strftime form of `dateformat` in cel.conf; empty: recognised from the content.", example='"%F %T.%6q"'),
    ] = ""
    zone: Annotated[
        Zone | None, Doc("Time zone of times written without one.", default="the host's zone", example="Europe/Oslo")
    ] = None
    lookback: Annotated[
        Size, Doc("How much of the file is read at the first start so that calls in progress are whole.")
    ] = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseTls:
    """TLS to the database; certificate and name are always verified."""

    ca_file: Annotated[
        Path | None, Doc("Certificates to trust.", default="the system's", example="/etc/ssl/certs/pbx-ca.pem")
    ] = None
    cert_file: Annotated[
        Path | None, Doc("Our certificate, where the server wants one.", example="/etc/ssl/certs/agent.pem")
    ] = None
    key_file: Annotated[Path | None, Doc("Its private key.", example="/etc/ssl/private/agent.key")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One database table that Asterisk writes, polled without loss."""

    driver: Annotated[Literal["mysql", "postgresql"], Doc("`mysql` serves MariaDB too.", example="postgresql")] = (
        "mysql"
    )
    host: Annotated[str, Doc("Server name or address.", example="db.example")] = "localhost"
    port: Annotated[Port | None, Doc("Server port.", default="3306 or 5432", example="3306")] = None
    socket: Annotated[Path | None, Doc("Unix socket, instead of host and port.", example="/run/mysqld/mysqld.sock")] = (
        None
    )
    user: Annotated[str, Doc("Account; SELECT on this table is all it needs.")] = "asterisk_reader"
    password: Annotated[Secret | None, Doc("Its password.", example="/etc/asterisk-connector/db.password")] = None
    database: Annotated[str, Doc("Database name.", example="asteriskcdrdb")]
    table: Annotated[str, Doc("Table name; `schema.table` where needed.")]
    columns: Annotated[
        Mapping[str, str],
        Doc("Our column name → theirs, for what is not recognised.", example="{linkedid: linked_id}"),
    ] = field(default_factory=dict)
    zone: Annotated[
        Zone | None,
        Doc("Time zone of the time columns.", default="the column's or session's own", example="Europe/Oslo"),
    ] = None
    poll_interval: Annotated[Duration, Doc("How often new rows are asked for.")] = 2.0
    tls: Annotated[DatabaseTls | None, Doc("TLS to the server; absent: none.")] = None
    connect_timeout: Annotated[Duration, Doc("Until a connection must stand.")] = 5.0
    statement_timeout: Annotated[Duration, Doc("Until a question must be answered; the server is told too.")] = 5.0
    longest_call: Annotated[
        Duration, Doc("Longest call that is still found where the table has no id and rows carry the call's start.")
    ] = 14400.0
    batch_time: Annotated[
        Duration, Doc("Longest delay from a call's end to its row: `time` of cdr.conf's batch mode, late commits.")
    ] = 300.0
    late_commits: Annotated[
        Duration, Doc("How long a transaction may stay open and its rows are still waited for.")
    ] = 600.0
    lookback_rows: Annotated[
        int, Doc("Rows read of the past at most at the first start so that calls in progress are whole.")
    ] = 50_000
    page: Annotated[Positive, Doc("Rows fetched at once.")] = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class CelTable(Table):
    """CEL rows from a table (cel_odbc, cel_pgsql)."""

    table: Annotated[str, Doc("Table name; `schema.table` where needed.", example="cel")] = "cel"


@dataclass(frozen=True, slots=True, kw_only=True)
class CdrTable(Table):
    """CDR rows from a table (cdr_adaptive_odbc, cdr_pgsql, cdr_mysql)."""

    table: Annotated[str, Doc("Table name; `schema.table` where needed.", example="cdr")] = "cdr"


@dataclass(frozen=True, slots=True, kw_only=True)
class CdrCsv:
    """One CDR file written by cdr_csv or cdr_custom."""

    path: Annotated[
        Path,
        Doc("The live file; rotated generations are found.", example="/var/log/asterisk/cdr-csv/Master.csv"),
    ]
    mapping: Annotated[
        str | tuple[str, ...],
        Doc(
            "`auto`, the path of a cdr_custom.conf, or a list of field names.",
            example="[accountcode, src, dst, dcontext, clid, channel, dstchannel, start, answer, end, uniqueid]",
        ),
    ] = "auto"
    zone: Annotated[Zone | None, Doc("Time zone of the times.", default="the host's zone", example="Europe/Oslo")] = (
        None
    )
    lookback: Annotated[Size, Doc("How much of the file is read at the first start.")] = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CelAmi:
    """CEL events over the AMI session of `ami`. What Asterisk says while no session is up cannot be had."""

    enabled: Annotated[bool, Doc("Whether CEL events of AMI are read.")] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingsTable(Table):
    """A table that lists recordings."""

    table: Annotated[str, Doc("Table name.", example="recordings")] = "recordings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Sending audio to the API, after its call was accepted."""

    enabled: Annotated[bool, Doc("Whether recordings are uploaded.", example="true")] = False
    url: Annotated[
        HttpUrl | None,
        Doc("Where to, if not the region's own address.", default="from `api`", example="https://calls.example/rec"),
    ] = None
    rate: Annotated[Size, Doc("Bytes a second over all uploads; 0: no bound.")] = 2 << 20
    workers: Annotated[Positive, Doc("Uploads at the same time.", example="2")] = 2
    after: Annotated[
        Literal["keep", "move", "delete"], Doc("What becomes of a file once it was accepted.", example="move")
    ] = "keep"
    move_to: Annotated[Path | None, Doc("Directory for `after: move`.", example="/var/spool/asterisk/uploaded")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recordings:
    """Recordings as they are made, found on disk and linked to their calls."""

    paths: Annotated[
        tuple[Path, ...], Doc("Directories, searched with everything below them.", example="[/mnt/recordings]")
    ] = (Path("/var/spool/asterisk/monitor"),)
    extensions: Annotated[tuple[str, ...], Doc("File name endings that are recordings.")] = (
        "wav", "WAV", "wav49", "gsm", "ulaw", "alaw", "sln", "g722", "mp3", "ogg", "opus",
    )  # fmt: skip
    ignore: Annotated[
        tuple[Pattern, ...],
        Doc("Regular expressions over file names that are never recordings.", example='["-tmp\\\\."]'),
    ] = ()
    patterns: Annotated[
        tuple[Pattern, ...],
        Doc(
            "More ways to read a file name: a regular expression with the group `uniqueid`, or `extension` and `time`.",
            example='["^rec_(?P<uniqueid>\\\\d+\\\\.\\\\d+)_"]',
        ),
    ] = ()
    settle: Annotated[
        Duration,
        Doc("A file that nobody was seen to close is finished after so long without a write; a closed one at once."),
    ] = 5.0
    min_size: Annotated[Size, Doc("Smaller files hold no audio (a bare WAV header has 44 bytes).")] = 45
    max_age: Annotated[Duration, Doc("Files older than this at the first start are left alone.")] = 86400.0
    poll: Annotated[Duration, Doc("How often directories are searched where inotify cannot serve.")] = 30.0
    table: Annotated[RecordingsTable | None, Doc("A table that lists recordings; absent: none.")] = None
    upload: Annotated[Upload, Doc("Sending audio to the API.")] = Upload()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What is read. Write at least one of the CEL or CDR sources to ship calls."""

    cel_csv: Annotated[tuple[CelCsv, ...], Doc("CEL files.")] = ()
    cel_table: Annotated[CelTable | None, Doc("CEL rows in a database.")] = None
    cel_ami: Annotated[CelAmi | None, Doc("CEL events over AMI.")] = None
    cdr_table: Annotated[CdrTable | None, Doc("CDR rows in a database.")] = None
    cdr_csv: Annotated[tuple[CdrCsv, ...], Doc("CDR files.")] = ()
    recordings: Annotated[Recordings | None, Doc("Recordings on disk.")] = None

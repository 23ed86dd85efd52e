"""What was found on a host: where Asterisk writes calls, recordings and events, and what keeps it from doing so.

- Facts of files, not of running servers; accounts and passwords of others are not among them.
- Paths are those Asterisk and the agent use; a part that is not there is empty or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Driver = Literal["mysql", "postgresql"]


@dataclass(frozen=True, slots=True)
class Database:
    """A database that Asterisk writes. `host` is empty where only a Unix socket leads there."""

    driver: Driver
    name: str
    host: str = "localhost"
    port: int | None = None
    socket: Path | None = None

    @property
    def local(self) -> bool:
        """Whether it is on this host, by its default name or socket."""
        return self.socket is not None or self.host in {"", "localhost"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of calls. `zone` is that of its times where the file that names it says so, else empty."""

    database: Database
    name: str
    written_by: str
    zone: str = ""


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A file of calls, as cel_custom, cdr_custom or cdr_csv write it."""

    path: Path
    written_by: str
    zone: str = ""
    separator: str = ","
    quote: str = '"'


@dataclass(frozen=True, slots=True)
class Cel:
    """CEL: whether it is on, what its settings leave out, and where it goes. `target` is the file to mend it in."""

    enabled: bool = False
    missing_events: tuple[str, ...] = ()
    apps: bool = False
    manager: bool = False
    tables: tuple[Table, ...] = ()
    files: tuple[CsvFile, ...] = ()
    target: Path = Path("/etc/asterisk/cel.conf")
    mapping_target: Path = Path("/etc/asterisk/cel_custom.conf")
    mappings: bool = False
    custom: bool = True


@dataclass(frozen=True, slots=True)
class Cdr:
    """CDR: where it goes, and for how many seconds batch mode keeps rows back (0: not at all)."""

    tables: tuple[Table, ...] = ()
    files: tuple[CsvFile, ...] = ()
    batch_time: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """An account of manager.conf, without its secret."""

    read: str
    write: str


@dataclass(frozen=True, slots=True)
class Manager:
    """AMI. `target` is the file for an account of ours, `own_file` says that it would hold nothing else."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 5038
    timestamps: bool = False
    accounts: Mapping[str, Account] = field(default_factory=dict)
    target: Path = Path("/etc/asterisk/manager.conf")
    own_file: bool = False


@dataclass(frozen=True, slots=True)
class Unread:
    """A file or directory that could not be read, and why."""

    path: Path
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """One host. `remarks` are sentences about what is set up but not used."""

    kind: Literal["FreePBX", "Asterisk"]
    etc: Path
    log: Path
    spool: Path
    cel: Cel = Cel()
    cdr: Cdr = Cdr()
    manager: Manager = field(default_factory=Manager)
    recordings: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()

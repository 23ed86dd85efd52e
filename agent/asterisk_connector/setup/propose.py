"""From what was found and what is wished to a configuration: commented, and only what differs from the defaults.

- Pure. The text is read back by our own loader before it is written (`tests/unit/test_setup.py`, and `check`).
- Secrets are named as files; none is in the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from asterisk_connector.config.sources import Recordings
from asterisk_connector.errors import Misconfigured
from asterisk_connector.setup import found as host
from asterisk_connector.setup.found import CsvFile, Found

READER = "asterisk_reader"
"""Our account at the database."""
MANAGER = "asterisk-connector"
"""Our account at the manager."""
_RECORDINGS = Recordings().paths
_BATCH = 300
"""What `batch_time` of a table covers by default, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What only the operator knows. `auto` takes what is there: a file before a table, a table before AMI."""

    region: str = "us1"
    url: str = ""
    customer_id: int = 0
    cel: Literal["auto", "csv", "table", "ami", "none"] = "auto"
    cdr: Literal["auto", "csv", "table", "none"] = "auto"
    recordings: bool = True
    upload: bool = False
    brokers: tuple[str, ...] = ()
    topic: str = "asterisk_ami"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What will be read: at most one of the CEL ones. `directory` is where the configuration and secrets go."""

    found: Found
    wishes: Wishes
    directory: Path
    root: Path = Path("/")
    cel_file: CsvFile | None = None
    cel_table: host.Table | None = None
    cel_ami: bool = False
    cdr_file: CsvFile | None = None
    cdr_table: host.Table | None = None

    @property
    def ami(self) -> bool:
        """Whether a manager session is needed."""
        return self.cel_ami or bool(self.wishes.brokers)

    @property
    def tables(self) -> tuple[host.Table, ...]:
        """The tables that will be polled."""
        return tuple(table for table in (self.cel_table, self.cdr_table) if table is not None)

    def at(self, path: Path) -> Path:
        """Where a path of Asterisk's is for us."""
        return self.root / path.relative_to("/")

    def secret(self, name: str) -> Path:
        """The file of a secret, beside the configuration."""
        return self.directory / name


def choose(found: Found, wishes: Wishes, directory: Path, root: Path = Path("/")) -> Choice:
    """Which of the sources that were found are read; `root` is where Asterisk's file system begins.

    Raises Misconfigured when a wished one is not there.
    """
    cel, cdr = found.cel, found.cdr
    cel_kind, cdr_kind = wishes.cel, wishes.cdr
    if cel_kind == "auto":
        cel_kind = "csv" if cel.files else "table" if cel.tables else "csv" if cel.custom else "ami"
    if cdr_kind == "auto":
        cdr_kind = "table" if cdr.tables else "csv" if cdr.files else "none"
    if cel_kind == "table" and not cel.tables:
        raise Misconfigured(f"no file in {found.etc} sends CEL to a table", "--cel csv, or set up cel_odbc.conf")
    if cdr_kind == "table" and not cdr.tables:
        raise Misconfigured(f"no file in {found.etc} sends CDR to a table", "--cdr none, or cdr_adaptive_odbc.conf")
    if cdr_kind == "csv" and not cdr.files:
        raise Misconfigured(f"no CDR file is written in {found.log}", "--cdr none, or set up cdr_custom.conf")
    if cel_kind == cdr_kind == "none":
        raise Misconfigured("neither CEL nor CDR would be read, so no call", "leave out --cel none or --cdr none")
    # With no mapping yet, the one that is proposed writes this file.
    proposed = CsvFile(found.log / "cel-custom" / "Master.csv", "cel_custom.conf, once its mapping is there")
    return Choice(
        found=found,
        wishes=wishes,
        directory=directory,
        root=root,
        cel_file=next(iter(cel.files), proposed) if cel_kind == "csv" else None,
        cel_table=cel.tables[0] if cel_kind == "table" else None,
        cel_ami=cel_kind == "ami",
        cdr_file=cdr.files[0] if cdr_kind == "csv" else None,
        cdr_table=cdr.tables[0] if cdr_kind == "table" else None,
    )


def configuration(choice: Choice) -> str:
    """The text of config.yaml."""
    wishes = choice.wishes
    api: dict[str, Any] = {"region": wishes.region} if not wishes.url else {"url": wishes.url}
    api["key_file"] = str(choice.secret("api.key"))
    if wishes.customer_id:
        api["customer_id"] = wishes.customer_id
    lines = [
        f"# Made by `asterisk-connector setup` for {choice.found.kind} in {choice.found.etc}. Only what differs from",
        "# the defaults is here: `asterisk-connector config example` shows every setting, `check` says if all is well.",
        "",
        *_block("api", api, "Calls go here."),
        "",
        "sources:",
        *(f"  {line}" if line else line for line in _sources(choice)),
    ]
    if choice.ami:
        lines += ["", *_block("ami", _ami(choice), "The manager session.")]
    if wishes.brokers:
        kafka = {"connections": {"main": {"brokers": list(wishes.brokers)}}}
        lines += ["", *_block("kafka", kafka, "For TLS and passwords see security_protocol, ssl and sasl.")]
        lines += ["", *_block("events", {"connection": "main", "topic": wishes.topic}, "AMI events; make the topic.")]
    return "\n".join(lines) + "\n"


def _sources(choice: Choice) -> Iterator[str]:
    if choice.cel_file is not None:
        file = choice.cel_file
        more = {"separator": file.separator} if file.separator != "," else {}
        more |= {"quote": file.quote} if file.quote != '"' else {}
        yield from _block("cel_csv", [{"path": str(file.path), **more}], f"CEL, by {file.written_by}.")
    if choice.cel_table is not None:
        yield from _block("cel_table", _table(choice, choice.cel_table, "cel"), _origin("CEL", choice.cel_table))
    if choice.cel_ami:
        yield from _block("cel_ami", {}, "CEL, live: what Asterisk says while no session is up cannot be had.")
    if choice.cdr_table is not None:
        table = _table(choice, choice.cdr_table, "cdr")
        if choice.found.cdr.batch_time > _BATCH:
            table["batch_time"] = f"{choice.found.cdr.batch_time}s"
        yield from _block("cdr_table", table, _origin("CDR", choice.cdr_table))
    if choice.cdr_file is not None:
        item = {"path": str(choice.cdr_file.path)} | ({"zone": choice.cdr_file.zone} if choice.cdr_file.zone else {})
        yield from _block("cdr_csv", [item], f"CDR, by {choice.cdr_file.written_by}.")
    if choice.wishes.recordings and choice.found.recordings:
        paths = choice.found.recordings
        given: dict[str, Any] = {} if paths == _RECORDINGS else {"paths": [str(path) for path in paths]}
        sent = "sent after them" if choice.wishes.upload else "not sent (`upload`)"
        given |= {"upload": {"enabled": True}} if choice.wishes.upload else {}
        said = f"Recordings below {' and '.join(map(str, paths))} are linked to their calls and {sent}."
        yield from _block("recordings", given, said)


def _origin(what: str, table: host.Table) -> str:
    database = table.database
    far = "" if database.local else " `tls: {ca_file: …}` would encrypt the connection."
    return f"{what}, by {table.written_by}.{far}"


def _table(choice: Choice, table: host.Table, default: str) -> dict[str, Any]:
    database = table.database
    given: dict[str, Any] = {} if database.driver == "mysql" else {"driver": database.driver}
    if database.socket is not None:
        given["socket"] = str(database.socket)
    elif database.host != "localhost":
        given["host"] = database.host
    if database.port is not None:
        given["port"] = database.port
    given["password_file"] = str(choice.secret("db.password"))
    given["database"] = database.name
    if table.name != default:
        given["table"] = table.name
    if table.zone:
        given["zone"] = table.zone
    return given


def _ami(choice: Choice) -> dict[str, Any]:
    manager = choice.found.manager
    given: dict[str, Any] = {} if manager.host == "127.0.0.1" else {"host": manager.host}
    if manager.port != 5038:
        given["port"] = manager.port
    return {**given, "user": MANAGER, "secret_file": str(choice.secret("ami.secret"))}


def _block(name: str, value: Any, comment: str) -> list[str]:
    return [f"# {comment}", *yaml.safe_dump({name: value}, sort_keys=False, allow_unicode=True, width=110).splitlines()]

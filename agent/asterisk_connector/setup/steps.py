"""What an operator does at the database and at Asterisk, as files to be applied: we only write them down.

- The database account may SELECT from the tables that are polled, from where we come, and nothing else.
- The manager account reads the classes that are needed and may ask who Asterisk is (`write = reporting`; see
  `ami.handshake`); CEL events are of class `call` (main/cel.c, cel_manager).
- Files hold passwords: they are for root, and are to be removed once applied. Nothing printed holds one.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asterisk_connector.config.asterisk_files import APPS
from asterisk_connector.setup.found import Database, Table
from asterisk_connector.setup.propose import MANAGER, READER, Choice

HIDDEN = "********"
"""Stands for a password where a file is shown."""
_VARIABLES = (
    "eventtype", "eventtime", "CALLERID(name)", "CALLERID(num)", "CALLERID(ANI)", "CALLERID(RDNIS)", "CALLERID(DNID)",
    "CHANNEL(exten)", "CHANNEL(context)", "CHANNEL(channame)", "CHANNEL(appname)", "CHANNEL(appdata)",
    "CHANNEL(amaflags)", "CHANNEL(accountcode)", "CHANNEL(uniqueid)", "CHANNEL(linkedid)", "BRIDGEPEER",
    "CHANNEL(userfield)", "userdeftype", "eventextra",
)  # fmt: skip
MAPPING = "Master.csv => " + ",".join(f"${{CSV_QUOTE(${{{variable}}})}}" for variable in _VARIABLES)
"""The mapping of cel_custom.conf.sample: our form `stock`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: the file `name` holds `text` and is applied with `commands`, in which `{file}` is its path."""

    title: str
    name: str
    text: str
    commands: tuple[str, ...]
    remark: str = ""


def steps(choice: Choice, db_password: str = HIDDEN, ami_secret: str = HIDDEN) -> list[Step]:
    """Everything that is still to be done for this choice, in order."""
    return [*_asterisk(choice), *_databases(choice, db_password), *_account(choice, ami_secret)]


def _asterisk(choice: Choice) -> Iterator[Step]:
    cel = choice.found.cel
    wanted = choice.cel_file is not None or choice.cel_table is not None or choice.cel_ami
    lines = [] if cel.enabled else ["enable=yes"]
    lines += ["events=ALL"] if cel.missing_events else []
    lines += [] if cel.apps and cel.enabled else [f"apps={','.join(APPS)}"]
    head = [] if cel.target.name == "cel_general_custom.conf" else ["[general](+)"]
    sections = [*head, *lines] if lines else []
    if choice.cel_ami and not cel.manager:
        sections += ["[manager](+)", "enabled=yes"]
    if wanted and sections:
        reload = _console(choice, "module reload cel")
        append = f"cat {{file}} >> {choice.at(cel.target)}"
        missing = ", ".join(cel.missing_events) if cel.enabled else "everything: CEL is off"
        remark = f"Asterisk leaves out {missing}." if missing else ""
        yield Step("Asterisk: let it write all call events", "cel.conf", _text(sections), (append, reload), remark)
    if choice.cel_file is not None and not cel.files:
        head = ["[mappings](+)"] if cel.mappings else ["[mappings]"]
        # Without a mapping the module had declined to load.
        load = [_console(choice, f"module {verb} cel_custom.so") for verb in ("load", "reload")]
        commands = (f"cat {{file}} >> {choice.at(cel.mapping_target)}", *load)
        yield Step("Asterisk: write call events to a file", "cel_custom.conf", _text([*head, MAPPING]), commands)


def _databases(choice: Choice, password: str) -> Iterator[Step]:
    by_database: dict[Database, list[Table]] = {}
    for table in choice.tables:
        by_database.setdefault(table.database, []).append(table)
    for number, (database, tables) in enumerate(by_database.items(), 1):
        names = list(dict.fromkeys(table.name for table in tables))
        name = "database.sql" if number == 1 else f"database-{number}.sql"
        if database.driver == "mysql":
            yield _mysql(database, names, name, password)
        else:
            yield _postgresql(database, names, name, password)


def _mysql(database: Database, tables: list[str], name: str, password: str) -> Step:
    us = f"'{READER}'@'{'localhost' if database.local else own_address(database.host)}'"
    lines = [f"CREATE USER IF NOT EXISTS {us};", f"ALTER USER {us} IDENTIFIED BY '{password}';"]
    lines += [f"GRANT SELECT ON {_mysql_name(f'{database.name}.{table}')} TO {us};" for table in tables]
    port = f" -P {database.port}" if database.port else ""
    command = "mysql < {file}" if database.local else f"mysql -h {database.host}{port} -u root -p < {{file}}"
    return Step(f"MariaDB/MySQL: an account that may read {_and(tables)}", name, _text(lines), (command,))


def _postgresql(database: Database, tables: list[str], name: str, password: str) -> Step:
    schemas = dict.fromkeys(table.partition(".")[0] for table in tables if "." in table)
    reader = f'"{READER}"'
    lines = [
        f"SELECT 'CREATE ROLE {reader}' WHERE to_regrole('{READER}') IS NULL \\gexec",
        f"ALTER ROLE {reader} LOGIN PASSWORD '{password}';",
        f"GRANT CONNECT ON DATABASE {_postgresql_name(database.name)} TO {reader};",
        *(f"GRANT USAGE ON SCHEMA {_postgresql_name(schema)} TO {reader};" for schema in schemas),
        *(f"GRANT SELECT ON {_postgresql_name(table)} TO {reader};" for table in tables),
    ]
    port = f" -p {database.port}" if database.port else ""
    client = f"sudo -u postgres psql{port}" if database.local else f"psql -h {database.host}{port}"
    command = f"{client} -v ON_ERROR_STOP=1 {database.name} < {{file}}"
    remark = ""
    if not database.local:
        line = f"host {database.name} {READER} {own_address(database.host)}/32 scram-sha-256"
        remark = f"pg_hba.conf of {database.host} must have a line like `{line}`."
    return Step(f"PostgreSQL: an account that may read {_and(tables)}", name, _text(lines), (command,), remark)


def _account(choice: Choice, secret: str) -> Iterator[Step]:
    if not choice.ami:
        return
    manager = choice.found.manager
    lines = [
        f"[{MANAGER}]",
        f"secret = {secret}",
        f"read = {'all' if choice.wishes.brokers else 'call'}",
        "write = reporting",
        "writetimeout = 5000",
        "deny = 0.0.0.0/0.0.0.0",
        f"permit = {own_address(manager.host)}/255.255.255.255",
    ]
    general = [] if manager.enabled else ["enabled = yes", "bindaddr = 127.0.0.1"]
    general += [] if manager.timestamps or not choice.wishes.brokers else ["timestampevents = yes"]
    # Lines for [general] go to the file that has it; an account's file is only included after it.
    if general:
        target = choice.at(choice.found.etc / "manager.conf")
        yield Step(
            "Asterisk: settings of the manager",
            "manager-general.conf",
            _text(["[general](+)", *general]),
            (f"cat {{file}} >> {target}", _console(choice, "manager reload")),
        )
    target = choice.at(manager.target)
    copy = f"install -m 0640 -g asterisk {{file}} {target}" if manager.own_file else f"cat {{file}} >> {target}"
    known = manager.accounts.get(MANAGER)
    remark = f"There is an account {MANAGER} (read = {known.read}): it is to be replaced." if known else ""
    title = f"Asterisk: an account of the manager that may read {'everything' if choice.wishes.brokers else 'calls'}"
    yield Step(title, "manager.conf", _text(lines), (copy, _console(choice, "manager reload")), remark)


def _console(choice: Choice, command: str) -> str:
    """A command of Asterisk's console, asked where its own file system is."""
    inside = "" if choice.root == Path("/") else f"chroot {choice.root} "
    return f'{inside}asterisk -rx "{command}"'


def own_address(host: str) -> str:
    """The address of ours that a server sees; loopback where no route tells. Nothing is sent."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def _mysql_name(name: str) -> str:
    return ".".join("`" + part.replace("`", "``") + "`" for part in name.split("."))


def _postgresql_name(name: str) -> str:
    """A name as Asterisk's modules write it: without quotes, where that can be."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name)
    return name if plain else ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def _and(names: list[str]) -> str:
    return " and ".join(names)


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"

"""Tables that Asterisk's modules write, and the databases they are in, from the modules' own files.

- cel_odbc, cdr_adaptive_odbc, cdr_odbc: connection → res_odbc.conf → data source → odbc.ini → driver.
- cel_pgsql, cdr_pgsql, cdr_mysql (up to Asterisk 18): everything in one `[global]`.
- Defaults are the modules' own (cel/ and cdr/ of Asterisk's sources).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from asterisk_connector.config.conf_lines import Conf
from asterisk_connector.setup.files import Files
from asterisk_connector.setup.found import Database, Driver, Table

ODBC_INI = (Path("/etc/odbc.ini"), Path("/usr/local/etc/odbc.ini"), Path("/etc/unixODBC/odbc.ini"))
MYSQL_SOCKETS = (
    Path("/run/mysqld/mysqld.sock"),
    Path("/var/run/mysqld/mysqld.sock"),
    Path("/var/lib/mysql/mysql.sock"),
    Path("/tmp/mysql.sock"),  # noqa: S108 - the default of MySQL's own builds
)
YES = frozenset({"yes", "true", "on", "1", "y", "t"})
_LOOPBACK = frozenset({"", "localhost", "127.0.0.1", "::1"})


class Databases:
    """Looks databases up by what the files of `etc` say; `remarks` collects what leads nowhere."""

    def __init__(self, files: Files, etc: Path) -> None:
        self._files = files
        self._etc = etc
        self._odbc = files.conf(etc / "res_odbc.conf")
        self.remarks: list[str] = []

    def by_odbc(self, file: str, default: str, only: str = "") -> Iterator[Table]:
        """Tables of a file whose sections name a connection of res_odbc.conf; `only` is the section that counts."""
        conf = self._files.conf(self._etc / file)
        for section, name in conf.sections.items():
            values = options(conf, section)
            connection = values.get("connection", "") or (values.get("dsn", "") if only else "")
            if section == "general" or (only and section != only) or not connection:
                continue
            written_by = f"{file} [{name}]"
            database = self._connection(connection, written_by)
            if database is not None:
                zone = "UTC" if values.get("usegmtime", "").lower() in YES else ""
                yield Table(database, values.get("table", "") or default, written_by, zone)

    def by_module(self, file: str, driver: Driver, default: str) -> Iterator[Table]:
        """The table of a file that says everything in `[global]`."""
        values = options(self._files.conf(self._etc / file), "global")
        name = values.get("dbname", "") or values.get("database", "")
        if name:
            socket = values.get("sock", "")
            database = self.located(driver, name, values.get("hostname", ""), values.get("port", ""), socket)
            yield Table(database, values.get("table", "") or default, f"{file} [global]")

    def located(self, driver: Driver, name: str, host: str, port: str, socket: str = "") -> Database:
        """A database, by its Unix socket where it is MySQL's on this host and has one."""
        number = int(port) if port.isdecimal() and int(port) not in {0, 3306 if driver == "mysql" else 5432} else None
        if host.lower() not in _LOOPBACK and not host.startswith("/"):
            return Database(driver, name, host, number)
        if driver == "mysql" and number is None:
            named = (Path(socket),) if socket else ()
            found = next((path for path in named + MYSQL_SOCKETS if self._files.there(path)), None)
            return Database(driver, name, socket=found) if found else Database(driver, name)
        return Database(driver, name, "127.0.0.1" if number and driver == "mysql" else "localhost", number)

    def _connection(self, connection: str, asked_by: str) -> Database | None:
        values = options(self._odbc, connection.lower())
        if not values:
            self.remarks.append(f"{asked_by} names connection `{connection}`, which res_odbc.conf does not have")
            return None
        if values.get("enabled", "yes").lower() not in YES:
            self.remarks.append(f"{asked_by} names connection `{connection}`, which res_odbc.conf does not enable")
            return None
        dsn = values.get("dsn", "")
        source = next((ini[dsn.lower()] for ini in map(self._files.ini, ODBC_INI) if dsn.lower() in ini), None)
        if source is None:
            self.remarks.append(f"{asked_by} needs data source `{dsn}`, which no odbc.ini has")
            return None
        driver = self._driver(source.get("driver", ""))
        name = source.get("database", "") or source.get("dbname", "") or values.get("database", "")
        if driver is None or not name:
            missing = "driver is neither MySQL's nor PostgreSQL's" if driver is None else "database has no name"
            self.remarks.append(f"{asked_by} writes to data source `{dsn}`, whose {missing}: it is not read")
            return None
        host = source.get("server", "") or source.get("servername", "") or source.get("host", "")
        return self.located(driver, name, host, source.get("port", ""), source.get("socket", ""))

    def _driver(self, name: str) -> Driver | None:
        """The kind of an ODBC driver: its name or library tells, else what odbcinst.ini says of it."""
        installed = (self._files.ini(path.with_name("odbcinst.ini")) for path in ODBC_INI)
        library = next((ini[name.lower()].get("driver", "") for ini in installed if name.lower() in ini), "")
        text = f"{name} {library}".lower()
        if any(word in text for word in ("mysql", "mariadb", "maodbc", "myodbc")):
            return "mysql"
        return "postgresql" if any(word in text for word in ("postgres", "psqlodbc")) else None


def options(conf: Conf, section: str) -> Mapping[str, str]:
    """The options of a section by name in lower case; of a repeated one the last counts."""
    return {line.name.lower(): line.value for line in conf.of(section)}

"""Looking at a host: FreePBX or plain Asterisk, wherever its configuration lies.

- Reads files only; a running Asterisk or database is not asked.
- Asterisk's defaults are those of its sources and samples (configs/samples); FreePBX's are those of its modules cel,
  cdr and core.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from asterisk_connector.config.asterisk_files import EVENTS
from asterisk_connector.errors import Misconfigured
from asterisk_connector.setup.databases import YES, Databases, options
from asterisk_connector.setup.files import Files
from asterisk_connector.setup.found import Account, Cdr, Cel, CsvFile, Found, Manager, Table

ETC = (Path("/etc/asterisk"), Path("/usr/local/etc/asterisk"), Path("/opt/asterisk/etc/asterisk"))
"""Where Asterisk's configuration is: packages and FreePBX, `--prefix=/usr/local`, `--prefix=/opt/asterisk`."""
FREEPBX_CONF = Path("/etc/freepbx.conf")
_PHP = re.compile(r"""\$amp_conf\[\s*['"](\w+)['"]\s*\]\s*=\s*(?:'([^']*)'|"([^"]*)")""")


def look(files: Files, etc: Path | None = None) -> Found:
    """What is on the host. `etc` is where Asterisk's configuration is, else it is searched for.

    Raises Misconfigured when no Asterisk is found.
    """
    etc = etc or next((path for path in ETC if files.there(path / "asterisk.conf") or files.there(path)), None)
    if etc is None or not files.there(etc):
        where = ", ".join(map(str, ETC)) if etc is None else str(etc)
        raise Misconfigured(
            f"no Asterisk is configured in {where}", "name the directory of asterisk.conf: --asterisk-etc DIRECTORY"
        )
    remarks: list[str] = []
    directories = _directories(files, etc, remarks)
    databases = Databases(files, etc)
    modules = _Modules(files, etc, directories.get("astmoddir", ""))
    log = Path(directories.get("astlogdir", "/var/log/asterisk"))
    spool = Path(directories.get("astspooldir", "/var/spool/asterisk"))
    freepbx = _freepbx(files)
    is_freepbx = bool(freepbx) or files.there(FREEPBX_CONF)
    cel_tables = [*modules.tables(databases.by_odbc("cel_odbc.conf", "cel"), "cel_odbc")]
    cel_tables += modules.tables(databases.by_module("cel_pgsql.conf", "postgresql", "cel"), "cel_pgsql")
    cdr_tables = [*modules.tables(databases.by_odbc("cdr_adaptive_odbc.conf", "cdr"), "cdr_adaptive_odbc")]
    cdr_tables += modules.tables(databases.by_odbc("cdr_odbc.conf", "cdr", only="global"), "cdr_odbc")
    cdr_tables += modules.tables(databases.by_module("cdr_pgsql.conf", "postgresql", "cdr"), "cdr_pgsql")
    cdr_tables += modules.tables(databases.by_module("cdr_mysql.conf", "mysql", "cdr"), "cdr_mysql")
    if freepbx and not cel_tables and not cdr_tables:
        database = databases.located("mysql", "asteriskcdrdb", freepbx.get("AMPDBHOST", ""), "")
        cel_tables = [Table(database, "cel", "FreePBX")]
        cdr_tables = [Table(database, "cdr", "FreePBX")]
    return Found(
        kind="FreePBX" if is_freepbx else "Asterisk",
        etc=etc,
        log=log,
        spool=spool,
        cel=_cel(files, etc, log, tuple(cel_tables), modules, freepbx=is_freepbx),
        cdr=_cdr(files, etc, log, tuple(cdr_tables), modules),
        manager=_manager(files, etc),
        recordings=tuple(_recordings(files, etc, spool)),
        remarks=(*remarks, *databases.remarks, *modules.remarks),
        unread=files.unread,
    )


def _directories(files: Files, etc: Path, remarks: list[str]) -> Mapping[str, str]:
    """`[directories]` of asterisk.conf; as a template, `(!)`, it does not count but shows what was compiled in.

    What is no absolute path does not count either, with a remark: where Asterisk takes it from is its own affair.
    """
    found = options(files.conf(etc / "asterisk.conf"), "directories")
    if etc != ETC[0] and not found and etc.parts[-2:] == ("etc", "asterisk"):
        prefix = etc.parent.parent
        return {"astlogdir": str(prefix / "var/log/asterisk"), "astspooldir": str(prefix / "var/spool/asterisk")}
    remarks += [
        f"asterisk.conf has {name} => {value}, which is no absolute path: the default is taken for it"
        for name, value in found.items()
        if not value.startswith("/")
    ]
    return {name: value for name, value in found.items() if value.startswith("/")}


def _freepbx(files: Files) -> Mapping[str, str]:
    """What /etc/freepbx.conf says of its database; its password is left there."""
    pairs = _PHP.findall(files.text(FREEPBX_CONF))
    return {name: single or double for name, single, double in pairs if name != "AMPDBPASS"}


class _Modules:
    """Which modules are there and loaded, as modules.conf and the folder of modules say."""

    def __init__(self, files: Files, etc: Path, directory: str) -> None:
        lines = files.conf(etc / "modules.conf").of("modules")
        self._autoload = all(line.value.lower() in YES for line in lines if line.name.lower() == "autoload")
        self._loaded = {_bare(line.value) for line in lines if line.name.lower() in {"load", "preload", "require"}}
        self._left_out = {_bare(line.value) for line in lines if line.name.lower() == "noload"}
        self._directory = Path(directory) if directory else None
        self._files = files
        self.remarks: list[str] = []

    def loads(self, name: str) -> bool:
        """Whether a module is loaded; True where nothing is known of it."""
        if name in self._left_out or not (self._autoload or name in self._loaded):
            return False
        folder = self._directory
        return folder is None or not self._files.there(folder) or self._files.there(folder / f"{name}.so")

    def tables(self, tables: Iterator[Table], module: str) -> list[Table]:
        """The tables, if the module that would write them is loaded; else a remark for each."""
        found = list(tables)
        if self.loads(module):
            return found
        self.remarks += [f"{table.written_by} writes nothing: Asterisk does not load {module}.so" for table in found]
        return []


def _bare(module: str) -> str:
    return module.removesuffix(".so")


def _cel(files: Files, etc: Path, log: Path, tables: tuple[Table, ...], modules: _Modules, *, freepbx: bool) -> Cel:
    conf = files.conf(etc / "cel.conf")
    general = options(conf, "general")
    events = {event.strip().upper() for event in general.get("events", "").split(",")}
    missing = () if "ALL" in events else tuple(event for event in EVENTS if event not in events)
    custom = files.conf(etc / "cel_custom.conf")
    written = [CsvFile(log / "cel-custom" / line.name, "cel_custom.conf [mappings]") for line in custom.of("mappings")]
    for section, name in custom.sections.items():
        values = options(custom, section)
        if section not in {"general", "mappings"} and values.get("fields"):
            separator = values.get("separator_character", ",").replace("\\t", "\t")
            quote = values.get("quote_character", '"')
            path = log / "cel-custom" / name
            written.append(CsvFile(path, f"cel_custom.conf [{name}]", separator=separator, quote=quote))
    is_loaded = modules.loads("cel_custom")
    return Cel(
        enabled=general.get("enable", "no").lower() in YES,
        missing_events=missing,
        apps=bool(general.get("apps", "")),
        manager=options(conf, "manager").get("enabled", "no").lower() in YES,
        tables=tables,
        files=tuple(written) if is_loaded else (),
        target=etc / ("cel_general_custom.conf" if freepbx else "cel.conf"),
        mapping_target=etc / "cel_custom.conf",
        mappings="mappings" in custom.sections,
        custom=is_loaded,
    )


def _cdr(files: Files, etc: Path, log: Path, tables: tuple[Table, ...], modules: _Modules) -> Cdr:
    conf = files.conf(etc / "cdr.conf")
    general = options(conf, "general")
    written: list[CsvFile] = []
    if modules.loads("cdr_custom"):
        for line in files.conf(etc / "cdr_custom.conf").of("mappings"):
            written.append(CsvFile(log / "cdr-custom" / line.name, "cdr_custom.conf [mappings]"))
    csv = options(conf, "csv")
    if "csv" in conf.sections and csv.get("loguniqueid", "no").lower() in YES and modules.loads("cdr_csv"):
        zone = "UTC" if csv.get("usegmtime", "no").lower() in YES else ""
        written.append(CsvFile(log / "cdr-csv" / "Master.csv", "cdr.conf [csv]", zone))
    batched = general.get("batch", "no").lower() in YES
    time = general.get("time", "")
    return Cdr(
        tables=tables,
        files=tuple(file for file in written if files.there(file.path)),
        batch_time=(int(time) if time.isdecimal() else 300) if batched else 0,
    )


def _manager(files: Files, etc: Path) -> Manager:
    conf = files.conf(etc / "manager.conf")
    general = options(conf, "general")
    bound = general.get("bindaddr", "")
    port = general.get("port", "")
    accounts = {
        name: Account(options(conf, section).get("read", ""), options(conf, section).get("write", ""))
        for section, name in conf.sections.items()
        if section != "general"
    }
    included = re.findall(r"(?m)^\s*#(?:try)?include\s+[<\"]?([^<>\"\s]+)", files.text(etc / "manager.conf"))
    folder = next((etc / Path(name).parent for name in included if name.endswith("/*.conf")), None)
    if folder is not None:
        target = folder / "asterisk-connector.conf"
    else:
        target = etc / ("manager_custom.conf" if "manager_custom.conf" in included else "manager.conf")
    return Manager(
        enabled=general.get("enabled", "no").lower() in YES,
        host=bound if bound not in {"", "0.0.0.0", "::", "[::]"} else "127.0.0.1",  # noqa: S104 - compared only
        port=int(port) if port.isdecimal() else 5038,
        timestamps=general.get("timestampevents", "no").lower() in YES,
        accounts=accounts,
        target=target,
        own_file=folder is not None,
    )


def _recordings(files: Files, etc: Path, spool: Path) -> Iterator[Path]:
    """Directories of recordings: Asterisk's own, and where FreePBX was told to put them (MIXMON_DIR)."""
    chosen = options(files.conf(etc / "extensions_additional.conf"), "globals").get("mixmon_dir", "").rstrip("/")
    for path in dict.fromkeys((Path(chosen) if chosen.startswith("/") else spool / "monitor", spool / "monitor")):
        if files.there(path):
            yield path

"""The SIPSTACK container's settings (`.env`, versions 0.13) into our configuration.

Pure: text in, YAML and remarks out. Every variable is either taken over or remarked: what had no effect there although
documented (most of them) is taken over only where it has one meaning here, and said so.
"""

from __future__ import annotations

import re
from typing import Any

from asterisk_connector.config.import_ami_kafka import Import, as_yaml

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")
_COMMENT = re.compile(r"\s+#.*$")
_REGIONS = ("us1", "us2", "ca1", "dev")

_HALF = {
    "CALL_SHIPPING_MODE": "it was always complete",
    "LONG_CALL_UPDATE_INTERVAL": "it was always 600 and never fired",
    "KNOWN_TRUNKS": "it was always empty",
    "CEL_CSV_POLL_INTERVAL": "files are watched here",
    "CEL_CSV_MAX_LINES": "it was always 50000",
}
_NO_EFFECT = frozenset(
    {
        *("HOST_HOSTNAME", "CDR_LOOKBACK_MINUTES", "METRICS_INTERVAL", "MAX_WORKERS", "CONNECTION_POOL_SIZE"),
        *("API_TIMEOUT", "API_RETRY_ATTEMPTS", "ENABLE_CALL_THREADS", "NORMALIZE_PHONE_NUMBERS", "STRIP_DIAL_PREFIXES"),
        *("DETECT_DIRECTION", "POLL_INTERVAL", "BATCH_SIZE", "SHIP_INCOMPLETE_AFTER", "SHIP_COMPLETE_AFTER"),
        *("MAX_RECORDS_PER_POLL", "BATCH_TIMEOUT", "MIXMONITOR_DB", "RECORDING_ENABLED", "DB_TABLE_RECORDINGS"),
        *("RECORDING_STABILITY_CHECK_INTERVAL", "RECORDING_STABILITY_CHECK_COUNT", "RECORDING_UPLOAD_BATCH_SIZE"),
        *("RECORDING_MAX_UPLOAD_RETRIES", "DELETE_RECORDINGS_AFTER_UPLOAD", "DID_TENANT_CONFIG"),
    }
)
_NOT_NEEDED = {
    "CDR_BATCH_SIZE": "every new row is read here, in pages",
    "INCLUDE_RAW_DATA": "raw rows made every request fail there; they are not sent",
    "CDR_POLL_INTERVAL": "it was a start value only; new rows are asked for every 2 s",
}
_OF_THE_OLD_AMI_PATH = ("ASTERISK_", "CDR_", "RECORDING_")


def import_env(text: str) -> Import:
    """Raises nothing for what is in it: whatever cannot be taken over is remarked."""
    reader = _Reader(text)
    ours: dict[str, Any] = {}
    take = reader.take
    if name := take("HOSTNAME"):
        ours["host"] = name
    ours["api"] = _api(reader)
    shipping = _shipping(reader)
    if shipping:
        ours["shipping"] = shipping
    ours["sources"] = _sources(reader, ours)
    tenants = _tenants(reader)
    if tenants:
        ours["tenants"] = tenants
    if level := take("LOG_LEVEL"):
        known = {"debug": "debug", "info": "info", "warning": "warning", "warn": "warning", "error": "error"}
        ours["log"] = {"level": known.get(level.lower(), "error" if level.lower() == "critical" else "info")}
    reader.rest()
    if reader.secrets:
        reader.remarks.append(
            "the configuration holds secrets: keep it from others (chmod 640), or use `key_file` and so on"
        )
    return Import(as_yaml(ours, "the SIPSTACK container's .env"), reader.remarks)


def _api(reader: _Reader) -> dict[str, Any]:
    api: dict[str, Any] = {}
    region = reader.take("REGION").lower() or "us1"
    if region not in _REGIONS:
        reader.remark("REGION", f"`{region}` is unknown and silently meant us1; us1 is written")
        region = "us1"
    api["region"] = region
    url = reader.take("API_ENDPOINT")
    other = reader.take("API_URL")
    if url or other:
        api["url"] = url or other
    if key := reader.take_secret("API_KEY"):
        api["key"] = key
    else:
        api["key_file"] = "/etc/asterisk-connector/api.key"
        reader.remark("API_KEY", "is not set; write the key into /etc/asterisk-connector/api.key")
    customer = reader.take("CUSTOMER_ID")
    if customer.isdigit():
        api["customer_id"] = int(customer)
    elif customer:
        reader.remark("CUSTOMER_ID", f"`{customer}` is no number; the container did not start with it")
    return api


def _shipping(reader: _Reader) -> dict[str, Any]:
    shipping: dict[str, Any] = {}
    mode = reader.take("CALL_SHIPPING_MODE").lower()
    if mode in ("complete", "progressive"):
        shipping["mode"] = mode
    interval = reader.take("LONG_CALL_UPDATE_INTERVAL")
    if interval.isdigit():
        shipping["long_call_update_interval"] = f"{interval}s"
    return shipping


def _sources(reader: _Reader, ours: dict[str, Any]) -> dict[str, Any]:
    take = reader.take
    database = _database(reader)
    sources: dict[str, Any] = {}
    mode = take("CEL_MODE").lower()
    path = take("CEL_CSV_PATH") or "/var/log/asterisk/cel-custom/Master.csv"
    cel_table, cdr_table = take("DB_TABLE_CEL"), take("DB_TABLE_CDR")
    account = {name: take(f"AMI_{name}") for name in ("HOST", "PORT", "USERNAME")}
    secret = reader.take_secret("AMI_PASSWORD")
    if mode == "csv":
        sources["cel_csv"] = [{"path": path}]
    elif mode == "ami":
        reader.remark("CEL_MODE", "`ami` never read an event there; here a manager session is made")
        sources["cel_ami"] = {"enabled": True}
        ours["ami"] = _ami(account, secret)
    else:
        if mode != "db":
            reader.remark("CEL_MODE", f"`{mode}` is none of db, csv and ami; db is written")
        sources["cel_table"] = {**database, **({"table": cel_table} if cel_table else {})}
    if mode != "ami" and any(account.values()):
        reader.remarks.append("AMI_*: had no effect there, and CEL is not read over AMI here")
    sources["cdr_table"] = {**database, **({"table": cdr_table} if cdr_table else {})}
    paths = [path.strip() for path in take("RECORDING_PATHS").split(",") if path.strip()]
    watched = [path.strip() for path in take("RECORDING_WATCH_PATHS").split(",") if path.strip()]
    sources["recordings"] = {"paths": paths or watched or ["/var/spool/asterisk/monitor"]}
    return sources


def _database(reader: _Reader) -> dict[str, Any]:
    driver = reader.take("DB_TYPE").lower() or "mysql"
    if driver in ("postgres", "pgsql"):
        reader.remark("DB_TYPE", f"`{driver}` was refused there; postgresql is written")
        driver = "postgresql"
    database: dict[str, Any] = {"driver": driver, "host": reader.take("DB_HOST") or "localhost"}
    port = reader.take("DB_PORT")
    if port.isdigit():
        database["port"] = int(port)
    elif driver == "postgresql":
        reader.remarks.append("DB_PORT: not set, and 3306 was dialled there even for postgresql; here it is 5432")
    database["user"] = reader.take("DB_USER") or "asterisk"
    if password := reader.take_secret("DB_PASSWORD"):
        database["password"] = password
    database["database"] = reader.take("DB_NAME") or "asteriskcdrdb"
    return database


def _ami(account: dict[str, str], secret: str) -> dict[str, Any]:
    ami: dict[str, Any] = {"host": account["HOST"] or "127.0.0.1"}
    if account["PORT"].isdigit():
        ami["port"] = int(account["PORT"])
    ami["user"] = account["USERNAME"] or "asterisk-connector"
    return ami | ({"secret": secret} if secret else {"secret_file": "/etc/asterisk-connector/ami.secret"})


def _tenants(reader: _Reader) -> dict[str, Any]:
    tenants: dict[str, Any] = {}
    if default := reader.take("TENANT"):
        tenants["default"] = default
    for name, key in (("DID_TENANT_MAP", "dids"), ("ACCOUNTCODE_TENANT_MAP", "account_codes")):
        pairs = [pair.partition("=" if "=" in pair else ":") for pair in reader.take(name).split(",")]
        found = {left.strip(): right.strip() for left, _, right in pairs if left.strip() and right.strip()}
        if found:
            tenants[key] = found
            reader.remark(name, "had no effect there; here calls get these tenants")
    trunks = [trunk.strip() for trunk in reader.take("KNOWN_TRUNKS").split(",") if trunk.strip()]
    if trunks:
        tenants["known_trunks"] = trunks
    return tenants


class _Reader:
    """The variables of the file, each given out once; what nobody took is remarked at the end."""

    def __init__(self, text: str) -> None:
        self.remarks: list[str] = []
        self.secrets = False
        self._values: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _ASSIGNMENT.match(line)
            if match is None:
                self.remarks.append(f".env:{number}: not understood, left out")
                continue
            self._values[match[1]] = self._plain(match[1], match[2])

    def take(self, name: str) -> str:
        """The value, empty when there is none."""
        value = self._values.pop(name, "")
        if value and name in _HALF:
            self.remark(name, f"had no effect there ({_HALF[name]})")
        return value

    def take_secret(self, name: str) -> str:
        value = self.take(name)
        self.secrets = self.secrets or bool(value)
        return value

    def remark(self, name: str, sentence: str) -> None:
        self.remarks.append(f"{name}: {sentence}")

    def rest(self) -> None:
        for name in self._values:
            if name in _NOT_NEEDED:
                self.remark(name, _NOT_NEEDED[name])
            elif name in _HALF:
                self.remark(name, f"had no effect there ({_HALF[name]})")
            elif name in _NO_EFFECT or name.startswith(_OF_THE_OLD_AMI_PATH):
                self.remark(name, "had no effect there and is not taken over")
            else:
                self.remark(name, "unknown, not taken over")

    def _plain(self, name: str, value: str) -> str:
        if value[:1] in ("'", '"'):
            end = value.find(value[0], 1)
            return value[1:end] if end > 0 else value[1:]
        plain = _COMMENT.sub("", " " + value).strip()
        if plain != value:
            self.remark(name, "the comment behind the value is left out; an --env-file made it part of the value")
        return plain

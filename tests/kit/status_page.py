"""Schema and page of the status document, made from its types: `python -m tests.kit.status_page` writes both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from asterisk_connector.telemetry.status import Status
from tests.kit.document_page import DOCS

SCHEMA = DOCS / "status.schema.json"
PAGE = DOCS / "status.md"

_HEAD = """\
# The status document

How things are, in one JSON object: `asterisk-connector status --json` prints it, `http://127.0.0.1:8000/status` serves
it, and the status page, the [metrics](metrics.md) and the sentence of `systemctl status` are made of it.
Machine-readable: [status.schema.json](status.schema.json); both are made from the types in the code.

Instants are RFC 3339 in UTC, durations seconds, sizes bytes. What is not known is `null`, never a guess. Counters begin
with the process; what is owed, open, dead or unaccounted for is of the state on disk and survives a restart. What is
of the state may be some seconds old (`unaccounted` some minutes, where a million calls are owed); everything else is of
the moment. Numbers of people are always
masked: `+14165550123` is shown as `+1416•••••23`; up to four digits (extensions) stay as they are.

## Alive, healthy, ready

| | means | who asks |
|---|---|---|
| `alive` | every part comes round | `/healthz`, the watchdog of systemd |
| `healthy` | everything that is ours works: every source is read or waits for its file, the state can be written, the \
manager session stands, nobody refuses us for our settings | `status --wait`, a roll-out |
| `ready` | healthy, and every sink and Kafka take what is sent | `/readyz`, `status` (exit code 0) |

A sink that is down for a reason of its own is explained: the agent is healthy, keeps its calls, and is not ready.

## Who is at fault

`problems` says what is wrong now, worst first, and vanishes when it is mended; `recent_errors` keeps what is over.

| `fault` | who can mend it |
|---|---|
| `configuration` | you, in the configuration: a key, an address, a right |
| `host` | you, on this host: a disk, a permission, its clock |
| `remote` | the other side: the call API, Kafka, a database, Asterisk; it is tried again by itself |
| `bug` | we: please report it |

## Accounted for

`calls.unaccounted` must be 0. Every call and every delivery is entered in the state's books when it comes, and
again when it goes: delivered, merged into another call, dropped by you, or let go by age. What came less what went must
be what is there; a call that ended without having been told, or that is open without a single row, counts too. The
books are written in the same transactions as the calls, so kills, outages and restarts do not change them.
"""


def schema() -> str:
    """The JSON schema, with a newline at its end."""
    made = msgspec.json.schema(Status)
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Status document", **made}
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def page() -> str:
    """The whole page."""
    made = json.loads(schema())
    types = made["$defs"]
    lines = [_HEAD]
    for name in _order(types, "Status"):
        lines += [f"## {_title(name)}", "", types[name]["description"], ""]
        lines += ["| field | type | unit, values | meaning |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in _rows(types[name]["properties"])]
        lines.append("")
    return "\n".join(lines)


def _order(types: dict[str, Any], first: str) -> list[str]:
    """A type, then those its fields are of, in order."""
    found = [first]
    for field in types[first]["properties"].values():
        found += [name for inner in _refs(field) for name in _order(types, inner) if name not in found]
    return found


def _refs(field: dict[str, Any]) -> Iterator[str]:
    for option in (field, field.get("items", {}), *field.get("anyOf", [])):
        if "$ref" in option:
            yield option["$ref"].rpartition("/")[2]


def _title(name: str) -> str:
    return {"Status": "The document"}.get(name, name.removesuffix("Status") or name)


def _rows(properties: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, field in properties.items():
        yield f"`{name}`", " or ".join(_types(field)), _values(field), field["description"]


def _types(field: dict[str, Any]) -> Iterator[str]:
    if "anyOf" in field:
        for option in field["anyOf"]:
            yield from _types(option)
    elif "$ref" in field:
        yield _title(field["$ref"].rpartition("/")[2])
    elif "enum" in field:
        yield from sorted({"null" if value is None else "string" for value in field["enum"]}, reverse=True)
    elif field["type"] == "array":
        yield f"list of {' or '.join(_types(field['items']))}"
    else:
        yield field["type"]


def _values(field: dict[str, Any]) -> str:
    if "x-unit" in field:
        return str(field["x-unit"])
    options = [option for option in (field, *field.get("anyOf", [])) if "enum" in option]
    return ", ".join(f"`{value}`" for option in options for value in option["enum"] if value is not None)


if __name__ == "__main__":
    SCHEMA.write_text(schema())
    PAGE.write_text(page())

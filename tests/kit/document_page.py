"""The page about the call document, made from its JSON schema: `python -m tests.kit.document_page` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from asterisk_connector.assembly.assemble import assemble
from asterisk_connector.assembly.connect import connect
from asterisk_connector.call import document
from asterisk_connector.enrichment.direction import direction
from asterisk_connector.plan import Plan
from tests.kit.captures import load

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = DOCS / "call-document.schema.json"
PAGE = DOCS / "call-document.md"

_HEAD = """\
# The call document

One call, told once. `asterisk-connector replay` prints one such object a line, oldest call first; the Kafka topic and
the file of calls carry the same object; the call API gets what [call-api-mapping.md](call-api-mapping.md) makes of it.
Machine-readable: [call-document.schema.json](call-document.schema.json), from which this page is made.

Numbers and extensions are text, as Asterisk wrote them (dial prefixes included); what normalisation made of them
stands beside them (`e164`). Instants are RFC 3339 UTC with milliseconds; durations are seconds with millisecond
precision. Absent facts are `null` or an empty list, never a guess; what was inferred is named in `evidence.inferred`.
A field that the source cannot carry (transfers, where no such events are enabled) is `null`, not wrong.

## Outcomes

| value | meaning |
|---|---|
| `answered` | a person talked with the caller |
| `no_answer` | it rang until the dial plan gave up |
| `busy`, `declined` | the called telephone said so |
| `cancelled` | the caller hung up while it rang |
| `failed` | it could not be put through: no such endpoint, no circuit, congestion |
| `voicemail` | a mailbox took the call |
| `abandoned` | the caller gave up in a menu or a queue |
| `queue_timeout` | the queue gave up |
| `ivr_only` | nothing but a menu |
| `service` | an application served the caller: music, recorder, user event, spying |
| `page`, `conference` | an announcement, a conference |
| `not_taken` | click-to-call whose originator did not answer |
"""


def page() -> str:
    """The whole page."""
    schema = json.loads(SCHEMA.read_text())
    lines = [_HEAD, "## Fields", "", "| field | type | unit, values | meaning | source |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in _rows("", schema["properties"], "")]
    lines += ["", "## An attended transfer", "", "```json", _example(), "```", ""]
    return "\n".join(lines)


def _rows(path: str, properties: dict[str, Any], source: str) -> Iterator[tuple[str, ...]]:
    for name, field in properties.items():
        where = f"{path}{name}"
        told_by = field.get("x-source") or source
        yield f"`{where}`", _type(field), _values(field), field["description"], told_by
        inner = field.get("items", field)
        if "properties" in inner:
            mark = "[]." if "items" in field else "."
            yield from _rows(f"{where}{mark}", inner["properties"], told_by)


def _type(field: dict[str, Any]) -> str:
    if "const" in field:
        return "number"
    kinds = field.get("type", "string")
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    if "enum" in field and None in field["enum"]:
        names.append("null")
    return " or ".join(names)


def _values(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"] if value is not None)
    return str(field.get("x-unit", field.get("const", "")))


def _example() -> str:
    group = connect(load("22.10", "s25_attended_refer_by_callee", "stock") or ())[0]
    told = document(direction(assemble(group), Plan()))
    told["host"] = "pbx-01"
    return msgspec.json.format(msgspec.json.encode(told), indent=1).decode()


if __name__ == "__main__":
    PAGE.write_text(page())

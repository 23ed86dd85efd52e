"""Everything written about the configuration, made from the model: example, JSON schema, reference page, and its dump.

- Nothing here knows a setting by name but `_WRITTEN`, the few lines a first configuration must have.
- The files under docs/ are these texts; a test fails when they are stale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from asterisk_connector.config.model import Settings
from asterisk_connector.config.secret import Secret
from asterisk_connector.config.shape import Either, Entry, Listing, Named, Scalar, Section, Shape, section

_WRITTEN = frozenset({"api", "api.key", "sources.cel_csv", "sources.cel_csv.path"})
_NAME = "main"
"""The name that stands for chosen names in the example."""
_YAML_WORDS = frozenset({"on", "off", "yes", "no", "y", "n", "true", "false", "null"})

_EXAMPLE_HEAD = """\
# asterisk-connector: the configuration, /etc/asterisk-connector/config.yaml
#
# Made by `asterisk-connector config example`. A line such as `#region: us1` shows a default or an example: take the #
# away (and those of the blocks above it) to set it. `asterisk-connector check` says whether all is well.
"""

_REFERENCE_HEAD = """\
# Configuration

<!-- Made by `asterisk-connector config reference`; do not edit. -->

The service reads `/etc/asterisk-connector/config.yaml`; commands take another file with `--config FILE` or from
`ASTERISK_CONNECTOR_CONFIG`. `asterisk-connector config example` prints a commented file with every setting, `config
schema` a JSON schema for editors, `config show` what is in force. `asterisk-connector check` names every problem at
once, with file, line and what to do; it ends with 78 when there is one.

**Values.** Durations are written `500ms`, `10s`, `5m`, `1h30m`, `48h`, `30d` (a bare number is seconds), sizes `64KiB`,
`100MiB`, `4GiB` (a bare number is bytes). Paths are absolute. A text needs no quotes where its kind is known: `country:
NO` is Norway, `0042` keeps its zeros. An unknown or repeated key is an error. YAML anchors and `<<` work.

**Secrets** (`key`, `password`, `secret`, `token`) are best kept out of the file. In order of preference:

1. a systemd credential named as the setting: `LoadCredential=api.key:/etc/asterisk-connector/api.key`;
2. a file: `key_file: /etc/asterisk-connector/api.key`, readable by the service only;
3. the environment: `ASTERISK_CONNECTOR_API__KEY`.

They are never shown by any command, log or page.

**Environment.** `ASTERISK_CONNECTOR_` and the setting's path in capitals, two underscores for a dot, overrides the
file: `ASTERISK_CONNECTOR_API__REGION=ca1`, `ASTERISK_CONNECTOR_SOURCES__CEL_CSV__0__PATH=/var/log/…`. Lists may be
written with commas. Environment goes before credential, credential before file.
"""


def example() -> str:
    """The commented configuration."""
    lines = [*_EXAMPLE_HEAD.splitlines()]
    for entry in section(Settings).entries:
        lines += ["", *_example_entry(entry, "", entry.name, live=True)]
    return "\n".join(lines) + "\n"


def _example_entry(entry: Entry, indent: str, path: str, *, live: bool) -> Iterator[str]:
    """A setting with its comment; `live` says that the block it stands in is written and not only shown."""
    live = live and (path in _WRITTEN or _may_be_empty(entry))
    mark = "" if live else "#"
    yield from _comment(entry, indent)
    match entry.shape:
        case Section() as block:
            yield f"{indent}{mark}{entry.name}:"
            yield from _example_section(block, indent + "  ", path, live)
        case Listing(item=Section() as item):
            yield f"{indent}{mark}{entry.name}:"
            yield from _first_item(item, indent + "  ", path, live)
        case Named(value=Section() as inner):
            yield f"{indent}{mark}{entry.name}:"
            yield f"{indent}  #{_NAME}:"
            yield from _example_section(inner, indent + "    ", path, False)
        case _:
            name = f"{entry.name}_file" if entry.secret else entry.name
            yield f"{indent}{mark}{name}: {_sample(entry)}"


def _may_be_empty(entry: Entry) -> bool:
    """Whether the block's name may stand there with nothing below it."""
    return isinstance(entry.shape, Section) and not entry.optional


def _example_section(block: Section, indent: str, path: str, live: bool) -> Iterator[str]:
    for entry in block.entries:
        yield from _example_entry(entry, indent, f"{path}.{entry.name}", live=live)


def _first_item(item: Section, indent: str, path: str, live: bool) -> Iterator[str]:
    """The settings of a list's item, `- ` before the first that is set."""
    dash = "- "
    for line in _example_section(item, indent + "  ", path, live):
        body = line.removeprefix(indent + "  ")
        if dash and not body.startswith("# "):
            mark, text = ("#", body[1:]) if body.startswith("#") else ("", body)
            yield f"{indent}{mark}{dash}{text}"
            dash = ""
        else:
            yield line


def _comment(entry: Entry, indent: str) -> list[str]:
    remark = "" if isinstance(entry.shape, Section | Named | Listing) and not entry.required else _facts(entry)
    doc = entry.shape.doc.split("\n\n")[0] if isinstance(entry.shape, Section) else entry.doc.text
    return [f"{indent}# {line}" for line in _wrap(f"{doc} ({remark})" if remark else doc, 116 - len(indent))]


def _facts(entry: Entry) -> str:
    kind = _kind(entry.shape)
    return f"{kind}; required" if entry.required else f"{kind}; default: {_default(entry)}"


def _wrap(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def _sample(entry: Entry) -> str:
    """A value to write: the default where there is one, else an example."""
    if entry.secret or entry.required or entry.doc.default or entry.default in (None, "", (), {}):
        return entry.doc.example or _scalar(entry.shape).kind.example
    return _written(entry.shape, entry.default)


def _scalar(shape: Shape) -> Scalar:
    match shape:
        case Scalar():
            return shape
        case Either(scalar=scalar):
            return scalar
        case Listing(item=item):
            return _scalar(item)
        case Named(value=value):
            return _scalar(value)
        case Section():
            raise TypeError(f"{shape.cls.__name__} is not one value")


def _written(shape: Shape, value: Any) -> str:
    """A value as YAML on one line."""
    match shape:
        case Either(scalar=scalar, block=block):
            return _written(block if isinstance(value, tuple | Mapping) else scalar, value)
        case Listing(item=item):
            return "[" + ", ".join(_written(item, one) for one in value) + "]"
        case Named(value=inner):
            return "{" + ", ".join(f"{_quoted(name)}: {_written(inner, one)}" for name, one in value.items()) + "}"
        case Scalar(kind=kind):
            text = kind.show(value)
            return text if kind.schema.get("type") in ("integer", "number", "boolean") else _quoted(text)
        case Section():
            raise TypeError(f"{shape.cls.__name__} is not one value")


def _quoted(text: str) -> str:
    # Our loader needs no quotes around `on`; other readers of YAML would make it a boolean.
    plain = re.fullmatch(r"[A-Za-z0-9_/.][A-Za-z0-9_/.:+*-]*", text) and not text.endswith(":")
    return text if plain and text.lower() not in _YAML_WORDS else json.dumps(text, ensure_ascii=False)


def _kind(shape: Shape) -> str:
    match shape:
        case Scalar(kind=kind):
            return kind.what
        case Either(scalar=scalar, block=block):
            return f"{_kind(scalar)} or {_kind(block)}"
        case Listing(item=item):
            return f"a list; each {_kind(item)}"
        case Named(value=value):
            return f"a table; each {_kind(value)}"
        case Section():
            return "a block"


def _default(entry: Entry) -> str:
    if entry.doc.default:
        return entry.doc.default
    if entry.default in (None, "", (), {}):
        return "none"
    return _written(entry.shape, entry.default)


def _shown_default(entry: Entry) -> str:
    words = entry.doc.default or ("" if _default(entry) != "none" else "none")
    return words or f"`{_default(entry)}`"


def schema() -> str:
    """The JSON schema (draft 2020-12), for editors."""
    top = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "asterisk-connector configuration",
        **_schema(section(Settings)),
    }
    return json.dumps(top, indent=2, ensure_ascii=False) + "\n"


def _schema(shape: Shape) -> dict[str, Any]:
    match shape:
        case Scalar(kind=kind):
            return dict(kind.schema)
        case Either(scalar=scalar, block=block):
            return {"anyOf": [_schema(scalar), _schema(block)]}
        case Listing(item=item):
            return {"type": "array", "items": _schema(item)}
        case Named(value=value):
            return {"type": "object", "additionalProperties": _schema(value)}
        case Section(entries=entries):
            properties: dict[str, Any] = {}
            for entry in entries:
                properties[entry.name] = _described(entry)
                if entry.secret:
                    file = {"type": "string", "description": f"File that holds it. {entry.doc.text}"}
                    properties[f"{entry.name}_file"] = file
            required = [entry.name for entry in entries if entry.required and not entry.secret]
            block_type = {"type": ["object", "null"] if not required else "object"}
            needed = {"required": required} if required else {}
            return {**block_type, "properties": properties, **needed, "additionalProperties": False}


def _described(entry: Entry) -> dict[str, Any]:
    facts = {} if isinstance(entry.shape, Section) else {"default": _default(entry)}
    if entry.required:
        facts = {}
    return {"description": entry.doc.text, **_schema(entry.shape), **facts}


def reference() -> str:
    """The reference page, in Markdown."""
    top = section(Settings)
    loose = [entry for entry in top.entries if isinstance(entry.shape, Scalar)]
    lines = [_REFERENCE_HEAD, "## Top level", "", *_table(loose)]
    for entry in top.entries:
        if isinstance(entry.shape, Section):
            lines += _chapter(entry.shape, entry.name, entry.optional)
    return "\n".join(lines) + "\n"


def _chapter(block: Section, path: str, optional: bool) -> Iterator[str]:
    yield from ("", f"## `{path}`", "", block.doc + (" Absent unless written." if optional else ""), "")
    yield from _table(list(block.entries))
    for entry in block.entries:
        below = f"{path}.{entry.name}"
        match entry.shape:
            case Section() as inner:
                yield from _chapter(inner, below, entry.optional)
            case Listing(item=Section() as inner) | Listing(item=Either(block=Section() as inner)):
                yield from _chapter(inner, below + "[]", False)
            case Named(value=Section() as inner):
                yield from _chapter(inner, below + ".<name>", False)


def _table(entries: list[Entry]) -> Iterator[str]:
    rows = [entry for entry in entries if not isinstance(entry.shape, Section)]
    if not rows:
        return
    yield "| setting | value | default | meaning |"
    yield "|---|---|---|---|"
    for entry in rows:
        default = "**required**" if entry.required else _shown_default(entry)
        name = f"`{entry.name}`, `{entry.name}_file`" if entry.secret else f"`{entry.name}`"
        example = f" Example: `{entry.doc.example}`" if entry.doc.example else ""
        cells = (name, _kind(entry.shape), default, entry.doc.text + example)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def show(settings: Settings) -> str:
    """What is in force, as YAML: every setting with its value, secrets as where they come from."""
    return "\n".join(_show_section(section(Settings), settings, "")) + "\n"


def _show_section(block: Section, value: Any, indent: str) -> Iterator[str]:
    for entry in block.entries:
        yield from _show(entry.shape, getattr(value, entry.name), f"{indent}{entry.name}:", indent)


def _show(shape: Shape, value: Any, head: str, indent: str) -> Iterator[str]:
    match shape:
        case _ if value is None:
            return
        case Section():
            yield head
            yield from _show_section(shape, value, indent + "  ")
        case Named(value=Section() as inner) if value:
            yield head
            for name, one in value.items():
                yield from _show(inner, one, f"{indent}  {_quoted(name)}:", indent + "  ")
        case Listing(item=Section() | Either() as item) if value:
            yield head
            for one in value:
                yield from _show_item(item, one, indent + "  ")
        case _ if isinstance(value, Secret):
            yield f"{head} '***'  # from {value.origin}"
        case Listing(item=Section() | Either()):
            yield f"{head} []"
        case Named(value=Section()):
            yield f"{head} {{}}"
        case _:
            yield f"{head} {_written(shape, value)}"


def _show_item(item: Shape, value: Any, indent: str) -> Iterator[str]:
    if isinstance(item, Either):
        item = item.scalar if isinstance(value, str) else item.block
    if not isinstance(item, Section):
        yield f"{indent}- {_written(item, value)}"
        return
    for number, line in enumerate(_show_section(item, value, indent + "  ")):
        yield f"{indent}- {line.strip()}" if number == 0 else line

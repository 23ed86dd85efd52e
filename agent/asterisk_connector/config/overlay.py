"""What is said outside the file, laid over its YAML tree: environment variables and systemd credentials.

- `ASTERISK_CONNECTOR_API__REGION` is `api.region`; a double underscore is a dot, a number an item of a list.
- A credential's name is the dotted path of the secret it is: `api.key`.
- Environment goes before credential, credential before file. Whichever wins, the loader sees one tree.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from asterisk_connector.config.finding import Finding
from asterisk_connector.config.shape import Either, Listing, Named, Scalar, Section, Shape

PREFIX = "ASTERISK_CONNECTOR_"
RESERVED = frozenset({"ASTERISK_CONNECTOR_CONFIG"})
"""Variables with our prefix that are not settings: the configuration file's own path."""


@dataclass(frozen=True)
class Assignment:
    """One value from outside the file. `origin` is how it is named to the operator."""

    segments: tuple[str, ...]
    text: str
    origin: str


class NotWritten(Exception):
    """The file writes something else where a block or a list would have to be."""


class UnknownSetting(Exception):
    """The segments name nothing; `args[0]` is the part that does not exist."""


def from_environment(environ: Mapping[str, str]) -> list[Assignment]:
    """Assignments of all variables with our prefix, shorter paths first so that items of a block come after it."""
    found = [
        Assignment(tuple(name[len(PREFIX) :].lower().split("__")), text.strip(), f"environment variable {name}")
        for name, text in environ.items()
        if name.startswith(PREFIX) and name not in RESERVED
    ]
    return sorted(found, key=lambda assignment: (len(assignment.segments), assignment.segments))


def from_credentials(directory: Path, root: Section) -> tuple[list[Assignment], list[Finding]]:
    """Secrets in systemd's credential directory. A file whose name is no secret of ours is a warning, not an error."""
    assignments, findings = [], []
    try:
        files = sorted(path for path in directory.iterdir() if path.is_file())
    except OSError as error:
        return [], [Finding("error", "", f"credential directory {directory} cannot be read: {error.strerror}")]
    for file in files:
        segments = tuple(file.name.split("."))
        if not _is_secret(root, segments):
            findings.append(
                Finding("warning", file.name, "this credential is not the name of a secret setting and is not used")
            )
            continue
        # The loader reads the content as it reads every secret file: same errors, same trimming.
        named = (*segments[:-1], segments[-1] + "_file")
        assignments.append(Assignment(named, str(file), f"credential {file.name}"))
    return assignments, findings


def _is_secret(shape: Shape, segments: tuple[str, ...]) -> bool:
    if not segments:
        return isinstance(shape, Scalar) and shape.kind.secret
    match shape:
        case Section():
            entry = shape.entry(segments[0])
            return entry is not None and _is_secret(entry.shape, segments[1:])
        case Named(value=inner):
            return _is_secret(inner, segments[1:])
        case _:
            return False


def lay_over(root: yaml.MappingNode, shape: Section, assignments: Iterable[Assignment]) -> list[Finding]:
    """Writes the assignments into the tree. Returns what could not be placed."""
    findings = []
    for assignment in assignments:
        mark = yaml.Mark(assignment.origin, 0, 0, 0, None, 0)
        try:
            _assign(root, shape, assignment.segments, assignment.text, mark)
        except UnknownSetting as error:
            path = ".".join(assignment.segments)
            findings.append(Finding("error", path, f"unknown setting{error.args[0]}", place=assignment.origin))
        except NotWritten:
            path = ".".join(assignment.segments)
            findings.append(
                Finding("error", path, "cannot be set: the file has something else there", place=assignment.origin)
            )
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
            path = ".".join(assignment.segments)
            findings.append(Finding("error", path, "is not one line of YAML", place=assignment.origin))
    return findings


def _assign(node: yaml.Node, shape: Shape, segments: tuple[str, ...], text: str, mark: yaml.Mark) -> None:
    head, rest = segments[0], segments[1:]
    if isinstance(shape, Either):
        shape = shape.block
    match shape:
        case Section():
            key, inner = _member(shape, head)
            if not rest:
                _drop(node, _other_way(shape, key))
        case Named(value=inner):
            key = next((k for k in _keys(node) if k.casefold().replace("-", "_") == head.replace("-", "_")), head)
        case Listing(item=inner):
            _assign_item(node, inner, segments, text, mark)
            return
        case _:
            raise UnknownSetting(f": nothing is below it, `{head}` least of all")
    if not isinstance(node, yaml.MappingNode):
        raise NotWritten
    if not rest:
        _drop(node, key)
        node.value.append((_text(key, mark), value_node(inner, text, mark)))
        return
    child = next((value for name, value in node.value if name.value == key), None)
    if child is None or child.tag == "tag:yaml.org,2002:null":
        _drop(node, key)
        child = _empty(inner, mark)
        node.value.append((_text(key, mark), child))
    _assign(child, inner, rest, text, mark)


def _assign_item(node: yaml.Node, item: Shape, segments: tuple[str, ...], text: str, mark: yaml.Mark) -> None:
    if not isinstance(node, yaml.SequenceNode):
        raise NotWritten
    head, rest = segments[0], segments[1:]
    if not head.isdecimal() or int(head) > len(node.value):
        raise UnknownSetting(f": `{head}` is not the number of an item (there are {len(node.value)}, the first is 0)")
    index = int(head)
    if index == len(node.value):
        node.value.append(_empty(item, mark))
    if rest:
        _assign(node.value[index], item, rest, text, mark)
    else:
        node.value[index] = value_node(item, text, mark)


def _member(section: Section, name: str) -> tuple[str, Shape]:
    """The setting of that name, also in its `_file` form."""
    entry = section.entry(name)
    if entry is not None:
        return name, entry.shape
    base = section.entry(name.removesuffix("_file"))
    if name.endswith("_file") and base is not None and base.secret:
        return name, base.shape
    raise UnknownSetting(suggestion(name, section))


def suggestion(name: str, section: Section, root: Section | None = None) -> str:
    """`; did you mean …?` for the nearest setting here, else for one of that name elsewhere, else the empty string."""
    known = {entry.name: entry.name for entry in section.entries}
    known |= {f"{entry.name}_file": f"{entry.name}_file" for entry in section.entries if entry.secret}
    here = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1, cutoff=0.75)
    elsewhere = [path for path in paths(root) if path.rpartition(".")[2] == name] if root else []
    perhaps = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    for near in (here, elsewhere, perhaps):
        if near:
            return f"; did you mean `{near[0]}`?"
    return "; known here: " + ", ".join(known)


def paths(shape: Shape, prefix: str = "") -> Iterable[str]:
    """Dotted paths of all settings; `<name>` and `[]` stand for chosen names and items."""
    match shape:
        case Section():
            for entry in shape.entries:
                path = f"{prefix}.{entry.name}" if prefix else entry.name
                yield path
                yield from paths(entry.shape, path)
        case Named(value=inner):
            yield from paths(inner, f"{prefix}.<name>")
        case Listing(item=inner):
            yield from paths(inner, f"{prefix}[]")
        case Either(block=inner):
            yield from paths(inner, prefix)
        case Scalar():
            return


def _other_way(section: Section, key: str) -> str:
    """A secret's other spelling: `key` for `key_file` and the reverse."""
    entry = section.entry(key)
    return f"{key}_file" if entry is not None and entry.secret else key.removesuffix("_file")


def value_node(shape: Shape, text: str, mark: yaml.Mark) -> yaml.Node:
    """The node of a value given as one text; lists may be written with commas, blocks as one line of YAML."""
    if isinstance(shape, Scalar):
        return _text(text, mark)
    loader = yaml.SafeLoader(text)
    loader.name = mark.name
    try:
        node = loader.get_single_node()
    finally:
        loader.dispose()
    if isinstance(shape, Listing) and not isinstance(node, yaml.SequenceNode):
        items = [_text(item.strip(), mark) for item in text.split(",") if item.strip()]
        return yaml.SequenceNode("tag:yaml.org,2002:seq", items, mark, mark)
    return node if node is not None else _text(text, mark)


def _text(text: str, mark: yaml.Mark) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, mark, mark)


def _empty(shape: Shape, mark: yaml.Mark) -> yaml.Node:
    if isinstance(shape, Listing):
        return yaml.SequenceNode("tag:yaml.org,2002:seq", [], mark, mark)
    return yaml.MappingNode("tag:yaml.org,2002:map", [], mark, mark)


def _keys(node: yaml.Node) -> list[str]:
    return [str(key.value) for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []


def _drop(node: yaml.Node, key: str) -> None:
    if isinstance(node, yaml.MappingNode):
        node.value = [(name, value) for name, value in node.value if name.value != key]

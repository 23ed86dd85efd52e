"""From a file, the environment and credentials to settings, or to every problem at once.

- Nothing is guessed: an unknown key, a repeated key, a value of the wrong kind are errors, each with its line.
- Reading never raises for what an operator wrote and never shows a secret; `settings` is None when there is an error.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from asterisk_connector.config import overlay
from asterisk_connector.config.finding import Finding, has_errors
from asterisk_connector.config.meaning import contradictions
from asterisk_connector.config.model import DEFAULT_FILE, Control, Settings, Store
from asterisk_connector.config.secret import Secret
from asterisk_connector.config.shape import Either, Entry, Listing, Named, Scalar, Section, Shape, section
from asterisk_connector.errors import Misconfigured

_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_BAD: Final = object()


class Loaded(NamedTuple):
    """What came of reading. `places` maps dotted paths to `file:line`; `settings` is None when anything is an error."""

    settings: Settings | None
    findings: list[Finding]
    places: Mapping[str, str]


def load(path: Path = DEFAULT_FILE, environ: Mapping[str, str] | None = None) -> Loaded:
    """Reads the file at `path`, with the process environment unless another is given. Raises nothing."""
    environ = os.environ if environ is None else environ
    try:
        text = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        return Loaded(None, [_unreadable(path, error)], {})
    loaded, inline = _decode(text, str(path), environ)
    # /dev/null and other special files cannot hold a secret.
    if inline and mode & stat.S_IROTH and stat.S_ISREG(mode):
        loaded.findings.append(
            Finding("warning", "", "holds a secret and can be read by everybody", f"chmod o-r {path}", str(path))
        )
    return loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where a command finds the service and its state."""

    store: Store = field(default_factory=Store)
    control: Control = field(default_factory=Control)


def whereabouts(path: Path, environ: Mapping[str, str] | None = None) -> Whereabouts:
    """The blocks `store` and `control`, for users who may not read what else the file names: secrets and credentials.

    Raises Misconfigured when these two cannot be read.
    """
    environ = os.environ if environ is None else environ
    loaded = load(path, environ)
    if loaded.settings is not None:
        return Whereabouts(store=loaded.settings.store, control=loaded.settings.control)
    reader = _Reader(str(path))
    try:
        node = reader.compose(path.read_bytes())
    except OSError:
        node = None
    if node is not None:
        overlay.lay_over(node, section(Settings), overlay.from_environment(environ))
        blocks = {entry.name for entry in section(Whereabouts).entries}
        node.value = [pair for pair in node.value if isinstance(pair[0], yaml.ScalarNode) and pair[0].value in blocks]
        found = reader.value(section(Whereabouts), node, "")
        if isinstance(found, Whereabouts):
            return found
    problems = "\n".join(str(finding) for finding in loaded.findings if finding.level == "error")
    raise Misconfigured(f"the configuration has problems\n{problems}", f"asterisk-connector check --config {path}")


def loads(text: str | bytes, name: str = "config.yaml", environ: Mapping[str, str] | None = None) -> Loaded:
    """The same from text; `name` stands for the file in findings. No environment unless given."""
    return _decode(text, name, environ or {})[0]


def placed(finding: Finding, places: Mapping[str, str], name: str) -> Finding:
    """The finding with the line of its setting, or of the nearest block above it."""
    path = finding.path
    while path and path not in places:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return replace(finding, place=places[path] if path else name)


def _unreadable(path: Path, error: OSError) -> Finding:
    match error:
        case FileNotFoundError():
            hint = "`asterisk-connector config example` shows one"
            return Finding("error", "", "there is no such file", hint, str(path))
        case PermissionError():
            hint = "run as root or as the user asterisk-connector"
            return Finding("error", "", "may not be read by this user", hint, str(path))
        case _:
            return Finding("error", "", f"cannot be read: {error.strerror}", place=str(path))


def _decode(text: str | bytes, name: str, environ: Mapping[str, str]) -> tuple[Loaded, bool]:
    reader = _Reader(name)
    root = section(Settings)
    node = reader.compose(text)
    if node is not None:
        credentials: list[overlay.Assignment] = []
        if directory := environ.get("CREDENTIALS_DIRECTORY"):
            credentials, problems = overlay.from_credentials(Path(directory), root)
            reader.findings += problems
        reader.findings += overlay.lay_over(node, root, credentials)
        reader.findings += overlay.lay_over(node, root, overlay.from_environment(environ))
        settings = reader.value(root, node, "")
        if isinstance(settings, Settings) and not has_errors(reader.findings):
            reader.findings += [placed(finding, reader.places, name) for finding in contradictions(settings)]
            if not has_errors(reader.findings):
                return Loaded(settings, reader.findings, reader.places), reader.inline_secret
    return Loaded(None, reader.findings, reader.places), reader.inline_secret


class _Reader:
    """One reading: walks shape and tree together and collects what is wrong."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.findings: list[Finding] = []
        self.places: dict[str, str] = {}
        self.inline_secret = False

    def compose(self, text: str | bytes) -> yaml.MappingNode | None:
        """The file's tree, an empty one for an empty file, None when it is not YAML or not a mapping."""
        try:
            loader = yaml.SafeLoader(text)
            loader.name = self.name
            try:
                node = loader.get_single_node()
            finally:
                loader.dispose()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"{self.name}:{mark.line + 1}" if mark else self.name
            said = ", ".join(part for part in (error.context, error.problem) if part)
            self.findings.append(Finding("error", "", f"not valid YAML: {said}", place=place))
            return None
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
            said = getattr(error, "reason", "") or type(error).__name__
            self.findings.append(Finding("error", "", f"not valid YAML: {said}", place=self.name))
            return None
        if node is None or node.tag == _NULL:
            mark = yaml.Mark(self.name, 0, 0, 0, None, 0)
            return yaml.MappingNode("tag:yaml.org,2002:map", [], mark, mark)
        if not isinstance(node, yaml.MappingNode):
            self._say("", node, "expected sections such as `api:` and `sources:`")
            return None
        return node

    def value(self, shape: Shape, node: yaml.Node, path: str) -> Any:
        """The value of a node, or `_BAD` after saying why."""
        self.places[path] = self._place(node)
        match shape:
            case Either(scalar=scalar, block=block):
                return self.value(scalar if isinstance(node, yaml.ScalarNode) else block, node, path)
            case Scalar():
                return self._scalar(shape, node, path)
            case Listing(item=item):
                return self._list(item, node, path)
            case Named(value=inner):
                return self._table(inner, node, path)
            case Section():
                return self._section(shape, node, path)

    def _scalar(self, shape: Scalar, node: yaml.Node, path: str) -> Any:
        kind = shape.kind
        example = f", for example `{kind.example}`" if kind.example else ""
        if not isinstance(node, yaml.ScalarNode):
            return self._say(path, node, f"expected {kind.what}, not a {_word(node)}{example}")
        if node.tag == _NULL:
            return self._say(path, node, f"has no value; expected {kind.what}{example}, or remove the line")
        if kind.secret:
            return self._secret(node, path)
        try:
            return kind.parse(node.value)
        except ValueError as error:
            because = f" ({error})" if error.args else ""
            said = f"expected {kind.what}, got `{_short(node.value)}`{because}"
            return self._say(path, node, said + ("" if kind.what.startswith("one of") else example))

    def _list(self, item: Shape, node: yaml.Node, path: str) -> Any:
        if not isinstance(node, yaml.SequenceNode):
            return self._say(path, node, f"expected a list, not a {_word(node)}; write each item after `- `")
        values = [self.value(item, child, f"{path}[{index}]") for index, child in enumerate(node.value)]
        return _BAD if _BAD in values else tuple(values)

    def _table(self, inner: Shape, node: yaml.Node, path: str) -> Any:
        if node.tag == _NULL and isinstance(node, yaml.ScalarNode):
            return {}
        if not isinstance(node, yaml.MappingNode):
            return self._say(path, node, f"expected lines `name: value`, not a {_word(node)}")
        values = {name: self.value(inner, child, f"{path}.{name}") for name, child in self._pairs(node, path)}
        return _BAD if _BAD in values.values() else values

    def _section(self, shape: Section, node: yaml.Node, path: str) -> Any:
        if node.tag == _NULL and isinstance(node, yaml.ScalarNode):
            node = yaml.MappingNode("tag:yaml.org,2002:map", [], node.start_mark, node.end_mark)
        if not isinstance(node, yaml.MappingNode):
            known = ", ".join(entry.name for entry in shape.entries[:6])
            return self._say(path, node, f"expected a block with settings ({known} …), not a {_word(node)}")
        before = len(self.findings)
        values: dict[str, Any] = {}
        for name, child in self._pairs(node, path):
            below = f"{path}.{name}" if path else name
            entry = shape.entry(name)
            base = shape.entry(name.removesuffix("_file"))
            if entry is not None:
                if name in values:
                    self._say(below, child, f"given twice: remove `{name}` or `{name}_file`")
                values[name] = self.value(entry.shape, child, below)
            elif name.endswith("_file") and base is not None and base.secret:
                if base.name in values:
                    self._say(below, child, f"given twice: remove `{base.name}` or `{name}`")
                self.places[below.removesuffix("_file")] = self._place(child)
                values[base.name] = self._secret_file(child, below)
            else:
                self._say(below, child, "unknown setting" + overlay.suggestion(name, shape, section(Settings)))
        for entry in shape.entries:
            if entry.required and entry.name not in values:
                self._say(f"{path}.{entry.name}" if path else entry.name, node, _missing(entry, path))
        return _BAD if has_errors(self.findings[before:]) else shape.cls(**values)

    def _pairs(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[str, yaml.Node]]:
        """Keys and values, merge keys (`<<`) resolved; a key given twice is said and its first value kept."""
        seen: set[str] = set()
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            if key.tag == _MERGE:
                maps = value.value if isinstance(value, yaml.SequenceNode) else [value]
                merged += [pair for each in maps if isinstance(each, yaml.MappingNode) for pair in each.value]
            elif not isinstance(key, yaml.ScalarNode) or not key.value:
                self._say(path, key, "a setting's name must be a text")
            elif key.value in seen:
                self._say(f"{path}.{key.value}" if path else key.value, key, "given twice; only one can hold")
            else:
                seen.add(key.value)
                yield key.value, value
        for key, value in merged:
            if isinstance(key, yaml.ScalarNode) and key.value not in seen:
                seen.add(key.value)
                yield key.value, value

    def _secret(self, node: yaml.ScalarNode, path: str) -> Any:
        text = node.value.strip()
        if not text:
            return self._say(path, node, "is empty")
        if "\n" in text or "\r" in text:
            return self._say(path, node, "has more than one line")
        if node.start_mark.name == self.name:
            self.inline_secret = True
        return Secret(text, self._place(node))

    def _secret_file(self, node: yaml.Node, path: str) -> Any:
        # What stands here may be the secret itself, written after the wrong name: it is never shown.
        if not isinstance(node, yaml.ScalarNode) or not node.value.startswith("/") or "\0" in node.value:
            return self._say(path, node, "expected the absolute path of a file that holds the secret")
        file = Path(node.value)
        try:
            text = file.read_text(encoding="utf-8").strip()
            mode = file.stat().st_mode
        except UnicodeDecodeError:
            return self._say(path, node, f"{file} is not text")
        except OSError as error:
            hint = f"chgrp asterisk-connector {file}; chmod 0640 {file}" if isinstance(error, PermissionError) else ""
            return self._say(path, node, f"{file} cannot be read: {error.strerror}", hint)
        if not text:
            return self._say(path, node, f"{file} is empty; write the secret into it")
        if "\n" in text or "\r" in text:
            return self._say(path, node, f"{file} has more than one line; only the secret may be in it")
        if mode & stat.S_IROTH:
            hint = f"chmod o-r {file}"
            self.findings.append(Finding("warning", path, f"{file} can be read by everybody", hint, self._place(node)))
        credential = node.start_mark.name.startswith("credential ")
        return Secret(text, node.start_mark.name if credential else f"file {file}")

    def _say(self, path: str, node: yaml.Node, message: str, hint: str = "") -> Any:
        self.findings.append(Finding("error", path, message, hint, self._place(node)))
        return _BAD

    def _place(self, node: yaml.Node) -> str:
        mark = node.start_mark
        return f"{mark.name}:{mark.line + 1}" if mark.name == self.name else str(mark.name)


def _missing(entry: Entry, path: str) -> str:
    if not entry.secret:
        return "missing" + (f"; for example `{entry.name}: {entry.doc.example}`" if entry.doc.example else "")
    dotted = f"{path}.{entry.name}"
    variable = overlay.PREFIX + dotted.upper().replace(".", "__")
    return f"missing; write `{entry.name}_file: {entry.doc.example}`, or give the credential {dotted} or {variable}"


def _word(node: yaml.Node) -> str:
    match node:
        case yaml.MappingNode():
            return "block"
        case yaml.SequenceNode():
            return "list"
        case _:
            return "single value"


def _short(text: str) -> str:
    text = re.sub(r"//[^/]*@", "//***@", text)
    return text if len(text) <= 40 else text[:39] + "…"

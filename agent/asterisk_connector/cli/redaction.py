"""Texts as they may leave the house: without secrets, numbers of people masked.

- What is known to be secret is replaced wherever it stands, also inside URLs; what only looks like it (`password = …`,
  `//user:password@host`) is replaced too: rather too much than too little.
- Numbers of seven digits or more are masked wherever they stand in a text, but not in what is no text: JSON's numbers,
  instants, and the ids of calls (`1795289858.2041`), by which a call is found again.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from asterisk_connector.config.model import Settings
from asterisk_connector.config.secret import Secret
from asterisk_connector.telemetry.masking import masked

HIDDEN = "***"
_SECRETIVE = r"[\w.-]*(?:secret|passw|passphrase|pwd|token|credential|jaas|key)[\w.-]*"
_IS_SECRET = re.compile(_SECRETIVE, re.IGNORECASE)
_LINE = re.compile(rf"(?im)^(?P<head>[\s;#-]*[\"']?{_SECRETIVE}[\"']?[ \t]*(?:=>|[:=])[ \t]*)(?P<value>[^\s;#][^\n]*)$")
_INLINE = re.compile(
    rf"(?i)(?P<head>[{{,]\s*[\"']?{_SECRETIVE}[\"']?[ \t]*:[ \t]*)(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s,}}][^,}}\n]*)"
)
_FILE = re.compile(r"(?im)^\s*-?\s*\w+_file:\s*[\"']?(/[^\s\"'#]+)")
_IN_URL = re.compile(r"(?<=://)[^\s/@]+@")
_NUMBER = re.compile(r"(?<![\w.•-])(?:\+?\d{7,}|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4})(?![\w-])(?!\.\d)")
_LONGEST_SECRET = 4096


class Redaction:
    """Knows what to hide: `secrets` and `numbers` as they are written somewhere."""

    def __init__(self, secrets: Iterable[str], numbers: Iterable[str] = ()) -> None:
        known = {text for secret in secrets if secret for text in (secret, quote(secret, safe=""))}
        self._secrets = _any_of(known)
        self._numbers = _any_of(number for number in numbers if number)

    def text(self, text: str) -> str:
        """The text, redacted."""
        if self._secrets:
            text = self._secrets.sub(HIDDEN, text)
        text = _IN_URL.sub(f"{HIDDEN}@", text)
        if self._numbers:
            text = self._numbers.sub(lambda match: masked(match[0]), text)
        return _NUMBER.sub(lambda match: masked(match[0]), text)

    def settings(self, text: str) -> str:
        """A file of settings, of ours or of Asterisk's: also without the values of everything named like a secret."""
        return self.text(without_secrets(text))

    def document(self, value: Any) -> Any:
        """What JSON says, its texts redacted."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(name): self.document(inner) for name, inner in value.items()}
            case list() | tuple():
                return [self.document(inner) for inner in value]
            case _:
                return value


def without_secrets(settings: str) -> str:
    """A file of settings without the values of everything named like a secret."""
    for written in (_LINE, _INLINE):
        settings = written.sub(lambda match: match["head"] + _hidden(match), settings)
    return settings


def of_settings(settings: Settings) -> Redaction:
    """Hides every secret of the settings in force, and the numbers they name."""
    numbers = [*settings.tenants.dids, *settings.numbers.keep]
    return Redaction(_secrets(settings), numbers)


def of_file(file: Path) -> Redaction:
    """Hides what looks like a secret in a configuration that cannot be put in force, and what its secret files hold."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Redaction(())
    secrets: list[str] = []
    with suppress(yaml.YAMLError, ValueError, RecursionError):
        secrets += _written(yaml.compose(text, yaml.SafeLoader))
    for name in _FILE.findall(text):
        with suppress(OSError):
            secrets.append(Path(name).read_text(encoding="utf-8", errors="replace")[:_LONGEST_SECRET].strip())
    return Redaction(secrets)


def _written(node: yaml.Node | None) -> Iterator[str]:
    """Values of everything that is named like a secret, however they are written."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _written(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(value, yaml.ScalarNode) and not str(key.value).endswith("_file"):
                if _IS_SECRET.fullmatch(str(key.value)):
                    yield value.value.strip()
            else:
                yield from _written(value)


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, Secret):
        yield value.reveal()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _secrets(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secrets(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _secrets(inner)


def _hidden(match: re.Match[str]) -> str:
    """Where a secret is found may be shown: a file's path, and what our own dump says of its origin."""
    name, value = match["head"], match["value"]
    shown = re.search(r"file\W*$", name, re.IGNORECASE) or value.startswith(("'***'", HIDDEN))
    return value if shown else HIDDEN


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    """Any of these, the longest first; short ones only as words of their own, or nothing would be left to read."""
    parts = [
        re.escape(text) if len(text) > 3 else rf"(?<!\w){re.escape(text)}(?!\w)"
        for text in sorted(texts, key=len, reverse=True)
    ]
    return re.compile("|".join(parts)) if parts else None

"""The files of a host, read below a root of their own when Asterisk lives in one; never written.

- A file that is not there is empty; one that may not be read is remembered, so that nothing is concluded in silence.
"""

from __future__ import annotations

import configparser
from collections.abc import Callable, Mapping
from pathlib import Path

from asterisk_connector.config import conf_lines
from asterisk_connector.config.conf_lines import Conf
from asterisk_connector.setup.found import Unread


class Files:
    """`root` is where the paths of Asterisk begin; its log and spool are expected at the same paths outside."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._unread: dict[Path, str] = {}

    @property
    def unread(self) -> tuple[Unread, ...]:
        """What could not be read so far."""
        return tuple(Unread(path, why) for path, why in self._unread.items())

    def at(self, path: Path) -> Path:
        """Where a path of Asterisk's is for us."""
        return self._root / path.relative_to("/")

    def text(self, path: Path) -> str:
        """A file's text, empty when there is none."""
        try:
            return self.at(path).read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            self._unread[path] = error.strerror or type(error).__name__
            return ""

    def there(self, path: Path) -> bool:
        """Whether something is at a path; False where one may not look."""
        try:
            return self.at(path).exists()
        except OSError as error:
            self._unread[path] = error.strerror or type(error).__name__
            return False

    def conf(self, path: Path) -> Conf:
        """A configuration of Asterisk's, with what it includes."""
        return conf_lines.read(conf_lines.joined(self.text(path), self._included(path.parent)), path.name)

    def ini(self, path: Path) -> Mapping[str, Mapping[str, str]]:
        """Sections of an ODBC file, names and keys in lower case; empty for what is none."""
        parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
        try:
            parser.read_string(self.text(path), path.name)
        except configparser.Error:
            self._unread[path] = "not understood"
        return {
            name.lower(): {key: (value or "").strip() for key, value in parser[name].items()}
            for name in parser.sections()
        }

    def _included(self, etc: Path) -> Callable[[str], list[str]]:
        def texts(name: str) -> list[str]:
            pattern = etc / name
            try:
                found = sorted(self.at(pattern).parent.glob(pattern.name))
            except (OSError, ValueError):
                return []
            return [self.text(pattern.parent / path.name) for path in found]

        return texts

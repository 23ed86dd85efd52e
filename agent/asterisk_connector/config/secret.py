"""A text that may be used but never shown (law 10).

- `str`, `repr` and formatting give `***`; only `reveal` gives the text, and only sinks, drivers and logins call it.
- It knows where it came from, which may be shown.
"""

from __future__ import annotations


class Secret:
    """A password, token or key. `origin` says where it was found, e.g. `file /etc/asterisk-connector/api.key`."""

    __slots__ = ("_text", "origin")

    def __init__(self, text: str, origin: str = "configuration") -> None:
        self._text = text
        self.origin = origin

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not written anywhere")

"""One HTTP request as it comes over the wire (RFC 9112), and one answer as it goes back. Pure.

- Only what a reader needs: GET and HEAD, no body. Everything else is answered with a sentence and the connection ends.
- A head has at most `LONGEST_HEAD` bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl

LONGEST_HEAD = 8192
HEAD_ENDS = b"\r\n\r\n"

_REQUEST_LINE = re.compile(r"([A-Z]{1,20}) (/[!-~]*) HTTP/1\.([01])")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_STRICT = (
    "Cache-Control: no-store\r\n"
    "Content-Security-Policy: default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
)
"""With every answer: nothing is kept, framed, guessed, or fetched from elsewhere."""


class Request(NamedTuple):
    """What was asked. Names of `headers` are in small letters; of a parameter given twice the last one counts."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    lasting: bool
    """Whether the connection stays for another request."""


class Unreadable(Exception):
    """Not a request that is taken. `code` and the sentence go back, and the connection ends."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Answer(NamedTuple):
    """What is said. `headers` beside those that go with every answer."""

    code: int
    body: bytes
    kind: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()

    def wire(self, *, with_body: bool, lasting: bool) -> bytes:
        """The bytes to send."""
        head = (
            f"HTTP/1.1 {self.code} {HTTPStatus(self.code).phrase}\r\n"
            f"Content-Type: {self.kind}\r\n"
            f"Content-Length: {len(self.body)}\r\n"
            f"{_STRICT}"
            f"{''.join(f'{name}: {value}' + chr(13) + chr(10) for name, value in self.headers)}"
            f"Connection: {'keep-alive' if lasting else 'close'}\r\n\r\n"
        )
        return head.encode("latin-1") + (self.body if with_body else b"")


def sentence(code: int, text: str, *headers: tuple[str, str]) -> Answer:
    """An answer that is one line of text."""
    return Answer(code, text.encode() + b"\n", headers=headers)


def parse(head: bytes) -> Request:
    """The request whose head this is, up to its empty line. Raises Unreadable."""
    first, *lines = head.decode("latin-1").split("\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise Unreadable(400, "This is not an HTTP/1.1 request for a path.")
    method, target, minor = line.groups()
    headers: dict[str, str] = {}
    for text in lines:
        name, colon, value = text.partition(":")
        name = name.lower()
        if not colon or not _HEADER_NAME.fullmatch(name):
            raise Unreadable(400, "A header of the request cannot be read.")
        if name == "host" and name in headers:
            raise Unreadable(400, "The request has two Host headers.")
        headers[name] = value.strip(" \t")
    if minor == "1" and "host" not in headers:
        raise Unreadable(400, "The request has no Host header.")
    if method not in {"GET", "HEAD"}:
        raise Unreadable(405, f"{method} is not possible here: everything is read-only; use GET.")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise Unreadable(413, "A body is not taken here.")
    wish = headers.get("connection", "").lower()
    lasting = "close" not in wish if minor == "1" else "keep-alive" in wish
    path, _, query = target.partition("?")
    return Request(method, path, dict(parse_qsl(query, keep_blank_values=True)), headers, lasting)

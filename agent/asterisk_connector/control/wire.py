"""The words on the control socket: one line of JSON asks, lines of JSON answer, one exchange a connection.

- Every line of an answer is a row, the last one an end or a refusal: what breaks off is never taken for whole.
- A question names the state directory it is about, so that nobody is told of another service's calls.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from asterisk_connector.control.questions import AnyQuestion
from asterisk_connector.errors import (
    AlreadyRunning,
    ConnectorError,
    Corrupt,
    Misconfigured,
    NotRunning,
    Stopping,
    Transient,
)

LONGEST_REQUEST = 64 * 1024
"""Bytes of a question; some thousand numbers of dead letters fit."""


class Request(Struct, frozen=True):
    """A question about the state in `directory`. `user` is the asking user's own word, for the journal."""

    question: AnyQuestion
    directory: str
    user: str


class Row(Struct, frozen=True, tag="row"):
    """One row of the answer, as JSON."""

    row: msgspec.Raw


class End(Struct, frozen=True, tag="end"):
    """That was all."""


class Refusal(Struct, frozen=True, tag="refusal"):
    """There is no (further) answer; `kind` is one of `KINDS`."""

    kind: str
    text: str
    hint: str = ""


Line = Row | End | Refusal

KINDS: dict[str, type[ConnectorError]] = {
    each.__name__: each for each in (AlreadyRunning, Corrupt, Misconfigured, NotRunning, Stopping, Transient)
}
"""Errors that cross the socket as what they are; any other arrives as ConnectorError."""

_encoder = msgspec.json.Encoder()
_requests = msgspec.json.Decoder(Request)
_lines = msgspec.json.Decoder(Line)


def line(message: Request | Line) -> bytes:
    """One message with its line end."""
    return _encoder.encode(message) + b"\n"


def row(value: Any) -> Row:
    """A row of anything that JSON can say."""
    return Row(msgspec.Raw(_encoder.encode(value)))


def request(raw: bytes) -> Request:
    """Raises Misconfigured for what is no question of this version."""
    try:
        return _requests.decode(raw)
    except msgspec.DecodeError as error:
        raise Misconfigured(
            f"the running service does not know this question ({error})",
            "it may be of another version than this command: systemctl restart asterisk-connector",
        ) from error


def reply(raw: bytes) -> Line:
    """Raises Transient for what is no line of an answer."""
    try:
        found: Line = _lines.decode(raw)
    except msgspec.DecodeError as error:
        raise Transient(f"the running service gave an answer that cannot be read: {error}") from error
    return found


def refusal(error: ConnectorError) -> Refusal:
    """An error as it crosses the socket."""
    return Refusal(type(error).__name__, str(error), getattr(error, "hint", ""))


def raised(refused: Refusal) -> ConnectorError:
    """The error a refusal stands for."""
    error = KINDS.get(refused.kind, ConnectorError)(refused.text)
    if refused.hint:
        error.hint = refused.hint  # type: ignore[attr-defined]
    return error

"""The manager protocol as bytes: cuts a stream, in whatever chunks it comes, into greeting, events and responses.

- Sans I/O, never raises on input, never decodes: an `Event` keeps the exact bytes Asterisk wrote, from `Event: ` up to
  and including its empty line.
- The cut does not depend on how the stream was chunked: `feed` keeps the latest event back until the next message has
  begun, because a value that contains an empty line makes one event look like two (test 13); `flush` gives it out when
  the line has been quiet.
- Whatever is damaged, too large or not understood is given out as `Debris` with its reason; the next event is intact.
- Memory is bounded by `max_message` (F50).

Facts of framing, measured on Asterisk 16 to 22: every broadcast event begins `Event: <name>` CRLF `Privilege: `; extra
empty lines between messages are normal; a bare LF never ends a message; responses and events interleave only whole.
"""

from __future__ import annotations

import re
from typing import NamedTuple

END = b"\r\n\r\n"
_GREETING = b"Asterisk Call Manager/"
_EVENT = b"Event: "
_RESPONSE = b"Response: "
_SECOND_LINE = b"\r\nPrivilege: "
_START = re.compile(rb"Event: [^\r\n]*\r\nPrivilege: ")
_AT_START = re.compile(rb"Event: [^\r\n]*\r\nPrivilege: ").match
_CLEAN_EDGE = re.compile(rb"\r?\n\r?\n\Z")


class Greeting(NamedTuple):
    """The first line of a session; `version` is that of the protocol (`11.0.0` for Asterisk 22)."""

    version: str


class Event(NamedTuple):
    """One broadcast event, byte for byte, ending in an empty line."""

    body: bytes

    @property
    def name(self) -> bytes:
        return self.body[7 : self.body.index(b"\r\n")]


class Response(NamedTuple):
    """The answer to an action, or an item of a list (`Event:` without `Privilege:`)."""

    body: bytes

    def headers(self) -> list[tuple[str, str]]:
        """Every `name: value` line in order, names as written, bytes that are not UTF-8 replaced."""
        pairs = []
        for line in self.body.decode(errors="replace").split("\r\n"):
            name, separator, value = line.partition(":")
            if separator:
                pairs.append((name, value.removeprefix(" ")))
        return pairs

    def get(self, name: str) -> str:
        """The first value of a header, in whatever case its name is written; empty when absent."""
        name = name.lower()
        return next((value for key, value in self.headers() if key.lower() == name), "")


class Debris(NamedTuple):
    """Bytes that are no whole message. `reason`: `cut` (the first part of an event that another one ran over),
    `fragment` (no message begins like this), `oversized` (beyond `max_message`; `body` is its beginning)."""

    reason: str
    body: bytes


Frame = Greeting | Event | Response | Debris


class Framer:
    """Cuts one session's bytes into frames."""

    def __init__(self, max_message: int = 8 << 20) -> None:
        self._max = max_message
        self._buffer = bytearray()
        self._held: bytes | None = None
        self._blank = b""
        self._discarding = False
        self._line_first = True

    @property
    def holding(self) -> bool:
        """Whether an event waits for `flush` or for the next message."""
        return self._held is not None

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completed, in order."""
        buffer = self._buffer
        searched = max(0, len(buffer) - 3)
        buffer += data
        frames: list[Frame] = []
        if self._line_first and not self._greet(frames):
            return frames
        end = buffer.rfind(END, searched)
        if end >= 0:
            block = bytes(buffer[: end + 4])
            del buffer[: end + 4]
            messages = block.split(END)
            buffer[:0] = messages.pop()
            for message in messages:
                self._message(message, frames)
        if len(buffer) > self._max:
            self._overflow(frames)
        return frames

    def flush(self) -> list[Frame]:
        """The event kept back, once the line has been quiet for a moment."""
        held, self._held, self._blank = self._held, None, b""
        return [] if held is None else [Event(held)]

    def close(self) -> list[Frame]:
        """What the end of the stream completes; an unterminated tail was cut by Asterisk and is debris."""
        frames = self.flush()
        tail = bytes(self._buffer).strip(b"\r\n")
        self._buffer.clear()
        if tail:
            frames.append(Debris("cut" if tail.startswith(_EVENT) else "fragment", tail))
        return frames

    def _greet(self, frames: list[Frame]) -> bool:
        """Takes the greeting, which no empty line follows; False while it cannot be told whether there is one."""
        buffer = self._buffer
        if not buffer.startswith(_GREETING[: len(buffer)]):
            self._line_first = False
            return True
        end = buffer.find(b"\n")
        if end < 0:
            if len(buffer) <= 1024:
                return False
            self._line_first = False
            return True
        frames.append(Greeting(bytes(buffer[len(_GREETING) : end]).decode(errors="replace").strip()))
        del buffer[: end + 1]
        self._line_first = False
        return True

    def _message(self, message: bytes, frames: list[Frame]) -> None:
        """One stretch up to an empty line, without it."""
        if message[:1] in (b"", b"\r", b"\n"):
            text = message.lstrip(b"\r\n")
            self._blank += message[: len(message) - len(text)] + (b"" if text else END)
            if not text:
                if len(self._blank) > self._max:
                    frames += self.flush()
                return
            message = text
        if self._discarding:
            self._resume(message, frames)
        elif len(message) > self._max:
            frames += self.flush()
            frames.append(Debris("oversized", message[:1024]))
        elif _AT_START(message) and message.count(_SECOND_LINE) == 1:
            if self._held is not None:
                frames.append(Event(self._held))
            self._held = message + END
            self._blank = b""
        else:
            self._odd(message, frames)

    def _odd(self, message: bytes, frames: list[Frame]) -> None:
        """Everything but a plain event: responses, pieces of events, two messages glued together."""
        if message.startswith(_GREETING) and b"\n" in message:
            line, _, message = message.partition(b"\n")
            frames += self.flush()
            frames.append(Greeting(line[len(_GREETING) :].decode(errors="replace").strip()))
            message = message.lstrip(b"\r\n")
            if message:
                self._message(message, frames)
            return
        if message.startswith(_RESPONSE):
            frames += self.flush()
            frames.append(Response(message + END))
            return
        starts = [match.start() for match in _START.finditer(message)]
        if not starts:
            self._piece(message, frames)
            return
        if starts[0] > 0:
            self._broken(message[: starts[0]], frames)
        for start, stop in zip(starts, [*starts[1:], len(message)], strict=True):
            frames += self.flush()
            part = message[start:stop]
            if stop < len(message):
                self._broken(part, frames)
            else:
                self._held = part + END

    def _piece(self, message: bytes, frames: list[Frame]) -> None:
        """No event begins in here: the rest of the event before it, else an item of a list, else nothing known."""
        if self._held is not None and len(self._held) + len(message) <= self._max:
            self._held = self._held + self._blank + message + END
            self._blank = b""
            return
        frames += self.flush()
        frames.append(Response(message + END) if message.startswith(_EVENT) else Debris("fragment", message))

    def _broken(self, part: bytes, frames: list[Frame]) -> None:
        """What stands before a beginning in the same message: whole only where a bare-LF empty line ends it (#761)."""
        frames += self.flush()
        if not part.startswith(_EVENT):
            frames.append(Debris("fragment", part))
        elif _CLEAN_EDGE.search(part):
            body = part.rstrip(b"\r\n") + END
            frames.append(Event(body) if _AT_START(part) else Response(body))
        else:
            frames.append(Debris("cut", part))

    def _overflow(self, frames: list[Frame]) -> None:
        """A message without end: its beginning is told, the rest thrown away up to the next event that is one."""
        frames += self.flush()
        if not self._discarding:
            frames.append(Debris("oversized", bytes(self._buffer[:1024])))
        self._discarding = True
        del self._buffer[: len(self._buffer) - 1024]

    def _resume(self, message: bytes, frames: list[Frame]) -> None:
        match = _START.search(message)
        self._discarding = False
        if match:
            self._message(message[match.start() :], frames)

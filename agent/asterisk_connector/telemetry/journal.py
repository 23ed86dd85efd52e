"""Where sentences go: the journal by its native protocol, or lines on standard error.

- In the journal each line carries its fields (`journalctl ASTERISK_LINKEDID=…` tells the story of one call).
- On standard error a line begins with its syslog priority, `<6>`, when systemd reads it (sd-daemon(3)), else with
  the time.
- One cause is told at most once in `QUIET_SECONDS`; what was held back is counted in the next line of that cause.
- Telling never holds a call (F59): a thread of its own tells from a bounded queue; what does not fit is dropped and
  counted.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
from datetime import datetime
from typing import TextIO

from asterisk_connector.clock import Clock
from asterisk_connector.notices import Notice
from asterisk_connector.telemetry.sentences import INFO, Sentence, say

QUIET_SECONDS = 30.0
_SOCKET = "/run/systemd/journal/socket"
_CAUSES_REMEMBERED = 500
_WAITING_LINES = 10_000


class Journal:
    """A listener for notices that tells them to people. `level` is the least important priority that is told."""

    def __init__(
        self, clock: Clock, *, level: int = INFO, native: bool | None = None, out: TextIO | None = None
    ) -> None:
        self._clock = clock
        self._level = level
        self._out = out if out is not None else sys.stderr
        self._waiting: queue.Queue[Notice | Sentence | None] = queue.Queue(_WAITING_LINES)
        self._told: dict[str, tuple[float, int]] = {}
        self._socket: socket.socket | None = None
        self.dropped = 0
        under_systemd = bool(os.environ.get("JOURNAL_STREAM"))
        self._prefixed = under_systemd
        if native if native is not None else under_systemd:
            self._socket = _connect()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def hear(self, notice: Notice | Sentence) -> None:
        """Takes a notice (or a ready sentence) to be told; returns at once."""
        try:
            self._waiting.put_nowait(notice)
        except queue.Full:
            self.dropped += 1

    def close(self, timeout: float = 2.0) -> None:
        """Tells what waits, within `timeout` seconds."""
        try:
            self._waiting.put(None, timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _run(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            sentence = waiting if isinstance(waiting, Sentence) else say(waiting)
            if sentence is not None and sentence.priority <= self._level:
                self._tell(sentence)

    def _tell(self, sentence: Sentence) -> None:
        text = self._unless_told(sentence)
        if text is not None and (self._socket is None or not self._send(sentence, text)):
            self._print(sentence, text)

    def _unless_told(self, sentence: Sentence) -> str | None:
        if not sentence.cause:
            return sentence.text
        now = self._clock.monotonic()
        last, held = self._told.get(sentence.cause, (-QUIET_SECONDS, 0))
        if now - last < QUIET_SECONDS:
            self._told[sentence.cause] = (last, held + 1)
            return None
        if len(self._told) >= _CAUSES_REMEMBERED:
            self._told = {c: t for c, t in self._told.items() if now - t[0] < QUIET_SECONDS}
        self._told[sentence.cause] = (now, 0)
        return f"{sentence.text} ({held} more like this)" if held else sentence.text

    def _send(self, sentence: Sentence, text: str) -> bool:
        fields = {
            "MESSAGE": text,
            "PRIORITY": str(sentence.priority),
            "SYSLOG_IDENTIFIER": "asterisk-connector",
            **sentence.fields,
        }
        assert self._socket is not None
        try:
            self._socket.send(b"".join(_field(name, value) for name, value in fields.items()))
        except BlockingIOError:
            self.dropped += 1
        except OSError:
            # journald restarted: its socket is another one now
            self._socket.close()
            self._socket = _connect()
            return False
        return True

    def _print(self, sentence: Sentence, text: str) -> None:
        trace = sentence.fields.get("TRACEBACK", "")
        lines = [*text.splitlines(), *trace.splitlines()]
        start = f"<{sentence.priority}>" if self._prefixed else f"{datetime.now():%H:%M:%S} "
        try:
            self._out.write("".join(f"{start}{line}\n" for line in lines))
            self._out.flush()
        except (OSError, ValueError):
            self.dropped += 1


def _connect() -> socket.socket | None:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        link.setblocking(False)
        link.connect(_SOCKET)
    except OSError:
        link.close()
        return None
    return link


def _field(name: str, value: str) -> bytes:
    """One field as the journal reads it (systemd, JOURNAL_NATIVE_PROTOCOL): with a line break in it, by length."""
    raw = value.encode("utf-8", "replace")
    if b"\n" not in raw:
        return name.encode() + b"=" + raw + b"\n"
    return name.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n"

"""Who tells people: sentences of notices into the journal, or as lines on standard error.

- In the journal each line carries its fields (`journalctl ASTERISK_LINKEDID=…` tells the story of one call). On
  standard error a line begins with its syslog priority, `<6>`, when the journal reads that (sd-daemon(3)), else with
  the time.
- One cause is told at most once in `QUIET_SECONDS`; what was held back is counted in the next line of that cause.
  Of single calls at most `CALL_LINES` that went well and as many of trouble are told in that time, so that a backlog
  never drives out what matters. At level `debug` nothing is held back.
- Telling never holds a call (F59): a thread of its own tells from a bounded queue; what does not fit is dropped,
  counted and told later.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from datetime import datetime
from typing import TextIO

from asterisk_connector.clock import Clock
from asterisk_connector.notices import Notice
from asterisk_connector.telemetry.journald import SOCKET, Journald
from asterisk_connector.telemetry.sentences import DEBUG, INFO, NOTICE, WARNING, Sentence, say

QUIET_SECONDS = 30.0
CALL_LINES = 3000
_CAUSES_REMEMBERED = 500
_WAITING_LINES = 10_000


class Journal:
    """A listener for notices that tells them to people.

    `level` is the least important priority that is told, `show_numbers` whether people's numbers are shown in full;
    both may be changed at any time. `native` None: the journal where it reads standard error.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        level: int = INFO,
        show_numbers: bool = False,
        native: bool | None = None,
        out: TextIO | None = None,
        path: str = SOCKET,
    ) -> None:
        self.level = level
        self.show_numbers = show_numbers
        self.dropped = 0
        self._clock = clock
        self._out = out if out is not None else sys.stderr
        self._waiting: queue.Queue[Notice | Sentence | None] = queue.Queue(_WAITING_LINES)
        self._told: dict[str, tuple[float, int]] = {}
        self._calls_since = clock.monotonic()
        self._calls_told = {False: 0, True: 0}
        self._calls_held = 0
        self._dropped_told = 0
        self._prefixed = _is_read_by_journald(self._out)
        self._journald = Journald(path) if (self._prefixed if native is None else native) else None
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
        while True:
            try:
                waiting = self._waiting.get(timeout=QUIET_SECONDS if self._calls_held else None)
            except queue.Empty:
                self._own_up()
                continue
            if waiting is None:
                break
            sentence = waiting if isinstance(waiting, Sentence) else say(waiting, show_numbers=self.show_numbers)
            if sentence is not None and sentence.priority <= self.level:
                self._tell(sentence)
            if self.dropped != self._dropped_told:
                self._own_up()
        self._own_up()

    def _tell(self, sentence: Sentence) -> None:
        text = sentence.text if self.level >= DEBUG else self._unless_held(sentence)
        if text is not None:
            self._write(sentence, text)

    def _unless_held(self, sentence: Sentence) -> str | None:
        """The text to be told, None where it is held back."""
        now = self._clock.monotonic()
        if not sentence.cause:
            return sentence.text if not sentence.of_call or self._has_room(now, sentence.priority < INFO) else None
        last, held = self._told.get(sentence.cause, (-QUIET_SECONDS, 0))
        if now - last < QUIET_SECONDS:
            self._told[sentence.cause] = (last, held + 1)
            return None
        if len(self._told) >= _CAUSES_REMEMBERED:
            self._told = {c: t for c, t in self._told.items() if now - t[0] < QUIET_SECONDS}
        self._told[sentence.cause] = (now, 0)
        return f"{sentence.text} ({held} more like this)" if held else sentence.text

    def _has_room(self, now: float, trouble: bool) -> bool:
        if now - self._calls_since >= QUIET_SECONDS:
            self._own_up()
            self._calls_since, self._calls_told = now, {False: 0, True: 0}
        if self._calls_told[trouble] < CALL_LINES:
            self._calls_told[trouble] += 1
            return True
        self._calls_held += 1
        return False

    def _own_up(self) -> None:
        """Says what was not said."""
        if held := self._calls_held:
            self._calls_held = 0
            text = (
                f"{held} more lines of single calls were not told: they came too fast; log.level debug tells them all"
            )
            self._write(Sentence(NOTICE, text, code="AC-LOG-HELD"), text)
        if lost := self.dropped - self._dropped_told:
            self._dropped_told += lost
            text = (
                f"{lost} lines are lost here: they came faster than the journal took them; calls are not held up by it"
            )
            self._write(Sentence(WARNING, text, code="AC-LOG-LOST"), text)

    def _write(self, sentence: Sentence, text: str) -> None:
        if sentence.code:
            text = f"{text} [{sentence.code}]"
        fields = {
            "MESSAGE": text,
            "PRIORITY": str(sentence.priority),
            "SYSLOG_IDENTIFIER": "asterisk-connector",
            **({"ERROR_CODE": sentence.code} if sentence.code else {}),
            **sentence.fields,
        }
        if self._journald is None or not self._journald.send(fields):
            self._print(sentence, text)

    def _print(self, sentence: Sentence, text: str) -> None:
        trace = str(sentence.fields.get("TRACEBACK", ""))
        lines = [*text.splitlines(), *trace.splitlines()]
        start = f"<{sentence.priority}>" if self._prefixed else f"{datetime.now():%H:%M:%S} "
        try:
            self._out.write("".join(f"{start}{line}\n" for line in lines))
            self._out.flush()
        except (OSError, ValueError):
            self.dropped += 1


def _is_read_by_journald(out: TextIO) -> bool:
    """Whether the journal reads this stream (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        found = os.fstat(out.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"

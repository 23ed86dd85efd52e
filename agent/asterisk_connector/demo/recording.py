"""Plays a recording of a real Asterisk 22: CEL rows as cel_custom writes them, live, with a log rotation in between.

- Rows keep the distances in time at which Asterisk wrote them; instants and uniqueids are moved to now.
- As Asterisk does (`cel_custom.c`), every row opens, appends and closes the file.
- A MixMonitor row makes the recording it names appear, and grow until its call ends.
"""

from __future__ import annotations

import csv
import gzip
import re
import threading
import wave
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from asterisk_connector.clock import Clock

_SECOND = re.compile(rb"\b17000000(\d\d)\b")
_SAMPLE_RATE = 8000


def unpack(name: str) -> bytes:
    """A bundled file of this folder."""
    return gzip.decompress(resources.files(__package__).joinpath(name).read_bytes())


def rows() -> Iterator[tuple[float, bytes]]:
    """(seconds after the start, the CEL row without its line end), in the order of writing."""
    for line in unpack("recording.gz").splitlines():
        offset, _, row = line.partition(b" ")
        yield float(offset), row


class Start:
    """The moment at which everything of the recording begins to play."""

    def __init__(self, clock: Clock, speed: float = 1.0) -> None:
        now = clock.now()
        self.epoch = now // 1_000_000 + 1  # a uniqueid holds whole seconds, so the recording begins on one
        self._clock = clock
        self._speed = speed
        self._at = clock.monotonic() + self.epoch - now / 1_000_000

    def wait(self, offset: float, stop: threading.Event) -> bool:
        """Returns when the recording has come to `offset` seconds; False when it is to stop."""
        return not stop.wait(max(0.0, self._at + offset / self._speed - self._clock.monotonic()))

    def moved(self, text: bytes) -> bytes:
        """What was recorded, with its instants and uniqueids counted from this start."""
        return _SECOND.sub(lambda m: b"%d" % (self.epoch + int(m[1])), text)


class Player:
    """Writes the recording below `directory`, where a PBX has already been: its log is there, and is empty."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.cel = directory / "cel-custom" / "Master.csv"
        self.monitor = directory / "monitor"
        self._clock = clock
        self._stop = threading.Event()
        self._rows = list(rows())
        self._open_recordings: dict[str, Path] = {}
        self.written = 0
        self.rotations = 0
        self.last_written: dict[str, float] = {}
        """Monotonic time of the last row of each linkedid."""
        self.monitor.mkdir(parents=True, exist_ok=True)
        self.cel.parent.mkdir(parents=True, exist_ok=True)
        self.cel.touch()

    @property
    def total(self) -> int:
        return len(self._rows)

    def play(self, start: Start) -> None:
        """Writes everything, or until `stop`."""
        for offset, row in self._rows:
            if not start.wait(offset, self._stop):
                return
            if self.written == self.total // 2:
                self._rotate()
            moved = start.moved(row)
            with self.cel.open("ab") as file:
                file.write(moved + b"\n")
            self.written += 1
            cells = next(csv.reader([moved.decode()]))
            self.last_written[cells[15]] = self._clock.monotonic()
            self._record(cells)

    def stop(self) -> None:
        self._stop.set()

    def _rotate(self) -> None:
        self.cel.rename(self.cel.with_suffix(".csv.1"))
        self.rotations += 1

    def _record(self, row: list[str]) -> None:
        """What MixMonitor does to the disk: a header at once, the sound when the channel ends."""
        event, app, data, uniqueid = row[0], row[10], row[11], row[14]
        if event == "APP_START" and app == "MixMonitor":
            path = self.monitor / data.partition(",")[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_silence(path, 0.0)
            self._open_recordings[uniqueid] = path
        elif event == "CHAN_END" and uniqueid in self._open_recordings:
            _write_silence(self._open_recordings.pop(uniqueid), 3.0)


def _write_silence(path: Path, seconds: float) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_SAMPLE_RATE)
        sound.writeframes(bytes(2 * int(_SAMPLE_RATE * seconds)))

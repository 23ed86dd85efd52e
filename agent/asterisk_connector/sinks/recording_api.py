r"""Audio to the call API: one streamed multipart POST per recording, once its call has been accepted.

- Fields: docs/call-api-mapping.md. Audio is never compressed and never held in memory; all uploads together keep to
  `rate`.
- A file is taken only where it is expected: a regular file whose real place is below a searched directory, whatever
  its name says and wherever links lead. Names are data.
- What was uploaded is remembered in the ledger before the file is moved or deleted, and a later revision of its call
  does not upload it again. The same recording carries the same key on every attempt.
- A file that is gone makes a dead letter, so that it is known; the others of its call are uploaded all the same.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from asterisk_connector.call import Call, Recording, decode
from asterisk_connector.clock import Clock
from asterisk_connector.sinks.base import Delivered, Item, Outcome, Paused, Refused
from asterisk_connector.sinks.call_api import CallApi, CallApiSettings, endpoint
from asterisk_connector.sinks.call_api_payload import instant, payload

_TYPES = {
    "wav": "audio/wav",
    "wav49": "audio/wav",
    "mp3": "audio/mpeg",
    "gsm": "audio/gsm",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "ulaw": "audio/basic",
}
_BLOCK = 65_536
_BYTE = re.compile(r"\\x([0-9a-f]{2})")


def recording_endpoint(region: str, url: str = "") -> str:
    """Where recordings are posted: at the region's address, or on the host of an overridden call address.

    Raises Misconfigured as `call_api.endpoint` does.
    """
    parts = urlsplit(endpoint(region, url))
    return f"{parts.scheme}://{parts.netloc}/v1/mqs/recording"


class Ledger(Protocol):
    """What is remembered of calls and recordings."""

    def accepted(self, call_id: str) -> bool:
        """Whether the API has every revision of the call."""

    def is_uploaded(self, path: str, state: str) -> bool:
        """Whether the file was uploaded in this state."""

    def uploaded(self, path: str, state: str) -> None:
        """The file was uploaded in this state."""


@dataclass(frozen=True, slots=True)
class UploadSettings:
    """`api.url` is the address for recordings. `rate` in bytes a second for all uploads together, 0: no bound.

    `after` says what becomes of an uploaded file; `move` puts it below `move_to` as it was below its root.
    """

    api: CallApiSettings
    roots: tuple[Path, ...]
    rate: int = 0
    after: Literal["keep", "move", "delete"] = "keep"
    move_to: Path | None = None


class _Opened(NamedTuple):
    handle: int
    path: str
    below: str
    """Its path below its root."""


class RecordingApi:
    """The sink. `deliver` uploads what was not uploaded yet of a call's recordings."""

    def __init__(self, settings: UploadSettings, ledger: Ledger, *, clock: Clock, name: str = "recording_api") -> None:
        self.name = name
        self._settings = settings
        self._ledger = ledger
        self._closing = threading.Event()
        self._pace = _Pace(settings.rate, clock, self._closing)
        self._api = CallApi(settings.api, clock=clock, name=name)

    def deliver(self, item: Item) -> Outcome:
        try:
            call = decode(item.body)
            told = payload(call, item.phase, self._settings.api.payload, item.created_at)
        except (msgspec.DecodeError, ValueError, OverflowError, OSError) as error:
            return Refused(f"the stored call cannot be put into words: {error}")
        if not self._ledger.accepted(item.call_id):
            return Refused("its call was not accepted: deliver that first, then try this again")
        refused: Refused | None = None
        for recording in call.recordings:
            if recording.size is None:
                continue
            outcome = self._take(item, call, recording, {key: str(told[key]) for key in _CALL_FIELDS if key in told})
            if isinstance(outcome, Refused):
                refused = outcome
            elif not isinstance(outcome, Delivered):
                return outcome
        return refused or Delivered()

    def close(self) -> None:
        """Breaks off what is being sent; it is still owed."""
        self._closing.set()
        self._api.close()

    def _take(self, item: Item, call: Call, recording: Recording, fields: dict[str, str]) -> Outcome:
        name = PurePosixPath(recording.path).name
        state = f"{recording.size}:{recording.ended_at}"
        done = self._ledger.is_uploaded(recording.path, state)
        if done and self._settings.after == "keep":
            return Delivered()
        try:
            opened = self._open(recording.path)
        except FileNotFoundError:
            return Delivered() if done else Refused(f"{name!r} is gone: it cannot be uploaded any more")
        except PermissionError:
            return Paused(f"{name!r} may not be read", "the service's user needs to read the recordings: ls -l")
        except OSError as error:
            return Refused(f"{name!r} is not uploaded: {error.strerror}")
        try:
            if not done:
                outcome = self._send(item, opened.handle, name, _fields(call, recording, name) | fields, recording)
                if not isinstance(outcome, Delivered):
                    return outcome
                self._ledger.uploaded(recording.path, state)
            return self._put_away(opened)
        finally:
            os.close(opened.handle)

    def _send(self, item: Item, handle: int, name: str, fields: dict[str, str], recording: Recording) -> Outcome:
        key = f"{item.host}:{item.call_id}:{name}:{recording.size}:{recording.ended_at}"
        boundary = "recording-" + blake2b(key.encode("utf-8", "replace"), digest_size=16).hexdigest()
        form = _TYPES.get(recording.format or "", "application/octet-stream")
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
            for field, value in fields.items()
        )
        head += f'--{boundary}\r\nContent-Disposition: form-data; name="audio"; filename="{_quoted(name)}"\r\n'
        head += f"Content-Type: {form}\r\n\r\n"
        tail = f"\r\n--{boundary}--\r\n"
        body = _Body(head.encode("utf-8", "replace"), handle, os.fstat(handle).st_size, tail.encode(), self._pace.take)
        return self._api.post(body, key, f"multipart/form-data; boundary={boundary}")

    def _open(self, path: str) -> _Opened:
        """Raises OSError: FileNotFoundError, PermissionError, or another that says why it is not taken."""
        real = path if os.path.lexists(path) else _named(path)
        handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "it is no regular file")
            # Where the open file is, not where its name led a moment ago.
            place = Path(f"/proc/self/fd/{handle}").readlink()
            for root in self._settings.roots:
                with suppress(ValueError):
                    return _Opened(handle, str(place), str(place.relative_to(root.resolve())))
            raise OSError(errno.EXDEV, "it lies outside of the directories that are searched")
        except BaseException:
            os.close(handle)
            raise

    def _put_away(self, opened: _Opened) -> Outcome:
        """What the operator wants done with an uploaded file; trouble with it never takes the upload back."""
        settings = self._settings
        try:
            if settings.after == "delete":
                Path(opened.path).unlink(missing_ok=True)
            elif settings.after == "move" and settings.move_to is not None:
                _move(opened.path, settings.move_to / opened.below)
        except OSError as error:
            hint = f"the service's user must be able to {settings.after} recordings: upload.after, upload.move_to"
            return Paused(f"an uploaded recording cannot be {settings.after}d: {error.strerror}", hint)
        return Delivered()


_CALL_FIELDS = (
    "customer_id",
    "direction",
    "src_number",
    "src_extension",
    "dst_number",
    "dst_extension",
    "disposition",
    "hostname",
)


def _fields(call: Call, recording: Recording, name: str) -> dict[str, str]:
    uniqueid = recording.leg or call.call_id
    fields: dict[str, str | None] = {
        "recording_id": name,
        "call_id": call.call_id,
        "uniqueid": uniqueid,
        "linkedid": call.call_id,
        "duration": None if recording.seconds is None else str(round(recording.seconds)),
        "start_time": None if recording.started_at is None else instant(recording.started_at),
        "tenant_name": call.tenant,
        "queue_name": call.queue.name if call.queue else None,
        "file_name": name,
        "file_size": str(recording.size),
        "original_file_path": recording.path,
    }
    return {field: value for field, value in fields.items() if value is not None}


class _Body:
    """Head, audio and tail as one stream of a length known before."""

    def __init__(self, head: bytes, handle: int, size: int, tail: bytes, pace: Callable[[int], None]) -> None:
        self._before, self._after = head, tail
        self._handle = handle
        self._left = size
        self._offset = 0
        self._pace = pace
        self._length = len(head) + size + len(tail)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(_BLOCK):
            yield block

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises OSError when the file has become shorter."""
        size = _BLOCK if size < 0 else size
        if self._before:
            block, self._before = self._before[:size], self._before[size:]
        elif self._left:
            block = os.pread(self._handle, min(size, self._left), self._offset)
            if not block:
                raise OSError(errno.EIO, "the recording became shorter while it was sent")
            self._left -= len(block)
            self._offset += len(block)
        else:
            block, self._after = self._after[:size], self._after[size:]
        self._pace(len(block))
        return block


class _Pace:
    """Bytes a second over all threads. `take` waits for its turn and raises OSError when the sink closes."""

    def __init__(self, rate: int, clock: Clock, closing: threading.Event) -> None:
        self._rate = rate
        self._clock = clock
        self._closing = closing
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, size: int) -> None:
        wait = 0.0
        if self._rate:
            with self._lock:
                now = self._clock.monotonic()
                self._free_at = max(self._free_at, now) + size / self._rate
                wait = self._free_at - now
        if self._closing.is_set() or (wait > 0 and self._closing.wait(wait)):
            raise OSError(errno.ECANCELED, "the service is stopping")


def _named(path: str) -> bytes:
    r"""The name in the file system of a path in which undecodable bytes were written as `\xff`."""
    return b"".join(
        bytes.fromhex(part) if number % 2 else part.encode("utf-8", "surrogateescape")
        for number, part in enumerate(_BYTE.split(path))
    )


def _quoted(name: str) -> str:
    """A file name inside quotes (WHATWG, multipart/form-data encoding)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _move(path: str, target: Path) -> None:
    """Moves a file, also to another file system; never over another one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target = target.with_name(f"{target.stem}.{os.stat(path).st_mtime_ns}{target.suffix}")  # noqa: PTH116
    try:
        Path(path).rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = target.with_name(target.name + ".part")
        shutil.copy2(path, part)
        part.replace(target)
        Path(path).unlink()

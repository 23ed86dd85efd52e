"""How long an audio file plays, from its header and its size. Reads the start of the file, of Ogg the end too.

- The size decides, not the length written in a header: Asterisk rewrites that on close, and a crash leaves 0 there.
- What cannot be told is None; nothing here raises for what a file contains.
- Frame sizes: Asterisk `formats/format_*.c`; WAV: RIFF; MP3: ISO 11172-3, Xing/Info tag; Ogg: RFC 3533, RFC 7845.
"""

from __future__ import annotations

import os
import struct

HEADER = 44
"""Bytes of a WAV file without any sound (measured: MixMonitor writes it at once)."""

_HEAD = 8192
_TAIL = 65_536
_BYTES_PER_SECOND = {
    "ulaw": 8000.0,
    "alaw": 8000.0,
    "ul": 8000.0,
    "al": 8000.0,
    "pcm": 8000.0,
    "g722": 8000.0,
    "gsm": 33 * 50.0,
    "g729": 10 * 100.0,
    "sln": 16_000.0,
    "sln8": 16_000.0,
    "sln12": 24_000.0,
    "sln16": 32_000.0,
    "sln24": 48_000.0,
    "sln32": 64_000.0,
    "sln44": 88_200.0,
    "sln48": 96_000.0,
    "sln96": 192_000.0,
    "sln192": 384_000.0,
}
_MP3_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8000)}
_MP3_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def kind(name: str) -> str:
    """The format a file's name claims: its ending, `wav49` for the `.WAV` that Asterisk makes of it."""
    ending = name.rpartition(".")[2]
    return "wav49" if ending == "WAV" else ending.lower()


def seconds(handle: int, size: int, format: str) -> float | None:
    """How long the open file of `size` bytes plays. Raises OSError when it cannot be read."""
    if format in _BYTES_PER_SECOND:
        return size / _BYTES_PER_SECOND[format]
    head = os.pread(handle, _HEAD, 0)
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return _wav(head, size)
    if head[:4] == b"OggS":
        return _ogg(head, os.pread(handle, _TAIL, max(0, size - _TAIL)))
    if format == "mp3":
        return _mp3(head, size)
    return None


def _wav(head: bytes, size: int) -> float | None:
    at, rate, data = 12, 0, 0
    while at + 8 <= len(head):
        name, length = struct.unpack_from("<4sI", head, at)
        if name == b"fmt " and at + 20 <= len(head):
            rate = struct.unpack_from("<I", head, at + 16)[0]
        elif name == b"data":
            data = at + 8
            break
        at += 8 + length + (length & 1)
    return max(0, size - data) / rate if rate and data else None


def _ogg(head: bytes, tail: bytes) -> float | None:
    rate, skip = 0, 0
    opus, vorbis = head.find(b"OpusHead"), head.find(b"\x01vorbis")
    if opus >= 0 and opus + 12 <= len(head):
        rate, skip = 48_000, struct.unpack_from("<H", head, opus + 10)[0]
    elif vorbis >= 0 and vorbis + 16 <= len(head):
        rate = struct.unpack_from("<I", head, vorbis + 12)[0]
    page = tail.rfind(b"OggS")
    if not rate or page < 0 or page + 14 > len(tail):
        return None
    samples: int = struct.unpack_from("<q", tail, page + 6)[0]
    return max(0, samples - skip) / rate if samples >= 0 else None


def _mp3(head: bytes, size: int) -> float | None:
    begin = 0
    if head[:3] == b"ID3" and len(head) > 10:
        begin = 10 + ((head[6] & 127) << 21 | (head[7] & 127) << 14 | (head[8] & 127) << 7 | head[9] & 127)
    at = head.find(b"\xff", begin)
    while 0 <= at <= len(head) - 4:
        version, layer = head[at + 1] >> 3 & 3, head[at + 1] >> 1 & 3
        bits, rates = head[at + 2] >> 4, head[at + 2] >> 2 & 3
        if head[at + 1] & 0xE0 == 0xE0 and version != 1 and layer == 1 and 0 < bits < 15 and rates < 3:
            rate, samples = _MP3_RATES[version][rates], 1152 if version == 3 else 576
            for tag in (b"Xing", b"Info"):
                found = head.find(tag, at, at + 64)
                if found >= 0 and found + 12 <= len(head) and head[found + 7] & 1:
                    frames: int = struct.unpack_from(">I", head, found + 8)[0]
                    return frames * samples / rate
            kbits = (_MP3_KBITS_1 if version == 3 else _MP3_KBITS_2)[bits]
            return (size - at) * 8 / (kbits * 1000)
        at = head.find(b"\xff", at + 1)
    return None

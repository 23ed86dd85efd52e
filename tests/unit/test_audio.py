"""How long an audio file plays, told by its header and its size."""

from __future__ import annotations

import os
import struct
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asterisk_connector.sources.monitor.audio import kind, seconds


def length(path: Path, form: str) -> float | None:
    handle = os.open(path, os.O_RDONLY)
    try:
        return seconds(handle, path.stat().st_size, form)
    finally:
        os.close(handle)


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "x"
    path.write_bytes(data)
    return path


def wav(tmp_path: Path, rate: int = 8000, played: float = 2.5) -> Path:
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        sound.writeframes(bytes(int(rate * 2 * played)))
    return path


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
def test_a_wav_plays_as_long_as_its_samples(tmp_path: Path, rate: int) -> None:
    assert length(wav(tmp_path, rate), "wav") == 2.5


def test_a_wav_that_a_crash_left_without_its_length_is_judged_by_its_size(tmp_path: Path) -> None:
    path = wav(tmp_path)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = bytes(4)
    path.write_bytes(data)
    assert length(path, "wav") == 2.5


def test_wav49_plays_by_the_rate_its_header_names(tmp_path: Path) -> None:
    # As format_wav_gsm.c writes it: format 0x31, 1625 bytes a second, 65 bytes for 40 ms.
    head = (
        b"RIFF"
        + struct.pack("<I", 0)
        + b"WAVE"
        + b"fmt "
        + struct.pack("<IHHIIHHHH", 20, 0x31, 1, 8000, 1625, 65, 0, 2, 320)
    )
    head += b"fact" + struct.pack("<II", 4, 0) + b"data" + struct.pack("<I", 0)
    assert len(head) == 60
    assert length(written(tmp_path, head + bytes(65 * 50)), "wav49") == 2.0


@pytest.mark.parametrize(
    ("form", "size"),
    [("ulaw", 16_000), ("alaw", 16_000), ("g722", 16_000), ("gsm", 3300), ("sln", 32_000), ("sln16", 64_000)],
)
def test_a_file_without_header_plays_by_its_size(tmp_path: Path, form: str, size: int) -> None:
    assert length(written(tmp_path, bytes(size)), form) == 2.0


MP3_FRAME = b"\xff\xfb\x50\xc4" + bytes(204)  # MPEG-1 layer 3, 64 kbit/s, 44.1 kHz


@pytest.mark.parametrize("before", [b"", b"ID3\x04\x00\x00\x00\x00\x01\x00" + b"\xff" * 128])
def test_an_mp3_of_constant_rate_plays_by_its_size(tmp_path: Path, before: bytes) -> None:
    told = length(written(tmp_path, before + MP3_FRAME * 100), "mp3")
    assert told == pytest.approx(100 * 208 * 8 / 64_000)


def test_an_mp3_of_variable_rate_plays_by_the_frames_its_tag_counts(tmp_path: Path) -> None:
    frame = bytearray(MP3_FRAME)
    frame[36:48] = b"Xing" + struct.pack(">II", 1, 500)
    told = length(written(tmp_path, bytes(frame) + MP3_FRAME), "mp3")
    assert told == pytest.approx(500 * 1152 / 44_100)


def page(granule: int, content: bytes) -> bytes:
    return b"OggS\x00\x00" + struct.pack("<q", granule) + bytes(12) + bytes([1, len(content)]) + content


def test_ogg_plays_to_its_last_page(tmp_path: Path) -> None:
    opus = b"OpusHead\x01\x01" + struct.pack("<HI", 312, 48_000)
    path = written(tmp_path, page(0, opus) + page(96_312, bytes(20)))
    assert length(path, "opus") == 2.0
    vorbis = b"\x01vorbis" + struct.pack("<IBI", 0, 1, 16_000)
    assert length(written(tmp_path, page(0, vorbis) + page(32_000, bytes(20))), "ogg") == 2.0


@given(
    st.sampled_from(["wav", "mp3", "ogg", "opus", "xyz"]),
    st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"OggS", b"ID3"]),
    st.binary(max_size=300),
)
def test_what_a_file_holds_is_never_an_error(form: str, start: bytes, rest: bytes) -> None:
    with os.fdopen(os.memfd_create("sound"), "w+b", buffering=0) as file:
        file.write(start + rest)
        told = seconds(file.fileno(), len(start + rest), form)
    assert told is None or told >= 0


@pytest.mark.parametrize(("name", "form"), [("a.WAV", "wav49"), ("a.wav", "wav"), ("a.b.MP3", "mp3"), ("a", "a")])
def test_the_name_claims_a_format(name: str, form: str) -> None:
    assert kind(name) == form

"""Laws of the framer: chunking never matters, nothing raises, no event behind garbage is lost (F50)."""

from hypothesis import given
from hypothesis import strategies as st

from asterisk_connector.ami.wire import Event, Framer, Response

_name = st.from_regex(rb"\A[A-Za-z]{1,12}\Z")
_value = st.binary(max_size=30).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"").replace(b"Event: ", b""))
_event = st.builds(
    lambda name, fields: (
        b"Event: "
        + name
        + b"\r\nPrivilege: call,all\r\n"
        + b"".join(k + b": " + v + b"\r\n" for k, v in fields)
        + b"\r\n"
    ),
    _name,
    st.lists(st.tuples(_name.filter(lambda n: n != b"Privilege"), _value), max_size=5),
)
_chunks = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def _feed(framer: Framer, stream: bytes, sizes: list[int]) -> list[object]:
    frames: list[object] = []
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        frames += framer.feed(stream[at : at + size])
        at += size
        turn += 1
    return frames + list(framer.close())


@given(st.lists(_event, max_size=8), st.integers(0, 3), _chunks)
def test_every_event_comes_out_byte_for_byte_in_order(bodies: list[bytes], blanks: int, sizes: list[int]) -> None:
    stream = b"".join(body + b"\r\n" * blanks for body in bodies)
    assert _feed(Framer(), stream, sizes) == [Event(body) for body in bodies]


@given(st.binary(max_size=400), _chunks)
def test_any_bytes_in_any_chunks_give_the_frames_of_one_read(stream: bytes, sizes: list[int]) -> None:
    assert _feed(Framer(), stream, sizes) == _feed(Framer(), stream, [len(stream) or 1])


_lump = st.one_of(
    _event,
    st.sampled_from([b"\r\n", b"\n", b"Response: Success\r\n\r\n", b"Event: X\r\n", b"\r\n\r\n", b"Privilege: a\r\n"]),
    st.binary(max_size=20),
)


@given(st.lists(_lump, max_size=10), _chunks)
def test_lumps_of_protocol_in_any_chunks_give_the_frames_of_one_read(lumps: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(lumps)
    assert _feed(Framer(), stream, sizes) == _feed(Framer(), stream, [len(stream) or 1])


@given(st.binary(max_size=200), st.lists(_event, min_size=1, max_size=4), _chunks)
def test_an_event_after_garbage_is_whole(garbage: bytes, bodies: list[bytes], sizes: list[int]) -> None:
    answer = b"Response: Success\r\n\r\n"
    frames = _feed(Framer(), garbage + b"\r\n\r\n" + answer + b"".join(bodies), sizes)
    assert frames[-len(bodies) :] == [Event(body) for body in bodies]
    assert Response(answer) in frames

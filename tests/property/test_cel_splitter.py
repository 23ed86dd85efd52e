"""The splitter against arbitrary bytes in arbitrary chunks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from asterisk_connector.sources.csv.capture import parse
from asterisk_connector.sources.csv.dialect import JSON, STOCK, Dialect
from asterisk_connector.sources.csv.split import Piece, Splitter

ROW = b'"HANGUP","1795289853.612755","O""Neil","100","","","","613","in","P/1-1","","","3","","1.1","1.1","","","",""'
FRAGMENTS = st.sampled_from(
    [
        b'"', b'""', b'"""', b",", b"\n", b"\r\n", b"\0", b"\xff\xfe", b"{", b'{"a', b'\\"', b"\\", b"'", b";",
        b'"CHAN_START","1795289853.612755"', b'"MY_EVENT","2026-11-21 19:37:33"', b'HANGUP;', ROW, ROW + b"\n",
        b',"","","""APP_START","1795289853.614482",', b"x" * 60, b"\n" * 5, ROW[:70],
    ]
)  # fmt: skip
STREAMS = st.lists(st.one_of(FRAGMENTS, st.binary(max_size=12)), max_size=25).map(b"".join)
DIALECTS = st.sampled_from([STOCK, JSON, Dialect(";", "'", "'"), Dialect("\t", '"', "\\")])
LONGEST = 300


def split(data: bytes, cuts: list[int], dialect: Dialect) -> tuple[list[Piece], Splitter]:
    splitter = Splitter(dialect, longest=LONGEST)
    pieces: list[Piece] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for begin, end in pairwise(edges):
        pieces += splitter.feed(data[begin:end])
    return pieces, splitter


@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=12), DIALECTS)
def test_chunks_do_not_change_the_records(data: bytes, cuts: list[int], dialect: Dialect) -> None:
    whole, once = split(data, [], dialect)
    parts, often = split(data, cuts, dialect)
    if not (once.glued or often.glued):  # a glued tail is given out before its newline could come
        assert parts == whole
        assert often.finish() == once.finish()


@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=12), DIALECTS)
def test_every_byte_is_in_one_record_or_in_the_tail(data: bytes, cuts: list[int], dialect: Dialect) -> None:
    pieces, splitter = split(data, cuts, dialect)
    pieces += splitter.finish()
    at = 0
    for piece in pieces:
        assert piece.offset == at
        assert data[at : at + len(piece.data)] == piece.data
        assert piece.cut or data[at + len(piece.data) : piece.end] in {b"", b"\n"}
        at = piece.end
    assert at == len(data)


@given(STREAMS, STREAMS)
def test_an_intact_row_at_a_line_start_is_read_whatever_stands_before_it(before: bytes, after: bytes) -> None:
    torn = before.replace(ROW, b"") + b"\n"
    row = ROW.replace(b'"1.1"', b'"1795289853.1871"')
    events, _ = parse(torn + row + b"\n" + after, dialect=STOCK)
    assert any(event.cid_name == 'O"Neil' and event.uniqueid == "1795289853.1871" for event in events)


@given(st.binary(max_size=400))
def test_nothing_makes_the_reader_of_a_capture_raise(data: bytes) -> None:
    parse(data)

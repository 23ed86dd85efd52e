"""The framer against what real streams contain (failure modes 7, 10 to 16, 40 by their numbers)."""

import gzip
from pathlib import Path

import pytest

from asterisk_connector.ami.wire import Debris, Event, Frame, Framer, Greeting, Response

CAPTURE = gzip.decompress((Path(__file__).parent / "data/ami/asterisk-22.10-calls.cap.gz").read_bytes())

HANGUP = b"Event: Hangup\r\nPrivilege: call,all\r\nChannel: PJSIP/100-1\r\nCause: 16\r\n\r\n"
VARSET = b"Event: VarSet\r\nPrivilege: dialplan,all\r\nVariable: X\r\nValue: \r\n\r\n"


def cut(*chunks: bytes, close: bool = True) -> list[Frame]:
    framer = Framer()
    frames = [frame for chunk in chunks for frame in framer.feed(chunk)]
    return frames + (framer.close() if close else [])


def events(*chunks: bytes) -> list[bytes]:
    return [frame.body for frame in cut(*chunks) if isinstance(frame, Event)]


def test_a_real_session_is_cut_into_its_greeting_its_answer_and_11999_events() -> None:
    frames = cut(CAPTURE)
    assert frames[0] == Greeting("11.0.0")
    assert isinstance(frames[1], Response)
    assert all(isinstance(frame, Event) for frame in frames[2:])
    assert len(frames) == 12001
    assert b"".join(frame.body for frame in frames[2:]) in CAPTURE.replace(b"\r\n\r\n\r\n", b"\r\n\r\n")


def test_07_a_real_session_read_byte_by_byte_gives_the_same_frames() -> None:
    part = CAPTURE[:200_000]
    assert cut(*(part[i : i + 1] for i in range(len(part)))) == cut(part)


@pytest.mark.parametrize("extra", range(6))
def test_11_extra_empty_lines_between_messages_lose_nothing(extra: int) -> None:
    stream = HANGUP + b"\r\n" * extra + VARSET + b"\r\n" * extra + HANGUP
    assert events(stream) == [HANGUP, VARSET, HANGUP]
    assert events(*(stream[i : i + 1] for i in range(len(stream)))) == [HANGUP, VARSET, HANGUP]


def test_12_line_feeds_inside_an_event_do_not_split_it() -> None:
    event = b"Event: NewExten\r\nPrivilege: dialplan,all\r\nAppData: a\nb\n\nc\r\nExtension: 1\r\n\r\n"
    assert events(event + HANGUP) == [event, HANGUP]


def test_13_an_empty_line_inside_a_value_is_joined_again_with_its_exact_bytes() -> None:
    event = b"Event: Newexten\r\nPrivilege: dialplan,all\r\nAppData: a\r\n\r\nX: 1\r\nEvent: Fake\r\n\r\n"
    assert events(event + HANGUP) == [event, HANGUP]
    assert events(*(event[i : i + 1] for i in range(len(event)))) == [event]
    wide = b"Event: Newexten\r\nPrivilege: dialplan,all\r\nAppData: a\r\n\r\n\r\n\r\n\r\nX: 1\r\n\r\n"
    assert events(wide + b"\r\n" + HANGUP) == [wide, HANGUP]


def test_13_a_fragment_after_the_line_was_quiet_is_debris_and_the_next_event_intact() -> None:
    framer = Framer()
    assert framer.feed(HANGUP) == []
    assert framer.holding
    assert framer.flush() == [Event(HANGUP)]
    assert framer.feed(b"X: 1\r\n\r\n" + VARSET) == [Debris("fragment", b"X: 1")]
    assert framer.flush() == [Event(VARSET)]


@pytest.mark.parametrize("cut_at", [18, 25, 40, 60])
def test_14_an_event_cut_short_is_marked_and_never_merged_with_the_next(cut_at: int) -> None:
    frames = cut(VARSET + HANGUP[:cut_at] + VARSET + HANGUP)
    assert frames == [Event(VARSET), Debris("cut", HANGUP[:cut_at]), Event(VARSET), Event(HANGUP)]


def test_15_and_16_only_the_first_line_says_what_a_message_is() -> None:
    originate = (
        b"Event: OriginateResponse\r\nPrivilege: call,all\r\nActionID: ours-1\r\nResponse: Failure\r\nReason: 0\r\n\r\n"
    )
    answer = b"Response: Success\r\nActionID: ours-1\r\nPing: Pong\r\n\r\n"
    assert cut(originate + answer + originate) == [Event(originate), Response(answer), Event(originate)]


def test_an_item_of_a_list_is_a_response_even_where_a_bare_line_feed_ends_it() -> None:
    item = b"Event: CoreShowChannelMap\r\nActionID: x\r\nChannel: y\r\n\n"
    assert cut(b"Response: Success\r\n\r\n" + item + HANGUP) == [
        Response(b"Response: Success\r\n\r\n"),
        Response(item.rstrip() + b"\r\n\r\n"),
        Event(HANGUP),
    ]


def test_40_the_greeting_may_be_split_joined_or_absent() -> None:
    answer = b"Response: Success\r\nMessage: Authentication accepted\r\n\r\n"
    whole = [Greeting("5.0.2"), Response(answer)]
    assert cut(b"Asterisk Call Man", b"ager/5.0.2\r\n" + answer) == whole
    assert cut(b"Asterisk Call Manager/5.0.2\r\n" + answer) == whole
    assert cut(answer) == [Response(answer)]
    assert cut(b"SSH-2.0-OpenSSH\r\n\r\n") == [Debris("fragment", b"SSH-2.0-OpenSSH")]


def test_captures_of_several_sessions_can_stand_behind_each_other() -> None:
    one = b"Asterisk Call Manager/11.0.0\r\nResponse: Success\r\n\r\n" + HANGUP
    assert cut(one + one) == cut(one) + cut(one)


def test_a_megabyte_in_one_value_is_one_event() -> None:
    event = b"Event: VarSet\r\nPrivilege: dialplan,all\r\nValue: " + b"x" * 1_000_000 + b"\r\n\r\n"
    assert events(event + HANGUP) == [event, HANGUP]


@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_message_without_end_is_told_and_the_next_event_is_whole(size: int) -> None:
    framer = Framer(max_message=20_000)
    endless = b"Event: VarSet\r\nPrivilege: x\r\nValue: " + b"x" * 50_000
    stream = HANGUP + endless + b"\r\n\r\n" + VARSET
    frames = [frame for i in range(0, len(stream), size) for frame in framer.feed(stream[i : i + size])]
    frames += framer.close()
    assert [frame for frame in frames if isinstance(frame, Event)] == [Event(HANGUP), Event(VARSET)]
    assert [frame.reason for frame in frames if isinstance(frame, Debris)] == ["oversized"]


def test_the_unterminated_tail_of_a_lost_session_is_debris() -> None:
    assert cut(HANGUP + VARSET[:-5]) == [Event(HANGUP), Debris("cut", VARSET[:-5])]


def test_headers_of_a_response_are_found_in_any_case() -> None:
    response = Response(b"Response: Success\r\nActionID: a\r\nVariable: ENTITYID\r\nValue: 52:54:00:ab:cd:ef\r\n\r\n")
    assert response.get("value") == "52:54:00:ab:cd:ef"
    assert response.get("Missing") == ""

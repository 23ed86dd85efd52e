"""Records against an independent derivation, over a real session and over every edge of the module's behaviour."""

import gzip
import json
import re
from pathlib import Path

import pytest

from asterisk_connector.ami.wire import Event, Framer
from asterisk_connector.relay.encode import Encoder, Identity, Record

CAPTURE = gzip.decompress((Path(__file__).parent / "data/ami/asterisk-22.10-calls.cap.gz").read_bytes())
PBX = Identity("52:54:00:ab:cd:ef", "pbx-01", "22.10.1~dfsg", "host-1")
NAMELESS = PBX._replace(system_name="")
AT = 1_795_289_432_987_059
HEAD = b"Event: UserEvent\r\nPrivilege: user,all\r\n"


def reference_json(body: bytes, identity: Identity) -> bytes:
    """The module's behaviour in its plainest form: an ordered object, strict UTF-8, jansson's escapes."""
    members: dict[str, str] = {}

    def put(key: bytes, value: bytes) -> None:
        try:
            members[key.decode("utf-8", "strict")] = value.decode("utf-8", "strict")
        except UnicodeDecodeError:
            return

    put(b"Event", body.split(b"\r\n")[0][len(b"Event: ") :])
    put(b"EntityID", identity.entity_id.encode())
    if identity.system_name:
        put(b"SystemName", identity.system_name.encode())
    for piece in re.split(rb"[\r\n]+", body):
        key, separator, value = piece.partition(b": ")
        if separator:
            put(key, value)
    text = json.dumps(members, ensure_ascii=False, separators=(",", ":"))
    return re.sub(r"(?<!\\)((?:\\\\)*)\\u(00[01][0-9a-f])", lambda m: f"{m[1]}\\u{m[2].upper()}", text).encode()


def members(lines: bytes, encoder: Encoder | None = None) -> str:
    """The JSON behind `SystemName` and `Privilege`, for body lines behind the two first."""
    value = (encoder or Encoder()).encode(HEAD + lines + b"\r\n", AT, PBX).value.decode()
    start = '{"Event":"UserEvent","EntityID":"52:54:00:ab:cd:ef","SystemName":"pbx-01","Privilege":"user,all"'
    assert value.startswith(start)
    return value[len(start) :].removeprefix(",").removesuffix("}")


@pytest.mark.parametrize("identity", [PBX, NAMELESS], ids=["named", "nameless"])
def test_a_real_session_gives_the_bytes_of_the_reference_derivation(identity: Identity) -> None:
    events = [frame.body for frame in Framer().feed(CAPTURE) if isinstance(frame, Event)]
    assert len(events) > 10_000
    as_json, as_ami = Encoder("json"), Encoder("ami")
    prefix = f"EntityID: {identity.entity_id}\r\n".encode()
    prefix += f"SystemName: {identity.system_name}\r\n".encode() if identity.system_name else b""
    for body in events:
        assert as_json.encode(body, AT, identity).value == reference_json(body, identity)
        assert as_ami.encode(body, AT, identity).value == prefix + body


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            b"Foo: bar\r\nFoo: baz\r\nEmpty: \r\nEmptyNoSpace:\r\nNoSpace:abc\r\nNoSep\r\n: noKey\r\n"
            b"Url: http://x:80/a: b\r\nA:B: c\r\n  Lead:  two spaces \r\n",
            '"Foo":"baz","Empty":"","":"noKey","Url":"http://x:80/a: b","A:B":"c","  Lead":" two spaces "',
        ),
        (
            b"Bad: caf\xe9\r\nGood: caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\r\nTrunc: abc\xd0\r\nK\xe9y: v\r\n"
            b"Sur: \xed\xa0\x80\r\nOverlong: \xc0\xaf\r\n",
            '"Good":"café € 😀"',
        ),
        (
            b'Cr: a\rb: c\r\nTab: x\ty\r\nEsc: \x1b[0m\x01\x0b\x1f\x7f\r\nQuote: "q" \\ / \x08\x0c\r\n',
            '"Cr":"a","b":"c","Tab":"x\\ty","Esc":"\\u001B[0m\\u0001\\u000B\\u001F\x7f",'
            '"Quote":"\\"q\\" \\\\ / \\b\\f"',
        ),
        (b"Dup: first\r\nDup: \xff\xfe\r\nDup2: \xff\r\nDup2: ok\r\n", '"Dup":"first","Dup2":"ok"'),
        (b"ChanVariable: FOO=va\r\nChanVariable: BAR=vb: c\r\n", '"ChanVariable":"BAR=vb: c"'),
        (b"AppData: line1\nK: line2\r\n", '"AppData":"line1","K":"line2"'),
        (b"AppData: a\r\n\r\nX: 1\r\n", '"AppData":"a","X":"1"'),
        (b"Path: C:\\u001b\\\\u001b\r\n", '"Path":"C:\\\\u001b\\\\\\\\u001b"'),
        (b"V: a\x0bb\x1cc\xc2\x85d\xe2\x80\xa8e\r\n", '"V":"a\\u000Bb\\u001Cc\x85d\u2028e"'),
    ],
    ids=[
        "separators",
        "utf8",
        "escapes",
        "repeated",
        "chanvariable",
        "line-feed",
        "rejoined",
        "backslash",
        "not-a-line",
    ],
)
def test_10_edges_of_the_module(lines: bytes, expected: str) -> None:
    assert members(lines) == expected
    assert Encoder().encode(HEAD + lines + b"\r\n", AT, PBX).value == reference_json(HEAD + lines + b"\r\n", PBX)


def test_a_body_can_overwrite_payload_members_but_neither_key_nor_type() -> None:
    body = HEAD + b"Event: Spoof\r\nEntityID: spoof\r\nSystemName: spoof\r\nPrivilege: spoof\r\n\r\n"
    record = Encoder().encode(body, AT, PBX)
    assert record.value == b'{"Event":"Spoof","EntityID":"spoof","SystemName":"spoof","Privilege":"spoof"}'
    assert (record.key, record.type, record.category) == (b"UserEvent", b"UserEvent", b"user")


@pytest.mark.parametrize(
    ("privilege", "category"),
    [(b"call,all", b"call"), (b"system,user,all", b"system,user"), (b"<none>", b""), (b"all", b"")],
)
def test_the_category_is_the_privilege_without_all(privilege: bytes, category: bytes) -> None:
    record = Encoder().encode(b"Event: X\r\nPrivilege: " + privilege + b"\r\n\r\n", AT, PBX)
    assert record.category == category


@pytest.mark.parametrize("format", ["json", "ami"])
def test_the_headers_are_the_modules_in_its_order(format: str) -> None:
    encoder = Encoder(format)  # type: ignore[arg-type]
    record = encoder.encode(HEAD + b"\r\n", AT, PBX)
    assert encoder.headers(record, PBX) == [
        ("entity_id", b"52:54:00:ab:cd:ef"),
        ("system_name", b"pbx-01"),
        ("asterisk_version", b"22.10.1~dfsg"),
        ("event_type", b"UserEvent"),
        ("event_category", b"user"),
        ("format", format.encode()),
        ("timestamp", b"1795289432"),
        ("hostname", b"host-1"),
    ]
    assert [name for name, _ in encoder.headers(record, NAMELESS)] == [
        name for name, _ in encoder.headers(record, PBX) if name != "system_name"
    ]


@pytest.mark.parametrize(
    ("key", "expected"),
    [("event", b"Hangup"), ("linkedid", b"17.1"), ("uniqueid", b"17.2"), ("channel", b"PJSIP/100-1"), ("none", None)],
)
def test_the_key_can_follow_the_call(key: str, expected: bytes | None) -> None:
    body = b"Event: Hangup\r\nPrivilege: call,all\r\nChannel: PJSIP/100-1\r\nUniqueid: 17.2\r\nLinkedid: 17.1\r\n\r\n"
    cel = b"Event: CEL\r\nPrivilege: call,all\r\nChannel: PJSIP/100-1\r\nUniqueID: 17.2\r\nLinkedID: 17.1\r\n\r\n"
    encoder = Encoder(key=key)  # type: ignore[arg-type]
    assert encoder.encode(body, AT, PBX).key == expected
    assert encoder.encode(cel, AT, PBX).key == (b"CEL" if key == "event" else expected)
    keyless = encoder.encode(HEAD + b"\r\n", AT, PBX).key
    assert keyless == (None if key == "none" else b"UserEvent")


def test_09_repeated_headers_can_all_be_kept() -> None:
    lines = b"ChanVariable: A=1\r\nX: y\r\nChanVariable: B=2\r\nChanVariable: C=3\r\n"
    assert members(lines, Encoder(duplicate_keys="list")) == '"ChanVariable":["A=1","B=2","C=3"],"X":"y"'


def test_08_bytes_that_are_not_utf8_can_be_kept_readable() -> None:
    lines = b"Name: caf\xe9\r\nGood: \xc3\xa9\r\n"
    assert members(lines, Encoder(invalid_utf8="replace")) == '"Name":"caf\ufffd","Good":"é"'
    assert members(lines, Encoder(invalid_utf8="latin1")) == '"Name":"café","Good":"é"'


@pytest.mark.parametrize("byte", range(0x80, 0x100))
def test_08_a_bad_byte_costs_its_field_alone(byte: int) -> None:
    assert members(b"A: 1\r\nB: x" + bytes([byte]) + b"\r\nC: 3\r\n") == '"A":"1","C":"3"'


def test_a_record_is_the_same_whenever_it_is_made() -> None:
    assert Encoder().encode(HEAD + b"A: 1\r\n\r\n", AT, PBX) == Record(
        AT, b"UserEvent", b"UserEvent", b"user", reference_json(HEAD + b"A: 1\r\n\r\n", PBX)
    )

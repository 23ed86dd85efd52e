"""The mapping of docs/call-api-mapping.md, against payloads as the API has been sent them for years."""

from datetime import datetime

import msgspec
import pytest

from asterisk_connector.call import Call, Leg, Party, Recording, ThreadEvent
from asterisk_connector.sinks.call_api_payload import PayloadSettings, payload

START = 1_795_291_042_374_804
END = START + 3_346_754
SETTINGS = PayloadSettings("1.0.0", customer_id=7, tenant="acme", hostname="pbx1")
PHONE = "PJSIP/137-000002ab"
TRUNK = "PJSIP/trunk-acme-000002ac"

OUTBOUND = Call(
    call_id="1795291042.681",
    linkedids=("1795291042.681",),
    complete=True,
    started_at=START,
    answered_at=START + 1_672_977,
    ended_at=END,
    revision=1,
    host="pbx1",
    direction="outbound",
    caller=Party(number="137", name="JOHN DOE", extension="137"),
    dialled="6475553345",
    outcome="answered",
    disposition="ANSWERED",
    parties={"6475553345": Party(number="6475553345", e164="+16475553345")},
    thread=(
        ThreadEvent(START, "CHAN_START", "1795291042.681", PHONE, "6475553345", "from-internal"),
        ThreadEvent(START + 1_673_077, "BRIDGE_ENTER", "1795291042.681", PHONE, "6475553345", "from-internal"),
        ThreadEvent(START + 200_100, "CHAN_START", "1795291042.682", TRUNK, "6475553345", "from-internal"),
        ThreadEvent(END, "LINKEDID_END", "1795291042.681", PHONE, "6475553345", "from-internal"),
        ThreadEvent(
            START - 374_804,
            "CDR",
            "1795291042.681",
            PHONE,
            src="137",
            dst="6475553345",
            dstchannel=TRUNK,
            duration=3.0,
            billsec=1.0,
            disposition="ANSWERED",
        ),
        ThreadEvent(START + 100, "APP_START", "1795291042.681", PHONE, "6475553345", "from-internal"),
    ),
)


def test_an_outbound_call_has_the_shape_the_api_knows() -> None:
    assert payload(OUTBOUND, "complete", SETTINGS, END + 9_000_000) == {
        "connector_version": "1.0.0",
        "connector": "asterisk",
        "customer_id": 7,
        "tenant": "acme",
        "hostname": "pbx1",
        "linkedid": "1795291042.681",
        "is_complete": True,
        "call_time": "2026-11-21T19:57:22.374804Z",
        "duration_seconds": 3,
        "disposition": "ANSWERED",
        "direction": "o",
        "src_extension": "137",
        "src_name": "JOHN DOE",
        "src_extension_name": "JOHN DOE",
        "dst_number": "16475553345",
        "call_threads": [
            {
                "time": "2026-11-21T19:57:22.000000Z",
                "event": "CDR",
                "src": "137",
                "dst": "6475553345",
                "duration": 3,
                "billsec": 1,
                "disposition": "ANSWERED",
                "channel": PHONE,
                "dstchannel": TRUNK,
                "uniqueid": "1795291042.681",
            },
            {
                "time": "2026-11-21T19:57:22.374804Z",
                "event": "CHAN_START",
                "channel": PHONE,
                "exten": "6475553345",
                "context": "from-internal",
                "uniqueid": "1795291042.681",
            },
            {
                "time": "2026-11-21T19:57:22.574904Z",
                "event": "CHAN_START",
                "channel": TRUNK,
                "exten": "6475553345",
                "context": "from-internal",
                "uniqueid": "1795291042.682",
            },
            {
                "time": "2026-11-21T19:57:24.047881Z",
                "event": "BRIDGE_ENTER",
                "channel": PHONE,
                "exten": "6475553345",
                "context": "from-internal",
                "uniqueid": "1795291042.681",
                "peer": "",
            },
            {
                "time": "2026-11-21T19:57:25.721558Z",
                "event": "LINKEDID_END",
                "channel": PHONE,
                "exten": "6475553345",
                "context": "from-internal",
                "uniqueid": "1795291042.681",
            },
        ],
        "call_threads_count": 5,
        "ship_phase": "complete",
        "shipped_at": "2026-11-21T19:57:34.721558Z",
    }


def change(**fields: object) -> dict[str, object]:
    return payload(msgspec.structs.replace(OUTBOUND, **fields), "complete", SETTINGS, END)


def test_an_inbound_call_names_the_did_and_the_extension_that_took_it() -> None:
    told = change(
        direction="inbound",
        caller=Party(number="4165551234", name="JANE", e164="+14165551234"),
        dialled="600",
        did="4165550100",
        answered_by="101",
        parties={"4165550100": Party(e164="+14165550100"), "101": Party(extension="101", name="Anna")},
    )
    keys = ("direction", "src_number", "src_name", "dst_number", "dst_extension", "dst_extension_name")
    assert [told[key] for key in keys] == ["i", "14165551234", "JANE", "14165550100", "101", "Anna"]
    assert "src_extension" not in told


def test_an_unanswered_inbound_call_names_the_extension_that_rang_first() -> None:
    legs = (
        Leg("1.1", "PJSIP/trunk-1", "caller", "4165551234"),
        Leg("1.2", "PJSIP/102-2", "dialled", "102", name="Ben"),
        Leg("1.3", "PJSIP/103-3", "dialled", "103"),
    )
    told = change(direction="inbound", answered_by=None, legs=legs, did="4165550100", parties={})
    assert (told["dst_extension"], told["dst_extension_name"], told["dst_number"]) == ("102", "Ben", "4165550100")


@pytest.mark.parametrize(
    ("direction", "dialled", "number", "extension"),
    [
        ("outbound", "911", "911", None),
        ("outbound", "45123456", "45123456", None),
        ("outbound", "+4533123456", "4533123456", None),
        ("outbound", "(905) 555-1234", "9055551234", None),
        ("outbound", "*97", None, "*97"),
        ("internal", "*97", None, "*97"),
        ("internal", "102", None, "102"),
        ("internal", "alice", None, "alice"),
        ("tandem", "5145559999", "5145559999", None),
        ("internal", None, None, None),
    ],
)
def test_nobody_is_left_out_for_the_shape_of_his_number(
    direction: str, dialled: str | None, number: str | None, extension: str | None
) -> None:
    told = change(direction=direction, dialled=dialled, answered_by=None, legs=(), parties={})
    assert (told.get("dst_number"), told.get("dst_extension")) == (number, extension)


@pytest.mark.parametrize(
    ("direction", "letter"), [("inbound", "i"), ("outbound", "o"), ("internal", "x"), ("tandem", "x"), (None, "x")]
)
def test_every_direction_has_a_letter(direction: str | None, letter: str) -> None:
    assert change(direction=direction)["direction"] == letter


@pytest.mark.parametrize(
    ("outcome", "answered_at", "text"),
    [("busy", None, "BUSY"), ("failed", None, "FAILED"), ("no_answer", None, "NO ANSWER"), ("answered", 5, "ANSWERED")],
)
def test_a_call_without_cdr_still_has_a_disposition(outcome: str, answered_at: int | None, text: str) -> None:
    assert change(disposition=None, outcome=outcome, answered_at=answered_at)["disposition"] == text


def test_unknown_is_left_out_and_nothing_is_null() -> None:
    bare = Call(call_id="1.1", linkedids=("1.1",), complete=False, started_at=START)
    told = payload(bare, "initial", PayloadSettings("1.0.0"), START)
    assert None not in told.values()
    assert set(told) == {
        *("connector_version", "connector", "customer_id", "tenant", "hostname", "linkedid", "is_complete"),
        *("call_time", "duration_seconds", "disposition", "direction", "call_threads", "call_threads_count"),
        *("ship_phase", "shipped_at"),
    }


def test_an_open_call_has_lasted_until_the_delivery_was_owed() -> None:
    told = payload(msgspec.structs.replace(OUTBOUND, ended_at=None), "update", SETTINGS, START + 600_900_000)
    assert (told["duration_seconds"], told["is_complete"]) == (600, False)


def test_a_call_given_up_has_lasted_until_it_was_last_heard_of() -> None:
    told = payload(msgspec.structs.replace(OUTBOUND, ended_at=None), "complete", SETTINGS, START + 10**10)
    assert (told["duration_seconds"], told["is_complete"]) == (3, True)


def test_a_clock_that_ran_backwards_gives_no_negative_duration() -> None:
    assert change(ended_at=START - 5_000_000)["duration_seconds"] == 0


def test_recordings_are_named_with_path_and_size() -> None:
    told = change(recordings=(Recording("/var/spool/asterisk/monitor/2026/11/21/x.wav", size=96_044),))
    assert told["recording_files"] == [
        {
            "filename": "x.wav",
            "file_path": "/var/spool/asterisk/monitor/2026/11/21/x.wav",
            "file_size": 96_044,
            "source": "filesystem_search",
        }
    ]


def test_a_transfer_carries_its_extra_as_transferee() -> None:
    told = change(
        thread=(ThreadEvent(START, "BLINDTRANSFER", "1.1", PHONE, "102", "office", extra='{"extension":"102"}'),)
    )
    thread = told["call_threads"]
    assert isinstance(thread, list)
    assert thread[0]["transferee"] == '{"extension":"102"}'


def test_every_time_carries_its_offset() -> None:
    told = payload(OUTBOUND, "complete", SETTINGS, END)
    thread = told["call_threads"]
    for text in (told["call_time"], told["shipped_at"], *(event["time"] for event in thread)):
        assert datetime.fromisoformat(text).tzinfo is not None


def test_sorting_the_thread_by_text_is_sorting_it_by_time() -> None:
    times = [event["time"] for event in payload(OUTBOUND, "complete", SETTINGS, END)["call_threads"]]
    assert times == sorted(times)


def test_the_calls_own_tenant_and_host_come_first() -> None:
    told = change(tenant="globex", host="pbx9")
    assert (told["tenant"], told["hostname"]) == ("globex", "pbx9")


def test_the_body_can_be_sent_as_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(change(caller=Party(name="Zoë 'Ω' 🎉"))))["src_name"] == "Zoë 'Ω' 🎉"

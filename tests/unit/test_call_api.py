"""The call API sink against a real HTTP server: what is sent, and what each answer means."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from asterisk_connector.call import Call, Party, encode
from asterisk_connector.clock import SystemClock
from asterisk_connector.errors import Misconfigured
from asterisk_connector.sinks.base import Deferred, Delivered, Item, Outcome, Paused, Refused
from asterisk_connector.sinks.call_api import CallApi as CallApiSink
from asterisk_connector.sinks.call_api import CallApiSettings, endpoint, retry_after
from asterisk_connector.sinks.call_api_payload import PayloadSettings
from tests.kit.call_api import PATH, Answer, CallApi, Fault, certificate

KEY = "sk_0123456789abcdef0123456789abcdef"
NOW = 1_795_291_042_374_804


def item(call_id: str = "1795291042.681", *, revision: int = 1, attempts: int = 0, name: str = "Zoë") -> Item:
    call = Call(call_id, (call_id,), complete=True, started_at=NOW, caller=Party("100", name, "100"))
    return Item(1, call_id, revision, "complete", encode(call), attempts, NOW, "pbx1")


def sink(url: str, **changes: Any) -> CallApiSink:
    settings = CallApiSettings(url, KEY, PayloadSettings("1.0.0", 7, "acme", "pbx1"), **changes)
    return CallApiSink(settings, clock=SystemClock())


@pytest.fixture
def api() -> Iterator[CallApi]:
    with CallApi() as server:
        yield server


def answered(api: CallApi, answer: Answer, **changes: Any) -> Outcome:
    api.script = lambda _: answer
    return sink(api.url, **changes).deliver(item())


def test_a_call_is_posted_with_the_headers_the_api_knows(api: CallApi) -> None:
    assert sink(api.url).deliver(item()) == Delivered()
    (request,) = api.requests
    assert (request.method, request.path) == ("POST", PATH)
    wanted = {
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "user-agent": "Asterisk-Connector/1.0.0",
        "idempotency-key": "pbx1:1795291042.681:1",
    }
    assert wanted.items() <= request.headers.items()
    assert request.call["src_name"] == "Zoë"
    assert request.call["customer_id"] == 7


def test_an_attempt_repeated_is_the_same_byte_for_byte(api: CallApi) -> None:
    it = sink(api.url)
    it.deliver(item(attempts=0))
    it.deliver(item(attempts=5))
    first, second = api.requests
    assert (first.key, first.body) == (second.key, second.body)


def test_connections_are_kept_alive(api: CallApi) -> None:
    it = sink(api.url)
    for _ in range(5):
        it.deliver(item())
    assert {request.connection for request in api.requests} == {1}


@pytest.mark.parametrize("status", [200, 201, 202])
def test_three_statuses_are_an_acceptance(api: CallApi, status: int) -> None:
    assert answered(api, Answer(status, body=b'{"ok":true}')) == Delivered()


@pytest.mark.parametrize("status", [204, 206, 402, 408, 409, 418, 425, 451, 500, 502, 503, 504, 599])
def test_what_is_neither_taken_nor_refused_is_tried_again(api: CallApi, status: int) -> None:
    outcome = answered(api, Answer(status))
    assert isinstance(outcome, Deferred)
    assert not outcome.outage
    assert str(status) in outcome.reason


@pytest.mark.parametrize("status", [401, 403, 404, 405, 407])
def test_what_only_the_operator_can_mend_pauses_the_sink(api: CallApi, status: int) -> None:
    outcome = answered(api, Answer(status))
    assert isinstance(outcome, Paused)
    assert "api." in outcome.hint


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_call_keeps_request_and_answer_without_the_key(api: CallApi, status: int) -> None:
    echo = b'{"error":"src_name too long","you_sent":"Bearer ' + KEY.encode() + b'"}'
    outcome = answered(api, Answer(status, {"X-Request-Id": "42"}, echo))
    assert isinstance(outcome, Refused)
    assert str(status) in outcome.reason
    assert "Zoë" in outcome.request
    assert "src_name too long" in outcome.answer
    assert "X-Request-Id: 42" in outcome.answer
    assert "Zoë" not in outcome.reason
    assert KEY not in repr(outcome)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(api: CallApi, status: int) -> None:
    with CallApi() as elsewhere:
        outcome = answered(api, Answer(status, {"Location": elsewhere.url}))
        assert elsewhere.requests == []
    assert isinstance(outcome, Paused)
    assert elsewhere.url in outcome.hint


@pytest.mark.parametrize("location", ["", "/elsewhere", "http://[", "::::", "http://u:p@x.example/y"])
def test_a_redirect_to_nowhere_is_no_error(api: CallApi, location: str) -> None:
    outcome = answered(api, Answer(302, {"Location": location}))
    assert isinstance(outcome, Paused)
    assert "u:p" not in outcome.hint


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_api_is_left_alone_as_long_as_it_asks(api: CallApi, status: int) -> None:
    outcome = answered(api, Answer(status, {"Retry-After": "120"}))
    assert isinstance(outcome, Deferred)
    assert (outcome.after, outcome.outage) == (120.0, True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Sat, 21 Nov 2026 19:59:22 GMT", pytest.approx(119.6, abs=0.1)),
        ("Saturday, 21-Nov-26 19:59:22 GMT", pytest.approx(119.6, abs=0.1)),
        ("Sat, 21 Nov 2020 19:59:22 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        (None, None),
        ("9" * 5000, float("9" * 12)),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


def test_an_unusable_retry_after_is_no_error(api: CallApi) -> None:
    outcome = answered(api, Answer(503, {"Retry-After": "Sat, 99 Foo 2026 99:99:99 GMT"}))
    assert isinstance(outcome, Deferred)
    assert outcome.after is None


def test_a_web_page_instead_of_the_api_is_no_acceptance(api: CallApi) -> None:
    page = Answer(200, {"Content-Type": "text/html"}, b"\n<!doctype html><title>Please log in</title>")
    assert isinstance(answered(api, page), Paused)


def test_a_plain_word_sent_as_html_is_an_acceptance(api: CallApi) -> None:
    assert answered(api, Answer(200, {"Content-Type": "text/html"}, b"OK")) == Delivered()


def test_a_compressed_bomb_stays_small(api: CallApi) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    outcome = answered(api, Answer(400, {"Content-Encoding": "gzip"}, bomb))
    assert isinstance(outcome, Refused)
    assert len(outcome.answer) < 1000
    assert "bytes of gzip" in outcome.answer


@pytest.mark.parametrize(("status", "kind"), [(200, Delivered), (400, Refused), (500, Deferred)])
def test_an_endless_answer_is_cut_off_by_size(api: CallApi, status: int, kind: type[Outcome]) -> None:
    assert isinstance(answered(api, Answer(status, fault="endless_body"), answer_limit=200_000), kind)


@pytest.mark.parametrize("fault", ["hang", "trickle_head"])
def test_an_answer_that_does_not_come_ends_at_the_deadline(api: CallApi, fault: Fault) -> None:
    begun = monotonic()
    outcome = answered(api, Answer(fault=fault), total_timeout=0.5)
    assert isinstance(outcome, Deferred)
    assert "0.5 s" in outcome.reason
    assert 0.4 < monotonic() - begun < 20


def test_a_trickling_body_changes_nothing_about_the_status(api: CallApi) -> None:
    assert answered(api, Answer(202, fault="trickle_body"), total_timeout=0.5) == Delivered()


@pytest.mark.parametrize("fault", ["close_before", "close_after", "garbage"])
def test_a_connection_without_an_answer_is_tried_again(api: CallApi, fault: Fault) -> None:
    outcome = answered(api, Answer(fault=fault))
    assert isinstance(outcome, Deferred)
    assert not outcome.outage


def test_nobody_listening_is_an_outage(api: CallApi) -> None:
    api.stop()
    outcome = sink(api.url).deliver(item())
    assert outcome == Deferred(f"127.0.0.1:{api.port}: Connection refused", outage=True)


def test_a_name_that_does_not_resolve_is_an_outage() -> None:
    outcome = sink("http://calls.invalid/v1").deliver(item())
    assert outcome == Deferred("the name of calls.invalid cannot be resolved", outage=True)


def test_a_server_restarted_between_two_calls_costs_nothing(api: CallApi) -> None:
    it = sink(api.url)
    assert it.deliver(item()) == Delivered()
    api.script = lambda _: Answer(headers={"Connection": "close"})
    assert [it.deliver(item()) for _ in range(3)] == [Delivered()] * 3


def test_an_untrusted_certificate_is_refused_and_a_trusted_one_taken(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with CallApi(tls=(cert, key)) as api:
        outcome = sink(api.url).deliver(item())
        assert isinstance(outcome, Deferred)
        assert outcome.outage
        assert "self-signed" in outcome.reason
        assert api.requests == []
        assert sink(api.url, ca_file=cert).deliver(item()) == Delivered()


def test_an_answer_over_tls_has_the_same_deadline(tmp_path: Path) -> None:
    tls = certificate(tmp_path)
    with CallApi(lambda _: Answer(fault="trickle_head"), tls=tls) as api:
        assert isinstance(sink(api.url, ca_file=tls[0], total_timeout=0.5).deliver(item()), Deferred)


def test_the_environment_chooses_no_proxy(api: CallApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert sink(api.url).deliver(item()) == Delivered()


def test_a_configured_proxy_is_used(api: CallApi) -> None:
    outcome = sink("http://calls.example/v1/calls", proxy=api.url.removesuffix(PATH)).deliver(item())
    assert outcome == Delivered()
    assert api.requests[0].path == "http://calls.example/v1/calls"


def test_a_dead_proxy_is_an_outage_and_keeps_its_password() -> None:
    it = sink("http://calls.example/v1", proxy="http://me:s3cret@127.0.0.1:1")
    outcome = it.deliver(item())
    assert isinstance(outcome, Deferred)
    assert outcome.outage
    assert "s3cret" not in repr(outcome)


def test_cookies_are_not_kept(api: CallApi) -> None:
    it = sink(api.url)
    api.script = lambda _: Answer(headers={"Set-Cookie": "a=b"})
    it.deliver(item())
    it.deliver(item())
    assert "cookie" not in api.requests[1].headers


def test_a_call_id_from_a_table_cannot_write_headers(api: CallApi) -> None:
    assert sink(api.url).deliver(item("1.1\r\nX-Evil: yes")) == Delivered()
    assert "x-evil" not in api.requests[0].headers
    assert api.requests[0].key == "pbx1:1.1%0D%0AX-Evil:%20yes:1"


def test_a_body_that_cannot_be_read_is_refused_not_raised(api: CallApi) -> None:
    broken = Item(1, "1.1", 1, "complete", b"\xc1", 0, NOW, "pbx1")
    assert isinstance(sink(api.url).deliver(broken), Refused)
    assert api.requests == []


def test_a_time_beyond_all_calendars_is_refused_not_raised(api: CallApi) -> None:
    body = encode(Call("1.1", ("1.1",), complete=True, started_at=2**62))
    assert isinstance(sink(api.url).deliver(Item(1, "1.1", 1, "complete", body, 0, NOW, "pbx1")), Refused)
    assert api.requests == []


def test_the_key_stands_in_no_repr(api: CallApi) -> None:
    settings = CallApiSettings(api.url, KEY, PayloadSettings("1.0.0"), proxy="http://u:s3cret@proxy:3128")
    assert KEY not in repr(settings)
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("region", "url", "address"),
    [
        ("us1", "", "https://api-us1.sipstack.com/v1/mqs/connectors/asterisk/calls"),
        (" CA1 ", "", "https://api-ca1.sipstack.com/v1/mqs/connectors/asterisk/calls"),
        ("dev", "", "https://api-dev.sipstack.com/v1/mqs/connectors/asterisk/calls"),
        ("us1", "https://x.example/v1/mqs/connectors/asterisk", "https://x.example/v1/mqs/connectors/asterisk/calls"),
        ("us1", "https://x.example/v1/mqs/connectors/asterisk/", "https://x.example/v1/mqs/connectors/asterisk/calls"),
        ("us1", f"https://x.example{PATH}", f"https://x.example{PATH}"),
        ("us1", "https://x.example/hook?a=b", "https://x.example/hook?a=b"),
    ],
)
def test_the_address_follows_region_and_override(region: str, url: str, address: str) -> None:
    assert endpoint(region, url) == address


def test_an_unknown_region_is_an_error_and_names_the_known_ones() -> None:
    with pytest.raises(Misconfigured) as told:
        endpoint("eu1")
    assert "us1, us2, ca1, dev" in told.value.hint


@pytest.mark.parametrize(
    "url", ["ftp://x", "x.example", "https://", "https://u:p@x.example", "http://[::1", "http://x:99999/"]
)
def test_what_is_no_http_address_is_an_error(url: str) -> None:
    with pytest.raises(Misconfigured):
        endpoint("us1", url)


@pytest.mark.parametrize("key", ["", "sk_abc  # my key", "sk_abc\n", "sk_ä"])
def test_a_key_that_cannot_be_a_header_is_an_error(key: str) -> None:
    with pytest.raises(Misconfigured):
        CallApiSink(CallApiSettings("http://x", key, PayloadSettings("1")), clock=SystemClock())


def test_a_ca_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for path in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
        with pytest.raises(Misconfigured):
            sink("https://x", ca_file=path)


def test_a_proxy_of_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(Misconfigured):
        sink("https://x", proxy="socks5://127.0.0.1:1080")

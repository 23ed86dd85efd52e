"""The call API: one POST per revision of a call, and what each answer means.

- Wire contract: docs/call-api-mapping.md. 200, 201 and 202 are the only acceptances; redirects are never followed,
  because a redirected POST loses its body and its 200 would look like an acceptance (D-09).
- Every exchange ends: connect timeout, read timeout, a deadline for the whole answer, a cap on the bytes read. Bodies
  are asked for unencoded and never decoded, so a compressed bomb is just a few bytes.
- TLS is always verified. Proxies and CA bundles come from the settings alone, never from the environment.
- The API key appears in one header of the request and nowhere else: not in a repr, an error, a dead letter.
- Reasons carry no word of the answer's body (it may hold numbers of callers); the body goes into the dead letter only.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

import msgspec
import requests
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from asterisk_connector.call import decode
from asterisk_connector.clock import Clock
from asterisk_connector.errors import Misconfigured
from asterisk_connector.sinks.base import Deferred, Delivered, Item, Outcome, Paused, Refused
from asterisk_connector.sinks.call_api_payload import PayloadSettings, payload
from asterisk_connector.sinks.deadline import DeadlineAdapter

REGIONS = {
    "us1": "https://api-us1.sipstack.com",
    "us2": "https://api-us2.sipstack.com",
    "ca1": "https://api-ca1.sipstack.com",
    "dev": "https://api-dev.sipstack.com",
}
_PATH = "/v1/mqs/connectors/asterisk"

_ACCEPTED = {200, 201, 202}
_REFUSED = {400, 413, 422}
_REDACTED = "[redacted]"
_KEPT = 65_536

_MISCONFIGURED = {
    401: "the API key is wrong or was revoked: check api.key",
    403: "this API key may not send calls: check api.key and the customer's rights",
    404: "there is no call API at this address: check api.url and api.region",
    405: "this address takes no calls: check api.url and api.region",
    407: "the proxy asks for credentials: check api.proxy",
}


class Stream(Protocol):
    """A body that is sent as it is read, of a length known before."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...

    def read(self, size: int = -1) -> bytes: ...


@dataclass(frozen=True, slots=True)
class CallApiSettings:
    """How the API is reached. Times in seconds, `answer_limit` in bytes; `url` as `endpoint` returns it.

    `read_timeout` bounds the silence between two parts of an answer, `total_timeout` the whole answer, counted from
    when the request was sent.
    """

    url: str
    api_key: str = field(repr=False)
    payload: PayloadSettings
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    total_timeout: float = 30.0
    answer_limit: int = 65_536
    connections: int = 8
    ca_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)


def endpoint(region: str, url: str = "") -> str:
    """Where calls are posted: `url` where one is set, else the region's address.

    An override under `/v1/mqs/connectors/asterisk` gets its `/calls`; any other is taken as it stands. Raises
    Misconfigured for an unknown region, never falling back to another customer's one, and for what is no HTTP address.
    """
    if url:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise Misconfigured("api.url is not an HTTP address", "write it as https://host[:port]/path")
        if parts.username is not None or parts.password is not None:
            raise Misconfigured("api.url carries a user or password", "the API takes a key only: set api.key")
        return url.rstrip("/") + "/calls" if _PATH in url and not url.rstrip("/").endswith("/calls") else url
    base = REGIONS.get(region.strip().lower())
    if base is None:
        raise Misconfigured(f"unknown region {region!r}", f"set api.region to one of {', '.join(REGIONS)}, or api.url")
    return f"{base}{_PATH}/calls"


class CallApi:
    """The sink. Threads share it; connections are pooled and kept alive.

    Raises Misconfigured when the settings cannot work: an empty or unprintable key, a CA file that is none, a proxy of
    an unknown kind.
    """

    def __init__(self, settings: CallApiSettings, *, clock: Clock, name: str = "call_api") -> None:
        self.name = name
        self._settings = settings
        self._clock = clock
        self._host = urlsplit(settings.url).netloc
        self._secrets = _secrets(settings)
        self._verify = _verify(settings.ca_file)
        self._proxies = _proxies(settings.proxy)
        # The adapter alone, without a session: no cookies, no redirects, nothing from the environment, half the cost.
        self._http = DeadlineAdapter(settings.total_timeout, settings.connections)
        self._request = requests.Request(
            "POST",
            settings.url,
            headers={
                "Authorization": f"Bearer {settings.api_key}",
                "Content-Type": "application/json",
                "User-Agent": f"Asterisk-Connector/{settings.payload.connector_version}",
                "Accept": "*/*",
                "Accept-Encoding": "identity",
            },
        ).prepare()

    def deliver(self, item: Item) -> Outcome:
        try:
            told = payload(decode(item.body), item.phase, self._settings.payload, item.created_at)
        except (msgspec.DecodeError, ValueError, OverflowError, OSError) as error:
            return Refused(f"the stored call cannot be put into words: {error}")
        return self.post(msgspec.json.encode(told), item.idempotency_key)

    def post(self, body: bytes | Stream, key: str, content_type: str = "application/json") -> Outcome:
        """One exchange with the API and what its answer means. `key` is the same on every attempt."""
        request = self._request.copy()
        request.headers["Idempotency-Key"] = quote(key, safe=":@/+~")
        request.headers["Content-Type"] = content_type
        request.prepare_body(body, None)
        try:
            with self._http.send(
                request,
                stream=True,
                timeout=(self._settings.connect_timeout, self._settings.read_timeout),
                verify=self._verify,
                proxies=self._proxies,
            ) as response:
                return self._judge(request, response)
        except (requests.RequestException, HTTPError) as error:
            return self._unanswered(error)

    def close(self) -> None:
        self._http.close()

    def _judge(self, request: requests.PreparedRequest, response: requests.Response) -> Outcome:
        status = response.status_code
        body = _read(response, self._settings.answer_limit)
        said = f"{self._host} answered {status} {_phrase(status)}".rstrip()
        if status in _ACCEPTED:
            if "html" in response.headers.get("Content-Type", "").lower() and body.lstrip()[:1] == b"<":
                return Paused(
                    f"{said} with a web page, which the call API never does",
                    "a captive portal, a proxy or a wrong api.url answers in the API's place",
                )
            return Delivered()
        if status in _MISCONFIGURED:
            return Paused(said, _MISCONFIGURED[status])
        if 300 <= status < 400:
            return Paused(
                f"{said}: redirects are not followed",
                f"set api.url to the final address{self._target(response)}",
            )
        if status in _REFUSED:
            return Refused(said, self._shown_request(request), self._shown_answer(response, body))
        after = retry_after(response.headers.get("Retry-After"), self._clock.now())
        return Deferred(said, after, outage=status == 429 or (status == 503 and after is not None))

    def _unanswered(self, error: Exception) -> Deferred:
        """No connection is an outage; a connection that gave no answer may be this item's own trouble (law 6)."""
        settings, host = self._settings, self._host
        if isinstance(error, requests.exceptions.ConnectTimeout):
            return Deferred(f"no connection to {host} within {settings.connect_timeout:g} s", outage=True)
        if isinstance(error, requests.exceptions.ProxyError):
            return Deferred(f"the proxy gives no connection to {host}", outage=True)
        if isinstance(error, requests.exceptions.SSLError):
            return Deferred(f"no trusted TLS connection to {host}: {_tls_trouble(error)}", outage=True)
        if isinstance(error, requests.exceptions.Timeout):
            patience = min(settings.read_timeout, settings.total_timeout)
            return Deferred(f"no complete answer from {host} within {patience:g} s")
        if isinstance(error, requests.exceptions.ConnectionError):
            cause = getattr(error.args[0] if error.args else None, "reason", None)
            if isinstance(cause, NameResolutionError):
                return Deferred(f"the name of {host} cannot be resolved", outage=True)
            if isinstance(cause, NewConnectionError):
                told = cause.__cause__ or cause.__context__
                why = told.strerror if isinstance(told, OSError) and told.strerror else "no connection"
                return Deferred(f"{host}: {why}", outage=True)
            return Deferred(f"{host} closed the connection before it answered")
        return Deferred(f"{host} gave no usable HTTP answer ({type(error).__name__})")

    def _target(self, response: requests.Response) -> str:
        try:
            target = urlsplit(response.headers.get("Location", "")[:300])
        except ValueError:
            return ""
        if not target.hostname:
            return ""
        return self._redact(f", it points to {target.scheme}://{target.netloc.rpartition('@')[2]}{target.path}")

    def _shown_request(self, request: requests.PreparedRequest) -> str:
        headers = "".join(
            f"{name}: {_REDACTED if name == 'Authorization' else value}\n" for name, value in request.headers.items()
        )
        body = request.body if isinstance(request.body, bytes) else b""
        return self._redact(f"POST {request.url}\n{headers}\n{body.decode()}")[:_KEPT]

    def _shown_answer(self, response: requests.Response, body: bytes) -> str:
        headers = "".join(f"{name}: {value}\n" for name, value in response.headers.items())
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        text = (
            body[:_KEPT].decode("utf-8", "replace") if encoding == "identity" else f"({len(body)} bytes of {encoding})"
        )
        return self._redact(f"{response.status_code} {response.reason or ''}\n{headers[:_KEPT]}\n{text}")

    def _redact(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _REDACTED)
        return text


def retry_after(value: str | None, now: int) -> float | None:
    """Seconds from `now` (UTC, microseconds) that a Retry-After header asks for, in either form of RFC 9110 §10.2.3.

    None when it is absent or says nothing that can be understood; a date in the past is 0.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now / 1e6, UTC)).total_seconds())


def _read(response: requests.Response, limit: int) -> bytes:
    """At most `limit` bytes of the answer. What does not fit, or does not come, changes nothing: the status counts."""
    parts: list[bytes] = []
    left = limit
    with suppress(HTTPError, OSError):
        while left > 0:
            part = response.raw.read(min(left, 16_384), decode_content=False)
            if not part:
                return b"".join(parts)
            parts.append(part)
            left -= len(part)
    response.raw.close()
    return b"".join(parts)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _tls_trouble(error: requests.exceptions.SSLError) -> str:
    seen: BaseException | None = error
    while seen is not None:
        reason = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        if isinstance(seen, ssl.SSLCertVerificationError):
            return seen.verify_message
        seen = reason if isinstance(reason, BaseException) else seen.__cause__ or seen.__context__
    return "the handshake failed"


def _secrets(settings: CallApiSettings) -> tuple[str, ...]:
    key = settings.api_key
    if not key:
        raise Misconfigured("the API key is empty", "put it into the file that api.key names")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise Misconfigured(
            "the API key holds a blank or an unprintable character", "the file must hold the key alone, no comment"
        )
    proxy = urlsplit(settings.proxy or "")
    return tuple(secret for secret in (key, proxy.password) if secret)


def _verify(ca_file: Path | None) -> str | bool:
    """The certificates to trust: the operator's, else the system's, else (True) those that came with the agent."""
    if ca_file is None:
        system = Path(ssl.get_default_verify_paths().openssl_capath)
        return str(system) if system.is_dir() and any(system.iterdir()) else True
    try:
        ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(
            f"{ca_file} cannot be used as a CA bundle: {error.strerror or error}",
            "api.ca_file: a PEM file of certificates",
        ) from error
    return str(ca_file)


def _proxies(proxy: str | None) -> dict[str, str]:
    if not proxy:
        return {}
    if urlsplit(proxy).scheme not in {"http", "https"}:
        raise Misconfigured("api.proxy is not an HTTP proxy", "write it as http://[user:password@]host:port")
    return {"http": proxy, "https": proxy}

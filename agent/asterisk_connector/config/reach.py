"""Whether what the settings name can be reached from here. The only tier that opens connections.

- Nothing is sent that could be taken for a call, an event or a change: a TLS handshake, a login, a question.
- One function per section, registered in `CHECKS`; each is run only for what is configured and ends within its own
  timeouts. Drivers are imported inside the function that needs them.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlsplit

from asterisk_connector.config import reach_messaging, reach_tables
from asterisk_connector.config.finding import Finding
from asterisk_connector.config.model import Api, Settings

ReachCheck = Callable[[Settings], Iterable[Finding]]
"""Looks at one section; yields nothing where it is not configured. Raises nothing for what the network does."""

_SOON = 14 * 86400


def api(settings: Settings) -> Iterator[Finding]:
    """A TLS handshake with the call API, through the proxy where one is set. No request is made."""
    if settings.api is None:
        return
    from asterisk_connector.sinks.call_api import endpoint

    address = urlsplit(endpoint(settings.api.region, settings.api.url or ""))
    where = f"{address.hostname}:{address.port or (443 if address.scheme == 'https' else 80)}"
    try:
        connection = _connected(settings.api, address.scheme, address.hostname or "", address.port)
    except ssl.SSLCertVerificationError as error:
        said = f"{where} shows a certificate that is not trusted: {error.verify_message}"
        yield Finding("error", "api", said, "give api.ca_file if a proxy or a private authority stands between")
    except ssl.SSLError as error:
        yield Finding("error", "api", f"{where} answers, but TLS fails: {error.reason}")
    except socket.gaierror as error:
        yield Finding("error", "api", f"the name {address.hostname} is not known: {error.strerror}", "check DNS")
    except TimeoutError:
        yield Finding("error", "api", f"{where} does not answer", "check the firewall, or api.proxy")
    except (OSError, http.client.HTTPException) as error:
        yield Finding("error", "api", f"{where} cannot be reached: {error}", "check the firewall, or api.proxy")
    else:
        yield from _answered(connection, where)
        connection.close()


def _connected(api: Api, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    """A connection that stands, TLS verified."""
    context = ssl.create_default_context(cafile=str(api.ca_file) if api.ca_file else None)
    target = (host, port)
    if api.proxy:
        proxy = urlsplit(api.proxy)
        target = (proxy.hostname or "", proxy.port)
    if scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            *target, timeout=api.connect_timeout, context=context
        )
    else:
        connection = http.client.HTTPConnection(*target, timeout=api.connect_timeout)
    if api.proxy and scheme == "https":
        headers = {}
        if api.proxy_user and api.proxy_password:
            login = f"{api.proxy_user}:{api.proxy_password.reveal()}"
            headers["Proxy-Authorization"] = "Basic " + b64encode(login.encode()).decode()
        connection.set_tunnel(host, port, headers)
    connection.connect()
    return connection


def _answered(connection: http.client.HTTPConnection, where: str) -> Iterator[Finding]:
    sock = connection.sock
    if not isinstance(sock, ssl.SSLSocket):
        yield Finding("ok", "api", f"{where} answers, without TLS")
        return
    until = (sock.getpeercert() or {}).get("notAfter")
    left = ssl.cert_time_to_seconds(until) - time.time() if isinstance(until, str) else _SOON
    if left < _SOON:
        yield Finding("warning", "api", f"{where} answers; its certificate ends in {left / 86400:.0f} days")
    else:
        yield Finding("ok", "api", f"{where} answers with {sock.version()} and a trusted certificate")


CHECKS: dict[str, ReachCheck] = {
    "api": api,
    "tables": reach_tables.tables,
    "ami": reach_messaging.ami,
    "kafka": reach_messaging.kafka,
}
"""By section, in the order they are asked. A room's own check is added here."""

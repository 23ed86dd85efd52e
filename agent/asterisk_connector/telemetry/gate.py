"""Who may ask: by address, by the name they ask for, by the token. Pure.

- Without settings only this host itself may ask.
- A page of somebody else's that a browser on this host shows must not read ours by giving its own name our address (DNS
  rebinding): the `Host` must be an IP address, localhost, a name of this host or of the settings; or a token is shown.
- The token is shown as `Authorization: Bearer …`, or by the cookie that a browser gets for it once. The cookie is made
  from the token, does not tell it, and ends with it. Compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from asterisk_connector.telemetry.request import Answer, Request, sentence

COOKIE = "asterisk_connector"


class Gate:
    """Lets requests in, or says why not. `names` are those of this host beside localhost and its addresses."""

    def __init__(
        self, *, token: str | None = None, allow: Iterable[IPv4Network | IPv6Network] = (), names: Iterable[str] = ()
    ) -> None:
        self._token = None if token is None else token.encode()
        self._allow = tuple(allow)
        self._names = {"localhost", *(name.lower().rstrip(".") for name in names)}
        self._cookie = "" if token is None else hmac.new(token.encode(), b"status page", hashlib.sha256).hexdigest()

    def stranger(self, peer: str) -> Answer | None:
        """What to answer instead of anything at all, None when this address may ask."""
        address = _plain(peer)
        if address.is_loopback or any(address in network for network in self._allow):
            return None
        if not self._allow and self._token is not None:
            return None
        return sentence(403, f"{address} may not ask here; `http.allow` of the configuration says who may.")

    def refusal(self, request: Request) -> Answer | None:
        """What to answer instead of what is told only to those who may know, None for these."""
        if self._token is not None:
            if self._shows_token(request):
                return None
            return sentence(
                401,
                "A token is needed: `Authorization: Bearer …`; in a browser, begin at /.",
                ("WWW-Authenticate", "Bearer"),
            )
        host = request.headers.get("host", "localhost")
        if not self._is_ours(host):
            return sentence(403, f"{host} is not a name of this host; `http.names` of the configuration can add it.")
        return None

    def cookie_for(self, token: str) -> str | None:
        """The Set-Cookie that lets a browser in which showed this token; None for a wrong one."""
        if self._token is None or not hmac.compare_digest(token.encode(), self._token):
            return None
        return f"{COOKIE}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"

    def _shows_token(self, request: Request) -> bool:
        assert self._token is not None
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), self._token):
            return True
        try:
            cookie = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), self._cookie.encode())

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
        try:
            ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name.lower().rstrip(".") in self._names
        return True


def _plain(peer: str) -> IPv4Address | IPv6Address:
    """The address of a peer; an IPv4 one that came over an IPv6 socket as itself."""
    address = ip_address(peer.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address

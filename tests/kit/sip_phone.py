"""A small SIP telephone over UDP for a closed bench: it rings, answers, rejects, dials, holds, transfers, hangs up.

- One thread receives for each phone; a call's methods only send, its `wait_*` methods wait with a bound.
- A phone says what it did and saw in `Call.log`: (monotonic seconds, word), the human truth of a test.
- Only what RFC 3261, 3515 (REFER) and 3891 (Replaces) need on a lossless loopback: no retransmission of requests, no
  registration, no authentication; keys are pressed by INFO. While a call is up silence flows as PCMU, so that
  recordings have length.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, Queue

SHORT_NAMES = {"i": "call-id", "f": "from", "t": "to", "v": "via", "m": "contact", "c": "content-type"}
REASONS = {302: "Moved Temporarily", 404: "Not Found", 480: "Unavailable", 486: "Busy Here", 503: "Service Unavailable"}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a phone does when it is called: rings, then answers after `answer` seconds, or rejects with a code.

    All None: it rings until the caller gives up. `forward` is the number a 302 points to.
    """

    answer: float | None = None
    reject: int | None = None
    forward: str | None = None
    delay: float = 0.05


def answers(after: float = 0.2) -> Behaviour:
    """Rings and answers after so many seconds."""
    return Behaviour(answer=after)


def rings() -> Behaviour:
    """Rings and is never answered."""
    return Behaviour()


def rejects(code: int) -> Behaviour:
    """Says no at once."""
    return Behaviour(reject=code)


def forwards(number: str) -> Behaviour:
    """Sends the caller to another number (302)."""
    return Behaviour(reject=302, forward=number)


class Message:
    """One SIP message, as received."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        self.headers = []
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            self.headers.append((SHORT_NAMES.get(name, name), value.strip()))
        words = first.split(" ", 2)
        self.code = int(words[1]) if words[0] == "SIP/2.0" else 0
        self.method = self["cseq"].split()[1] if self.code else words[0]
        self.cseq = int(self["cseq"].split()[0])

    def __getitem__(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


def tag_of(header: str) -> str:
    return header.partition(";tag=")[2].partition(";")[0]


def uri_of(header: str) -> str:
    return header.partition("<")[2].partition(">")[0] if "<" in header else header.partition(";")[0]


class Call:
    """One dialog of one phone."""

    def __init__(self, phone: SipPhone, identity: str, local: str, remote: str, target: str) -> None:
        self.phone = phone
        self.identity = identity
        self.local, self.remote, self.target = local, remote, target
        self.local_tag, self.remote_tag = secrets.token_hex(4), ""
        self.state = "new"
        self.code = 0
        self.log: list[tuple[float, str]] = []
        self.cseq = 100
        self.invite: Message | None = None
        self.dialled = (0, "", "")
        self._changed = threading.Condition()
        self._media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._media.bind((phone.address, 0))

    # waiting

    def _wait(self, wanted: Callable[[], bool], timeout: float, what: str) -> Call:
        with self._changed:
            if not self._changed.wait_for(wanted, timeout):
                raise AssertionError(f"{self.phone.user}: not {what} within {timeout} s; saw {self.words}")
        return self

    @property
    def words(self) -> list[str]:
        return [word for _, word in self.log]

    def wait_ringing(self, timeout: float = 10) -> Call:
        return self._wait(lambda: "ringing" in self.words, timeout, "ringing")

    def wait_answered(self, timeout: float = 15) -> Call:
        self._wait(lambda: self.state in {"up", "ended"}, timeout, "answered")
        assert "answered" in self.words, f"{self.phone.user}: ended with {self.code}, not answered; saw {self.words}"
        return self

    def wait_ended(self, timeout: float = 30) -> Call:
        return self._wait(lambda: self.state == "ended", timeout, "ended")

    def when(self, word: str) -> float:
        """Monotonic seconds at which this was first logged."""
        return next(at for at, said in self.log if said == word)

    # what a person does

    def bye(self) -> None:
        """Hangs up an answered call."""
        if self.state == "up":
            self.request("BYE")
            self.turn("ended", "hung up")

    def cancel(self) -> None:
        """Gives up a call that is not answered."""
        cseq, branch, uri = self.dialled
        self.turn("cancelling", "cancelled")
        self.request("CANCEL", cseq=cseq, branch=branch, uri=uri)

    def hold(self) -> None:
        """Re-INVITE: sendonly."""
        self.turn(self.state, "held")
        self.request("INVITE", body=self.offer("sendonly"))

    def resume(self) -> None:
        """Re-INVITE: sendrecv."""
        self.turn(self.state, "resumed")
        self.request("INVITE", body=self.offer("sendrecv"))

    def press(self, digits: str, gap: float = 0.15) -> None:
        """Tones by INFO, as a person presses keys."""
        self.turn(self.state, f"pressed {digits}")
        for digit in digits:
            self.request("INFO", body=f"Signal={digit}\r\nDuration=100\r\n", kind="application/dtmf-relay")
            time.sleep(gap)

    def transfer(self, number: str) -> None:
        """Blind transfer by REFER."""
        self.turn(self.state, f"transferred to {number}")
        self.request("REFER", headers=[f"Refer-To: <sip:{number}@{self.phone.server}>", self._referred_by])

    def transfer_to(self, other: Call, number: str) -> None:
        """Attended transfer: REFER with Replaces of another call of this phone (it may still ring)."""
        self.turn(self.state, f"joined with {number}")
        replaced = f"{other.identity.replace('@', '%40')}%3Bto-tag%3D{other.remote_tag}%3Bfrom-tag%3D{other.local_tag}"
        self.request(
            "REFER", headers=[f"Refer-To: <sip:{number}@{self.phone.server}?Replaces={replaced}>", self._referred_by]
        )

    # sending

    @property
    def _referred_by(self) -> str:
        return f"Referred-By: <sip:{self.phone.user}@{self.phone.address}>"

    def offer(self, direction: str = "sendrecv") -> str:
        """The session description: one PCMU stream."""
        address, port = self._media.getsockname()
        version = time.monotonic_ns()
        return (
            f"v=0\r\no=- {port} {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na={direction}\r\n"
        )

    def request(
        self,
        method: str,
        *,
        body: str = "",
        kind: str = "application/sdp",
        headers: Sequence[str] = (),
        cseq: int | None = None,
        branch: str = "",
        uri: str = "",
    ) -> tuple[int, str, str]:
        """Sends a request of this dialog; returns its sequence number, branch and URI."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        branch = branch or "z9hG4bK" + secrets.token_hex(6)
        uri = uri or self.target
        phone = self.phone
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {phone.address}:{phone.port};branch={branch};rport",
            "Max-Forwards: 70",
            f"From: {self.local};tag={self.local_tag}",
            f"To: {self.remote}" + (f";tag={self.remote_tag}" if self.remote_tag and method != "CANCEL" else ""),
            f"Call-ID: {self.identity}",
            f"CSeq: {cseq} {method}",
            f"Contact: {phone.contact}",
            *headers,
            *([f"Content-Type: {kind}"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        phone.send("\r\n".join(lines) + "\r\n\r\n" + body)
        return cseq, branch, uri

    def turn(self, state: str, word: str) -> None:
        """Notes what happened and wakes whoever waits."""
        with self._changed:
            self.state = state
            self.log.append((time.monotonic(), word))
            self._changed.notify_all()

    def talk(self, description: str) -> None:
        """Sends silence to the other side's media address until the call ends."""
        lines = description.replace("\r", "").split("\n")
        host = next((line.split()[2] for line in lines if line.startswith("c=IN IP4 ")), "")
        port = next((int(line.split()[1]) for line in lines if line.startswith("m=audio ")), 0)
        if host and port:
            threading.Thread(
                target=self._silence, args=(host, port), name=f"media {self.identity}", daemon=True
            ).start()

    def _silence(self, host: str, port: int) -> None:
        source, number = secrets.randbits(32), 0
        with self._media, contextlib.suppress(OSError):
            while self.state != "ended":
                header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160 & 0xFFFFFFFF, source)
                self._media.sendto(header + b"\xff" * 160, (host, port))
                number += 1
                with self._changed:
                    self._changed.wait(0.02)


class SipPhone:
    """A phone at `address:port`; `behaviour` says what it does with the next incoming calls."""

    def __init__(self, user: str, address: str, port: int, headers: Sequence[str] = ()) -> None:
        self.user, self.address, self.port = user, address, port
        self.server = f"{address}:5060"
        self.contact = f"<sip:{user}@{address}:{port}>"
        self.behaviour = answers()
        self.calls: dict[str, Call] = {}
        self._headers = headers
        self._incoming: Queue[Call] = Queue()
        self._sent: dict[tuple[str, str], str] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind((address, port))
        self._thread = threading.Thread(target=self._receive, name=f"phone {user}", daemon=True)
        self._thread.start()

    def dial(self, number: str, caller: str = "", name: str = "") -> Call:
        """Calls a number; a trunk gives the caller's number and name."""
        identity = f"{self.user}-{secrets.token_hex(6)}@{self.address}"
        shown = f'"{name}" ' if name else ""
        target = f"sip:{number}@{self.server}"
        local = f"{shown}<sip:{caller or self.user}@{self.address}>"
        call = Call(self, identity, local, f"<sip:{number}@{self.address}>", target)
        self.calls[identity] = call
        call.turn("calling", f"dialled {number}")
        call.dialled = call.request("INVITE", body=call.offer(), headers=self._headers)
        return call

    def next_call(self, timeout: float = 15) -> Call:
        """The next incoming call."""
        try:
            return self._incoming.get(timeout=timeout)
        except Empty:
            raise AssertionError(f"{self.user} was not called within {timeout} s") from None

    def forget(self) -> None:
        """Hangs up what is left and forgets earlier calls."""
        for call in list(self.calls.values()):
            call.bye()
        self.calls.clear()
        self._sent.clear()
        self._incoming = Queue()
        self.behaviour = answers()

    def close(self) -> None:
        """The phone is gone."""
        self.forget()
        self._socket.sendto(b"", (self.address, self.port))  # wakes the receiver
        self._thread.join(5)
        self._socket.close()

    def send(self, text: str) -> None:
        """Sends one message to Asterisk."""
        host, _, port = self.server.partition(":")
        with contextlib.suppress(OSError):
            self._socket.sendto(text.encode(), (host, int(port)))

    # receiving

    def _receive(self) -> None:
        while data := self._socket.recv(65536):
            if len(data) < 10:  # a keep-alive
                continue
            message = Message(data)
            if message.code:
                self._on_response(message)
            else:
                self._on_request(message)

    def _respond(
        self, message: Message, code: int, call: Call | None = None, body: str = "", contact: str = ""
    ) -> None:
        to = message["to"]
        if call is not None and code > 100 and not tag_of(to):
            to += f";tag={call.local_tag}"
        lines = [
            f"SIP/2.0 {code} {REASONS.get(code, 'Said')}",
            *(f"Via: {via}" for via in message.all("via")),
            f"From: {message['from']}",
            f"To: {to}",
            f"Call-ID: {message['call-id']}",
            f"CSeq: {message['cseq']}",
            f"Contact: {contact or self.contact}",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        text = "\r\n".join(lines) + "\r\n\r\n" + body
        self._sent[message["call-id"], message["cseq"]] = text
        self.send(text)

    def _on_request(self, message: Message) -> None:
        if message.method == "ACK":
            return
        repeated = self._sent.get((message["call-id"], message["cseq"]))
        if repeated is not None:
            self.send(repeated)
            return
        call = self.calls.get(message["call-id"])
        match message.method:
            case "INVITE" if not tag_of(message["to"]):
                self._on_call(message)
            case "OPTIONS":
                self._respond(message, 200)
            case _ if call is None:
                self._respond(message, 481)
            case "CANCEL" if call.invite is not None:
                self._respond(message, 200, call)
                if call.state == "called":
                    call.turn("ended", "caller gave up")
                    self._respond(call.invite, 487, call)
            case "BYE":
                self._respond(message, 200, call)
                call.turn("ended", "other side hung up")
            case "INVITE" | "UPDATE":
                call.target = uri_of(message["contact"]) or call.target
                self._respond(message, 200, call, call.offer() if message.body else "")
            case _:
                self._respond(message, 200, call)

    def _on_call(self, message: Message) -> None:
        sender = message["from"]
        call = Call(self, message["call-id"], message["to"], sender.split(";tag=")[0], uri_of(message["contact"]))
        call.remote_tag = tag_of(sender)
        call.invite = message
        self.calls[call.identity] = call
        call.turn("called", f"called by {uri_of(sender).removeprefix('sip:').partition('@')[0]}")
        self._respond(message, 100)
        behaviour = self.behaviour
        if behaviour.reject is None:
            self._respond(message, 180, call)
            call.turn("called", "ringing")
        self._incoming.put(call)
        after = behaviour.delay if behaviour.reject is not None else behaviour.answer
        if after is not None:
            timer = threading.Timer(after, self._decide, (call, message, behaviour))
            timer.daemon = True
            timer.start()

    def _decide(self, call: Call, message: Message, behaviour: Behaviour) -> None:
        if call.state != "called":
            return
        if behaviour.reject is not None:
            contact = f"<sip:{behaviour.forward}@{self.server}>" if behaviour.forward else ""
            self._respond(message, behaviour.reject, call, contact=contact)
            call.code = behaviour.reject
            call.turn("ended", f"rejected {behaviour.reject}")
            return
        self._respond(message, 200, call, call.offer())
        call.turn("up", "answered")
        call.talk(message.body)

    def _on_response(self, message: Message) -> None:
        call = self.calls.get(message["call-id"])
        if call is None or message.method != "INVITE" or message.code == 100:
            return
        if message.code < 200:
            call.remote_tag = call.remote_tag or tag_of(message["to"])
            if call.state == "calling":
                call.turn("calling", "ringing")
        elif message.code < 300:
            call.remote_tag = tag_of(message["to"])
            call.target = uri_of(message["contact"]) or call.target
            call.request("ACK", cseq=message.cseq)
            if call.state == "calling":
                call.turn("up", "answered")
                call.talk(message.body)
            elif call.state == "cancelling":
                call.request("BYE")
                call.turn("ended", "answered too late")
        else:
            call.remote_tag = tag_of(message["to"])
            branch = message["via"].partition("branch=")[2].partition(";")[0]
            call.request("ACK", cseq=message.cseq, branch=branch, uri=call.dialled[2])
            if call.state in {"calling", "cancelling"}:
                call.code = message.code
                call.turn("ended", f"failed {message.code}")

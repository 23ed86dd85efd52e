"""The session against a scripted manager (failure modes by their numbers)."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from asterisk_connector.ami.connection import Tls
from asterisk_connector.ami.handshake import Account, Answers, Handshake
from asterisk_connector.ami.reconnect import Reconnect
from asterisk_connector.ami.session import Alive, Item, Learned, Lost, Opened, Read, Session, Settings
from asterisk_connector.ami.wire import Response
from asterisk_connector.clock import SystemClock
from asterisk_connector.errors import Misconfigured
from asterisk_connector.notices import AmiConnected, AmiDamaged, AmiLost, AmiUnavailable, Notice
from tests.kit.fake_ami import FakeAmi, denied, silence

HANGUP = b"Event: Hangup\r\nPrivilege: call,all\r\nChannel: PJSIP/100-1\r\nCause: 16\r\n\r\n"


class Listener:
    """Runs sessions in threads and keeps what they handed on."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.notices: list[Notice] = []
        self._running: list[tuple[Session, threading.Thread, threading.Event]] = []

    def start(self, ami: FakeAmi | None, *, port: int = 0, user: str = "agent", **settings: Any) -> Session:
        account = Account(
            user=user, secret="secret", md5=settings.pop("md5", True), events=settings.pop("events", "on")
        )
        session = Session(
            Settings(host="127.0.0.1", port=ami.port if ami else port, account=account, **settings),
            self.receive,
            clock=SystemClock(),
            notify=self.notices.append,
        )
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                session.round()
            session.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._running.append((session, thread, stop))
        return session

    def receive(self, items: Sequence[Item]) -> None:
        self.items += items

    def stop(self) -> None:
        for session, thread, stop in self._running:
            stop.set()
            session.wake()
            thread.join(10)
            assert not thread.is_alive()
        self._running.clear()

    def of(self, kind: type) -> list[Any]:
        return [item for item in self.items if isinstance(item, kind)]

    def told(self, kind: type) -> list[Any]:
        return [notice for notice in self.notices if isinstance(notice, kind)]


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.stop()


@pytest.fixture
def ami() -> Iterator[FakeAmi]:
    ami = FakeAmi()
    yield ami
    ami.close()


@pytest.mark.parametrize("md5", [True, False], ids=["md5", "plain"])
def test_a_session_says_who_asterisk_is_before_its_first_event(ami: FakeAmi, listener: Listener, md5: bool) -> None:
    ami.on_login += HANGUP
    listener.start(ami, md5=md5)
    ami.wait_for(lambda: listener.of(Read))
    assert isinstance(listener.items[0], Opened)
    assert listener.items[0].answers == Answers("52:54:00:ab:cd:ef", "22.10.1", "pbx-01", "2026-11-21 19:00:00", 7)
    assert [read.body for read in listener.of(Read)] == [HANGUP]
    sent = " ".join(value for action in ami.actions for value in action.values())
    assert ("secret" in sent) is not md5


def test_41_the_fullybooted_of_the_login_is_left_out_and_the_one_of_the_boot_is_not(
    ami: FakeAmi, listener: Listener
) -> None:
    boot = b"Event: FullyBooted\r\nPrivilege: system,all\r\nStatus: Fully Booted\r\nUptime: 0\r\nLastReload: 0\r\n\r\n"
    ami.on_login += boot + HANGUP
    listener.start(ami)
    ami.wait_for(lambda: len(listener.of(Read)) == 2)
    assert [read.body for read in listener.of(Read)] == [boot, HANGUP]


def test_07_events_arrive_whole_from_reads_of_one_byte(ami: FakeAmi, listener: Listener) -> None:
    listener.start(ami)
    ami.wait_for(lambda: listener.of(Opened))
    for byte in HANGUP * 3:
        ami.say(bytes([byte]))
    ami.wait_for(lambda: len(listener.of(Read)) == 3)
    assert {read.body for read in listener.of(Read)} == {HANGUP}


def test_01_a_session_comes_back_after_asterisk_did(listener: Listener) -> None:
    first = FakeAmi()
    listener.start(first)
    first.wait_for(lambda: listener.of(Opened))
    port = first.port
    first.close()
    first.wait_for(lambda: listener.told(AmiUnavailable))
    second = FakeAmi(port=port, version="22.11.0")
    second.wait_for(lambda: len(listener.of(Opened)) == 2)
    kinds = [type(item) for item in listener.items if not isinstance(item, Read)]
    assert kinds[:3] == [Opened, Lost, Opened]
    assert listener.of(Opened)[1].answers.version == "22.11.0"
    assert listener.told(AmiLost)[0].retry_in == 0.0
    second.close()


def test_01_names_that_do_not_resolve_and_ports_that_refuse_are_told_and_tried_again(listener: Listener) -> None:
    free = FakeAmi()
    port = free.port
    free.close()
    session = Session(
        Settings(host="no-such-host.invalid", port=5038, account=Account(user="a", secret="b")),
        listener.receive,
        clock=SystemClock(),
        notify=listener.notices.append,
    )
    session.round()
    session.round()
    assert "no-such-host.invalid" in listener.told(AmiUnavailable)[0].reason
    listener.start(None, port=port)
    free.wait_for(lambda: len(listener.told(AmiUnavailable)) == 2)
    assert "refused" in listener.told(AmiUnavailable)[1].reason


def test_02_the_schedule_is_at_once_then_close_then_calm_and_bounded() -> None:
    for dice in (0.0, 0.5, 0.999):
        schedule = Reconnect(lambda dice=dice: dice)
        waits = [schedule.failed() for _ in range(1000)]
        assert waits[0] == 0.0
        assert all(0.05 <= wait < 0.1 for wait in waits[1:41])
        assert all(0.05 <= wait <= 5.0 for wait in waits[1:])
        assert min(waits[-10:]) >= 2.5
        assert schedule.lost(0.1) > 0.0
        assert schedule.lost(60.0) == 0.0
        assert 30.0 <= schedule.refused() <= 45.0
        assert schedule.failed() > 0.0


def test_03_a_silent_half_open_connection_is_found_by_an_unanswered_ping(ami: FakeAmi, listener: Listener) -> None:
    listener.start(ami, ping_interval=0.2, ping_timeout=0.2, login_timeout=0.5)
    ami.wait_for(lambda: listener.of(Opened))
    ami.mute = True
    ami.wait_for(lambda: listener.told(AmiLost))
    assert "ping" in listener.told(AmiLost)[0].reason
    ami.mute = False
    ami.wait_for(lambda: len(listener.of(Opened)) == 2)


def test_05_a_quiet_asterisk_that_answers_pings_stays_connected(ami: FakeAmi, listener: Listener) -> None:
    listener.start(ami, ping_interval=0.05, ping_timeout=5.0)
    ami.wait_for(lambda: len(listener.of(Alive)) >= 10)
    assert ami.accepted == 1
    assert not listener.of(Lost)
    assert listener.of(Alive)[-1].calls == 7


def test_04_pings_leave_nothing_behind_answered_or_not() -> None:
    handshake = Handshake(Account(user="a", secret="b", md5=False), "tag")
    handshake.take(Response(b"Response: Success\r\nActionID: tag-1\r\n\r\n"))
    for n in range(10_000):
        handshake.ping()
        handshake.send = b""
        if n % 2:
            handshake.take(Response(b"Response: Success\r\nPing: Pong\r\n\r\n"))
    assert len(handshake._asked) <= 2


def test_06_a_wrong_secret_waits_half_a_minute_and_says_what_to_compare(ami: FakeAmi, listener: Listener) -> None:
    ami.secret = "another"
    listener.start(ami)
    ami.wait_for(lambda: listener.told(AmiUnavailable))
    notice = listener.told(AmiUnavailable)[0]
    assert notice.retry_in >= 30.0
    assert "Authentication failed" in notice.reason
    assert "manager.conf" in notice.hint
    assert "secret" not in notice.reason
    assert ami.accepted == 1


def test_16_an_event_with_the_action_id_of_our_own_ping_is_handed_on(ami: FakeAmi, listener: Listener) -> None:
    listener.start(ami, ping_interval=0.05)
    ami.wait_for(lambda: any(action["Action"] == "Ping" for action in ami.actions))
    own = next(action["ActionID"] for action in ami.actions if action["Action"] == "Ping")
    event = f"Event: UserEvent\r\nPrivilege: user,all\r\nActionID: {own}\r\nUserEvent: x\r\n\r\n".encode()
    ami.say(event)
    ami.wait_for(lambda: event in [read.body for read in listener.of(Read)])


def test_17_questions_that_are_never_answered_hold_events_only_for_a_moment(ami: FakeAmi, listener: Listener) -> None:
    ami.answers["CoreSettings"] = silence
    ami.on_login += HANGUP
    listener.start(ami)
    ami.wait_for(lambda: listener.of(Read))
    assert listener.of(Opened)[0].answers == Answers("52:54:00:ab:cd:ef", None, None, "2026-11-21 19:00:00", 7)


def test_24_the_last_event_before_a_stop_is_handed_on(
    ami: FakeAmi, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asterisk_connector.ami.session._QUIET", 60.0)
    session = listener.start(ami)
    ami.wait_for(lambda: listener.of(Opened))
    ami.say(HANGUP)
    ami.wait_for(lambda: session._talk is not None and session._talk.framer.holding)
    listener.stop()
    assert [read.body for read in listener.of(Read)] == [HANGUP]
    assert isinstance(listener.items[-1], Lost)


def test_an_answer_that_comes_late_is_learned(ami: FakeAmi, listener: Listener) -> None:
    ami.answers["CoreSettings"] = silence
    listener.start(ami)
    ami.wait_for(lambda: listener.of(Opened))
    asked = next(action["ActionID"] for action in ami.actions if action["Action"] == "CoreSettings")
    ami.say(f"Response: Success\r\nActionID: {asked}\r\nAsteriskVersion: 22.9.0\r\nSystemName: \r\n\r\n".encode())
    ami.wait_for(lambda: listener.of(Learned))
    assert listener.of(Learned)[0].answers.version == "22.9.0"


def test_an_account_that_may_ask_nothing_still_gets_every_event(ami: FakeAmi, listener: Listener) -> None:
    for action in ("Getvar", "CoreSettings", "CoreStatus"):
        ami.answers[action] = denied
    ami.on_login += HANGUP
    listener.start(ami)
    ami.wait_for(lambda: listener.of(Read))
    assert listener.of(Opened)[0].answers == Answers()


def test_who_asterisk_is_can_come_from_its_console_command(ami: FakeAmi, listener: Listener) -> None:
    ami.answers["Getvar"] = ami.answers["CoreSettings"] = denied
    ami.answers["Command"] = lambda action: (
        b"Response: Success\r\nMessage: Command output follows\r\nOutput: \r\nOutput: PBX Core settings\r\n"
        b"Output:   Version:           18.9\r\nOutput:   Entity ID:                   00:11:22:33:44:55\r\n\r\n"
    )
    listener.start(ami)
    ami.wait_for(lambda: listener.of(Opened))
    assert listener.of(Opened)[0].answers[:2] == ("00:11:22:33:44:55", "18.9")


def test_38_events_go_on_through_a_reload(ami: FakeAmi, listener: Listener) -> None:
    reload = b"Event: Reload\r\nPrivilege: system,all\r\nModule: manager\r\nStatus: 0\r\n\r\n"
    listener.start(ami)
    ami.wait_for(lambda: listener.of(Opened))
    ami.say(HANGUP + reload + HANGUP)
    ami.wait_for(lambda: len(listener.of(Read)) == 3)
    assert not listener.of(Lost)


def test_39_a_close_without_a_greeting_is_an_attempt_like_any_other(listener: Listener) -> None:
    ami = FakeAmi(greeting=None)
    listener.start(ami)
    ami.wait_for(lambda: ami.accepted >= 3)
    assert "authlimit" in listener.told(AmiUnavailable)[0].reason
    assert listener.told(AmiUnavailable)[0].hint == ""
    ami.greeting = b"Asterisk Call Manager/5.0.2\r\n"
    ami.wait_for(lambda: listener.of(Opened))
    ami.close()


def test_40_a_greeting_may_come_late(ami: FakeAmi, listener: Listener) -> None:
    ami.greets_late = True
    listener.start(ami, md5=False)
    ami.wait_for(lambda: listener.of(Opened))


def test_another_service_on_the_port_is_the_operators_matter(listener: Listener) -> None:
    ami = FakeAmi(greeting=b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n")
    listener.start(ami)
    ami.wait_for(lambda: listener.told(AmiUnavailable))
    assert "no Asterisk manager" in listener.told(AmiUnavailable)[0].reason
    assert listener.told(AmiUnavailable)[0].retry_in >= 30.0
    ami.close()


def test_43_an_outage_of_many_attempts_is_told_once(listener: Listener) -> None:
    ami = FakeAmi(greeting=None)
    listener.start(ami)
    ami.wait_for(lambda: ami.accepted >= 20)
    assert len(listener.told(AmiUnavailable)) == 1
    ami.close()


def test_14_a_damaged_event_is_told_and_the_next_one_handed_on(ami: FakeAmi, listener: Listener) -> None:
    listener.start(ami)
    ami.wait_for(lambda: listener.of(Opened))
    ami.say(HANGUP[:50] + HANGUP)
    ami.wait_for(lambda: listener.of(Read))
    assert [read.body for read in listener.of(Read)] == [HANGUP]
    assert listener.told(AmiDamaged)[0].reason == "cut"


def test_events_about_our_own_login_can_be_hidden(ami: FakeAmi, listener: Listener) -> None:
    def auth(user: str) -> bytes:
        return (
            f"Event: SuccessfulAuth\r\nPrivilege: security,all\r\nService: AMI\r\nAccountID: {user}\r\nX: y\r\n\r\n"
        ).encode()

    ami.on_login += auth("agent") + auth("agent2")
    listener.start(ami, hide_own_login=True)
    ami.wait_for(lambda: listener.of(Read))
    assert [read.body for read in listener.of(Read)] == [auth("agent2")]


@pytest.mark.parametrize(
    "account",
    [
        {"secret": "a\r\nAction: Command"},
        {"user": ""},
        {"events": "call,cel"},
        {"events": "cals"},
    ],
)
def test_settings_that_asterisk_would_misread_are_refused(account: dict[str, str], listener: Listener) -> None:
    full = {"user": "agent", "secret": "secret", **account}
    with pytest.raises(Misconfigured):
        Session(
            Settings(host="127.0.0.1", port=1, account=Account(**full)),
            listener.receive,
            clock=SystemClock(),
            notify=listener.notices.append,
        )


def test_the_classes_asked_for_are_sent_with_the_login(ami: FakeAmi, listener: Listener) -> None:
    listener.start(ami, events="call,dialplan,user")
    ami.wait_for(lambda: listener.of(Opened))
    assert next(a for a in ami.actions if a["Action"] == "Login")["Events"] == "call,dialplan,user"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=pbx.example"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:pbx.example", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def _fingerprint(cert: Path) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert.read_text())).hexdigest().upper()


@pytest.mark.parametrize(
    "tls",
    [
        lambda cert: Tls(ca_file=cert, server_name="pbx.example"),
        lambda cert: Tls(fingerprint=":".join(_fingerprint(cert)[i : i + 2] for i in range(0, 64, 2))),
    ],
    ids=["ca", "fingerprint"],
)
def test_tls_by_ca_or_by_fingerprint(
    tls: Callable[[Path], Tls], certificate: tuple[Path, ssl.SSLContext], listener: Listener
) -> None:
    ami = FakeAmi(tls=certificate[1])
    listener.start(ami, tls=tls(certificate[0]))
    ami.wait_for(lambda: listener.of(Opened))
    ami.say(HANGUP * 2000)
    ami.wait_for(lambda: len(listener.of(Read)) == 2000)
    ami.close()


@pytest.mark.parametrize(
    "tls",
    [
        lambda cert: Tls(),
        lambda cert: Tls(ca_file=cert),
        lambda cert: Tls(fingerprint="00" * 32),
        lambda cert: Tls(ca_file=Path("/nonexistent.pem")),
    ],
    ids=["unknown-ca", "wrong-name", "wrong-fingerprint", "no-ca-file"],
)
def test_36_a_certificate_that_is_not_accepted_is_the_operators_matter(
    tls: Callable[[Path], Tls], certificate: tuple[Path, ssl.SSLContext], listener: Listener
) -> None:
    ami = FakeAmi(tls=certificate[1])
    listener.start(ami, tls=tls(certificate[0]))
    ami.wait_for(lambda: listener.told(AmiUnavailable))
    notice = listener.told(AmiUnavailable)[0]
    assert notice.hint
    assert notice.retry_in >= 30.0
    assert not listener.told(AmiConnected)
    ami.close()


def test_36_an_expired_certificate_is_told_and_its_renewal_taken(
    tmp_path: Path,
    certificate: tuple[Path, ssl.SSLContext],
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("asterisk_connector.ami.reconnect._REFUSED", 0.1)
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=old -keyout old.key -out made.pem"
    for command in (
        f"{made} -addext subjectAltName=DNS:pbx.example",
        "x509 -in made.pem -signkey old.key -days -1 -out old.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    expired = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    expired.load_cert_chain(tmp_path / "old.pem", tmp_path / "old.key")
    trusted = tmp_path / "trusted.pem"
    trusted.write_text((tmp_path / "old.pem").read_text() + certificate[0].read_text())
    ami = FakeAmi(tls=expired)
    listener.start(ami, tls=Tls(ca_file=trusted, server_name="pbx.example"))
    ami.wait_for(lambda: listener.told(AmiUnavailable))
    assert "expired" in listener.told(AmiUnavailable)[0].reason
    ami.renew(certificate[1])
    ami.wait_for(lambda: listener.of(Opened))
    ami.drop()
    ami.wait_for(lambda: len(listener.of(Opened)) == 2)
    ami.close()


def test_44_nothing_runs_hot_while_there_is_no_session(listener: Listener) -> None:
    free = FakeAmi()
    port = free.port
    free.close()
    rounds = 0
    session = Session(
        Settings(host="127.0.0.1", port=port, account=Account(user="a", secret="b")),
        listener.receive,
        clock=SystemClock(),
        notify=listener.notices.append,
        dice=lambda: 0.5,
    )
    began = SystemClock().monotonic()
    while SystemClock().monotonic() - began < 0.5:
        session.round()
        rounds += 1
    assert rounds <= 20

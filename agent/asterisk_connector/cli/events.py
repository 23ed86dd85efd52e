"""`asterisk-connector events …`: what is published of AMI events, out of a capture or live, without Kafka.

One JSON object a line: `key`, `headers` in their order, `value` as text, and `value_base64` where it is not UTF-8.
"""

from __future__ import annotations

import base64
import gzip
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import click
import msgspec

from asterisk_connector.ami.session import Item, Learned, Opened, Read, Session, said_to_login_alone
from asterisk_connector.ami.wire import Debris, Event, Frame, Framer, Greeting
from asterisk_connector.cli.configuration import config_option, settings_of
from asterisk_connector.clock import SystemClock
from asterisk_connector.config import publishing
from asterisk_connector.config.messaging import Events
from asterisk_connector.errors import Misconfigured
from asterisk_connector.notices import AmiLost, AmiUnavailable, Notice
from asterisk_connector.records import Micros
from asterisk_connector.relay.encode import Encoder, Format, Identity
from asterisk_connector.relay.filters import Filters, parse_line
from asterisk_connector.relay.identity import NO_ENTITY, Facts, identify

_CHUNK = 1 << 18
_LINE_HELP = "A filter as in ami_kafka.conf, instead of the configured ones; repeatable."
_TIMESTAMP = b"\r\nTimestamp: "


class Preview(NamedTuple):
    """What decides about the records."""

    filters: Filters
    encoder: Encoder

    def line(self, body: bytes, at: Micros, identity: Identity) -> bytes | None:
        """One event as it would be published, None where the filters leave it out."""
        if not self.filters.admits(body[7 : body.index(b"\r\n")], body):
            return None
        record = self.encoder.encode(body, at, identity)
        shown: dict[str, Any] = {
            "key": None if record.key is None else record.key.decode(errors="replace"),
            "headers": {n: v.decode(errors="replace") for n, v in self.encoder.headers(record, identity)},
            "value": record.value.decode(errors="replace"),
        }
        try:
            record.value.decode()
        except UnicodeDecodeError:
            shown["value_base64"] = base64.b64encode(record.value).decode()
        return msgspec.json.encode(shown)


@click.group()
def events() -> None:
    """What is published of AMI events, out of a capture or live; no Kafka is needed.

    One JSON object a line: `key`, `headers`, `value`, and `value_base64` where the value is not UTF-8.
    """


@events.command()
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Filters, format and key from here.")
@click.option("--format", "form", type=click.Choice(["json", "ami"]), help="Form of the value.  [default: json]")
@click.option("--entity-id", help=f"Entity id.  [default: {NO_ENTITY}]")
@click.option("--system-name", help="System name.  [default: none]")
@click.option("--asterisk-version", default="unknown", show_default=True, help="Asterisk's version.")
@click.option("--hostname", help="Host name.  [default: this host's]")
@click.option("--eventfilter", "lines", multiple=True, metavar="LINE", help=_LINE_HELP)
def preview(
    *,
    capture: Path,
    config_file: Path | None,
    form: Format | None,
    entity_id: str | None,
    system_name: str | None,
    asterisk_version: str,
    hostname: str | None,
    lines: tuple[str, ...],
) -> None:
    """Prints the records that a raw AMI capture would be published as.

    CAPTURE is the bytes of one or more AMI sessions, `-` for standard input, compressed (.gz) or not. The record's
    time is the event's own `Timestamp`, where it has one, else now.
    """
    configured = None if config_file is None else _events_of(config_file)
    preview = _preview(configured, form, lines)
    identity = Identity(
        entity_id or (configured.entity_id if configured else "") or NO_ENTITY,
        system_name if system_name is not None else (configured.system_name if configured else ""),
        asterisk_version,
        hostname or socket.gethostname() or "unknown",
    )
    now = SystemClock().now()
    debris = 0
    for frame in _published(capture):
        if isinstance(frame, Debris):
            debris += 1
        elif (line := preview.line(frame.body, _written_at(frame.body) or now, identity)) is not None:
            click.echo(line)
    if debris:
        click.echo(f"{debris} damaged stretches of the capture are no events and were left out", err=True)


@events.command()
@config_option
@click.option("--format", "form", type=click.Choice(["json", "ami"]), help="Form of the value.  [default: configured]")
@click.option("--eventfilter", "lines", multiple=True, metavar="LINE", help=_LINE_HELP)
def tail(config_file: Path, form: Format | None, lines: tuple[str, ...]) -> None:
    """Prints the records of live events until Ctrl-C.

    It logs in with a session of its own, as `ami` says, beside the service's; filters, format and key are those of
    `events`, where there is one.
    """
    settings = settings_of(config_file)
    if settings.ami is None:
        raise Misconfigured("there is no manager session to listen to", "write `ami` with host, user and secret_file")
    configured = settings.events
    preview = _preview(configured, form, lines)
    facts = Facts(configured.entity_id, configured.system_name) if configured else Facts()
    identity = Identity(NO_ENTITY, "", "unknown", socket.gethostname())

    def receive(items: Sequence[Item]) -> None:
        nonlocal identity
        for item in items:
            if isinstance(item, Opened | Learned):
                identity = identify(item.answers, configured=facts, hostname=socket.gethostname())
            elif isinstance(item, Read) and (line := preview.line(item.body, item.at, identity)) is not None:
                click.echo(line)

    quietly = configured is not None and configured.hide_own_login
    talk = publishing.ami_session(settings.ami, hide_own_login=quietly)
    session = Session(talk, receive, clock=SystemClock(), notify=_complain)
    try:
        while True:
            session.round()
    finally:
        session.close()


def _preview(configured: Events | None, form: Format | None, lines: tuple[str, ...]) -> Preview:
    """Lines given on the command line replace the configured filters."""
    rules = [parse_line(line) for line in lines]
    if not lines and configured is not None:
        rules = publishing.event_filters(configured)
    encoder = Encoder(form or "json") if configured is None else publishing.event_encoder(configured, form)
    return Preview(Filters(rules), encoder)


def _events_of(config_file: Path) -> Events | None:
    return settings_of(config_file).events


def _published(capture: Path) -> Iterator[Event | Debris]:
    """Every event of a capture but the one Asterisk says to each login alone."""
    first = True
    for frame in _frames(capture):
        if isinstance(frame, Greeting):
            first = True
        elif isinstance(frame, Event):
            alone, first = first and said_to_login_alone(frame.body), False
            if not alone:
                yield frame
        elif isinstance(frame, Debris):
            yield frame


def _frames(capture: Path) -> Iterator[Frame]:
    framer = Framer()
    with ExitStack() as stack:
        stream = _open(capture, stack)
        while chunk := stream.read(_CHUNK):
            yield from framer.feed(chunk)
    yield from framer.close()


def _open(capture: Path, stack: ExitStack) -> IO[bytes]:
    if str(capture) == "-":
        return sys.stdin.buffer
    try:
        with capture.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        return cast(IO[bytes], stack.enter_context(gzip.open(capture, "rb") if packed else capture.open("rb")))
    except OSError as error:
        raise Misconfigured(f"{capture}: {error.strerror}", "name a file with the bytes of an AMI session") from None


def _written_at(body: bytes) -> Micros | None:
    """The event's own `Timestamp: <seconds>.<microseconds>`, where Asterisk writes it (`timestampevents`)."""
    start = body.find(_TIMESTAMP)
    if start < 0:
        return None
    seconds, _, fraction = body[start + len(_TIMESTAMP) :].split(b"\r", 1)[0].partition(b".")
    if not seconds.isdigit() or not (fraction or b"0").isdigit():
        return None
    return int(seconds) * 1_000_000 + int((fraction + b"000000")[:6])


def _complain(notice: Notice) -> None:
    if isinstance(notice, AmiUnavailable | AmiLost):
        advice = f" ({notice.hint})" if isinstance(notice, AmiUnavailable) and notice.hint else ""
        click.echo(f"{notice.peer}: {notice.reason}{advice}; next try in {notice.retry_in:.1f} s", err=True)

"""What a person kept of some calls, without being told what it is: CEL or CDR text, or the bytes of a manager session.

- Pure. A text that could be both is what more of its rows are understood as.
- Of a manager session only its CEL events are rows of calls.
"""

from __future__ import annotations

from datetime import UTC, tzinfo

from asterisk_connector.ami.wire import Event, Framer
from asterisk_connector.records import CelEvent, Record, SetAside
from asterisk_connector.sources.cel_ami import cel_event
from asterisk_connector.sources.csv.capture import parse, parse_cdr
from asterisk_connector.sources.csv.times import Times

_SESSION = (b"Asterisk Call Manager/", b"Event: ", b"Response: ")


def read_capture(data: bytes, *, zone: tzinfo = UTC) -> tuple[list[Record], list[SetAside]]:
    """Records in the order of the capture, and what could not be understood. `zone` is that of times without one."""
    if data.lstrip().startswith(_SESSION):
        return _session(data, zone)
    events, not_cel = parse(data, zone=zone)
    if not not_cel:
        return [*events], []
    rows, not_cdr = parse_cdr(data, zone=zone)
    return ([*rows], not_cdr) if len(not_cdr) < len(not_cel) else ([*events], not_cel)


def read_cdr(data: bytes, *, zone: tzinfo = UTC) -> tuple[list[Record], list[SetAside]]:
    """The same for what is told to be CDR."""
    rows, set_aside = parse_cdr(data, zone=zone)
    return [*rows], set_aside


def _session(data: bytes, zone: tzinfo) -> tuple[list[Record], list[SetAside]]:
    framer, times = Framer(), Times(zone)
    if not data.startswith(_SESSION[0]):
        framer.feed(_SESSION[0] + b"7.0\r\n")
    found: list[CelEvent] = []
    set_aside: list[SetAside] = []
    # A capture saved as text has lost the carriage returns of the protocol.
    wire = data if b"\r\n" in data else data.replace(b"\n", b"\r\n")
    for number, frame in enumerate([*framer.feed(wire), *framer.close()], 1):
        if isinstance(frame, Event) and frame.name == b"CEL":
            try:
                found.append(cel_event(frame.body, times))
            except ValueError as error:
                set_aside.append(SetAside(str(number), str(error), frame.body))
    return [*found], set_aside

"""Snapshots of an agent that does not run: what a test wants to be true of its parts."""

from __future__ import annotations

from typing import Literal

from asterisk_connector.call import Call, Party
from asterisk_connector.records import Micros
from asterisk_connector.relay.journal import Waiting
from asterisk_connector.snapshot import CallNow, EventsNow, SinkNow, Snapshot, SourceNow, StateNow
from asterisk_connector.sources.base import Extent
from asterisk_connector.store.words import Backlog, Counts
from asterisk_connector.telemetry.report import Process

FILE = "cel_csv:/var/log/asterisk/cel-custom/Master.csv"
TABLE = "cdr_table:asterisk.cdr"
NOW: Micros = 1_800_000_000_000_000
SECOND: Micros = 1_000_000

PROCESS = Process(
    version="1.2.3",
    host="pbx1",
    directory="/var/lib/asterisk-connector",
    config_file="/etc/asterisk-connector/config.yaml",
    pid=4711,
    started_at=NOW - 3600 * SECOND,
    config_loaded_at=NOW - 60 * SECOND,
)


def counts(*, pending: int = 0, oldest: Micros | None = None, dead: int = 0) -> Counts:
    """What a state holds, all of it owed to the call API."""
    return Counts(
        open_calls=3,
        backlog={"call_api": Backlog(pending, oldest)} if pending else {},
        dead={"call_api": dead} if dead else {},
        set_aside=2,
        unlinked_recordings=1,
        bytes=4096,
    )


def state(
    counted: Counts | None = None, *, blocked: bool = False, recent: tuple[CallNow, ...] = (), unaccounted: int = 0
) -> StateNow:
    return StateNow("/var/lib/asterisk-connector", 1 << 30, blocked, counted or counts(), recent, unaccounted)


def well(
    *,
    source: Extent | None = None,
    sink: Literal["up", "down", "paused"] = "up",
    session: bool | None = True,
    on_disk: StateNow | None = None,
    stuck: tuple[str, ...] = (),
    journal_blocked: bool = False,
) -> Snapshot:
    """An agent with one of each part, all well but for what is said otherwise; `session` None: without AMI."""
    extent = source or Extent(1000, 0, caught_up=True, caught_up_at=NOW)
    events = (
        None
        if session is None
        else EventsNow("pbx:5038", session, "events", 5, Waiting(7, 8192, NOW - SECOND), journal_blocked)
    )
    return Snapshot(
        (SourceNow(FILE, "cel_csv", extent),), (SinkNow("call_api", sink, 2),), events, on_disk or state(), stuck
    )


def call(number: int = 1, *, delivered: bool = True) -> CallNow:
    """A call of 90 seconds from Toronto to an extension."""
    told = Call(
        call_id=f"1800000000.{number}",
        linkedids=(f"1800000000.{number}",),
        complete=True,
        started_at=NOW - 100 * SECOND,
        ended_at=NOW - 10 * SECOND,
        revision=1,
        direction="inbound",
        caller=Party("+14165550123"),
        dialled="201",
        outcome="answered",
    )
    return CallNow(told, delivered)

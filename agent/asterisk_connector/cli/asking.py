"""Whom verbs ask: the running service over its control socket, or, when none listens, the state itself.

- The question and its answer are the same (`control`). The state itself is asked with the rights of this user, and
  changed under the lock of its directory, which a service that runs without a socket holds (75).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec.structs import replace

from asterisk_connector import __version__, parts
from asterisk_connector.cli.configuration import settings_of
from asterisk_connector.clock import SystemClock
from asterisk_connector.config.load import load, whereabouts
from asterisk_connector.control import client
from asterisk_connector.control.answers import START, Desk, answer
from asterisk_connector.control.questions import AnyQuestion, Change
from asterisk_connector.counter import Counter
from asterisk_connector.errors import Misconfigured, NotRunning
from asterisk_connector.notices import Notice, ignore
from asterisk_connector.snapshot import SinkNow, Snapshot, StateNow
from asterisk_connector.store.store import Store
from asterisk_connector.telemetry.report import Process, status
from asterisk_connector.telemetry.sentences import say
from asterisk_connector.telemetry.status import Status
from asterisk_connector.telemetry.tally import Tally

Row = dict[str, Any]


def ask(config_file: Path, question: AnyQuestion) -> Iterator[Row]:
    """The rows of the answer, from the service or else from the state."""
    try:
        yield from ask_service(config_file, question)
    except NotRunning:
        yield from ask_state(config_file, question)


def ask_service(config_file: Path, question: AnyQuestion) -> Iterator[Row]:
    """The rows of the service's answer. Raises NotRunning when none listens."""
    place = whereabouts(config_file)
    return client.ask(place.control.socket, question, place.store.directory)


def ask_state(config_file: Path, question: AnyQuestion) -> Iterator[Row]:
    """The rows of the answer that the state alone gives."""
    directory = whereabouts(config_file).store.directory
    _ours(directory)
    clock = SystemClock()
    if isinstance(question, Change):
        store = Store.open(directory, clock=clock, notify=_tell)
    else:
        store = Store.read_only(directory, clock=clock)
    desk = Desk(
        store=lambda: store,
        status=lambda: _down(store, directory, config_file, clock),
        tell=lambda rows: parts.rules(settings_of(config_file), ignore).tell(rows, None, clock.now()),
        owed=lambda: None,
    )
    try:
        for row in answer(question, desk):
            yield msgspec.json.decode(msgspec.json.encode(row))
    finally:
        store.close()


def _ours(directory: Path) -> None:
    """Raises Misconfigured where the state is another user's, whose rights this one lacks."""
    try:
        closed = directory.exists() and not os.access(directory, os.R_OK | os.W_OK | os.X_OK, effective_ids=True)
        owner = directory.owner() if closed else ""
    except (OSError, KeyError):
        closed, owner = True, "another user"
    if closed:
        said = f"the service is not running, and its state in {directory} belongs to {owner}"
        raise Misconfigured(said, f"sudo asterisk-connector …, or {START}")


def _down(store: Store, directory: Path, config_file: Path, clock: SystemClock) -> Status:
    """What the state alone says of how things are: what is owed, what came last."""
    counted = Counter(clock).counted(store)
    free = shutil.disk_usage(directory).free
    settings = load(config_file).settings
    host = settings.host if settings else os.uname().nodename
    process = Process(
        version=__version__, host=host, directory=str(directory), config_file=str(config_file), phase="down"
    )
    sinks = sorted({*counted.counts.backlog, *counted.counts.dead}) if counted.counts else ()
    snapshot = Snapshot(
        sinks=tuple(SinkNow(name, "down", 0) for name in sinks),
        state=StateNow(str(directory), free, False, *counted),
    )
    told = status(process, snapshot, Tally(clock).read(), clock.now())
    # Of a sink that nobody offers anything there is nothing to complain.
    return replace(told, problems=tuple(problem for problem in told.problems if problem.text))


def _tell(notice: Notice) -> None:
    sentence = say(notice)
    if sentence is not None:
        click.echo(sentence.text, err=True)

"""Whom verbs ask: the running service over its control socket, or, when none listens, the state itself.

- The question and its answer are the same (`control`). The state itself is asked with the rights of this user, and
  changed under the lock of its directory, which a service that runs without a socket holds (75).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from asterisk_connector import parts
from asterisk_connector.call import Call
from asterisk_connector.cli.configuration import settings_of
from asterisk_connector.clock import SystemClock
from asterisk_connector.config.load import whereabouts
from asterisk_connector.control import client
from asterisk_connector.control.answers import START, Desk, answer
from asterisk_connector.control.questions import AnyQuestion, Change
from asterisk_connector.errors import Misconfigured, NotRunning
from asterisk_connector.notices import Notice, ignore
from asterisk_connector.records import Record
from asterisk_connector.store.store import Store
from asterisk_connector.telemetry.sentences import say

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
    if isinstance(question, Change):
        store = Store.open(directory, clock=SystemClock(), notify=_tell)
    else:
        store = Store.read_only(directory, clock=SystemClock())
    desk = Desk(store=lambda: store, tell=_teller(config_file), owed=lambda: None)
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


def _teller(config_file: Path) -> Callable[[Sequence[Record]], Call]:
    """Tells a call as it looks now; the settings are read only when one is asked for."""

    def tell(rows: Sequence[Record]) -> Call:
        return parts.rules(settings_of(config_file), ignore).tell(rows, None, SystemClock().now())

    return tell


def _tell(notice: Notice) -> None:
    sentence = say(notice)
    if sentence is not None:
        click.echo(sentence.text, err=True)

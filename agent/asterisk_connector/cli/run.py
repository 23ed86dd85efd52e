"""`run`: the service itself, under systemd or by hand.

- Signals are taken by the main thread alone, between its rounds: SIGTERM and SIGINT stop, a second one stops at once,
  SIGHUP checks the configuration and puts it in force, or says why not and goes on with the old one.
- systemd's watchdog is fed only while every part comes round (`supervise.STUCK_SECONDS`).
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from pathlib import Path

import click

from asterisk_connector import __version__
from asterisk_connector.agent import Agent
from asterisk_connector.cli import exit_codes
from asterisk_connector.cli.configuration import config_option
from asterisk_connector.cli.desk import desk
from asterisk_connector.clock import SystemClock
from asterisk_connector.config.finding import Finding, has_errors
from asterisk_connector.config.load import load
from asterisk_connector.config.model import Settings
from asterisk_connector.control.server import ControlServer
from asterisk_connector.errors import ConnectorError
from asterisk_connector.notices import ConfigRefused
from asterisk_connector.systemd import ServiceNotifier
from asterisk_connector.telemetry.journal import Journal
from asterisk_connector.telemetry.sentences import ERROR, INFO, LEVELS, NOTICE, WARNING, Sentence

_ROUND_SECONDS = 5.0
_STATUS_SHARE = 500
"""Of the time, one part in so many may go into the status sentence."""
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


@click.command()
@config_option
def run(config_file: Path) -> int:
    """Runs the service until it is told to stop."""
    # Before any thread starts, so that every thread inherits the mask and only `sigtimedwait` sees these signals.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    loaded = load(config_file)
    if loaded.settings is None or has_errors(loaded.findings):
        for finding in loaded.findings:
            click.echo(str(finding), err=True)
        return exit_codes.CONFIGURATION
    settings = loaded.settings
    clock = SystemClock()
    native = {"auto": None, "journal": True, "stderr": False}[settings.log.target]
    journal = Journal(clock, level=LEVELS[settings.log.level], show_numbers=settings.log.show_numbers, native=native)
    _warn(journal, loaded.findings)
    journal.hear(Sentence(INFO, f"asterisk-connector {__version__} starts with {config_file}"))
    service = Service(config_file, Agent(settings, clock=clock, notify=journal.hear), journal, clock)
    _collect_seldom()
    try:
        service.run()
    finally:
        journal.close()
    return exit_codes.OK


class Service:
    """The agent between its signals and systemd."""

    def __init__(self, file: Path, agent: Agent, journal: Journal, clock: SystemClock) -> None:
        self._file = file
        self._agent = agent
        self._journal = journal
        self._clock = clock
        self._systemd = ServiceNotifier()
        self._control = self._new_control()
        self._status_at = 0.0
        watchdog = self._systemd.watchdog_interval
        self._round = _ROUND_SECONDS if watchdog is None else min(_ROUND_SECONDS, watchdog / 3)

    def run(self) -> None:
        """Starts, works until SIGTERM or SIGINT, stops."""
        self._control.start()
        self._agent.start()
        self._systemd.ready()
        while True:
            self._tend()
            got = signal.sigtimedwait(_SIGNALS, self._round)
            if got is None:
                continue
            if got.si_signo != signal.SIGHUP:
                break
            self._reload()
        self._stop()

    def _tend(self) -> None:
        stuck = self._agent.tend()
        if stuck:
            text = f"no sign of life from {', '.join(stuck)}"
            self._journal.hear(Sentence(ERROR, text, cause=text, code="AC-PART-STUCK"))
            return
        self._systemd.alive()
        self._say_status()

    def _say_status(self) -> None:
        """Tells systemd how things are. Counting a large backlog takes a while, so it is done the more rarely then."""
        began = time.monotonic()
        if began < self._status_at:
            return
        try:
            self._systemd.status(self._agent.sentence())
        except ConnectorError as error:
            self._systemd.status(str(error))
        self._status_at = began + _STATUS_SHARE * (time.monotonic() - began)

    def _reload(self) -> None:
        self._systemd.reloading()
        loaded = load(self._file)
        if loaded.settings is None or has_errors(loaded.findings):
            self._journal.hear(ConfigRefused(tuple(str(finding) for finding in loaded.findings)))
        else:
            _warn(self._journal, loaded.findings)
            self._apply(loaded.settings)
        self._systemd.ready()

    def _apply(self, settings: Settings) -> None:
        before = self._agent.settings
        try:
            self._agent.reload(settings)
        except ConnectorError as error:
            self._journal.hear(ConfigRefused((str(error),)))
            return
        if (settings.control, settings.store) != (before.control, before.store):
            self._control.stop()
            self._control = self._new_control()
            self._control.start()
        self._journal.level = LEVELS[settings.log.level]
        self._journal.show_numbers = settings.log.show_numbers

    def _new_control(self) -> ControlServer:
        settings = self._agent.settings
        return ControlServer(
            settings.control.socket,
            settings.store.directory,
            desk(self._agent, self._clock),
            clock=self._clock,
            notify=self._journal.hear,
        )

    def _stop(self) -> None:
        self._systemd.stopping()
        self._journal.hear(Sentence(NOTICE, "stopping"))
        stopping = threading.Thread(target=self._agent.stop, name="stop")
        stopping.start()
        while stopping.is_alive():
            if signal.sigtimedwait(_SIGNALS, 0.2) is not None:
                self._journal.close()
                os._exit(exit_codes.OK)  # asked twice: a kill is a normal way to stop
        self._control.stop()
        self._journal.hear(Sentence(NOTICE, "stopped"))


def _collect_seldom() -> None:
    """Lets the cycle collector look at young objects only now and then, and never at what was imported.

    Rows come by the thousand and form no cycles; looking at them costs a tenth of all time (measured).
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _warn(journal: Journal, findings: list[Finding]) -> None:
    for finding in findings:
        journal.hear(Sentence(WARNING, str(finding), code="AC-CONFIG-WARNING"))

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
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
from msgspec.structs import replace

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
from asterisk_connector.notices import ConfigRefused, Notice
from asterisk_connector.systemd import ServiceNotifier
from asterisk_connector.telemetry.gate import Gate
from asterisk_connector.telemetry.http import HttpServer
from asterisk_connector.telemetry.journal import Journal
from asterisk_connector.telemetry.metrics import Facts, render
from asterisk_connector.telemetry.report import Process, status
from asterisk_connector.telemetry.sentences import ERROR, INFO, LEVELS, NOTICE, WARNING, Sentence
from asterisk_connector.telemetry.site import Site
from asterisk_connector.telemetry.status import Status
from asterisk_connector.telemetry.tally import Tally

_ROUND_SECONDS = 5.0
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
    journal.hear(Sentence(INFO, f"asterisk-connector {__version__} starts with {config_file}"))
    service = Service(config_file, settings, journal, clock)
    service.loaded(loaded.findings)
    _collect_seldom()
    try:
        service.run()
    finally:
        journal.close()
    return exit_codes.OK


class Service:
    """The agent between its signals and systemd."""

    def __init__(self, file: Path, settings: Settings, journal: Journal, clock: SystemClock) -> None:
        self._tally = Tally(clock)
        self._file = file
        self._agent = Agent(settings, clock=clock, notify=self._hear)
        self._journal = journal
        self._clock = clock
        self._process = Process(
            version=__version__,
            host=settings.host,
            directory=str(settings.store.directory),
            config_file=str(file),
            pid=os.getpid(),
            started_at=clock.now(),
            phase="starting",
        )
        self._systemd = ServiceNotifier()
        self._control = self._new_control()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._site = Site(
            status=self.status,
            metrics=self.metrics,
            stuck=lambda: self._agent.stuck,
            requests=self._requests,
            clock=clock,
        )
        self._http: HttpServer | None = None
        watchdog = self._systemd.watchdog_interval
        self._round = _ROUND_SECONDS if watchdog is None else min(_ROUND_SECONDS, watchdog / 3)

    def run(self) -> None:
        """Starts, works until SIGTERM or SIGINT, stops."""
        self._control.start()
        self._serve_http()
        self._agent.start()
        self._process = replace(self._process, phase="running")
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

    def status(self) -> Status:
        """How things are; any thread may ask, as often as it likes."""
        process = replace(self._process, log_lines_dropped=self._journal.dropped)
        return status(process, self._agent.snapshot(), self._tally.read(), self._clock.now())

    def metrics(self) -> bytes:
        """The same as Prometheus reads it."""
        return render(Facts(self.status(), self._tally.read(), self._requests.copy()))

    def loaded(self, findings: Sequence[Finding]) -> None:
        """A configuration is in force; what there is to say about it is told."""
        for finding in findings:
            self._journal.hear(Sentence(WARNING, str(finding), code="AC-CONFIG-WARNING"))
        said = tuple(str(finding) for finding in findings)
        self._process = replace(self._process, config_loaded_at=self._clock.now(), config_problems=said)

    def _hear(self, notice: Notice) -> None:
        self._tally.hear(notice)
        self._journal.hear(notice)

    def _tend(self) -> None:
        self._agent.tend()
        now = self.status()
        self._systemd.status(now.service.sentence)
        if now.service.alive:
            self._systemd.alive()
        else:
            text = f"no sign of life from {', '.join(self._agent.stuck)}"
            self._journal.hear(Sentence(ERROR, text, cause=text, code="AC-PART-STUCK"))

    def _reload(self) -> None:
        self._systemd.reloading()
        loaded = load(self._file)
        if loaded.settings is None or has_errors(loaded.findings):
            self._hear(ConfigRefused(tuple(str(finding) for finding in loaded.findings)))
        else:
            self._apply(loaded.settings, loaded.findings)
        self._systemd.ready()

    def _apply(self, settings: Settings, findings: Sequence[Finding]) -> None:
        before = self._agent.settings
        try:
            self._agent.reload(settings)
        except ConnectorError as error:
            self._hear(ConfigRefused((str(error),)))
            return
        self._process = replace(self._process, host=settings.host, directory=str(settings.store.directory))
        self.loaded(findings)
        if (settings.control, settings.store) != (before.control, before.store):
            self._control.stop()
            self._control = self._new_control()
            self._control.start()
        if (settings.http, settings.host) != (before.http, before.host):
            self._serve_http()
        self._journal.level = LEVELS[settings.log.level]
        self._journal.show_numbers = settings.log.show_numbers

    def _new_control(self) -> ControlServer:
        settings = self._agent.settings
        return ControlServer(
            settings.control.socket,
            settings.store.directory,
            desk(self._agent, self._clock, status=self.status, metrics=self.metrics),
            clock=self._clock,
            notify=self._hear,
        )

    def _serve_http(self) -> None:
        """Status page and metrics as the settings want them now; where only who may ask changed, it goes on."""
        settings = self._agent.settings
        http = settings.http
        token = None if http.token is None else http.token.reveal()
        self._site.gate = Gate(token=token, allow=http.allow, names=(*http.names, settings.host, os.uname().nodename))
        if self._http is not None and self._http.listen == http.listen:
            return
        if self._http is not None:
            self._http.stop()
            self._http = None
        if http.listen != "off":
            self._http = HttpServer(http.listen, self._site, clock=self._clock, notify=self._hear)
            self._http.start()

    def _stop(self) -> None:
        self._process = replace(self._process, phase="stopping")
        self._systemd.stopping()
        self._journal.hear(Sentence(NOTICE, "stopping"))
        stopping = threading.Thread(target=self._agent.stop, name="stop")
        stopping.start()
        while stopping.is_alive():
            if signal.sigtimedwait(_SIGNALS, 0.2) is not None:
                self._journal.close()
                os._exit(exit_codes.OK)  # asked twice: a kill is a normal way to stop
        self._control.stop()
        if self._http is not None:
            self._http.stop()
        self._journal.hear(Sentence(NOTICE, "stopped"))


def _collect_seldom() -> None:
    """Lets the cycle collector look at young objects only now and then, and never at what was imported.

    Rows come by the thousand and form no cycles; looking at them costs a tenth of all time (measured).
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)

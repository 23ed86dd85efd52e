"""`demo`: the whole agent for about a minute: a recording of a real Asterisk, an embedded call API, an embedded Kafka.

Nothing in the agent knows that it is a demo: a configuration is written into a temporary folder, and the same code as
`run` reads the same kind of file, logs in to the same kind of manager port, and posts and publishes to the same kind
of address. Ctrl-C, once or often, ends it in order: what was started is stopped, and the folder goes.
"""

from __future__ import annotations

import json
import queue
import shutil
import signal
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.text import Text

from asterisk_connector.agent import Agent
from asterisk_connector.assembly.connect import connect
from asterisk_connector.call import Call, decode
from asterisk_connector.clock import SystemClock
from asterisk_connector.config.load import load
from asterisk_connector.demo.call_api import CallApi
from asterisk_connector.demo.kafka import Kafka
from asterisk_connector.demo.manager import USER, ManagerPort
from asterisk_connector.demo.proof import Proof, prove
from asterisk_connector.demo.recording import Player, Start
from asterisk_connector.errors import ConnectorError
from asterisk_connector.gist import gist
from asterisk_connector.records import CelEvent
from asterisk_connector.sources.csv.capture import parse
from asterisk_connector.telemetry.journal import Journal
from asterisk_connector.telemetry.sentences import WARNING

_CATCH_UP_SECONDS = 15.0
_LOGIN_SECONDS = 10.0
_EVENTS_EVERY = 5.0
_NAMES_SHOWN = 4
_TOPIC = "asterisk_ami"
_SECRET = "demo-secret"  # noqa: S105 - of a port on loopback that lives for a minute
_WIDTHS = (("at", 6), ("after", 5), ("direction", 9), ("from", 22), ("to", 12), ("what happened", 60))
_PIPED_WIDTH = 120
_CONFIG = """\
host: demo-pbx
start_at: beginning
api: {{ url: "{url}", key_file: "{key}" }}
sources:
  cel_csv: [ {{ path: "{cel}" }} ]
  recordings: {{ paths: [ "{monitor}" ], settle: 100ms }}
calls: {{ settle: 500ms }}
ami: {{ port: {ami}, user: {user}, secret_file: "{secret}" }}
kafka: {{ connections: {{ demo: {{ brokers: {brokers} }} }} }}
events: {{ connection: demo, topic: {topic} }}
store: {{ directory: "{state}", reserve: 1MiB }}
"""


@click.command()
@click.option("--speed", type=click.FloatRange(0.5, 50), default=1.0, show_default=True, help="How fast to play.")
@click.option("--keep", is_flag=True, help="Keep the temporary folder and say where it is.")
def demo(speed: float, keep: bool) -> int:
    """Runs the whole agent on embedded defaults and shows each call as it is shipped, and AMI events as they arrive."""
    interrupted = threading.Event()
    # No exception that could break into the stop and leave the folder behind.
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    folder = Path(tempfile.mkdtemp(prefix="asterisk-connector-demo-"))
    try:
        return _Demo(folder, speed, interrupted).run()
    finally:
        if keep:
            click.echo(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGINT, before)


class _Arrival(NamedTuple):
    payload: dict[str, Any]
    key: str
    at: float


class _Demo:
    def __init__(self, folder: Path, speed: float, interrupted: threading.Event) -> None:
        self._interrupted = interrupted
        self._clock = SystemClock()
        terminal = Console()
        self._console = Console(highlight=False, width=None if terminal.is_terminal else _PIPED_WIDTH)
        self._arrivals: queue.Queue[_Arrival] = queue.Queue()
        self._seen: list[_Arrival] = []
        self._api = CallApi(self._taken)
        self._kafka = Kafka(_TOPIC)
        self._manager = ManagerPort(self._clock, _SECRET)
        self._player = Player(folder / "pbx", self._clock)
        self._speed = speed
        self._journal = Journal(self._clock, level=WARNING, native=False)
        self._agent = Agent(self._settings(folder), clock=self._clock, notify=self._journal.hear)
        self._began = self._events_shown_at = self._clock.monotonic()
        self._events_shown = 0

    def run(self) -> int:
        self._api.start()
        self._kafka.start()
        self._manager.start()
        self._agent.start()
        self._introduce()
        self._wait_for_login()
        playing = self._play()
        self._show_until_all_came(playing)
        interrupted = self._interrupted.is_set()
        if interrupted:
            self._console.print("\n[dim]stopping[/dim]")
        self._player.stop()
        self._manager.stop()
        for thread in playing:
            thread.join(2.0)
        self._agent.stop()
        self._show_arrived()
        self._api.stop()
        self._kafka.finish(_CATCH_UP_SECONDS)
        self._journal.close()
        proven = self._summary()
        return 130 if interrupted else 0 if proven else 1

    def _wait_for_login(self) -> None:
        """What a manager port says while nobody is logged in is lost, in a demo as with any Asterisk."""
        deadline = self._clock.monotonic() + _LOGIN_SECONDS
        while not self._manager.logged_in.wait(0.1):
            if self._interrupted.is_set() or self._clock.monotonic() > deadline:
                return

    def _play(self) -> list[threading.Thread]:
        """Begins both halves of the recording at the same moment."""
        start = Start(self._clock, self._speed)
        threads = [
            threading.Thread(target=half, args=(start,), name=name, daemon=True)
            for name, half in (("demo-cel", self._player.play), ("demo-ami", self._manager.play))
        ]
        for thread in threads:
            thread.start()
        return threads

    def _settings(self, folder: Path) -> Any:
        key, secret = folder / "api.key", folder / "ami.secret"
        for file, text in ((key, "demo-key"), (secret, _SECRET)):
            file.touch(0o600)
            file.write_text(f"{text}\n")
        config = folder / "config.yaml"
        values = {"url": self._api.url, "key": key, "cel": self._player.cel, "monitor": self._player.monitor}
        values |= {"ami": self._manager.port, "user": USER, "secret": secret, "state": folder / "state"}
        values |= {"brokers": json.dumps(self._kafka.brokers), "topic": _TOPIC}
        config.write_text(_CONFIG.format(**values))
        loaded = load(config, {})
        if loaded.settings is None:
            raise ConnectorError("; ".join(str(finding) for finding in loaded.findings))
        return loaded.settings

    def _taken(self, payload: dict[str, Any], key: str) -> None:
        self._arrivals.put(_Arrival(payload, key, self._clock.monotonic()))

    def _introduce(self) -> None:
        out = self._console
        out.print(f"[bold]A recording of a real Asterisk 22[/bold] is written live to {self._player.cel},")
        out.print(f"the agent follows it and posts every call to [bold]{self._api.url}[/bold].")
        out.print(f"Its AMI events are said on port {self._manager.port}; the agent publishes them to Kafka on")
        out.print(f"[bold]{', '.join(self._kafka.brokers)}[/bold], topic {_TOPIC}. Ctrl-C ends it.\n")
        self._print([name for name, _ in _WIDTHS], "bold")

    def _show_until_all_came(self, playing: list[threading.Thread]) -> None:
        """Until everything is there, or nothing has come any more for a while, or Ctrl-C."""
        came, deadline = -1, 0.0
        while not self._interrupted.is_set():
            self._show_arrived(wait=0.25)
            self._show_events()
            if any(thread.is_alive() for thread in playing):
                continue
            now = self._clock.monotonic()
            if came < (came := len(self._seen) + len(self._kafka.records)):
                deadline = now + _CATCH_UP_SECONDS
            if now > deadline or (len(self._kafka.records) >= len(self._manager.said) and not self._missing()):
                return

    def _show_events(self) -> None:
        """A line about the events, every few seconds: how many, and which the latest were."""
        now = self._clock.monotonic()
        if now - self._events_shown_at < _EVENTS_EVERY:
            return
        said, records = len(self._manager.said), list(self._kafka.records)
        latest = Counter(record.key.decode() for record in records[self._events_shown :])
        if latest:
            names = ", ".join(f"{times} {name}" for name, times in latest.most_common(_NAMES_SHOWN))
            more = ", …" if len(latest) > _NAMES_SHOWN else ""
            text = (
                f"{now - self._began:5.1f}s         events     {said} said, {len(records)} in Kafka; new: {names}{more}"
            )
            self._console.print(Text(text, style="cyan"), no_wrap=True, overflow="ellipsis")
        self._events_shown_at, self._events_shown = now, len(records)

    def _show_arrived(self, wait: float = 0.0) -> None:
        try:
            while True:
                arrival = self._arrivals.get(timeout=wait) if wait else self._arrivals.get_nowait()
                self._seen.append(arrival)
                self._show(arrival)
                wait = 0.0
        except queue.Empty:
            return

    def _show(self, arrival: _Arrival) -> None:
        call = self._known(arrival.payload["linkedid"])
        at = f"{arrival.at - self._began:5.1f}s"
        if call is None:
            self._print([at, "", "", "", "", arrival.payload["linkedid"]], "")
            return
        ended = max(self._player.last_written.get(linkedid, self._began) for linkedid in call.linkedids)
        after = f"{arrival.at - ended:.1f}s"
        caller = f"{call.caller.number or '?'} {call.caller.name or ''}".strip()
        cells = [at, after, call.direction or "", caller, call.dialled or "", gist(call)]
        self._print(cells, "green" if call.talk else "yellow")

    def _known(self, linkedid: str) -> Call | None:
        try:
            known = self._agent.store.find(linkedid)
        except ConnectorError:  # the agent has stopped already
            return None
        return decode(known.body) if known and known.body else None

    def _expected(self) -> list[set[str]]:
        """The calls of what was written, each as its linkedids: told from the files alone, not from the agent."""
        written = b"".join(path.read_bytes() for path in sorted(self._player.cel.parent.iterdir(), reverse=True))
        events, _ = parse(written)
        ended = {event.linkedid for event in events if event.type == "LINKEDID_END"}
        groups = [{r.linkedid for r in group if isinstance(r, CelEvent)} for group in connect(events)]
        return [linkedids for linkedids in groups if linkedids <= ended]

    def _missing(self) -> list[set[str]]:
        came = {arrival.payload["linkedid"] for arrival in self._seen}
        return [linkedids for linkedids in self._expected() if not linkedids & came]

    def _summary(self) -> bool:
        expected = self._expected()
        # A recording that comes late makes another revision, under another key.
        keys = Counter((arrival.payload["linkedid"], arrival.key) for arrival in self._seen)
        times = {linkedid: times for (linkedid, _), times in sorted(keys.items(), key=lambda item: item[1])}
        once = [ids for ids in expected if sum(times.get(linkedid, 0) for linkedid in ids) == 1]
        missing = self._missing()
        more = len(expected) - len(once) - len(missing)
        unknown = set(times) - set().union(*expected) if expected else set(times)
        out = self._console
        out.print()
        out.print(
            f"{self._player.written} of {self._player.total} rows written, {self._player.rotations} rotation; "
            f"{len(expected)} calls ended, {len(self._seen)} requests received."
        )
        recordings = Counter(file["file_path"] for files in self._recorded().values() for file in files)
        made = {str(path) for path in self._player.monitor.rglob("*.wav")}
        out.print(f"{len(made)} recording made, {sum(recordings.values())} on calls.")
        proven = len(once) == len(expected) and not unknown and recordings == Counter(made)
        verdict = "[bold green]every call arrived exactly once[/bold green]"
        if not proven:
            verdict = (
                f"[bold red]{len(missing)} missing, {more} more than once, {len(unknown)} never played,"
                f" {len(made ^ set(recordings))} recordings astray[/bold red]"
            )
        out.print(f"{len(once)} of {len(expected)} calls arrived exactly once: {verdict}")
        proof = prove(self._manager.said, self._kafka.records)
        self._tell(proof)
        return proven and proof.holds

    def _tell(self, proof: Proof) -> None:
        out = self._console
        out.print(
            f"{proof.said} of {self._manager.total} AMI events said, {len(self._kafka.records)} records in Kafka,"
            f" {proof.keys} keys."
        )
        verdict = "[bold green]every event arrived exactly once, in order per key[/bold green]"
        if not proof.holds:
            verdict = (
                f"[bold red]{proof.missing} missing, {proof.more} more than once, {proof.unknown} never said,"
                f" {proof.disordered} keys out of order[/bold red]"
            )
        out.print(f"{proof.once} of {proof.said} events arrived exactly once: {verdict}")

    def _recorded(self) -> dict[str, list[dict[str, Any]]]:
        """The recordings of each call, as it was told last."""
        return {a.payload["linkedid"]: a.payload.get("recording_files", []) for a in self._seen}

    def _print(self, cells: list[str], style: str) -> None:
        """One line of the table, cut where the terminal ends."""
        line = Text(style=style)
        for cell, (_, width) in zip(cells, _WIDTHS, strict=True):
            line.append(f"{cell if len(cell) <= width else cell[: width - 1] + '…':<{width}}  ")
        line.rstrip()
        self._console.print(line, no_wrap=True, overflow="ellipsis")

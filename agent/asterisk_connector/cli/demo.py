"""`demo`: the whole agent for about a minute, on a recording of a real Asterisk and an embedded call API.

Nothing in the agent knows that it is a demo: a configuration is written into a temporary folder, and the same code as
`run` reads the same kind of file and posts to the same kind of address.
"""

from __future__ import annotations

import queue
import shutil
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
from asterisk_connector.demo.recording import Player
from asterisk_connector.demo.story import story
from asterisk_connector.errors import ConnectorError
from asterisk_connector.records import CelEvent
from asterisk_connector.sources.csv.capture import parse
from asterisk_connector.telemetry.journal import Journal
from asterisk_connector.telemetry.sentences import WARNING

_CATCH_UP_SECONDS = 15.0
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
store: {{ directory: "{state}", reserve: 1MiB }}
"""


@click.command()
@click.option("--speed", type=click.FloatRange(0.5, 50), default=1.0, show_default=True, help="How fast to play.")
@click.option("--keep", is_flag=True, help="Keep the temporary folder and say where it is.")
def demo(speed: float, keep: bool) -> int:
    """Runs the whole agent on embedded defaults and shows each call as it is shipped."""
    folder = Path(tempfile.mkdtemp(prefix="asterisk-connector-demo-"))
    try:
        return _Demo(folder, speed).run()
    finally:
        if keep:
            click.echo(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


class _Arrival(NamedTuple):
    payload: dict[str, Any]
    key: str
    at: float


class _Demo:
    def __init__(self, folder: Path, speed: float) -> None:
        self._clock = SystemClock()
        terminal = Console()
        self._console = Console(highlight=False, width=None if terminal.is_terminal else _PIPED_WIDTH)
        self._arrivals: queue.Queue[_Arrival] = queue.Queue()
        self._seen: list[_Arrival] = []
        self._api = CallApi(self._taken)
        self._player = Player(folder / "pbx", self._clock, speed)
        self._journal = Journal(self._clock, level=WARNING, native=False)
        self._agent = Agent(self._settings(folder), clock=self._clock, notify=self._journal.hear)
        self._began = self._clock.monotonic()

    def run(self) -> int:
        self._api.start()
        self._agent.start()
        playing = threading.Thread(target=self._player.play, name="demo-pbx", daemon=True)
        self._introduce()
        interrupted = False
        try:
            playing.start()
            self._show_until_all_came(playing)
        except KeyboardInterrupt:
            interrupted = True
            self._console.print("\n[dim]stopping[/dim]")
        self._player.stop()
        playing.join(2.0)
        self._agent.stop()
        self._show_arrived()
        self._api.stop()
        self._journal.close()
        proven = self._summary()
        return 130 if interrupted else 0 if proven else 1

    def _settings(self, folder: Path) -> Any:
        key = folder / "api.key"
        key.touch(0o600)
        key.write_text("demo-key\n")
        config = folder / "config.yaml"
        player = self._player
        config.write_text(
            _CONFIG.format(url=self._api.url, key=key, cel=player.cel, monitor=player.monitor, state=folder / "state")
        )
        loaded = load(config, {})
        if loaded.settings is None:
            raise ConnectorError("; ".join(str(finding) for finding in loaded.findings))
        return loaded.settings

    def _taken(self, payload: dict[str, Any], key: str) -> None:
        self._arrivals.put(_Arrival(payload, key, self._clock.monotonic()))

    def _introduce(self) -> None:
        out = self._console
        out.print(f"[bold]A recording of a real Asterisk 22[/bold] is written live to {self._player.cel},")
        out.print(f"the agent follows it and posts every call to [bold]{self._api.url}[/bold]. Ctrl-C ends it.\n")
        self._print([name for name, _ in _WIDTHS], "bold")

    def _show_until_all_came(self, playing: threading.Thread) -> None:
        deadline: float | None = None
        while True:
            self._show_arrived(wait=0.25)
            if playing.is_alive():
                continue
            deadline = deadline or self._clock.monotonic() + _CATCH_UP_SECONDS
            if self._clock.monotonic() > deadline or not self._missing():
                return

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
        cells = [at, after, call.direction or "", caller, call.dialled or "", story(call)]
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
        return proven

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

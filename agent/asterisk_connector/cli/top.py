"""`top`: the status, again and again, with rates; `q` or Ctrl-C ends it."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from asterisk_connector.cli import exit_codes
from asterisk_connector.cli.configuration import config_option
from asterisk_connector.cli.screen import rates, screen
from asterisk_connector.cli.status import of_service
from asterisk_connector.errors import NotRunning, Transient
from asterisk_connector.telemetry.status import Status


@click.command()
@config_option
@click.option(
    "--interval", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="Seconds between two looks."
)
@click.option("--once", is_flag=True, help="One screen with the rates of one interval, also without a terminal.")
def top(config_file: Path, interval: float, once: bool) -> int:
    """The status, live, with rates per second. `q` or Ctrl-C ends it.

    While the service does not run it waits for it. With --once it ends as `status` does: 0, 1 or 75.
    """
    console = Console(highlight=False)
    if once:
        return _once(console, config_file, interval)
    if not console.is_terminal:
        raise click.UsageError("this is no terminal; with --once one screen is printed")
    try:
        return _live(console, config_file, interval)
    except KeyboardInterrupt:
        return exit_codes.OK


def _live(console: Console, config_file: Path, interval: float) -> int:
    before: Status | None = None
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            shown, before = _look(config_file, console.width, before)
            live.update(shown, refresh=True)
            if pressed(interval) in {b"q", b"Q"}:
                return exit_codes.OK


def _once(console: Console, config_file: Path, interval: float) -> int:
    before = of_service(config_file)
    time.sleep(interval)
    now = of_service(config_file)
    console.print(screen(now, console.width, rates(before, now)))
    return exit_codes.OK if now.service.ready else exit_codes.DIFFERENT


def _look(config_file: Path, width: int, before: Status | None) -> tuple[RenderableType, Status | None]:
    try:
        now = of_service(config_file)
    except (NotRunning, Transient) as error:
        return Text(f"{error}\n{getattr(error, 'hint', '')}", "yellow"), None
    return screen(now, width, rates(before, now) if before else None), now


@contextmanager
def _keys() -> Iterator[Callable[[float], bytes]]:
    """Waits for a key, at most so many seconds; empty when none came. Keys are not echoed meanwhile."""
    if not sys.stdin.isatty():
        yield _no_key
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield lambda seconds: _key(fd, seconds)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _key(fd: int, seconds: float) -> bytes:
    ready, _, _ = select.select([fd], [], [], seconds)
    # A terminal that went away is nobody who looks.
    return (os.read(fd, 1) or b"q") if ready else b""


def _no_key(seconds: float) -> bytes:
    time.sleep(seconds)
    return b""

"""The agent as the service manager runs it: a process with a configuration of its own, started, killed and stopped."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.kit.wait import until


class AgentProcess:
    """`asterisk-connector run` below `home`. `settings` are merged over: this host, this state, no reserve,
    a control socket of its own."""

    def __init__(self, home: Path, settings: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.config = home / "config.yaml"
        self.state = home / "state"
        self.log = home / "agent.log"
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.kill)  # a test that failed half-way leaves nobody behind
        self.configure(settings)

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Writes the configuration; takes effect at the next start or reload."""
        key = self.home / "api.key"
        if not key.exists():
            key.touch(0o600)
            key.write_text("sk_" + "a" * 32 + "\n")
        store = {"directory": str(self.state), "reserve": "64KiB", **settings.get("store", {})}
        full = {
            "host": "pbx-under-test",
            "http": {"listen": "off"},
            "control": {"socket": str(self.home / "control.sock")},
            **settings,
            "store": store,
        }
        if "api" in full:
            full["api"] = {"key_file": str(key), **full["api"]}
        self.config.write_text(yaml.safe_dump(full))

    def start(self, *prefix: str) -> None:
        """Starts it and waits for READY=1, as systemd would. `prefix` is a command to run it under."""
        path = str(self.home / "notify.sock")
        Path(path).unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.setblocking(False)
            self.launch(*prefix, notify=path)
            until(lambda: self._told_ready(notify), 30, f"READY=1 from the agent, which said:\n{self.said}")

    def _told_ready(self, notify: socket.socket) -> bool:
        assert self.running, f"the agent ended before it was ready:\n{self.said}"
        try:
            return b"READY=1" in notify.recv(4096)
        except BlockingIOError:
            return False

    def launch(self, *prefix: str, notify: str = "") -> None:
        """Starts it without waiting."""
        command = [*prefix, sys.executable, "-m", "asterisk_connector", "run", "--config", str(self.config)]
        environment = {**self._environment, "NOTIFY_SOCKET": notify} if notify else self._environment
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def said(self) -> str:
        """Everything it logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9: a normal way to stop."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def stop(self, within: float = 12.0) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(within)

    def wait_said(self, text: str, within: float = 10.0) -> None:
        """Waits for a line of the log."""
        until(lambda: text in self.said, within, f"{text!r} in the log of the agent:\n{self.said[-2000:]}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.running:
            self.kill() if error else self.stop()

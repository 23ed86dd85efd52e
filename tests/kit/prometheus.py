"""A real Prometheus (Debian's program), on an address of its own: scrapes and evaluates every second, answers queries.

`rules` are files of rules. What it has seen is gone with it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.kit.cache import CannotRun
from tests.kit.server import Server
from tests.kit.wait import until

PORT = 9090


def promtool(*words: str, given: str = "") -> str:
    """What `promtool` says, with `given` on its stdin; fails the test when it finds something wrong."""
    done = subprocess.run([_program("promtool"), *words], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise CannotRun(name, "the package prometheus is missing (tests/kit/install-packages --all brings it).")
    return found


class Prometheus(Server):
    """`scrape` are jobs as in prometheus.yml, to be set before the start."""

    def __init__(self, *rules: Path) -> None:
        super().__init__()
        self.url = f"http://{self.address}:{PORT}"
        self.scrape: list[dict[str, Any]] = []
        self._rules = rules

    def start(self) -> None:
        """Starts it and returns when it answers."""
        file = self.home / "prometheus.yml"
        settings = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules) for rules in self._rules],
            "scrape_configs": [{**job, "scrape_interval": "1s"} for job in self.scrape],
        }
        file.write_text(yaml.safe_dump(settings))
        self.launch(
            [
                _program("prometheus"),
                f"--config.file={file}",
                f"--storage.tsdb.path={self.home / 'data'}",
                f"--web.listen-address={self.address}:{PORT}",
                "--log.level=warn",
            ]
        )
        until(self._ready, 20, f"Prometheus, which said:\n{self.console}")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an expression now; AssertionError for one that cannot be evaluated."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def value(self, expression: str) -> float | None:
        """The only sample of an expression; None when there is none."""
        found = self.query(expression)
        assert len(found) <= 1, f"{expression}: {found}"
        return float(found[0]["value"][1]) if found else None

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health and what fires."""
        groups = requests.get(f"{self.url}/api/v1/rules", timeout=10).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        return {sample["metric"]["alertname"] for sample in self.query('ALERTS{alertstate="firing"}')}

    def _ready(self) -> bool:
        assert self.running, f"Prometheus ended:\n{self.console}"
        try:
            return requests.get(f"{self.url}/-/ready", timeout=2).ok
        except requests.ConnectionError:
            return False

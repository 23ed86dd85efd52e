"""monitoring/ on a real Prometheus that scrapes a running agent: every query has an answer, alerts fire in time.

Rules are those of alerts.yml but for their `for`: nobody waits a quarter of an hour here.
"""

from __future__ import annotations

import re
import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.conftest import saying_why
from tests.kit.agent_process import AgentProcess
from tests.kit.call_api import Answer, CallApi, Received
from tests.kit.fake_ami import FakeAmi
from tests.kit.mock_kafka import MockKafka
from tests.kit.monitoring import ALERTS, ALERTS_TEST, FOLDER, SCRAPE, alerts, metrics, queries
from tests.kit.numbered_events import TOPIC, event
from tests.kit.prometheus import Prometheus, promtool
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

pytestmark = pytest.mark.slow

TOKEN = "a-token-for-prometheus"
NEVER_HERE = {"asterisk_connector_worker_failures_total"}
"""Metrics without a series in this run: no part of the agent fails."""
KILLED = {"AsteriskConnectorEventGap"}
"""Alerts that are right: the agent was killed a moment ago, and its manager session with it."""
HOURS_40 = 40 * 3600 * 1_000_000


class Pbx:
    """A host with everything: calls, a call API, AMI events, Kafka, and an agent that Prometheus scrapes."""

    def __init__(self, home: Path, prometheus_address: str) -> None:
        self.home = home
        self.cel = home / "Master.csv"
        self.cel.touch()
        self.token = home / "http.token"
        self.token.write_text(TOKEN)
        self.token.chmod(0o600)
        self.listen = f"{prometheus_address}:8000"
        self.answer = Answer()
        self.api = CallApi(self._script)
        self.ami = FakeAmi()
        self.kafka = MockKafka()
        self.kafka.create(TOPIC, 1)
        self.agent = AgentProcess(home, self.settings())
        self.calls = 0
        self._quiet = threading.Event()

    def _script(self, _: Received) -> Answer:
        return self.answer

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "start_at": "beginning",
            "api": {"url": self.api.url},
            "sources": {"cel_csv": [{"path": str(self.cel)}]},
            "calls": {"settle": "200ms"},
            "ami": {"host": "127.0.0.1", "port": self.ami.port, "user": "agent", "secret": "secret"},
            "events": {
                "connection": "main",
                "topic": TOPIC,
                "filters": ["eventfilter(action(exclude),name(Hangup)) ="],
            },
            "kafka": {"connections": {"main": {"brokers": [self.kafka.brokers], "reconnect_backoff_max_ms": 500}}},
            "http": {"listen": self.listen, "token_file": str(self.token)},
            **more,
        }

    def work(self) -> None:
        """Calls and events, until `rest`."""
        while not self._quiet.wait(0.2):
            with self.cel.open("ab") as file:
                file.write(b"".join(row + b"\n" for _, row in NumberedCall(self.calls).rows()))
            self.calls += 1
            self.ami.say(b"".join(event(n) for n in range(20)))

    def rest(self) -> None:
        self._quiet.set()

    def close(self) -> None:
        self.rest()
        self.kafka.up()
        self.agent.kill()
        self.ami.close()
        self.kafka.close()
        self.api.stop()


def job_for(pbx: Pbx) -> dict[str, Any]:
    """The job of scrape.yml, with a PBX of ours."""
    (job,) = yaml.safe_load(SCRAPE.read_text())["scrape_configs"]
    job["authorization"]["credentials_file"] = str(pbx.token)
    job["static_configs"][0]["targets"] = [pbx.listen]
    found: dict[str, Any] = job
    return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pbx, Prometheus]]:
    home = tmp_path_factory.mktemp("monitoring")
    rules = home / "alerts.yml"
    rules.write_text(re.sub(r"for: \S+", "for: 0s", ALERTS.read_text()))
    with saying_why():
        prometheus = Prometheus(rules)
    pbx = Pbx(home, prometheus.address)
    prometheus.scrape = [job_for(pbx)]
    try:
        with pbx.api:
            pbx.agent.start()
            prometheus.start()
            until(lambda: prometheus.value("asterisk_connector_ready"), 20, f"a scrape; the agent:\n{pbx.agent.said}")
            pbx.agent.kill()
            pbx.agent.start()
            threading.Thread(target=pbx.work, daemon=True).start()
            yield pbx, prometheus
    finally:
        pbx.close()
        prometheus.close()


def test_promtool_finds_nothing_wrong_with_rules_and_examples(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", (FOLDER / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "example.yml").write_text(yaml.safe_dump({"groups": [{"name": "a", "rules": yaml.safe_load(example)}]}))
    with saying_why():
        assert "SUCCESS" in promtool("check", "config", "--syntax-only", str(SCRAPE))
        assert "SUCCESS: 1 rules found" in promtool("check", "rules", str(tmp_path / "example.yml"))
        assert f"SUCCESS: {len(alerts())} rules found" in promtool("check", "rules", str(ALERTS))
        assert "SUCCESS" in promtool("test", "rules", str(ALERTS_TEST))


def test_promtool_has_nothing_to_say_of_what_the_agent_serves(bench: tuple[Pbx, Prometheus]) -> None:
    pbx, _ = bench
    served = requests.get(f"http://{pbx.listen}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
    assert "asterisk_connector_ready" in served.text
    assert promtool("check", "metrics", given=served.text) == ""


def test_every_query_of_the_dashboard_has_an_answer(bench: tuple[Pbx, Prometheus]) -> None:
    pbx, prometheus = bench
    host = prometheus.address
    asked = [query for query in queries(host, "20s") if not metrics(query.expression) <= NEVER_HERE]
    assert len(asked) > 70

    def unanswered() -> list[str]:
        return [f"{query.panel}: {query.expression}" for query in asked if not prometheus.query(query.expression)]

    until(lambda: pbx.api.calls, 10, "a call")
    left = unanswered()
    until(lambda: not unanswered(), 30, f"answers to {left}")
    numbers = prometheus.value(f'sum(rate(asterisk_connector_sink_delivered_total{{instance="{host}"}}[20s]))')
    assert numbers is not None
    assert numbers > 0


def test_on_a_good_day_no_alert_fires_and_every_rule_can_be_evaluated(bench: tuple[Pbx, Prometheus]) -> None:
    _, prometheus = bench
    asked = {name for rule in alerts() for name in metrics(rule["expr"])}

    def unknown() -> set[str]:
        return {name for name in asked if not prometheus.query(name)}

    until(lambda: unknown() == NEVER_HERE, 20, f"every metric that rules ask for: {unknown()}")
    until(lambda: prometheus.firing() <= KILLED, 20, f"silence; fires: {prometheus.firing()}")
    assert {rule["name"]: rule.get("lastError", "") for rule in prometheus.rules() if rule["health"] != "ok"} == {}


def test_trouble_of_every_kind_raises_its_alert(bench: tuple[Pbx, Prometheus]) -> None:
    pbx, prometheus = bench

    def fires(*names: str) -> None:
        wanted = {f"AsteriskConnector{name}" for name in names}
        until(
            lambda: wanted <= prometheus.firing(),
            40,
            f"{wanted}; fires: {prometheus.firing()}:\n{pbx.agent.said[-1500:]}",
        )

    def still(*names: str) -> None:
        quiet = {f"AsteriskConnector{name}" for name in names}
        until(lambda: not quiet & prometheus.firing(), 40, f"an end of {quiet}")

    pbx.answer = Answer(status=503)
    pbx.kafka.down()
    with pbx.cel.open("ab") as file:
        file.write(b'"WHAT","is this"\n')
    pbx.agent.configure(pbx.settings(shipping={"mode": "sometimes"}))
    pbx.agent.signal(signal.SIGHUP)
    fires("NotReady", "SinkDown", "PublishingPaused", "RowsSetAside", "ConfigReloadFailed")

    pbx.rest()
    pbx.agent.configure(pbx.settings())
    pbx.agent.kill()
    fires("Down")
    with sqlite3.connect(pbx.agent.state / "calls.db") as db:  # as if the outage had begun before yesterday
        db.execute("UPDATE delivery SET created_at = created_at - ?", (HOURS_40,))
    pbx.ami.close()
    pbx.agent.start()
    fires("BacklogOld", "BacklogExpires", "Unhealthy", "NoManagerSession")
    still("Down", "ConfigReloadFailed")

    pbx.answer = Answer(status=400)
    fires("CallsRefused", "DeadLetters")
    still("SinkDown", "BacklogOld", "BacklogExpires")

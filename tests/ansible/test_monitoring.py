"""The playbook for Prometheus' host: it is told about every PBX, and what to be alarmed by."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import saying_why
from tests.kit.ansible import ANSIBLE, command
from tests.kit.fleet import Fleet
from tests.kit.server import program

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(300)]

# Stands for Prometheus: only its unit is asked for anything.
UNIT = "[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/touch /run/reloaded\n"


def test_prometheus_is_told_whom_to_ask_and_what_to_be_alarmed_by(tmp_path: Path) -> None:
    with saying_why():
        promtool = program("promtool", "The playbook for Prometheus' host")
        playbook = command("ansible-playbook")
        fleet = Fleet(watch="bookworm")
    pbxs = {
        "pbx1.example": {"region": "ca1", "asterisk_connector_config": {"http": {"listen": "0.0.0.0:9000"}}},
        "pbx2.example": {"ansible_host": "192.0.2.7"},
    }
    with fleet:
        shutil.copy(promtool, fleet["watch"].file("/usr/bin/promtool"))
        fleet["watch"].file("/etc/systemd/system/prometheus.service").write_text(UNIT)
        fleet["watch"].file("/etc/prometheus").mkdir()
        fleet["watch"].run("systemctl", "start", "prometheus")
        watch = {"hosts": {"watch": fleet.reached("watch")}}
        inventory = tmp_path / "inventory.yml"
        inventory.write_text(yaml.safe_dump({"asterisk": {"hosts": pbxs}, "prometheus": watch}))

        def roll_out() -> str:
            words = [playbook, f"--inventory={inventory}", "playbooks/monitoring.yml"]
            done = subprocess.run(words, cwd=ANSIBLE, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        assert "changed=3" in roll_out()
        fleet["watch"].run("test", "-e", "/run/reloaded")
        assert "changed=0" in roll_out()
        targets = yaml.safe_load(fleet["watch"].file("/etc/prometheus/asterisk-connector-targets.yml").read_text())
        assert targets == [
            {
                "targets": ["pbx1.example:9000"],
                "labels": {"instance": "pbx1.example", "job": "asterisk-connector", "region": "ca1"},
            },
            {"targets": ["192.0.2.7:8000"], "labels": {"instance": "pbx2.example", "job": "asterisk-connector"}},
        ]
        alerts = fleet["watch"].file("/etc/prometheus/asterisk-connector-alerts.yml")
        assert alerts.read_text() == (ANSIBLE.parent / "monitoring/prometheus/alerts.yml").read_text()

"""Molecule's scenario on a booted host: check mode, rollout, the same again, a look at the host, everything away."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.ansible.conftest import FIRST, Releases
from tests.conftest import saying_why
from tests.kit.ansible import ANSIBLE, command
from tests.kit.fleet import CEL, Fleet
from tests.kit.package import NAME, Repository

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(600)]


def test_molecule_rolls_out_finds_nothing_to_change_and_leaves_nothing(tmp_path: Path, release: Releases) -> None:
    with saying_why():
        molecule = Path(command("molecule"))
        fleet = Fleet(pbx1="trixie")
    with fleet, Repository(tmp_path, fleet.address) as repository:
        repository.publish(release("trixie", FIRST))
        variables = {
            "asterisk_connector_version": FIRST,
            "asterisk_connector_repository_url": repository.url,
            "asterisk_connector_repository_key": str(repository.key),
            "asterisk_connector_config": {
                "api": {"url": "https://calls.example"},
                "sources": {"cel_csv": [{"path": CEL}]},
            },
            "asterisk_connector_secrets": {"api.key": "sk_" + "d5" * 16},
            "asterisk_connector_settle": 1,
        }
        hosts = {"pbx1": fleet.reached("pbx1")}
        inventory = tmp_path / "inventory.yml"
        inventory.write_text(yaml.safe_dump({"asterisk": {"hosts": hosts, "vars": variables}}))
        own = {
            "PATH": f"{molecule.parent}:{os.environ['PATH']}",
            "MOLECULE_FLEET": str(inventory),
            "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "molecule"),
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "NO_COLOR": "1",
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            [str(molecule), "test"],
            cwd=ANSIBLE,
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-8000:]
        for action in ("check", "converge", "idempotence", "verify", "cleanup"):
            assert f"default > {action}: Executed: Successful" in done.stdout
        left = fleet["pbx1"].said("find", "/etc", "/var/lib", "/usr/lib", "-name", f"*{NAME}*")
        assert left.splitlines() == []

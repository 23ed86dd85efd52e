"""The role and its playbooks as they lie there: rules, syntax, variables, and the collection they make."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import saying_why
from tests.kit.ansible import ANSIBLE, command

pytestmark = pytest.mark.slow

ROLE = ANSIBLE / "roles" / "asterisk_connector"
PLAYBOOKS = sorted(path.stem for path in (ANSIBLE / "playbooks").glob("*.yml"))


@pytest.fixture(scope="module")
def tools() -> Path:
    """The folder of Ansible's commands."""
    with saying_why():
        return Path(command("ansible-playbook")).parent


def run(tools: Path, *words: str, home: Path, **environment: str) -> str:
    own = {"PATH": f"{tools}:{os.environ['PATH']}", "ANSIBLE_HOME": str(home), "ANSIBLE_NOCOLOR": "1", **environment}
    done = subprocess.run(
        words,
        cwd=ANSIBLE,
        env={**os.environ, "LC_ALL": "C.UTF-8", **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}"
    return done.stdout


def test_ansible_lint_finds_nothing_with_its_profile_for_production(tools: Path, tmp_path: Path) -> None:
    said = run(tools, "ansible-lint", "--offline", "--profile", "production", "--nocolor", home=tmp_path)
    assert "Passed: 0 failure(s), 0 warning(s)" in said


@pytest.mark.parametrize("inventory", ["one-host", "fleet"])
def test_every_playbook_can_be_read_with_the_inventories_to_begin_with(
    inventory: str, tools: Path, tmp_path: Path
) -> None:
    playbooks = [f"playbooks/{name}.yml" for name in PLAYBOOKS]
    run(tools, "ansible-playbook", "--syntax-check", "-i", f"inventories/{inventory}", *playbooks, home=tmp_path)


def test_regions_of_the_fleet_say_what_differs(tools: Path, tmp_path: Path) -> None:
    said = run(tools, "ansible-inventory", "-i", "inventories/fleet", "--list", "--yaml", home=tmp_path)
    fleet = yaml.safe_load(said)["all"]["children"]["asterisk"]["children"]
    assert {region: len(group["hosts"]) for region, group in fleet.items()} == {"region_ca": 40, "region_us": 60}
    first = fleet["region_ca"]["hosts"]["pbx-ca-01.example.org"]
    assert (first["asterisk_region"], first["asterisk_country"]) == ("ca1", "CA")


def test_it_makes_a_collection_whose_playbooks_find_the_role(tools: Path, tmp_path: Path) -> None:
    galaxy = str(tools / "ansible-galaxy")
    run(tools, galaxy, "collection", "build", "--output-path", str(tmp_path), home=tmp_path)
    (built,) = tmp_path.glob("*.tar.gz")
    installed = tmp_path / "collections"
    run(tools, galaxy, "collection", "install", "--offline", str(built), "-p", str(installed), home=tmp_path)
    alerts = next(installed.rglob("roles/asterisk_connector/files/alerts.yml"))
    assert alerts.read_bytes() == (ROLE / "files" / "alerts.yml").read_bytes()
    said = run(
        tools,
        "ansible-playbook",
        "--syntax-check",
        "--inventory=pbx1,",
        *(f"sipstack.asterisk_connector.{name}" for name in PLAYBOOKS),
        home=tmp_path,
        ANSIBLE_COLLECTIONS_PATH=str(installed),
        ANSIBLE_ROLES_PATH=str(tmp_path),
    )
    assert said.count(str(installed)) == len(PLAYBOOKS)


def test_every_variable_has_a_default_and_a_meaning() -> None:
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    described = {name: given for spec in specs.values() for name, given in spec["options"].items()}
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    assert described.keys() >= defaults.keys()
    assert {name: given["default"] for name, given in described.items() if name in defaults} == defaults

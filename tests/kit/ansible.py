"""Playbooks of `ansible/` against hosts of a test, run as an operator runs them: the command, an inventory, a vault.

- The inventory is a folder: `hosts.yml`, variables of the group `asterisk`, and its secrets in a vault file.
- Ansible comes from a virtual environment of its own, made by the Makefile when it is not there.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.kit.cache import CACHE, CannotRun

REPOSITORY = CACHE.parent
ANSIBLE = REPOSITORY / "ansible"
_RECAP = re.compile(
    r"^(?P<host>\S+) +: ok=\d+ +changed=(?P<changed>\d+) +unreachable=(?P<unreachable>\d+) +failed=(?P<failed>\d+)"
    r" +skipped=\d+ +rescued=(?P<rescued>\d+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Recap:
    """What Ansible counted on one host."""

    changed: int
    unreachable: int
    failed: int
    rescued: int


@dataclass(frozen=True, slots=True)
class Run:
    """How a playbook ended. `recap` has the hosts it came to."""

    code: int
    said: str
    recap: dict[str, Recap]

    def succeeded(self) -> Self:
        assert self.code == 0, self.said[-6000:]
        return self


def command(name: str) -> str:
    """A command of Ansible, as `requirements/ansible.txt` locks it. Raises CannotRun."""
    made = subprocess.run(
        ["make", "--silent", ".venv-ansible/.ready"], cwd=REPOSITORY, capture_output=True, check=False
    )
    if made.returncode != 0:
        raise CannotRun("Ansible", f"its virtual environment cannot be made: {made.stderr.decode()[-600:]}.")
    return str(REPOSITORY / ".venv-ansible" / "bin" / name)


class Playbooks:
    """A context manager. `hosts`: the variables of each host of the group; `secrets` become the group's vault."""

    def __init__(
        self, hosts: Mapping[str, Mapping[str, Any]], variables: Mapping[str, Any], secrets: Mapping[str, Any]
    ) -> None:
        self._hosts = hosts
        self._variables = variables
        self._secrets = secrets
        self._playbook = command("ansible-playbook")
        self._folder = tempfile.TemporaryDirectory(prefix="ansible-")
        self.inventory = Path(self._folder.name) / "inventory"
        self._password = Path(self._folder.name) / "vault-password"

    def __enter__(self) -> Self:
        group = self.inventory / "group_vars" / "asterisk"
        group.mkdir(parents=True)
        hosts = {name: dict(given) for name, given in self._hosts.items()}
        (self.inventory / "hosts.yml").write_text(yaml.safe_dump({"asterisk": {"hosts": hosts}}))
        (group / "main.yml").write_text(yaml.safe_dump(dict(self._variables)))
        self._password.touch(0o600)
        self._password.write_text("the vault's password\n")
        vault = group / "vault.yml"
        vault.touch(0o600)
        vault.write_text(yaml.safe_dump(dict(self._secrets)))
        encrypt = [command("ansible-vault"), "encrypt", f"--vault-password-file={self._password}", str(vault)]
        subprocess.run(encrypt, check=True, capture_output=True, env=self._environment())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._folder.cleanup()

    def run(self, playbook: str, *options: str, **variables: Any) -> Run:
        """Runs `ansible/playbooks/<playbook>.yml`; `variables` are extra ones."""
        extra = Path(self._folder.name) / "extra.yml"
        extra.write_text(yaml.safe_dump(variables))
        words = [f"--inventory={self.inventory}", f"--vault-password-file={self._password}", f"--extra-vars=@{extra}"]
        done = subprocess.run(
            [self._playbook, *words, *options, f"playbooks/{playbook}.yml"],
            cwd=ANSIBLE,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        recap = {
            found["host"]: Recap(*(int(found[count]) for count in ("changed", "unreachable", "failed", "rescued")))
            for found in _RECAP.finditer(done.stdout)
        }
        return Run(done.returncode, done.stdout, recap)

    def _environment(self) -> dict[str, str]:
        own = {"ANSIBLE_HOME": self._folder.name, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return {**kept, **own, "LC_ALL": "C.UTF-8"}

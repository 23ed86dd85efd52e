"""What an operator does with the package on a booted host: installs it, configures it, looks at it, takes it away.

- A host is expensive, so that tests share one: `bare`, `pbx` and `running` bring it to a state from whatever state the
  test before left it in, and cost little where it is in that state already.
- Calls are numbered for the life of the host: no two tests write the same one.
"""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from tests.kit.call_api import CallApi, take
from tests.kit.fleet import CEL, SPOOL
from tests.kit.host import Host
from tests.kit.package import NAME
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

ETC = f"/etc/{NAME}"
STATE = f"/var/lib/{NAME}"
KEY = "sk_" + "a" * 32
DROP_INS = f"/etc/systemd/system/{NAME}.service.d"


class Operator:
    """Of `host`, with `package` to install and `api` to ship to."""

    def __init__(self, host: Host, package: Path, api: CallApi) -> None:
        self.host = host
        self.package = package
        self.api = api
        self._numbers = count(1)

    # -- states of the host -------------------------------------------------------------------------------------------

    def bare(self) -> None:
        """A host that has neither the package nor an Asterisk."""
        self.purge()
        if self.host.run("id", "asterisk", check=False).returncode == 0:
            self.host.run("userdel", "asterisk")
            self.host.run("rm", "-rf", "/var/log/asterisk", "/var/spool/asterisk")

    def pbx(self) -> None:
        """A host with the user, the group and the directories of an Asterisk, without the package."""
        self.purge()
        self.add_asterisk()
        self.host.file(CEL).write_bytes(b"")

    def running(self) -> None:
        """A PBX with the package installed, configured and started, and an API that takes every call."""
        self.api.script = take
        if not self.installed():
            self.pbx()
        if self.installed() != version(self.package):
            self.install(self.package)
        changed = self._drop_in("")
        if self.host.said("systemctl", "is-enabled", NAME) != "enabled":
            self.host.run("systemctl", "unmask", NAME)
            self.host.run("systemctl", "enable", "--quiet", NAME)
        changed |= self.configure(self.settings())
        if changed or self.show("ActiveState") != "active" or self.show("NRestarts") != "0":
            self.host.run("systemctl", "reset-failed", NAME, check=False)
            self.host.run("systemctl", "restart", NAME)

    def add_asterisk(self) -> None:
        if self.host.run("id", "asterisk", check=False).returncode != 0:
            self.host.run("useradd", "--system", "--user-group", "--no-create-home", "asterisk")
        for directory in (str(Path(CEL).parent), SPOOL):
            self.host.run("install", "-d", "-m", "0750", "-o", "asterisk", "-g", "asterisk", directory)
        self.host.run("chown", "asterisk:asterisk", "/var/log/asterisk", "/var/spool/asterisk")
        self.host.run("install", "-m", "0640", "-o", "asterisk", "-g", "asterisk", "/dev/null", CEL)

    # -- the package --------------------------------------------------------------------------------------------------

    def install(self, package: Path) -> str:
        """Installs a version, newer or older than what is there; what apt said."""
        shutil.copy(package, self.host.file(f"/root/{package.name}"))
        return self.host.run("apt-get", "install", "-y", "--allow-downgrades", f"/root/{package.name}").stdout

    def installed(self) -> str:
        """The version that is installed, or nothing."""
        status = self.host.said("dpkg-query", "--show", "--showformat=${Status} ${Version}", NAME)
        return status.removeprefix("install ok installed ") if status.startswith("install ok installed") else ""

    def purge(self) -> None:
        """Takes package, configuration, state and drop-ins away."""
        if self.host.said("dpkg-query", "--show", NAME):
            self.host.run("systemctl", "unmask", NAME, check=False)
            self.host.run("apt-get", "purge", "-y", NAME)
        self._drop_in("")
        self.host.run("rm", "-rf", ETC, STATE)

    # -- its configuration --------------------------------------------------------------------------------------------

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "start_at": "beginning",
            "api": {"url": self.api.url, "key_file": f"{ETC}/api.key"},
            "sources": {"cel_csv": [{"path": CEL}]},
            "calls": {"settle": "200ms"},
            # Hosts of a test run share one loopback.
            "http": {"listen": "off"},
            **more,
        }

    def configure(self, settings: dict[str, Any] | str) -> bool:
        """Writes a configuration and a key that the service, and nobody else, may read; whether anything is new."""
        text = settings if isinstance(settings, str) else yaml.safe_dump(settings)
        changed = False
        for name, content in (("api.key", KEY), ("config.yaml", text)):
            file = self.host.file(f"{ETC}/{name}")
            if file.exists() and file.read_text() == content:
                continue
            file.write_text(content)
            self.host.run("chown", f"root:{NAME}", f"{ETC}/{name}")
            self.host.run("chmod", "0640", f"{ETC}/{name}")
            changed = True
        return changed

    def drop_in(self, text: str) -> None:
        """Changes the unit as an administrator does, and starts the service anew with it."""
        self._drop_in(text)
        self.host.run("systemctl", "restart", NAME)

    def _drop_in(self, text: str) -> bool:
        """Writes the drop-in, or removes it where there is no text; whether anything is new."""
        file = self.host.file(f"{DROP_INS}/test.conf")
        if (file.read_text() if file.exists() else "") == text:
            return False
        if text:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        else:
            shutil.rmtree(file.parent)
        self.host.run("systemctl", "daemon-reload")
        return True

    # -- calls --------------------------------------------------------------------------------------------------------

    def write_call(self) -> str:
        """A call's rows, as Asterisk appends them; its linkedid."""
        call = NumberedCall(next(self._numbers))
        with self.host.file(CEL).open("ab") as file:
            file.write(b"".join(row + b"\n" for _, row in call.rows()))
        return call.linkedid

    def arrived(self, *linkedids: str, within: float = 30) -> None:
        """Waits until calls are at the API; fails with the end of the journal."""

        def missing() -> set[str]:
            return set(linkedids) - set(self.api.calls)

        try:
            until(lambda: not missing(), within)
        except AssertionError:
            raise AssertionError(f"not at the call API: {sorted(missing())}\n{self.journal()[-6000:]}") from None

    def taken(self) -> int:
        """How often the API has taken a call, the same one taken twice counted twice."""
        return sum(self.api.accepted.values())

    # -- looking ------------------------------------------------------------------------------------------------------

    def show(self, what: str) -> str:
        return self.host.said("systemctl", "show", "--property", what, "--value", NAME)

    def journal(self, *options: str) -> str:
        """What the unit's journal says; `options` of journalctl narrow it."""
        return self.host.said("journalctl", "--no-pager", "--output=cat", "--unit", NAME, *options)

    def cursor(self) -> str:
        """An option for `journal`: only what comes after this moment."""
        self.host.run("journalctl", "--sync")
        last = self.host.said("journalctl", "--no-pager", "--lines=0", "--show-cursor")
        return f"--after-cursor={last.partition('cursor: ')[2]}"


def version(package: Path) -> str:
    """The version of a package file."""
    return package.name.split("_")[1]

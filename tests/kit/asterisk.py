"""A real Asterisk, started, killed and talked to by tests; each instance with its own folder and loopback address.

- It runs straight from a cached root file system through that root's own dynamic linker: no chroot, no mounts, so every
  path Asterisk writes (recordings in CEL and CDR too) is the path a test sees.
- Everything it writes lies under one folder: `etc`, `lib`, `log`, `run`, `spool`.
- AMI listens on `address:5038`, SIP on `address:5060`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import subprocess
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.kit import rootfs
from tests.kit.database import Database
from tests.kit.server import Server
from tests.kit.wait import until

TEMPLATES = Path(__file__).parent / "asterisk"
RELEASES = {16: rootfs.ASTERISK_16, 22: rootfs.ASTERISK_22}
AMI_PORT = 5038
ODBC_DRIVERS = {"mariadb": "libmaodbc.so", "postgresql": "psqlodbcw.so"}


class Asterisk(Server):
    """One Asterisk of release 16 or 22.

    `files` are configuration files that replace the templates of `tests/kit/asterisk` or stand beside them (name →
    text; `@ADDRESS@` and `@HOME@` are filled in). `environment` is added to its environment (`TZ`, for example). With
    a `system_name` every uniqueid begins with it.
    """

    def __init__(
        self,
        release: int,
        home: Path | None = None,
        files: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        system_name: str = "",
    ) -> None:
        self.root = rootfs.root(RELEASES[release])
        super().__init__(home)
        self.release = release
        self.system_name = system_name
        self._environment = {**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})}
        for folder in (
            "etc",
            "lib",
            "run",
            "log/cel-custom",
            "log/cdr-csv",
            "log/cdr-custom",
            "lib/keys",
            "data/sounds",
            "spool/monitor",
            "spool/voicemail",
            "spool/outgoing",
            "spool/tmp",
        ):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        # The root's link to its English prompts is absolute and would lead to the host: make our own.
        shared = self.root / "usr/share/asterisk"
        for entry in shared.iterdir():
            if entry.name != "sounds":
                (self.home / "data" / entry.name).symlink_to(entry)
        (self.home / "data/sounds/en").symlink_to(self._found("usr/share/asterisk/sounds/en_US_*"))
        texts = {path.name: path.read_text() for path in TEMPLATES.glob("*.conf")}
        for path in (TEMPLATES / str(release)).glob("*.conf"):
            texts[path.name] += path.read_text()
        for name, text in {**texts, **(files or {})}.items():
            self.configure(name, text)

    # where things are

    @property
    def cel_csv(self) -> Path:
        """CEL, stock mapping of 20 columns. Siblings: Sipstack.csv and, on 22, Advanced.csv and Advanced.json."""
        return self.home / "log" / "cel-custom" / "Master.csv"

    @property
    def cdr_csv(self) -> Path:
        """CDR as cdr_csv writes it."""
        return self.home / "log" / "cdr-csv" / "Master.csv"

    @property
    def cdr_custom_csv(self) -> Path:
        """CDR with linkedid, did and recordingfile (mapping in cdr_custom.conf)."""
        return self.home / "log" / "cdr-custom" / "Master.csv"

    @property
    def monitor(self) -> Path:
        """Folder of the recordings."""
        return self.home / "spool" / "monitor"

    @property
    def log(self) -> str:
        """What Asterisk logged so far."""
        return (self.home / "log" / "full").read_text(errors="replace")

    # configuration

    def configure(self, name: str, text: str) -> None:
        """Writes one configuration file; a running instance needs `cli("module reload …")` or a restart."""
        tokens = {
            "ADDRESS": self.address,
            "HOME": str(self.home),
            "MODULES": str(self._found("usr/lib/*/asterisk/modules", "usr/lib/asterisk/modules")),
            "NAME": self.system_name,
            "ENTITY": ":".join(["02", *textwrap.wrap(hashlib.sha256(str(self.home).encode()).hexdigest()[:10], 2)]),
        }
        for token, value in tokens.items():
            text = text.replace(f"@{token}@", value)
        (self.home / "etc" / name).write_text(text)

    def log_to_database(self, database: Database, cel: str = "cel", cdr: str = "cdr", options: str = "") -> None:
        """CEL and CDR also go to these tables by ODBC (cel_odbc, cdr_adaptive_odbc; 22 only), from the next start on.

        `options` are further lines of cdr_adaptive_odbc.conf (`alias start => calldate`).
        """
        driver = self._found(f"usr/lib/*/odbc/{ODBC_DRIVERS[database.kind]}")
        keys = "".join(f"{key} = {value}\n" for key, value in database.odbc.items())
        login = f"username => {database.user}\npassword => {database.password}\npre-connect => yes\n"
        self.configure("odbcinst.ini", "")
        self.configure("odbc.ini", f"[calls]\nDriver = {driver}\n{keys}")
        self.configure("res_odbc.conf", f"[calls]\nenabled => yes\ndsn => calls\n{login}")
        self.configure("cel_odbc.conf", f"[calls]\nconnection = calls\ntable = {cel}\n")
        self.configure("cdr_adaptive_odbc.conf", f"[calls]\nconnection = calls\ntable = {cdr}\n{options}\n")
        self._environment |= {"ODBCSYSINI": str(self.home / "etc"), "ODBCINI": str(self.home / "etc" / "odbc.ini")}

    # life

    def start(self) -> None:
        """Starts it and returns when it is fully booted."""
        self.launch([*self._program, "-f", "-C", str(self.home / "etc" / "asterisk.conf")], self._environment)
        until(self._booted, within=60, what=f"Asterisk {self.release} is booted")

    def _booted(self) -> bool:
        if not self.running:
            raise RuntimeError(f"Asterisk {self.release} did not boot:\n{self.console[-2000:]}")
        return "fully booted" in self._remote("core waitfullybooted", 60).stdout

    def stop(self, timeout: float = 30) -> None:
        """`core stop now`: calls in progress are hung up, CEL and CDR are written."""
        if self._process is not None:
            self._remote("core stop now", timeout)
            self._gone(timeout)

    # talking to it

    def cli(self, command: str, timeout: float = 20) -> str:
        """What the command line answers."""
        done = self._remote(command, timeout)
        if done.returncode != 0:
            raise RuntimeError(f"asterisk -rx {command!r}: {done.stdout}{done.stderr}")
        return done.stdout

    def channels(self) -> int:
        """How many channels live now."""
        return int(self.cli("core show channels count").split()[0])

    def backlog(self) -> int:
        """How many messages still wait inside Asterisk for its CEL, CDR and AMI writers: hundreds after a rush."""
        lines = self.cli("core show taskprocessors").splitlines()
        return sum(int(line.split()[2]) for line in lines if re.match(r"stasis/m:(cel|cdr|manager):", line))

    def wait_idle(self, timeout: float = 20) -> None:
        """Returns when no channel lives any more and what there was to write about them is written."""
        until(lambda: not (self.channels() or self.backlog()), within=timeout, what="Asterisk is idle")

    @contextlib.contextmanager
    def manager(self, user: str = "tester", secret: str = "tester") -> Iterator[Manager]:
        """A logged-in AMI session. `connector` is the other account, with the rights an agent should have."""
        session = Manager.login(self.address, user, secret)
        try:
            yield session
        finally:
            session.close()

    # inside

    def _found(self, *patterns: str) -> Path:
        for pattern in patterns:
            for path in self.root.glob(pattern):
                return path
        raise FileNotFoundError(f"{patterns} in {self.root}")

    @property
    def _program(self) -> list[str]:
        # The link in /lib64 may be absolute and so name the host's linker: take the root's own.
        linker = self._found("lib/*/ld-linux-*.so.*")
        folders = (linker.parent, self.root / "usr/lib" / linker.parent.name, self.root / "usr/lib")
        return [str(linker), "--library-path", ":".join(map(str, folders)), str(self.root / "usr/sbin/asterisk")]

    def _remote(self, command: str, timeout: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._program, "-C", str(self.home / "etc" / "asterisk.conf"), "-rx", command],
            capture_output=True,
            text=True,
            errors="replace",
            env=self._environment,
            timeout=timeout,
            check=False,
        )


class Manager:
    """An AMI session of a test: actions one at a time, every event kept in order of arrival."""

    def __init__(self, address: str, port: int = AMI_PORT) -> None:
        self.events: list[dict[str, str]] = []
        self._answers: dict[str, dict[str, str]] = {}
        self._changed = threading.Condition()
        self._number = 0
        self._socket = socket.create_connection((address, port), timeout=10)
        self._socket.settimeout(None)
        self._reader = threading.Thread(target=self._read, name="manager", daemon=True)
        self._reader.start()

    @classmethod
    def login(cls, address: str, user: str, secret: str) -> Manager:
        """A session that is logged in."""
        session = cls(address)
        try:
            session.action("Login", Username=user, Secret=secret)
        except BaseException:
            session.close()
            raise
        return session

    def action(self, name: str, timeout: float = 10, **headers: str | int) -> dict[str, str]:
        """Sends an action and returns its response; raises when Asterisk says Error."""
        self._number += 1
        identity = f"bench-{self._number}"
        lines = [f"Action: {name}", f"ActionID: {identity}", *(f"{key}: {value}" for key, value in headers.items())]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        with self._changed:
            if not self._changed.wait_for(lambda: identity in self._answers, timeout):
                raise AssertionError(f"no response to {name} within {timeout} s")
            answer = self._answers.pop(identity)
        if answer["Response"] == "Error":
            raise RuntimeError(f"{name}: {answer.get('Message')}")
        return answer

    def wait_event(
        self, wanted: Callable[[dict[str, str]], bool], since: int = 0, timeout: float = 10
    ) -> dict[str, str]:
        """The first event from index `since` on that is wanted."""
        found: list[dict[str, str]] = []

        def look() -> bool:
            found.extend(event for event in self.events[since:] if wanted(event))
            return bool(found)

        with self._changed:
            if not self._changed.wait_for(look, timeout):
                raise AssertionError(f"no such event among {len(self.events) - since} within {timeout} s")
        return found[0]

    def close(self) -> None:
        """Ends the session."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(5)
        self._socket.close()

    def _read(self) -> None:
        message: dict[str, str] = {}
        with contextlib.suppress(OSError), self._socket.makefile("rb") as stream:
            stream.readline()  # the greeting
            for raw in stream:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                if line:
                    key, _, value = line.partition(": ")
                    message[key] = value
                    continue
                with self._changed:
                    # OriginateResponse is an event with a Response header and our ActionID.
                    if "Event" in message:
                        self.events.append(message)
                    elif "Response" in message:
                        self._answers[message.get("ActionID", "")] = message
                    self._changed.notify_all()
                message = {}

"""Asking the running service over its control socket.

- `ask` gives rows as they come; it raises NotRunning before the first row or not at all.
- Nothing waits longer than `PATIENCE` seconds for a sign of the service.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from asterisk_connector.control import wire
from asterisk_connector.control.answers import START
from asterisk_connector.control.questions import AnyQuestion
from asterisk_connector.errors import ConnectorError, Misconfigured, NotRunning, Transient

PATIENCE = 30.0


def ask(path: Path, question: AnyQuestion, directory: Path) -> Iterator[dict[str, Any]]:
    """The rows the service that listens at `path` answers about the state in `directory`.

    Raises NotRunning when none listens there, or one with another state; Misconfigured when this user may not ask;
    Transient when it does not answer, or breaks off; and what the service itself refuses with.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(PATIENCE)
        _connect(link, path)
        try:
            link.sendall(wire.line(wire.Request(question, str(directory), _user())))
            with link.makefile("rb") as lines:
                yield from _rows(iter(lines))
        except TimeoutError:
            raise Transient(f"the service at {path} has not answered for {PATIENCE:.0f} s") from None
        except OSError as error:
            raise Transient(f"the service at {path} broke off: {error.strerror}") from error


def _connect(link: socket.socket, path: Path) -> None:
    try:
        link.connect(str(path))
    except PermissionError:
        raise _closed(path) from None
    except TimeoutError:
        raise Transient(f"the service at {path} takes no question now") from None
    except OSError as error:
        said = f"the service is not running: nobody listens at {path} ({error.strerror or error})"
        raise NotRunning(said, START) from None


def _closed(path: Path) -> ConnectorError:
    """Which group lets one in: that of the first thing on the way that does not."""
    user = _user()
    place = path if os.access(path.parent, os.X_OK, effective_ids=True) else path.parent
    try:
        group = grp.getgrgid(place.stat().st_gid).gr_name
    except (OSError, KeyError):
        group = "asterisk-connector"
    hint = f"join group {group} (usermod -aG {group} {user}, then log in again), or use sudo"
    return Misconfigured(f"user {user} may not ask the service at {path}", hint)


def _rows(lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    for raw in lines:
        match wire.reply(raw):
            case wire.Row(row=row):
                yield msgspec.json.decode(row)
            case wire.End():
                return
            case wire.Refusal() as refused:
                raise wire.raised(refused)
    raise Transient("the service ended while it answered")


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())

"""`support`: what somebody who helps needs to know of this host, in one file, without secrets and whole numbers.

- It is written for its maker alone (0600) and sent nowhere.
- What cannot be had is left out and said, in the file and on the terminal; nothing of it ends the rest.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from asterisk_connector import __version__
from asterisk_connector.cli import host_facts, redaction
from asterisk_connector.cli.asking import Row, ask, ask_service
from asterisk_connector.cli.configuration import config_option
from asterisk_connector.cli.host_facts import NotHad
from asterisk_connector.cli.redaction import Redaction
from asterisk_connector.config import reference
from asterisk_connector.config.asterisk_files import ETC
from asterisk_connector.config.check import check
from asterisk_connector.config.load import load, whereabouts
from asterisk_connector.config.model import Settings
from asterisk_connector.control.questions import AnyQuestion, Configuration, MetricsNow, StateFacts, StatusNow
from asterisk_connector.errors import ConnectorError, Misconfigured

_HINT = """\
Secrets are replaced by *** and numbers of people are masked. Names of hosts, trunks, queues and persons in file names
are not: look through it before you hand it on. Nothing was sent anywhere.
"""


class Piece(NamedTuple):
    """One file of the bundle: what it is, in a few words, and how it is had (redacted)."""

    name: str
    what: str
    make: Callable[[], str]


@click.command()
@config_option
@click.option(
    "--output", type=click.Path(path_type=Path), help="The file to write.  [default: one named by host and time]"
)
@click.option("--lines", type=click.IntRange(1, 100_000), default=2000, show_default=True, help="Lines of the journal.")
def support(config_file: Path, output: Path | None, lines: int) -> None:
    """Collects what somebody who helps needs to know, in one file without secrets.

    Version, configuration, findings of `check`, status, metrics, journal, counts of the state, unit, host, and what
    Asterisk's files say of CEL, CDR and AMI. Nothing is sent anywhere.
    """
    loaded = load(config_file)
    hide = redaction.of_settings(loaded.settings) if loaded.settings else redaction.of_file(config_file)
    now = datetime.now(UTC)
    name = f"asterisk-connector-support-{re.sub(r'[^A-Za-z0-9.-]', '_', os.uname().nodename)}-{now:%Y%m%dT%H%M%SZ}"
    file = output or Path(f"{name}.tar.gz")
    told: list[str] = []
    with _created(file) as out, tarfile.open(fileobj=out, mode="w:gz") as bundle:
        for piece in _pieces(config_file, loaded.settings, hide, lines):
            told.append(_put(bundle, name, piece, now))
        contents = f"asterisk-connector {__version__}, support bundle of {now:%Y-%m-%d %H:%M:%S} UTC\n\n"
        _add(bundle, f"{name}/CONTENTS.txt", contents + "\n".join(told) + "\n\n" + _HINT, now)
    click.echo(f"{file}: {file.stat().st_size} bytes, readable by you alone")
    for line in told:
        click.echo(f"  {line}")
    click.echo(_HINT, nl=False)


def _pieces(config_file: Path, settings: Settings | None, hide: Redaction, lines: int) -> Iterator[Piece]:
    yield Piece(
        "host.json", "version, system, Python, libraries", lambda: _json(hide, host_facts.host(_state(config_file)))
    )
    yield Piece("configuration.yaml", "what is in force", lambda: _configuration(config_file, settings, hide))
    yield Piece("check.json", "what `check --tier host` finds", lambda: _findings(config_file, hide))
    yield Piece("status.json", "how the service is", lambda: _json(hide, _one(config_file, StatusNow())["status"]))
    yield Piece("metrics.txt", "what Prometheus would read", lambda: hide.text(_one(config_file, MetricsNow())["text"]))
    yield Piece(
        "state.json", "schema and counts of the state", lambda: _json(hide, next(ask(config_file, StateFacts())))
    )
    yield Piece("journal.txt", "its last lines in the journal", lambda: hide.text(host_facts.journal(lines)))
    yield Piece("unit.txt", "what systemd says of it", lambda: hide.text(host_facts.unit()))
    yield Piece("asterisk/version.txt", "Asterisk's version", lambda: hide.text(host_facts.asterisk_version()))
    for conf in host_facts.asterisk_files(ETC):
        place = f"asterisk/{conf.relative_to(ETC)}"
        yield Piece(place, "as it stands there", lambda conf=conf: hide.settings(conf.read_text(errors="replace")))  # type: ignore[misc]


def _put(bundle: tarfile.TarFile, folder: str, piece: Piece, now: datetime) -> str:
    """Adds a piece; how it is told."""
    try:
        text = piece.make()
    except (ConnectorError, NotHad, OSError) as error:
        return f"{piece.name:<24} left out: {' '.join(str(error).split())}"
    _add(bundle, f"{folder}/{piece.name}", text, now)
    return f"{piece.name:<24} {piece.what}"


def _add(bundle: tarfile.TarFile, name: str, text: str, now: datetime) -> None:
    raw = text.encode("utf-8", "replace")
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(raw), 0o600, int(now.timestamp())
    bundle.addfile(info, io.BytesIO(raw))


def _created(file: Path) -> io.BufferedWriter:
    """A new file that nobody else may read. Raises Misconfigured where it cannot be made, or is there."""
    try:
        return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
    except OSError as error:
        raise Misconfigured(f"{file}: {error.strerror}", "name another with --output") from None


def _state(config_file: Path) -> Path:
    try:
        return whereabouts(config_file).store.directory
    except Misconfigured:
        return Path("/var/lib/asterisk-connector")


def _one(config_file: Path, question: AnyQuestion) -> Row:
    """What only the service knows."""
    return next(ask_service(config_file, question))


def _configuration(config_file: Path, settings: Settings | None, hide: Redaction) -> str:
    """The service's own word, else the file's as it would be put in force, else the file as it stands."""
    try:
        return hide.settings(_one(config_file, Configuration())["text"])
    except ConnectorError:
        if settings is not None:
            return hide.settings(reference.show(settings))
        return hide.settings(config_file.read_text(encoding="utf-8", errors="replace"))


def _findings(config_file: Path, hide: Redaction) -> str:
    report = check(config_file, "host")
    findings = [asdict(finding) for finding in report.findings]
    return _json(hide, {"good": report.good, "looked_at": report.looked_at, "findings": findings})


def _json(hide: Redaction, value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(hide.document(msgspec.to_builtins(value))), indent=2).decode() + "\n"

"""`replay`: call documents from captures, one JSON object a line, oldest call first; no state, no configuration needed.

What a capture is: CEL as cel_custom writes it in any mapping, JSON lines, CDR files, a table pasted from `mysql` or
`psql`, or the bytes of a manager session; each file is recognised by its content. Rows that cannot be understood are
named on stderr and do not stop the rest.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import msgspec

from asterisk_connector import parts
from asterisk_connector.assembly.connect import connect
from asterisk_connector.call import Call, document
from asterisk_connector.cli.configuration import settings_of
from asterisk_connector.config.model import Settings
from asterisk_connector.errors import Misconfigured
from asterisk_connector.notices import EnrichmentFailed, Notice
from asterisk_connector.records import Record, SetAside
from asterisk_connector.sources.captures import read_capture, read_cdr

_SHOWN = 20
_STDIN = Path("-")


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--cdr", multiple=True, type=click.Path(path_type=Path), help="CDR of the same calls; may be repeated.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Trunks, numbers, tenants from here.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone of times written without one.")
def replay(files: tuple[Path, ...], cdr: tuple[Path, ...], config_file: Path | None, zone: str) -> None:
    """Prints the call documents of captures, one JSON object a line.

    FILES are captures of CEL, CDR or a manager session in any format, `-` for standard input; compressed ones (.gz) are
    read too.
    """
    if not files and not cdr:
        raise click.UsageError("name a capture: a CEL or CDR file, or - for standard input")
    settings = settings_of(config_file) if config_file is not None else Settings()
    clock = _zone(zone)
    records: list[Record] = []
    for file, read in [*((f, read_capture) for f in files), *((f, read_cdr) for f in cdr)]:
        found, set_aside = read(_bytes(file), zone=clock)
        records.extend(found)
        _complain(file, set_aside)
        if set_aside and not found:
            raise click.UsageError(f"{file}: not one row of a call could be found in it")
    for call in calls(records, settings):
        click.echo(msgspec.json.encode(document(call)))


def calls(records: Sequence[Record], settings: Settings) -> list[Call]:
    """The calls these records are of, oldest first."""
    tell = parts.rules(settings, _tell_failure).tell
    found = []
    for group in connect(records):
        call = tell(group, None, None)
        found.append(call if call.complete else tell(group, "the capture ends before the call does", None))
    return sorted(found, key=lambda call: (call.started_at, call.call_id))


def _bytes(file: Path) -> bytes:
    try:
        raw = sys.stdin.buffer.read() if file == _STDIN else file.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{file}: {error.strerror}", "Name a file that exists and that you may read.") from error
    try:
        return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    except (OSError, EOFError, zlib.error) as error:
        raise Misconfigured(
            f"{file} is a damaged compressed file: {error}", f"See how far `zcat {file}` comes."
        ) from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Misconfigured(
            f"unknown time zone {name!r}", "Write it as Europe/Oslo; `timedatectl list-timezones`."
        ) from error


def _complain(file: Path, set_aside: Sequence[SetAside]) -> None:
    for row in set_aside[:_SHOWN]:
        click.echo(f"{file}: at {row.ident}: {row.reason}: {row.raw[:80]!r}", err=True)
    if len(set_aside) > _SHOWN:
        click.echo(f"{file}: {len(set_aside) - _SHOWN} more rows could not be understood", err=True)


def _tell_failure(notice: Notice) -> None:
    if isinstance(notice, EnrichmentFailed):
        click.echo(f"call {notice.call_id}: step {notice.step} failed: {notice.reason}", err=True)

"""`asterisk-connector setup`: finds the Asterisk of this host, proposes a configuration, writes it when told to.

- Nothing of Asterisk's or of a database is changed: what is to be done there is written down as files to be applied.
- Secrets come from files or a hidden prompt and go into files; none is printed.
- The check at the end is made as the service's user, who may read less than root.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import click

from asterisk_connector.cli.configuration import config_option
from asterisk_connector.cli.redaction import without_secrets
from asterisk_connector.errors import Misconfigured
from asterisk_connector.setup import install
from asterisk_connector.setup.files import Files
from asterisk_connector.setup.found import CsvFile, Found, Table
from asterisk_connector.setup.look import look
from asterisk_connector.setup.propose import Choice, Wishes, choose, configuration
from asterisk_connector.setup.steps import Step, steps

REGIONS = ("us1", "us2", "ca1", "dev")


@click.command()
@config_option
@click.option("--non-interactive", is_flag=True, help="Ask nothing: options and defaults decide.")
@click.option(
    "--print", "only_print", is_flag=True, help="Write nothing: the configuration to stdout, all else beside."
)
@click.option("--json", "as_json", is_flag=True, help="Write nothing: what was found and proposed, as JSON.")
@click.option("--force", is_flag=True, help="Replace a configuration that is there; the old one is kept beside it.")
@click.option("--region", type=click.Choice(REGIONS), help="Where your account lives.  [default: us1]")
@click.option("--api-url", default="", help="Another address than the region's.")
@click.option(
    "--api-key-file", type=click.Path(path_type=Path, allow_dash=True), help="A file with the API key; `-`: stdin."
)
@click.option("--customer-id", type=click.IntRange(min=0), help="Your customer number.")
@click.option("--cel", type=click.Choice(["auto", "csv", "table", "ami", "none"]), default="auto", show_default=True,
              help="Where call events are read.")  # fmt: skip
@click.option("--cdr", type=click.Choice(["auto", "csv", "table", "none"]), default="auto", show_default=True,
              help="Where call records are read.")  # fmt: skip
@click.option("--recordings/--no-recordings", default=True, show_default=True, help="Link recordings to their calls.")
@click.option("--upload/--no-upload", default=None, help="Send recordings after their calls.  [default: no-upload]")
@click.option("--kafka", "brokers", multiple=True, metavar="HOST:PORT", help="Publish AMI events to these brokers.")
@click.option("--topic", default="asterisk_ami", show_default=True, help="The topic of AMI events; it must exist.")
@click.option("--asterisk-etc", type=click.Path(path_type=Path), help="The directory of asterisk.conf, if not found.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default="/",
    help="Where Asterisk's own file system begins, when it runs in a chroot or a container; its log and spool must be "
    "at the same paths outside.",
)
def setup(
    *,
    config_file: Path,
    non_interactive: bool,
    only_print: bool,
    as_json: bool,
    force: bool,
    region: Literal["us1", "us2", "ca1", "dev"] | None,
    api_url: str,
    api_key_file: Path | None,
    customer_id: int | None,
    cel: Literal["auto", "csv", "table", "ami", "none"],
    cdr: Literal["auto", "csv", "table", "none"],
    recordings: bool,
    upload: bool | None,
    brokers: tuple[str, ...],
    topic: str,
    asterisk_etc: Path | None,
    root: Path,
) -> None:
    """Finds FreePBX or a plain Asterisk on this host and proposes a configuration for it.

    Nothing of Asterisk's or of a database is changed. What is to be done there (a database account that may only read,
    a manager account, lines of cel.conf) is written to files beside the configuration, with the commands that apply
    them.

    Ends with 0 when the configuration was written or kept, whatever the check of it says; else with 78.
    """
    ask = not (non_interactive or only_print or as_json)
    # A name without `/` begins here; in a root of Asterisk's own it begins there.
    here = Path.cwd() if root == Path("/") else Path("/")
    found = look(Files(root.absolute()), None if asterisk_etc is None else here / asterisk_etc)
    wishes = Wishes(
        region=region or "us1",
        url=api_url,
        customer_id=customer_id or 0,
        cel=cel,
        cdr=cdr,
        recordings=recordings,
        upload=bool(upload),
        brokers=brokers,
        topic=topic,
    )
    directory = config_file.absolute().parent
    if not as_json:
        _tell_found(found)
    if ask:
        wishes = _asked(wishes, region=region, customer_id=customer_id, upload=upload, found=found)
    choice = choose(found, wishes, directory, root.absolute())
    text = configuration(choice)
    if as_json:
        document = {"found": asdict(found), "config": text, "steps": [asdict(step) for step in steps(choice)]}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))
        return
    if only_print:
        _tell_steps(steps(choice), directory / install.STEPS)
        click.echo(text, nl=False)
        return
    key = _api_key(choice, api_key_file, ask)
    if _kept(config_file, text, ask, force):
        click.echo(f"{config_file} stays as it is.")
    else:
        click.echo(f"\n{text}")
        if ask and not click.confirm(f"Write this to {config_file}?", default=True):
            raise click.Abort
        _write(choice, config_file, text, key)
    _check(config_file)


def _tell_found(found: Found) -> None:
    """What is there, one line a part, on stderr: stdout is for what is proposed."""
    tell = _to_stderr
    tell(f"{found.kind}, configured in {found.etc}")
    cel = found.cel
    tell(f"  call events (CEL)   {'on' if cel.enabled else 'off'}; {_places(cel.files, cel.tables)}")
    tell(f"  call records (CDR)  {_places(found.cdr.files, found.cdr.tables)}")
    tell(f"  recordings          {', '.join(map(str, found.recordings)) or 'no directory of them'}")
    manager = found.manager
    names = ", ".join(manager.accounts) or "none"
    state = f"{manager.host}:{manager.port}" if manager.enabled else "off"
    tell(f"  manager (AMI)       {state}; accounts: {names}")
    for remark in found.remarks:
        tell(f"  remark              {remark}")
    for unread in found.unread:
        tell(f"  not read            {unread.path}: {unread.why} (run this as root)")


def _places(files: Sequence[CsvFile], tables: Sequence[Table]) -> str:
    told = [str(file.path) for file in files]
    for table in tables:
        where = table.database.socket or table.database.host
        told.append(f"table {table.name} of {table.database.name} at {where}")
    return ", ".join(told) or "written nowhere"


def _tell_steps(todo: Sequence[Step], folder: Path) -> None:
    if not todo:
        return
    _to_stderr("\nTo be done by you, in this order; nothing of it is done by setup:")
    for number, step in enumerate(todo, 1):
        file = folder / step.name
        _to_stderr(f"\n{number}. {step.title}")
        for line in step.text.splitlines():
            _to_stderr(f"     {line}")
        if step.remark:
            _to_stderr(f"   {step.remark}")
        for command in step.commands:
            _to_stderr(f"   $ {command.format(file=file)}")


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)


def _asked(wishes: Wishes, *, region: str | None, customer_id: int | None, upload: bool | None, found: Found) -> Wishes:
    """The wishes with what options left open."""
    if region is None and not wishes.url:
        kind = click.Choice(REGIONS)
        wishes = replace(wishes, region=click.prompt("Region of your account", type=kind, default="us1"))
    if customer_id is None:
        number = click.prompt("Customer number, 0 for none", type=click.IntRange(min=0), default=0)
        wishes = replace(wishes, customer_id=number)
    if upload is None and wishes.recordings and found.recordings:
        wishes = replace(wishes, upload=click.confirm("Send recordings after their calls?", default=False))
    if not wishes.brokers and click.confirm("Publish AMI events to Kafka too?", default=False):
        words = str(click.prompt("Brokers, host:port, separated by commas"))
        brokers = tuple(word.strip() for word in words.split(",") if word.strip())
        wishes = replace(wishes, brokers=brokers, topic=click.prompt("Topic; it must exist", default=wishes.topic))
    return wishes


def _api_key(choice: Choice, given: Path | None, ask: bool) -> str:
    """The API key: given, or asked for; empty where the file that is there stays. Raises Misconfigured for none."""
    file = choice.secret("api.key")
    if given is None:
        if file.exists():
            return ""
        if not ask:
            raise Misconfigured("there is no API key", "--api-key-file FILE, or `-` for stdin")
        return str(click.prompt("API key (not shown)", hide_input=True)).strip()
    try:
        key = sys.stdin.read() if str(given) == "-" else given.read_text(encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"{given}: {error.strerror}", "name a file that holds the API key") from None
    if len(key.split()) != 1:
        raise Misconfigured(f"{given} does not hold one word, the API key", "write the key, and nothing else, into it")
    return key.strip()


def _kept(config_file: Path, text: str, ask: bool, force: bool) -> bool:
    """Whether a configuration that is there stays. Raises Misconfigured when nobody may decide that."""
    old = install.existing(config_file)
    if old is None or force:
        return False
    if old == text:
        return True
    click.echo(install.difference(without_secrets(old), without_secrets(text), config_file), nl=False)
    if ask:
        return not click.confirm(f"Replace {config_file}? The old one is kept beside it.", default=False)
    hint = "--force replaces it and keeps the old one beside it; --print only shows the new one"
    raise Misconfigured(f"{config_file} is there and differs", hint)


def _write(choice: Choice, config_file: Path, text: str, key: str) -> None:
    """Writes secrets, steps and the configuration, this one last, and says so."""
    password, manager = choice.secret("db.password"), choice.secret("ami.secret")
    db_password = install.secret(password) if choice.tables else ""
    ami_secret = install.secret(manager) if choice.ami else ""
    for file, content in ((choice.secret("api.key"), key), (password, db_password), (manager, ami_secret)):
        if content:
            install.write(file, content + "\n")
            click.echo(f"wrote {file}")
    todo = steps(choice, db_password, ami_secret)
    folder = install.write_steps(choice.directory, todo)
    if install.existing(config_file) is not None:
        click.echo(f"kept {install.keep(config_file, datetime.now())}")
    install.write(config_file, text)
    click.echo(f"wrote {config_file}")
    _tell_steps(steps(choice), folder)
    if todo:
        _to_stderr(f"\nThe passwords are in {folder}. Remove it when all is done: rm -r {folder}")


def _check(config_file: Path) -> None:
    """Runs `check`, as the service's user where we may, and says what comes next."""
    user = _service_user()
    who = f" as {install.SERVICE}" if user else ""
    click.echo(f"\nasterisk-connector check{who}:")
    command = [sys.executable, "-m", "asterisk_connector", "check", "--config", str(config_file.absolute())]
    rights: dict[str, object] = {}
    if user is not None:
        groups = os.getgrouplist(user.pw_name, user.pw_gid)
        rights = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups, "cwd": "/"}
    good = subprocess.run(command, check=False, **rights).returncode == 0  # type: ignore[call-overload]  # noqa: S603
    if good:
        click.echo("next: systemctl enable --now asterisk-connector")
    else:
        click.echo("next: do what is named above, then asterisk-connector check, then")
        click.echo("      systemctl enable --now asterisk-connector")


def _service_user() -> pwd.struct_passwd | None:
    """The service's account, when it is there and we are root."""
    try:
        return pwd.getpwnam(install.SERVICE) if os.geteuid() == 0 else None
    except KeyError:
        return None

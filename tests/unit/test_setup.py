"""setup: what is found on the PBXs of the field, what is proposed for them, and how it is written."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from asterisk_connector.cli.main import main
from asterisk_connector.cli.redaction import without_secrets
from asterisk_connector.config import asterisk_files
from asterisk_connector.config.load import load
from asterisk_connector.config.model import Settings
from asterisk_connector.errors import Misconfigured
from asterisk_connector.setup import install
from asterisk_connector.setup.files import Files
from asterisk_connector.setup.found import Found
from asterisk_connector.setup.look import look
from asterisk_connector.setup.propose import Wishes, choose, configuration
from asterisk_connector.setup.steps import Step, steps

WORLDS = Path(__file__).parent / "data" / "setup"
DIRECTORIES = {
    "freepbx17": ("var/spool/asterisk/monitor", "run/mysqld/mysqld.sock"),
    "freepbx16": ("var/spool/asterisk/monitor", "mnt/recordings", "var/lib/mysql/mysql.sock"),
    "debian": ("var/spool/asterisk/monitor", "var/log/asterisk/cel-custom"),
    "source": ("usr/local/var/spool/asterisk/monitor", "usr/local/var/log/asterisk/cdr-custom/Master.csv"),
    "remote": ("srv/spool/monitor",),
}
KEY = "sk_" + "c" * 32


def world(name: str, folder: Path) -> Path:
    """The files of a PBX below a root of their own."""
    root = Path(shutil.copytree(WORLDS / name, folder / name))
    for directory in DIRECTORIES[name]:
        (root / directory).mkdir(parents=True)
    return root


def found(name: str, folder: Path) -> Found:
    return look(Files(world(name, folder)))


def proposed(here: Found, folder: Path, **wishes: Any) -> dict[str, Any]:
    text = configuration(choose(here, Wishes(**wishes), folder))
    given: dict[str, Any] = yaml.safe_load(text)
    return given


def todo(here: Found, folder: Path, **wishes: Any) -> dict[str, Step]:
    return {step.name: step for step in steps(choose(here, Wishes(**wishes), folder))}


def settings(folder: Path) -> Settings:
    loaded = load(folder / "config.yaml", {})
    assert loaded.settings is not None, loaded.findings
    return loaded.settings


def run(root: Path, folder: Path, *words: str) -> int:
    """`setup` without questions, into `folder`."""
    (folder / "given.key").write_text(KEY + "\n")
    command = ["setup", "--non-interactive", "--root", str(root), "--config", str(folder / "config.yaml")]
    return main([*command, "--api-key-file", str(folder / "given.key"), *words])


# -- what is found ----------------------------------------------------------------------------------------------------


def test_freepbx_17_is_read_from_its_tables(tmp_path: Path) -> None:
    here = found("freepbx17", tmp_path)
    assert (here.kind, here.unread, here.remarks) == ("FreePBX", (), ())
    (cel,), (cdr,) = here.cel.tables, here.cdr.tables
    assert (cel.name, cdr.name, cel.database == cdr.database) == ("cel", "cdr", True)
    assert (cel.database.name, str(cel.database.socket)) == ("asteriskcdrdb", "/run/mysqld/mysqld.sock")
    assert (here.cel.enabled, here.cel.missing_events, here.cdr.batch_time) == (True, (), 600)
    assert set(here.manager.accounts) == {"admin", "wallboard"}
    sources = proposed(here, tmp_path)["sources"]
    assert set(sources) == {"cel_table", "cdr_table", "recordings"}
    assert sources["cdr_table"]["batch_time"] == "600s"
    assert set(todo(here, tmp_path)) == {"database.sql"}


def test_freepbx_16_may_keep_times_in_utc_and_recordings_elsewhere(tmp_path: Path) -> None:
    here = found("freepbx16", tmp_path)
    sources = proposed(here, tmp_path)["sources"]
    assert (sources["cel_table"]["zone"], "zone" in sources["cdr_table"]) == ("UTC", False)
    assert sources["cel_table"]["socket"] == "/var/lib/mysql/mysql.sock"
    assert sources["recordings"]["paths"] == ["/mnt/recordings", "/var/spool/asterisk/monitor"]


def test_freepbx_whose_tables_no_file_names_is_read_where_its_own_file_says(tmp_path: Path) -> None:
    root = world("freepbx17", tmp_path)
    (root / "etc/odbc.ini").unlink()
    conf = root / "etc/freepbx.conf"
    conf.write_text(conf.read_text().replace("'localhost'", "'db.example'"))
    here = look(Files(root))
    assert [(table.name, table.database.host) for table in here.cel.tables] == [("cel", "db.example")]
    assert [table.name for table in here.cdr.tables] == ["cdr"]
    assert any("data source `MySQL-asteriskcdrdb`" in remark for remark in here.remarks)


def test_a_debian_asterisk_as_installed_must_be_told_to_write_calls(tmp_path: Path) -> None:
    here = found("debian", tmp_path)
    assert (here.kind, here.cel.enabled, here.cel.files, here.cdr.tables) == ("Asterisk", False, (), ())
    assert set(proposed(here, tmp_path)["sources"]) == {"cel_csv", "recordings"}
    told = todo(here, tmp_path)
    assert list(told) == ["cel.conf", "cel_custom.conf"]
    assert {"enable=yes", "events=ALL"} <= set(told["cel.conf"].text.splitlines())
    assert told["cel_custom.conf"].text.startswith("[mappings]\nMaster.csv => ")


@pytest.mark.parametrize("name", ["debian", "freepbx17"])
def test_files_with_the_proposed_lines_lack_nothing_any_more(name: str, tmp_path: Path) -> None:
    root = world(name, tmp_path)
    if name == "freepbx17":
        (root / "etc/asterisk/cel_general_additional.conf").write_text("enable=no\n")
    wishes = Wishes(cel="csv", brokers=("k:9092",))
    choice = choose(look(Files(root)), wishes, tmp_path, root)
    for step in steps(choice):
        if step.name != "database.sql":
            target = Path(re.split(r">> | asterisk \S+ ", step.commands[0])[-1].split()[-1])
            with target.open("a") as file:
                file.write(step.text)
    left = steps(choose(look(Files(root)), wishes, tmp_path, root))
    assert [step.name for step in left if step.name not in {"database.sql", "manager.conf"}] == []
    assert "asterisk-connector" in look(Files(root)).manager.accounts
    (tmp_path / "config.yaml").write_text("sources: {cel_csv: [{path: /x/Master.csv}]}\ncalls: {file: {path: /x/y}}\n")
    hints = asterisk_files.hints(settings(tmp_path), root / "etc/asterisk")
    assert [finding for finding in hints if finding.level == "error"] == []


def test_an_asterisk_built_below_usr_local_is_found_with_its_files(tmp_path: Path) -> None:
    here = found("source", tmp_path)
    assert str(here.etc) == "/usr/local/etc/asterisk"
    sources = proposed(here, tmp_path)["sources"]
    assert sources["cel_csv"] == [{"path": "/usr/local/var/log/asterisk/cel-custom/Calls.csv"}]
    assert sources["cdr_csv"] == [{"path": "/usr/local/var/log/asterisk/cdr-custom/Master.csv"}]
    assert sources["recordings"] == {"paths": ["/usr/local/var/spool/asterisk/monitor"]}
    assert todo(here, tmp_path) == {}


def test_a_database_of_another_host_is_read_by_an_account_for_this_one(tmp_path: Path) -> None:
    here = found("remote", tmp_path)
    sources = proposed(here, tmp_path)["sources"]
    wanted = {"driver": "postgresql", "host": "192.0.2.7", "port": 5433, "database": "pbx"}
    for name in ("cel", "cdr"):
        table = sources[f"{name}_table"]
        assert {key: table[key] for key in wanted} == wanted
        assert table["table"] == f"telephony.{name}"
    step = todo(here, tmp_path)["database.sql"]
    assert "GRANT USAGE ON SCHEMA telephony" in step.text
    assert "pg_hba.conf" in step.remark
    assert step.commands == ("psql -h 192.0.2.7 -p 5433 -v ON_ERROR_STOP=1 pbx < {file}",)


def test_what_modules_do_not_write_is_not_read_but_told(tmp_path: Path) -> None:
    here = found("remote", tmp_path)
    assert (here.cel.files, here.cel.custom) == ((), False)
    assert any("does not enable" in remark for remark in here.remarks)
    assert any("which res_odbc.conf does not have" in remark for remark in here.remarks)


def test_an_account_of_ours_that_sees_too_little_is_to_be_replaced(tmp_path: Path) -> None:
    here = found("remote", tmp_path)
    given = proposed(here, tmp_path, brokers=("k:9092",))
    assert (given["ami"]["host"], given["ami"]["port"]) == ("192.0.2.9", 5048)
    assert "read = cdr" in todo(here, tmp_path, brokers=("k:9092",))["manager.conf"].remark


def test_the_manager_account_reads_what_its_use_needs(tmp_path: Path) -> None:
    here = found("freepbx17", tmp_path)
    events, cel = todo(here, tmp_path, brokers=("k:9092",)), todo(here, tmp_path, cel="ami")
    assert "read = all\nwrite = reporting\n" in events["manager.conf"].text
    assert "read = call\nwrite = reporting\n" in cel["manager.conf"].text
    assert "/etc/asterisk/manager_custom.conf" in events["manager.conf"].commands[0]


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    root = world("debian", tmp_path)
    closed = root / "etc/asterisk/cel.conf"
    closed.unlink()
    closed.mkdir()  # for root too, this cannot be read
    here = look(Files(root))
    assert [str(unread.path) for unread in here.unread] == ["/etc/asterisk/cel.conf"]


def test_a_host_without_asterisk_is_told_what_to_say(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no Asterisk is configured") as told:
        look(Files(tmp_path))
    assert "--asterisk-etc" in told.value.hint


def test_a_directory_named_from_here_is_found_like_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "asterisk.conf").write_text("[directories]\nastlogdir => log\nastspooldir => /spool\n")
    monkeypatch.chdir(tmp_path)
    assert main(["setup", "--print", "--asterisk-etc", "etc"]) == 0


def test_a_directory_of_asterisks_that_is_not_absolute_is_named_and_not_used(tmp_path: Path) -> None:
    (tmp_path / "etc" / "asterisk").mkdir(parents=True)
    conf = tmp_path / "etc" / "asterisk" / "asterisk.conf"
    conf.write_text("[directories]\nastlogdir => log\nastmoddir => modules\nastspooldir => /spool\n")
    here = look(Files(tmp_path))
    assert (here.log, here.spool) == (Path("/var/log/asterisk"), Path("/spool"))
    assert [remark for remark in here.remarks if "astlogdir" in remark or "astmoddir" in remark] == [
        "asterisk.conf has astlogdir => log, which is no absolute path: the default is taken for it",
        "asterisk.conf has astmoddir => modules, which is no absolute path: the default is taken for it",
    ]


# -- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIRECTORIES)
def test_without_questions_every_world_gets_a_configuration_that_loads(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(world(name, tmp_path), tmp_path, "--region", "ca1", "--customer-id", "42", "--kafka", "k:9092") == 0
    said = "".join(capfd.readouterr())
    given = settings(tmp_path)
    assert given.api is not None
    assert (given.api.region, given.api.customer_id, given.api.key.reveal()) == ("ca1", 42, KEY)
    secrets = [file.read_text().strip() for file in tmp_path.glob("*.secret")] + [KEY]
    secrets += [file.read_text().strip() for file in tmp_path.glob("*.password")]
    assert not any(secret in said for secret in secrets)
    assert not any(word in said for word in ("their-own", "another-secret", "an-older-one"))
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir() if file.is_file()}
    assert {mode for file, mode in modes.items() if file != "given.key"} == {0o640}
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "apply").iterdir()} == {0o600}
    assert (tmp_path / "apply").stat().st_mode & 0o777 == 0o700
    assert "systemctl enable --now asterisk-connector" in said


def test_once_more_with_the_same_answers_changes_nothing(tmp_path: Path) -> None:
    root = world("freepbx17", tmp_path)
    assert run(root, tmp_path) == 0
    before = {file: file.read_bytes() for file in tmp_path.glob("*.*") if file.is_file()}
    assert run(root, tmp_path) == 0
    assert {file: file.read_bytes() for file in tmp_path.glob("*.*") if file.is_file()} == before


def test_another_configuration_stays_until_force_and_is_kept_then(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = world("freepbx17", tmp_path)
    old = "api: {key: sk_very_secret}\nsources:\n  cel_csv: [{path: /x}]\n"
    (tmp_path / "config.yaml").write_text(old)
    assert run(root, tmp_path) == 78
    said = "".join(capfd.readouterr())
    assert "-  cel_csv: [{path: /x}]" in said
    assert "sk_very_secret" not in said
    assert (tmp_path / "config.yaml").read_text() == old
    assert run(root, tmp_path, "--force") == 0
    (kept,) = tmp_path.glob("config.yaml.*")
    assert kept.read_text() == old
    assert "cel_table" in (tmp_path / "config.yaml").read_text()


def test_passwords_that_were_given_out_are_used_on(tmp_path: Path) -> None:
    root = world("freepbx17", tmp_path)
    assert run(root, tmp_path) == 0
    password = (tmp_path / "db.password").read_text()
    assert run(root, tmp_path, "--force", "--region", "us2") == 0
    assert (tmp_path / "db.password").read_text() == password
    assert password.strip() in (tmp_path / "apply/database.sql").read_text()


@pytest.mark.parametrize("word", ["--print", "--json"])
def test_printing_writes_nothing(word: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = world("freepbx17", tmp_path)
    into = tmp_path / "into"
    assert main(["setup", word, "--root", str(root), "--config", str(into / "config.yaml")]) == 0
    out = capfd.readouterr().out
    assert not into.exists()
    text = json.loads(out)["config"] if word == "--json" else out
    assert yaml.safe_load(text)["sources"]["cel_table"]["database"] == "asteriskcdrdb"


def test_json_tells_scripts_what_was_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    main(["setup", "--json", "--root", str(world("freepbx16", tmp_path))])
    out = capfd.readouterr().out
    told = json.loads(out)
    assert told["found"]["kind"] == "FreePBX"
    assert told["found"]["cel"]["tables"][0]["database"]["name"] == "asteriskcdrdb"
    assert told["steps"][0]["commands"] == ["mysql < {file}"]
    assert "their-own" not in out


def test_no_key_no_configuration(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--root", str(world("debian", tmp_path)), "--config", str(tmp_path / "config.yaml")]
    assert main(["setup", "--non-interactive", *words]) == 78
    assert "--api-key-file" in capfd.readouterr().err
    assert not (tmp_path / "config.yaml").exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match=r"Not a directory|File exists"):
        install.write(tmp_path / "file" / "config.yaml", "")


def test_differences_show_no_secret_in_any_form() -> None:
    old = (
        "api: {key: sk_1, region: us1}\nami:\n  secret: 'sk_2'\nlibrdkafka: {sasl.password: \"sk_3\"}\n  key_file: /f\n"
    )
    shown = install.difference(without_secrets(old), "", Path("/c"))
    assert "sk_" not in shown
    assert "key_file: /f" in shown


def test_the_old_configuration_keeps_its_mode_beside_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("old")
    file.chmod(0o600)
    kept = install.keep(file, datetime(2026, 1, 2, 3, 4, 5))
    install.write(file, "new")
    assert (kept.name, kept.read_text(), kept.stat().st_mode & 0o777) == ("config.yaml.20260102T030405", "old", 0o600)
    assert file.read_text() == "new"


# -- the dialogue -----------------------------------------------------------------------------------------------------


def dialogue(words: list[str], answers: list[tuple[str, str]]) -> tuple[str, int]:
    """Talks to `setup` on a terminal; each question is awaited before it is answered. What was said, and its end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "asterisk_connector", "setup", *words])
    said, waiting = "", list(answers)
    seen = 0
    while True:
        try:
            part = os.read(terminal, 4096).decode()
        except OSError:  # Linux says so when the other side is gone
            break
        if not part:
            break
        said += part
        while waiting and waiting[0][0] in said[seen:]:
            seen = said.index(waiting[0][0], seen) + len(waiting[0][0])
            os.write(terminal, waiting.pop(0)[1].encode() + b"\n")
    os.close(terminal)
    assert waiting == [], said
    return said, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_dialogue_asks_what_only_an_operator_knows(tmp_path: Path) -> None:
    root = world("freepbx17", tmp_path)
    words = ["--root", str(root), "--config", str(tmp_path / "config.yaml")]
    questions = [
        ("Region of your account", "ca1"),
        ("Customer number", "7"),
        ("Send recordings", "y"),
        ("Publish AMI events", "y"),
        ("Brokers", "k1:9092, k2:9092"),
        ("Topic", ""),
        ("API key (not shown)", KEY),
        ("Write this", ""),
    ]
    said, code = dialogue(words, questions)
    assert code == 0, said
    assert KEY not in said
    given = settings(tmp_path)
    assert given.api is not None
    assert (given.api.region, given.api.customer_id, given.api.key.reveal()) == ("ca1", 7, KEY)
    assert given.kafka.connections["main"].brokers == ("k1:9092", "k2:9092")
    assert given.sources.recordings is not None
    assert given.sources.recordings.upload.enabled


def test_the_dialogue_keeps_what_it_may_not_replace(tmp_path: Path) -> None:
    root = world("debian", tmp_path)
    (tmp_path / "config.yaml").write_text("api: {region: us2}\n")
    (tmp_path / "api.key").write_text(KEY)
    words = ["--root", str(root), "--config", str(tmp_path / "config.yaml"), "--region", "us1", "--no-upload"]
    said, code = dialogue(words, [("Customer number", ""), ("Publish AMI events", ""), ("Replace", "n")])
    assert code == 0, said
    assert (tmp_path / "config.yaml").read_text() == "api: {region: us2}\n"
    assert "stays as it is" in said

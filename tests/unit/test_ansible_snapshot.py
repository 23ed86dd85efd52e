"""What the role goes back to when a rollout fails: files as they were, and a state that the older version can read."""

from __future__ import annotations

import importlib.util
import sqlite3
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from asterisk_connector.clock import SystemClock
from asterisk_connector.errors import Misconfigured
from asterisk_connector.notices import ignore
from asterisk_connector.store.store import Store

SCRIPT = Path(__file__).parents[2] / "ansible/roles/asterisk_connector/files/snapshot.py"


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, for a host that is `tmp_path`."""
    spec = importlib.util.spec_from_file_location("snapshot", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(script, "ETC", tmp_path / "etc/asterisk-connector")
    monkeypatch.setattr(script, "BEFORE", tmp_path / "etc/asterisk-connector/before")
    return script


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    etc = tmp_path / "etc/asterisk-connector"
    (etc / "secrets").mkdir(parents=True)
    write(etc / "config.yaml", "old: 1\n", 0o640)
    write(etc / "secrets/api.key", "old key\n", 0o600)
    return etc


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state as an agent leaves it."""
    directory = tmp_path / "state"
    Store.open(directory, clock=SystemClock(), notify=ignore).close()
    return directory


def write(file: Path, text: str, mode: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def migrate(state: Path, version: int = 9999) -> None:
    """What a newer version does to the state."""
    with closing(sqlite3.connect(state / "calls.db")) as db:
        db.execute(f"PRAGMA user_version = {version}")


def can_be_read(state: Path) -> bool:
    try:
        Store.open(state, clock=SystemClock(), notify=ignore).close()
    except Misconfigured:
        return False
    return True


def test_files_go_back_with_their_modes_and_what_was_not_there_goes(
    snapshot: ModuleType, etc: Path, state: Path, tmp_path: Path
) -> None:
    snapshot.take(state, "0.1.0-1", with_state=False)
    write(etc / "config.yaml", "new: 1\n", 0o600)
    write(etc / "secrets/ami.secret", "new secret\n", 0o644)
    (etc / "secrets/api.key").unlink()
    snapshot.restore(state, "before")
    assert (etc / "config.yaml").read_text() == "old: 1\n"
    assert (etc / "secrets/api.key").read_text() == "old key\n"
    assert (etc / "config.yaml").stat().st_mode & 0o777 == 0o640
    assert (etc / "secrets/api.key").stat().st_mode & 0o777 == 0o600
    assert not (etc / "secrets/ami.secret").exists()
    assert (etc / "config.yaml.rejected").read_text() == "new: 1\n"


def test_a_host_that_had_no_configuration_has_none_again(snapshot: ModuleType, tmp_path: Path) -> None:
    nowhere = tmp_path / "state"
    snapshot.take(nowhere, "", with_state=True)
    config = tmp_path / "etc/asterisk-connector/config.yaml"
    write(config, "new: 1\n", 0o640)
    snapshot.restore(nowhere, "before")
    assert not config.exists()
    assert config.with_name("config.yaml.rejected").read_text() == "new: 1\n"


def test_copies_are_for_root_alone(snapshot: ModuleType, etc: Path, state: Path) -> None:
    snapshot.take(state, "0.1.0-1", with_state=True)
    assert (etc / "before").stat().st_mode & 0o777 == 0o700
    assert (state / "before").stat().st_mode & 0o777 == 0o700


def test_a_state_that_the_older_version_can_read_stays_with_all_that_was_read_since(
    snapshot: ModuleType, etc: Path, state: Path
) -> None:
    snapshot.take(state, "0.1.0-1", with_state=True)
    with closing(sqlite3.connect(state / "calls.db")) as db:
        db.execute("INSERT INTO position (source, value) VALUES ('cel_csv:Master.csv', x'01')")
        db.commit()
    assert snapshot.restore(state, "before")["brought_back"] == []
    with closing(sqlite3.connect(state / "calls.db")) as db:
        assert db.execute("SELECT count(*) FROM position").fetchone() == (1,)


def test_a_state_whose_schema_moved_on_is_replaced_and_kept_beside(
    snapshot: ModuleType, etc: Path, state: Path
) -> None:
    snapshot.take(state, "0.1.0-1", with_state=True)
    migrate(state)
    assert not can_be_read(state)
    restored = snapshot.restore(state, "before")
    assert can_be_read(state)
    (aside,) = restored["set_aside"]
    with closing(sqlite3.connect(aside)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (9999,)


def test_of_the_states_set_aside_the_newest_three_stay(snapshot: ModuleType, etc: Path, state: Path) -> None:
    for second in range(5):
        write(state / f"calls.db.newer-20260101T00000{second}Z", "", 0o640)
    snapshot.take(state, "0.1.0-1", with_state=True)
    migrate(state)
    (aside,) = snapshot.restore(state, "before")["set_aside"]
    left = sorted(path.name for path in state.glob("calls.db.newer-*"))
    assert left == ["calls.db.newer-20260101T000003Z", "calls.db.newer-20260101T000004Z", Path(aside).name]


def test_a_copy_is_taken_while_the_agent_writes(snapshot: ModuleType, etc: Path, state: Path) -> None:
    with closing(sqlite3.connect(state / "calls.db", isolation_level=None)) as agent:
        agent.execute("INSERT INTO position (source, value) VALUES ('kept', x'01')")
        agent.execute("BEGIN IMMEDIATE")
        agent.execute("INSERT INTO position (source, value) VALUES ('not yet', x'01')")
        snapshot.take(state, "0.1.0-1", with_state=True)
        agent.execute("COMMIT")
    with closing(sqlite3.connect(state / "before/calls.db")) as copy:
        assert copy.execute("SELECT source FROM position").fetchall() == [("kept",)]


def test_a_disk_without_room_for_the_copy_is_told_before_anything_is_touched(
    snapshot: ModuleType, etc: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SPARE", 1 << 60)
    with pytest.raises(SystemExit, match="make room, or set asterisk_connector_backup_state to false"):
        snapshot.take(state, "0.1.0-1", with_state=True)
    assert not (state / "before").exists()


def test_a_rollout_that_was_cut_off_does_not_become_what_is_gone_back_to(
    snapshot: ModuleType, etc: Path, state: Path
) -> None:
    snapshot.take(state, "0.1.0-1", with_state=True)
    write(etc / "config.yaml", "half: done\n", 0o640)
    again = snapshot.take(state, "0.2.0-1", with_state=True)
    assert again["version"] == "0.1.0-1"
    snapshot.restore(state, "before")
    assert (etc / "config.yaml").read_text() == "old: 1\n"


def test_a_run_that_changed_nothing_leaves_the_way_back_as_it_is(snapshot: ModuleType, etc: Path, state: Path) -> None:
    snapshot.take(state, "0.1.0-1", with_state=True)
    assert snapshot.keep(state, "0.2.0-1") == {"changed": True}
    snapshot.take(state, "0.2.0-1", with_state=False)
    assert snapshot.keep(state, "0.2.0-1") == {"changed": False}
    assert (etc / "previous/version").read_text() == "0.1.0-1"
    assert not (etc / "before").exists()


def test_a_copy_of_the_state_is_kept_only_where_going_back_needs_it(
    snapshot: ModuleType, etc: Path, state: Path
) -> None:
    snapshot.take(state, "0.1.0-1", with_state=True)
    snapshot.keep(state, "0.2.0-1")
    assert not (state / "previous").exists()
    snapshot.take(state, "0.2.0-1", with_state=True)
    migrate(state)
    snapshot.keep(state, "0.3.0-1")
    snapshot.restore(state, "previous")
    assert can_be_read(state)

"""Whatever happens to directories of recordings, in the end every file was told as it is, and none twice alike."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from asterisk_connector.call import Call, Leg, Recording
from asterisk_connector.clock import SystemClock
from asterisk_connector.enrichment.attach_recordings import RecordingRules, attach_recordings, file_keys, keys, link_of
from asterisk_connector.enrichment.file_names import NameRules, read_name
from asterisk_connector.notices import ignore
from asterisk_connector.records import RecordingFile
from asterisk_connector.sources.recordings import RecordingsSource

FOLDERS = ("", "2026", "2026/11", "2026/11/21", "other")
NAMES = ("a.sln", "b.sln", "c d.sln")
places = st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), places, st.integers(50, 90)),
        st.tuples(st.just("append"), places, st.integers(1, 9)),
        st.tuples(st.just("rename"), places, places),
        st.tuples(st.just("delete"), places),
        st.tuples(st.just("move folder"), st.sampled_from(FOLDERS[1:]), st.sampled_from(("x", "y"))),
        st.tuples(st.just("remove folder"), st.sampled_from(FOLDERS[1:])),
        st.tuples(st.just("read")),
        st.tuples(st.just("kill")),
    ),
    max_size=14,
)


class World:
    """A tree, somebody who changes it, and a source that is killed now and then."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.position: bytes | None = None
        self.told: dict[str, int] = {}
        self.idents: set[str] = set()
        self.source = self.start()

    def start(self) -> RecordingsSource:
        self.source = RecordingsSource(
            "r", [self.root], notify=ignore, clock=SystemClock(), extensions=("sln",), settle=0.05, poll=0.2
        )
        self.source.open(self.position)
        return self.source

    def read(self, timeout: float = 0.0) -> None:
        batch = self.source.read(timeout)
        if batch is None:
            return
        self.position = batch.position
        for seen in batch.seen:
            # The store ignores an identity it has; without a kill there is none it has.
            if seen.ident not in self.idents and isinstance(seen.record, RecordingFile):
                self.told[seen.record.path] = seen.record.size
            self.idents.add(seen.ident)

    def step(self, kind: str, *what: object) -> None:
        if kind == "read":
            self.read()
        elif kind == "kill":
            self.source.close()
            self.start()
        elif kind in {"write", "append"}:
            path, size = self.path(what[0]), what[1]
            assert isinstance(size, int)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb" if kind == "write" else "ab") as file:
                file.write(bytes(size))
        elif kind == "rename" and self.path(what[0]).exists():
            self.path(what[1]).parent.mkdir(parents=True, exist_ok=True)
            self.path(what[0]).rename(self.path(what[1]))
        elif kind == "delete":
            self.path(what[0]).unlink(missing_ok=True)
        elif kind == "move folder" and (self.root / str(what[0])).exists():
            target = self.root / str(what[1])
            if not target.exists():
                (self.root / str(what[0])).rename(target)
        elif kind == "remove folder":
            shutil.rmtree(self.root / str(what[0]), ignore_errors=True)

    def path(self, place: object) -> Path:
        folder, name = place  # type: ignore[misc]
        return self.root / str(folder) / str(name)

    def files(self) -> dict[str, int]:
        found = {str(path): path.stat().st_size for path in self.root.rglob("*.sln")}
        return {path: size for path, size in found.items() if size > 44}


@settings(max_examples=40, deadline=None)
@given(steps)
def test_every_file_that_is_there_was_told_as_it_is(actions: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for kind, *what in actions:
            world.step(str(kind), *what)
        deadline = time.monotonic() + 5
        while (missing := world.files().items() - world.told.items()) and time.monotonic() < deadline:
            world.read(0.1)
        world.source.close()
        assert not missing


@given(st.text(max_size=60), st.text(max_size=10))
def test_any_name_can_be_read_and_matched(name: str, uniqueid: str) -> None:
    call = Call("1.1", ("1.1",), True, 0, legs=(Leg(uniqueid, "P/1", "caller", "101"),))
    call = attach_recordings(call, RecordingRules(("/rec",)))
    file = Recording(f"/rec/{name}", 100, ended_at=1, linked_by="source")
    read_name(file.path, NameRules()).candidates()
    link_of(call, file, RecordingRules(("/rec",)))


ids = st.builds("{}.{}".format, st.integers(1_000_000_000, 1_999_999_999), st.integers(0, 99_999))
around = st.sampled_from(["{}", "exten-101-100-20261121-193240-{}", "q-600-{}-in", "rec_{}_x", "{}-out"])


@given(ids, ids, around, st.sampled_from(["", "pbx1-", "a-b-"]))
def test_a_uniqueid_in_a_name_finds_its_call_and_no_other(one: str, other: str, form: str, system: str) -> None:
    rules = RecordingRules(("/rec",))
    file = Recording("/rec/" + form.format(system + one) + ".wav", 100, ended_at=2_000_000_000_000_000)

    def call(uniqueid: str) -> Call:
        return attach_recordings(
            Call(uniqueid, (uniqueid,), True, int(uniqueid.rpartition("-")[2].partition(".")[0])), rules
        )

    mine, theirs = call(system + one), call(system + other)
    found = link_of(mine, file, rules)
    assert found is not None
    assert found.rule == "uniqueid"
    assert set(file_keys(file, rules)) & set(keys(mine))
    assert system + one in read_name(file.path, rules.names).candidates()
    if one != other:
        assert link_of(theirs, file, rules) is None

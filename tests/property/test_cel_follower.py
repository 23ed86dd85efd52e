"""The followed file against a model: whatever rotation does, each row is read once and in order."""

from __future__ import annotations

import gzip
import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from asterisk_connector.notices import FileTruncated, Notice
from asterisk_connector.sources.cel_csv import CelCsvSource
from tests.kit.clock import FakeClock

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 4)),
        st.tuples(
            st.sampled_from(
                [
                    *("half", "rotate", "rotate", "rotate_and_create", "copytruncate", "copytruncate", "compress"),
                    *("delete", "read", "drain", "stop", "kill", "pass_time", "late_start"),
                ]
            ),
            st.just(0),
        ),
    ),
    max_size=30,
)


class World:
    """A writer, a logrotate and an agent that may be stopped and killed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "Master.csv"
        self.clock = FakeClock()
        self.notices: list[Notice] = []
        self.written: list[str] = []
        self.read: dict[str, str] = {}
        self.torn: list[bytes] = []
        self.position: bytes | None = None
        self.source: CelCsvSource | None = None
        self._half: tuple[int, bytes] | None = None
        self._cut_in_half = False
        self.path.touch()
        self.start()
        self.agent_reads()

    # the agent

    def start(self) -> None:
        if self.source is None:
            self.source = CelCsvSource(
                "cel", self.path, notify=self.notices.append, clock=self.clock, start_at="beginning"
            )
            self.source.open(self.position)

    def stop(self) -> None:
        if self.source is not None:
            self.source.close()
            self.source = None

    def agent_reads(self, *, commit: bool = True) -> bool:
        assert self.source is not None
        batch = self.source.read(0)
        if batch is None:
            return False
        if commit:
            self.position = batch.position
            for seen in batch.seen:
                assert seen.ident not in self.read, "read twice"
                self.read[seen.ident] = seen.record.user_field  # type: ignore[union-attr]
            self.torn += [row.raw for row in batch.set_aside]
        return True

    def drain(self) -> None:
        self.start()
        while self.agent_reads():
            pass
        self._cut_in_half = self._cut_in_half and self._half is not None

    # Asterisk

    def _row(self) -> bytes:
        mark = f"row{len(self.written)}"
        self.written.append(mark)
        time = f"1795289853.{len(self.written):06d}"
        return (
            f'"CHAN_START","{time}","A","1","","","","x\ny","c","P/1-1","","","3","",'
            f'"1795289853.{len(self.written)}","1795289853.1","","{mark}","",""\n'
        ).encode()

    def finish_half(self) -> None:
        if self._half is not None:
            handle, rest = self._half
            os.write(handle, rest)
            os.close(handle)
            self._half = None

    def write(self, rows: int) -> None:
        self.finish_half()
        for _ in range(rows):
            with self.path.open("ab") as file:
                file.write(self._row())

    def half(self) -> None:
        """Half a row, in a file the agent has met: what began in one and ended in another is else one torn row."""
        self.write(1)
        self.drain()
        row = self._row()
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        cut = 1 + len(self.written) * 37 % (len(row) - 1)
        os.write(handle, row[:cut])
        self._half = (handle, row[cut:])

    # logrotate

    def _shift(self) -> None:
        for number in range(40, 0, -1):
            for packing in ("", ".gz"):
                old = self.path.with_name(f"Master.csv.{number}{packing}")
                if old.exists():
                    old.rename(self.path.with_name(f"Master.csv.{number + 1}{packing}"))

    def rotate(self) -> None:
        if self._cut_in_half:  # unseen, the halves would be in two files of two names: two torn records, rightly
            self.finish_half()
            self.drain()
        if self.path.exists():
            self._shift()
            self.path.rename(self.path.with_name("Master.csv.1"))

    def copytruncate(self) -> None:
        if self.path.exists():
            self._shift()
            self.path.with_name("Master.csv.1").write_bytes(self.path.read_bytes())
            os.truncate(self.path, 0)
            self._cut_in_half |= self._half is not None

    def compress(self) -> None:
        self.finish_half()
        for plain in sorted(self.path.parent.glob("Master.csv.*")):
            if plain.suffix != ".gz":
                status = plain.stat()
                packed = plain.with_name(plain.name + ".gz")
                packed.write_bytes(gzip.compress(plain.read_bytes()))
                os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
                plain.unlink()

    def delete(self) -> None:
        self.finish_half()
        self.drain()
        self.path.unlink(missing_ok=True)

    def apply(self, operation: str, count: int) -> None:
        match operation:
            case "write":
                self.write(count)
            case "rotate_and_create":
                self.rotate()
                self.path.touch()
            case "read":
                self.start()
                self.agent_reads()
            case "stop":
                self.stop()
            case "kill":
                self.start()
                self.agent_reads(commit=False)
                self.stop()
            case "late_start":
                self.start()
            case "pass_time":
                self.finish_half()
                self.clock.advance(3)
            case _:
                getattr(self, operation)()


@settings(deadline=None)
@given(OPERATIONS)
def test_each_row_is_read_once_and_in_order_whatever_rotation_does(operations: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for operation, count in operations:
            world.apply(operation, count)
        world.finish_half()
        world.drain()
        world.clock.advance(3)
        world.drain()
        world.stop()
        assert list(world.read.values()) == world.written
        assert not world.torn
        assert not [n for n in world.notices if isinstance(n, FileTruncated) and n.unread]


@settings(deadline=None)
@given(OPERATIONS, st.integers(0, 5))
def test_a_cut_without_a_copy_costs_at_most_what_was_not_read_and_says_so(
    operations: list[tuple[str, int]], behind: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for operation, count in operations:
            world.apply(operation, count)
        world.finish_half()
        world.drain()
        world.write(1)
        world.drain()
        before = len(world.written)
        world.write(behind)
        os.truncate(world.path, 0)
        world.write(1)
        world.drain()
        world.stop()
        lost = set(world.written) - set(world.read.values())
        assert lost <= set(world.written[before : before + behind])
        assert [m for m in world.written if m not in lost] == list(world.read.values())

"""Makes the bundled recording of the demo from captures of a real Asterisk: many calls, overlapping, in one minute.

    python -m tests.kit.demo_recording tests/scenarios/captures/22.10

It has two halves of the same calls. `recording.gz`: each line is `<seconds after start, three decimals> <CEL row of the
stock cel_custom mapping>`. `manager.gz`: AMI events one after the other, each the seconds on a line of their own, its
lines, an empty line. The captures were taken one after the other; here they overlap, so their channels are numbered
anew in the order of their creation, as one Asterisk would have done. Instants and uniqueids count from BASE; the
players move them to now.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

BASE = 1_700_000_000
GAP_SECONDS = 1.9
SCENARIOS = (
    "s01_internal_answered_a_hangs",
    "s36_queue_abandon",
    "s07_inbound_did_answered",
    "s03_no_answer_timeout",
    "s04_busy_486",
    "s25_attended_refer_by_callee",
    "s10_outbound_answered",
    "s06_caller_cancels",
    "s49_park_retrieve",
    "s11_outbound_failover",
    "s14_ringgroup_second_answers",
    "s19_blind_refer_by_callee",
    "s08_inbound_noanswer_voicemail",
    "s34_queue_ringall_answered",
    "s64_mixmonitor",
    "s41_ivr_to_ext",
    "s45_forward_302_internal",
    "s47_pickup_directed",
    "s54_originate_local_c2c",
    "s59_simultaneous_same_callee",
    "s24_blind_refer_to_queue",
    "s63_callerid_quotes_utf8",
    "s16_ringgroup_local_n",
)
_UNIQUEID = re.compile(r"\b1[0-9]{9}\.[0-9]{1,4}\b")
_INSTANT = re.compile(r"\b(1[0-9]{9})(\.[0-9]{5,})?\b(?!\.)")
_DAY = 86_400
_OURS = ("_rx",)
"""Fields that the capture added to an event."""


class Recording(NamedTuple):
    """Both halves, as text."""

    rows: str
    events: str


def make(captures: Path) -> Recording:
    """The recording of all scenarios below `captures`."""
    rows: list[tuple[float, int, list[str]]] = []
    events: list[tuple[float, int, dict[str, str], float]] = []
    for number, name in enumerate(SCENARIOS):
        scenario = list(csv.reader(io.StringIO(_text(next((captures / name).glob("cel_master.csv*"))))))
        first = float(scenario[0][1])
        shift = number * GAP_SECONDS - first
        for index, row in enumerate(scenario):
            rows.append((float(row[1]) + shift, number * 1000 + index, row))
        for index, line in enumerate(_text(captures / name / "ami_all.jsonl.gz").splitlines()):
            event = json.loads(line)
            # Asterisk hangs events of the same moment out in another order than it stamps them; theirs is what counts.
            events.append((max(0.0, event["_rx"] + shift), number * 1000 + index, event, shift))
    rows.sort(key=lambda r: (round(r[0], 6), r[1]))
    events.sort(key=lambda e: (round(e[0], 6), e[1]))
    numbers: dict[str, str] = {}
    return Recording(_rows(rows, numbers), _events(events, numbers))


def _rows(rows: list[tuple[float, int, list[str]]], numbers: dict[str, str]) -> str:
    out = io.StringIO()
    for offset, _, row in rows:
        new = [_renumber(cell, offset, numbers) for cell in row]
        new[1] = f"{BASE + offset:.6f}"
        line = ",".join('"' + cell.replace('"', '""') + '"' for cell in new)
        assert "\n" not in line
        out.write(f"{offset:.3f} {line}\n")
    return out.getvalue()


def _events(events: list[tuple[float, int, dict[str, str], float]], numbers: dict[str, str]) -> str:
    out = io.StringIO()
    for offset, _, event, shift in events:
        out.write(f"{offset:.3f}\n")
        for name, value in event.items():
            if name in _OURS:
                continue
            # cel_manager writes the local date; the player writes it again, from these seconds.
            told = str(BASE + int(offset)) if name == "EventTime" else _shift(value, shift)
            line = f"{name}: {_renumber(told, offset, numbers)}"
            assert "\n" not in line
            out.write(line + "\n")
        out.write("\n")
    return out.getvalue()


def _shift(value: str, shift: float) -> str:
    """Instants in a value, on the recording's time; what was before it, like logins of agents, is at its beginning."""

    def moved(match: re.Match[str]) -> str:
        fraction = match[2] or ""
        at = float(match[1] + fraction) + shift
        if abs(at) > _DAY:
            return match[0]  # another number of ten digits
        at = max(0.0, at)
        return f"{BASE + at:.{max(0, len(fraction) - 1)}f}" if fraction else str(BASE + int(at))

    return value if _UNIQUEID.search(value) else _INSTANT.sub(moved, value)


def _renumber(cell: str, offset: float, numbers: dict[str, str]) -> str:
    return _UNIQUEID.sub(lambda m: numbers.setdefault(m[0], f"{BASE + int(offset)}.{len(numbers)}"), cell)


def _text(path: Path) -> str:
    return (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()


if __name__ == "__main__":
    made = make(Path(sys.argv[1]))
    for half, text in (("recording.gz", made.rows), ("manager.gz", made.events)):
        target = Path("agent/asterisk_connector/demo") / half
        target.write_bytes(gzip.compress(text.encode(), mtime=0))
        print(f"{target}: {target.stat().st_size} bytes")

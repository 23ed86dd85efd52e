"""Makes the bundled recording of the demo from captures of a real Asterisk: many calls, overlapping, in one minute.

    python -m tests.kit.demo_recording tests/scenarios/captures/asterisk-22.10

Each line of the result is `<seconds after start, three decimals> <CEL row of the stock cel_custom mapping>`. The
captures were taken one after the other; here they overlap, so their channels are numbered anew in the order of their
creation, as one Asterisk would have done. Instants and uniqueids count from BASE; the player moves them to now.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import sys
from pathlib import Path

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
_UNIQUEID = re.compile(r"\b1[0-9]{9}\.[0-9]+\b")


def make(captures: Path) -> str:
    """The recording's text."""
    rows: list[tuple[float, int, list[str]]] = []
    for number, name in enumerate(SCENARIOS):
        path = next(p for p in (captures / name).glob("cel_master.csv*"))
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        scenario = list(csv.reader(io.StringIO(text.decode())))
        first = float(scenario[0][1])
        for index, row in enumerate(scenario):
            rows.append((number * GAP_SECONDS + float(row[1]) - first, number * 1000 + index, row))
    rows.sort(key=lambda r: (round(r[0], 6), r[1]))
    numbers: dict[str, str] = {}
    out = io.StringIO()
    for offset, _, row in rows:
        new = [_renumber(cell, offset, numbers) for cell in row]
        new[1] = f"{BASE + offset:.6f}"
        line = ",".join('"' + cell.replace('"', '""') + '"' for cell in new)
        assert "\n" not in line
        out.write(f"{offset:.3f} {line}\n")
    return out.getvalue()


def _renumber(cell: str, offset: float, numbers: dict[str, str]) -> str:
    if "." in cell and cell.replace(".", "").isdigit() and len(cell.partition(".")[2]) == 6:
        return cell  # an instant, not a uniqueid
    return _UNIQUEID.sub(lambda m: numbers.setdefault(m[0], f"{BASE + int(offset)}.{len(numbers)}"), cell)


if __name__ == "__main__":
    target = Path("agent/asterisk_connector/demo/recording.gz")
    target.write_bytes(gzip.compress(make(Path(sys.argv[1])).encode(), mtime=0))
    print(f"{target}: {target.stat().st_size} bytes")

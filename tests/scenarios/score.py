"""The score of assembly against the human truth, per field and encoding, and what an encoding cannot carry.

Run as a module, it writes docs/assembly-score.md; the test checks that the page is what it would write.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from asterisk_connector.assembly.assemble import AssemblyRules, assemble
from asterisk_connector.assembly.connect import connect
from asterisk_connector.call import Call
from asterisk_connector.enrichment.direction import direction
from asterisk_connector.plan import Plan
from asterisk_connector.records import Record
from tests.kit.captures import ENCODINGS, VERSIONS, invalid, load, truths
from tests.scenarios.truth import FIELDS, compare

PAGE = Path(__file__).parents[2] / "docs" / "assembly-score.md"
WHOLE_SECONDS = "FreePBX, 1 s"
CEL = tuple(e for e in ENCODINGS if e != "CDR alone")
NO_STREAMS = "Asterisk 16 writes no STREAM and DTMF rows: music on hold and typed digits are invisible"
NO_STREAMS_README = "this cel.conf does not enable STREAM and DTMF rows"
NO_EXTRA = "the broken mapping loses `extra`: bridge ids, causes, hangup source, parking lot"
NO_APPS = "this mapping has no application columns"
NO_APPS_EVENTS = "without APP rows a caller nobody answered shows no queue"
CRASH = "the process was killed: no row tells when the talk ended"
CDR = "CDR rows are pairs of parties"


@dataclass(frozen=True)
class Gap:
    """What an encoding cannot carry. Empty sets mean all."""

    reason: str
    encodings: tuple[str, ...]
    fields: tuple[str, ...]
    scenarios: tuple[str, ...] = ()
    versions: tuple[str, ...] = VERSIONS

    def covers(self, version: str, encoding: str, scenario: str, name: str) -> bool:
        return (
            version in self.versions
            and encoding in self.encodings
            and name in self.fields
            and (not self.scenarios or scenario.startswith(self.scenarios))
        )


GAPS = (
    Gap(NO_STREAMS, CEL, ("talk",), ("s21", "s27", "s28", "s31", "s49"), ("16.28",)),
    Gap(NO_STREAMS, CEL, ("hold",), ("s58",), ("16.28",)),
    Gap(NO_STREAMS, CEL, ("ivr",), ("s41",), ("16.28",)),
    Gap(NO_STREAMS_README, ("11 event types, ms",), ("talk",), ("s21", "s27", "s28", "s31", "s49")),
    Gap(NO_STREAMS_README, ("11 event types, ms",), ("hold",), ("s58",)),
    Gap(NO_STREAMS_README, ("11 event types, ms",), ("ivr",), ("s41",)),
    Gap(NO_APPS_EVENTS, ("11 event types, ms",), ("queue",), ("s36",)),
    Gap(CRASH, CEL, ("talk",), ("s90_crash_kill9",)),
    Gap(NO_APPS, ("advanced DSV, few fields",), ("queue", "queue_wait", "voicemail")),
    Gap(NO_APPS, ("advanced DSV, few fields",), ("outcome",), ("s08", "s36")),
    Gap(NO_APPS, ("advanced DSV, few fields",), ("transfers",), ("s24",)),
    Gap(NO_APPS, ("advanced DSV, few fields",), ("conference",), ("s52",)),
    Gap(NO_EXTRA, ("broken mapping",), ("outcome",), ("s04", "s06", "s12")),
    Gap(NO_EXTRA, ("broken mapping",), ("ended_by",)),
    Gap(NO_EXTRA, ("broken mapping",), ("transfers",), ("s49", "s50")),
    Gap(NO_EXTRA, ("broken mapping",), ("calls", "talk", "conference"), ("s52",)),
    Gap(NO_EXTRA, ("broken mapping",), ("ivr",), ("s41",)),
    Gap(NO_EXTRA, ("broken mapping",), ("hold",), ("s58",)),
    Gap(f"{CDR}: no transfers, holds, pickups, forwards, keys, and nobody hung up", ("CDR alone",),
        ("transfers", "ended_by", "hold", "picked_up", "forwarded", "ivr", "parked")),
    Gap(f"{CDR}: ring, wait and consultation are inside billsec, seconds are cut", ("CDR alone",),
        ("talk", "queue_wait")),
    Gap(f"{CDR}: a consultation has its own linkedid, a conference's members too, a crash leaves none", ("CDR alone",),
        ("calls",), ("s25", "s30", "s39", "s52", "s90_crash_kill9")),
    Gap(f"{CDR}: the number dialled is lost after Goto() unless `did` is kept", ("CDR alone",), ("dialled",)),
    Gap(f"{CDR}: a cancelled call says NO ANSWER", ("CDR alone",), ("outcome",), ("s06",)),
)  # fmt: skip


@dataclass
class Score:
    """Cells: per encoding and field, how many agree of how many, and the misses."""

    agree: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    total: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    missed: list[tuple[str, str, str, str, str]] = field(default_factory=list)

    def uncarried(self) -> dict[str, list[tuple[str, str, str, str, str]]]:
        """The misses that have a reason, by reason."""
        found: dict[str, list[tuple[str, str, str, str, str]]] = defaultdict(list)
        for miss in self.missed:
            gap = reason(*miss[:4])
            if gap is not None:
                found[gap].append(miss)
        return found

    def wrong(self) -> list[tuple[str, str, str, str, str]]:
        """The misses that have none."""
        return [miss for miss in self.missed if reason(*miss[:4]) is None]


def reason(version: str, encoding: str, scenario: str, name: str) -> str | None:
    """Why this encoding cannot carry this field of this scenario; None when it can."""
    return next((gap.reason for gap in GAPS if gap.covers(version, encoding, scenario, name)), None)


def tell(records: tuple[Record, ...] | list[Record]) -> list[Call]:
    """The calls of some records, oldest first."""
    plan = Plan()
    return [direction(assemble(group, AssemblyRules(plan)), plan) for group in connect(records)]


def score() -> Score:
    """Compares every scenario in every encoding it was captured in."""
    result = Score()
    for version in VERSIONS:
        for scenario, truth in truths(version).items():
            if invalid(version, scenario):
                continue
            for encoding in ENCODINGS:
                records = load(version, scenario, encoding)
                if records is None:
                    continue
                told = compare(truth, tell(records), whole_seconds=encoding == WHOLE_SECONDS)
                for name, difference in told.items():
                    result.total[encoding, name] += 1
                    if difference is None:
                        result.agree[encoding, name] += 1
                    else:
                        result.missed.append((version, encoding, scenario, name, difference))
    return result


def table(result: Score) -> str:
    """The score as a Markdown table: fields down, encodings across."""
    lost: dict[tuple[str, str], int] = defaultdict(int)
    for misses in result.uncarried().values():
        for _, encoding, _, name, _ in misses:
            lost[encoding, name] += 1
    lines = [f"| field | {' | '.join(ENCODINGS)} |", f"|---|{'---:|' * len(ENCODINGS)}"]
    for name in FIELDS:
        cells = []
        for e in ENCODINGS:
            carried = result.total[e, name] - lost[e, name]
            cells.append(f"{result.agree[e, name]}/{carried}" + (f" (−{lost[e, name]})" if lost[e, name] else ""))
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(result: Score) -> str:
    """docs/assembly-score.md."""
    scenarios = ", ".join(f"{len(truths(v)) - any(invalid(v, s) for s in truths(v))} on Asterisk {v}" for v in VERSIONS)
    lines = [
        "# The score of assembly",
        "",
        "Generated by `python -m tests.scenarios.score`; a test checks that it is up to date.",
        "",
        f"Calls made on real Asterisks with SIP phones ({scenarios}), in every encoding",
        "they were captured in, against what a person says they were. A cell is `agreeing/carried (−not carried)`; the",
        "rules of comparison are those of the call document.",
        "",
        table(result),
        "",
        "## What an encoding cannot carry",
        "",
        "A fact that is not in the rows is left out, not guessed. Anything wrong beyond this list fails the test.",
        "",
        "| reason | cells |",
        "|---|---|",
    ]
    for text, misses in sorted(result.uncarried().items()):
        cells: dict[tuple[str, str], set[str]] = defaultdict(set)
        for version, encoding, scenario, name, _ in misses:
            cells[encoding, name].add(f"{scenario.split('_')[0]}/{version.split('.')[0]}")
        told = "; ".join(
            f"{encoding}: `{name}` ({', '.join(sorted(where)) if len(where) <= 6 else f'{len(where)} scenarios'})"
            for (encoding, name), where in sorted(cells.items())
        )
        lines.append(f"| {text} | {told} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(score()))

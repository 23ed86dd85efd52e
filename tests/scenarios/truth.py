"""How the document of a call is compared with what a person said of it (docs/call-document.md, rules of comparison)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from asterisk_connector.call import Call

OUTCOMES = {
    "no answer": "no_answer",
    "cancelled by caller": "cancelled",
    "failed (congestion)": "failed",
    "abandoned in IVR": "abandoned",
    "abandoned in queue": "abandoned",
    "queue timeout": "queue_timeout",
    "IVR only (no choice)": "ivr_only",
    "not answered (service)": "service",
    "click-to-call not taken by originator": "not_taken",
}
KINDS = {"semi-attended (blonde)": "semi_attended"}
RESULTS = (
    ("answered", "completed"),
    ("completed", "completed"),
    ("no answer, recalled", "recalled"),
    ("no answer", "no_answer"),
    ("busy", "busy"),
    ("declined", "declined"),
    ("abandoned: target refused", "returned"),
    ("caller gave up", "abandoned"),
    ("caller hung up", "abandoned"),
    ("retrieved", "retrieved"),
    ("timeout", "timed_out"),
)
FIELDS = (
    "calls",
    "direction",
    "caller",
    "dialled",
    "outcome",
    "answered_by",
    "final_party",
    "talk",
    "transfers",
    "queue",
    "queue_wait",
    "ivr",
    "parked",
    "hold",
    "picked_up",
    "forwarded",
    "conference",
    "voicemail",
    "click_to_call",
    "trunk",
    "ended_by",
)


def compare(truth: dict[str, Any], calls: Sequence[Call], *, whole_seconds: bool) -> dict[str, str | None]:
    """Field → None when it agrees, else what was said and what was assembled; silent fields are left out."""
    call = calls[0]
    talk_slack, time_slack = (1.6, 2.0) if whole_seconds else (0.6, 1.1)
    told: dict[str, str | None] = {}

    def check(field: str, said: object, assembled: object, agrees: bool) -> None:
        told[field] = None if agrees else f"{said!r}, assembled {assembled!r}"

    check("calls", truth["human_calls"], len(calls), truth["human_calls"] == len(calls))
    check("direction", truth["direction"], call.direction, truth["direction"] == call.direction)
    check("caller", truth["caller"], call.caller.number, same(truth["caller"], call.caller.number))
    check("dialled", truth["dialled"], call.dialled, same(truth["dialled"], call.dialled))
    word = truth["outcome"].split(",")[0].split(";")[0]
    outcome = OUTCOMES.get(word, word)
    check("outcome", outcome, call.outcome, outcome == call.outcome)
    check("answered_by", truth["answered_by"], call.answered_by, same(truth["answered_by"], call.answered_by))
    final = truth["final_party"]
    if final and final.startswith("voicemail "):
        box = call.voicemail.mailbox if call.voicemail else None
        check("final_party", None, call.final_party, call.final_party is None)
        check("voicemail", final, box, box == final.removeprefix("voicemail "))
    else:
        check("final_party", final, call.final_party, same(final, call.final_party))
    check("talk", *_talk(truth["talk"], calls, talk_slack))
    check("transfers", *_transfers(truth["transfers"], call))
    check("ended_by", truth["ended_by"], call.ended_by, same(truth["ended_by"], call.ended_by))
    check(
        "click_to_call",
        truth.get("click_to_call", False),
        call.click_to_call,
        truth.get("click_to_call", False) == call.click_to_call,
    )
    if "queue" in truth:
        name = call.queue.name if call.queue else None
        wait = call.queue.wait_seconds if call.queue else None
        check("queue", truth["queue"], name, name == truth["queue"])
        check("queue_wait", truth["queue_wait"], wait, _near(truth["queue_wait"], wait, time_slack))
    if "ivr" in truth:
        choice = call.ivr.choices[-1] if call.ivr and call.ivr.choices else None
        check("ivr", truth["ivr"], choice, choice == truth["ivr"])
    if "parked" in truth:
        seconds = next((t.seconds for t in call.transfers or () if t.kind == "park"), None)
        check("parked", truth["parked"], seconds, _near(truth["parked"], seconds, time_slack))
    if "hold" in truth:
        check("hold", truth["hold"], call.hold_seconds, _near(truth["hold"], call.hold_seconds, time_slack))
    if "picked_up" in truth:
        check("picked_up", truth["picked_up"], call.picked_up, tuple(truth["picked_up"]) == call.picked_up)
    if "forwarded" in truth:
        check("forwarded", truth["forwarded"], call.forwarded, [list(p) for p in call.forwarded] == truth["forwarded"])
    if "conference" in truth:
        room = (call.conference.room, sorted(call.conference.participants)) if call.conference else None
        check("conference", truth["conference"], room, room == (truth["conference"], sorted(truth["participants"])))
    if "trunk" in truth:
        trunks = (call.trunk.inbound, call.trunk.outbound)
        check("trunk", truth["trunk"], trunks, truth["trunk"] in trunks)
    return told


def same(said: str | None, assembled: str | None) -> bool:
    """Equal, or both have ten digits or more and the last ten agree."""
    if said == assembled:
        return True
    if not said or not assembled or len(said) < 10 or len(assembled) < 10:
        return False
    return said[-10:] == assembled[-10:]


def _near(said: float, assembled: float | None, slack: float) -> bool:
    return assembled is not None and abs(said - assembled) <= slack


def _talk(said: list[list[Any]], calls: Sequence[Call], slack: float) -> tuple[object, object, bool]:
    wanted: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for a, b, seconds in said:
        wanted[_pair(a, b)].append(seconds)
    found: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for call in calls:
        for stretch in call.talk:
            found[_pair(stretch.a, stretch.b)].append(round(stretch.seconds, 3))
    agrees = set(wanted) == set(found) and all(
        abs(sum(wanted[p]) - sum(found[p])) <= slack * max(len(wanted[p]), len(found[p])) for p in wanted
    )
    return dict(wanted), dict(found), agrees


def _pair(a: str, b: str) -> tuple[str, ...]:
    return tuple(sorted(n[-10:] for n in (a, b)))


def _transfers(said: list[dict[str, Any]], call: Call) -> tuple[object, object, bool]:
    wanted = []
    for transfer in said:
        target = transfer["target"].removeprefix("lot ")
        if target.startswith("queue "):
            target = target.split()[1]
        result = next(ours for theirs, ours in RESULTS if transfer["result"].startswith(theirs))
        kind = KINDS.get(transfer["kind"], transfer["kind"])
        wanted.append((kind, transfer["by"], transfer["transferee"], target, result))
    found = (
        None if call.transfers is None else [(t.kind, t.by, t.transferee, t.target, t.result) for t in call.transfers]
    )
    agrees = (
        found is not None
        and len(found) == len(wanted)
        and all(
            w[0] == f[0] and w[4] == f[4] and all(same(w[i], f[i]) for i in (1, 2, 3))
            for w, f in zip(wanted, found, strict=True)
        )
    )
    return wanted, found, agrees

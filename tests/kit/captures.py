"""Captured calls of real Asterisks, in every encoding they were written in, and the human truth about them."""

from __future__ import annotations

import csv
import gzip
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from asterisk_connector.records import CdrRow, CelEvent, Record
from asterisk_connector.sources.csv.capture import parse

CAPTURES = Path(__file__).parent.parent / "scenarios" / "captures"
VERSIONS = ("22.10", "16.28")
ENCODINGS = {
    "stock": "cel_master.csv",
    "19 columns": "cel_sipstack19.csv.gz",
    "advanced DSV": "cel_adv.csv.gz",
    "advanced DSV, few fields": "cel_adv_nonnum.csv.gz",
    "advanced JSON": "cel_adv.json.gz",
    "AMI": "ami_cel.jsonl.gz",
    "FreePBX, 1 s": "variants/freepbx-1s.csv.gz",
    "11 event types, ms": "variants/sipstack-readme.csv.gz",
    "broken mapping": "cel_broken.csv.gz",
    "CDR alone": "cdr_full.csv",
}
CDR_COLUMNS = [
    "account_code",
    "src",
    "dst",
    "dcontext",
    "clid",
    "channel",
    "dstchannel",
    "last_app",
    "last_data",
    "start",
    "answer",
    "end",
    "duration",
    "billsec",
    "disposition",
    "ama_flags",
    "uniqueid",
    "linkedid",
    "peer_account",
    "sequence",
    "user_field",
    "did",
    "recording_file",
]


@lru_cache(maxsize=4)
def truths(version: str) -> dict[str, dict[str, Any]]:
    """What people say of each scenario."""
    return dict(json.loads((CAPTURES / f"truth-{version}.json").read_text()))


def invalid(version: str, scenario: str) -> bool:
    """Is the capture not of what the truth tells? That install had no voicemail."""
    return version == "16.28" and scenario.startswith("s08")


@lru_cache(maxsize=2048)
def load(version: str, scenario: str, encoding: str) -> tuple[Record, ...] | None:
    """The records of one scenario in one encoding, as the file has them; None when it was not captured."""
    path = CAPTURES / version / scenario / ENCODINGS[encoding]
    if not path.exists():
        return None
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if encoding == "CDR alone":
        return cdr_rows(data.decode())
    if encoding == "AMI":
        return tuple(ami_event(json.loads(line)) for line in data.decode().splitlines())
    return tuple(parse(data)[0])


def cdr_rows(text: str) -> tuple[CdrRow, ...]:
    """Rows of the 23-column capture: epoch times with microseconds, zero for none."""
    rows = []
    for cells in csv.reader(text.splitlines()):
        values: dict[str, Any] = dict(zip(CDR_COLUMNS, cells, strict=True))
        for name in ("start", "answer", "end"):
            seconds, _, micros = values[name].partition(".")
            values[name] = int(seconds) * 1_000_000 + int(micros) or None
        values["duration"] = float(values["duration"])
        values["billsec"] = float(values["billsec"])
        values["sequence"] = int(values["sequence"])
        rows.append(CdrRow(**values))
    return tuple(rows)


def ami_event(headers: dict[str, Any]) -> CelEvent:
    """A CEL event as the manager shows it (`cel/cel_manager.c`)."""
    seconds, _, micros = headers["Timestamp"].partition(".")
    return CelEvent(
        type=headers["EventName"],
        at=int(seconds) * 1_000_000 + int(micros),
        uniqueid=headers["UniqueID"],
        linkedid=headers["LinkedID"],
        channel=headers["Channel"],
        cid_num=headers["CallerIDnum"],
        cid_name=headers["CallerIDname"],
        cid_ani=headers["CallerIDani"],
        cid_rdnis=headers["CallerIDrdnis"],
        cid_dnid=headers["CallerIDdnid"],
        exten=headers["Exten"],
        context=headers["Context"],
        app_name=headers["Application"],
        app_data=headers["AppData"],
        account_code=headers["AccountCode"],
        user_field=headers["Userfield"],
        user_defined_type=headers.get("UserDefType", ""),
        peer=headers["Peer"],
        extra=headers["Extra"],
    )

"""AMI events that are told apart by a number: said by a manager, found in the journal and in Kafka."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from pathlib import Path

import msgspec

from asterisk_connector.relay.encode import Record
from tests.kit.mock_kafka import Message

TOPIC = "asterisk_ami"
NAMES = ("Newchannel", "Newexten", "VarSet", "DialBegin", "BridgeEnter", "Hangup", "CEL")


def event(n: int, size: int = 0) -> bytes:
    name = NAMES[n % len(NAMES)]
    lines = [f"Event: {name}", "Privilege: call,all", f"Number: {n}", f"Linkedid: {n % 50}", "Fill: " + "x" * size]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def numbers(messages: list[Message]) -> list[int]:
    return [int(json.loads(m.value)["Number"]) for m in messages if b'"Number"' in m.value]


def order_per_key(messages: list[Message]) -> dict[bytes | None, list[int]]:
    """Numbers per key in the order of the log, each at its first appearance."""
    seen: set[int] = set()
    found: dict[bytes | None, list[int]] = defaultdict(list)
    for message in sorted(messages, key=lambda m: (m.partition, m.offset)):
        for n in numbers([message]):
            if n not in seen:
                seen.add(n)
                found[message.key].append(n)
    return found


def journalled(path: Path) -> set[int]:
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    packs = [msgspec.msgpack.decode(body, type=list[Record]) for (body,) in database.execute("SELECT events FROM pack")]
    database.close()
    return {int(json.loads(e.value)["Number"]) for pack in packs for e in pack if b'"Number"' in e.value}

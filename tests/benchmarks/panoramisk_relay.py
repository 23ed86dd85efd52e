"""AMI events to Kafka as panoramisk and aiokafka are meant to be used; nothing of ours is imported.

What `bench_peers` compares with; `.venv-bench/bin/python tests/benchmarks/panoramisk_relay.py PORT BROKERS TOPIC`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from aiokafka import AIOKafkaProducer
from panoramisk import Manager

ENTITY_ID = "52:54:00:ab:cd:ef"


async def main(port: int, brokers: str, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all", enable_idempotence=True, linger_ms=5)
    await producer.start()
    waiting: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    manager = Manager(host="127.0.0.1", port=port, username="agent", secret="secret")
    manager.register_event("*", lambda _, message: waiting.put_nowait(dict(message)))
    await manager.connect()
    while True:
        fields = await waiting.get()
        name = fields["Event"]
        headers = [
            *(("entity_id", ENTITY_ID.encode()), ("system_name", b"pbx-01"), ("asterisk_version", b"22.10.1")),
            *(("event_type", name.encode()), ("event_category", fields.get("Privilege", "").encode())),
            *(("format", b"json"), ("timestamp", str(int(time.time())).encode()), ("hostname", b"host")),
        ]
        value = json.dumps({"Event": name, "EntityID": ENTITY_ID, **fields}, separators=(",", ":")).encode()
        await producer.send(topic, value, name.encode(), headers=headers)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))

"""The least that brings AMI events to Kafka: a socket, a dict, JSON, confluent-kafka. No journal, no second chance.

What `bench_events` is compared with; `python -m tests.benchmarks.bare_relay PORT BROKERS TOPIC`.
"""

from __future__ import annotations

import json
import socket
import sys
import time

from confluent_kafka import Producer


def main(port: int, brokers: str, topic: str) -> None:
    producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 5})
    ami = socket.create_connection(("127.0.0.1", port))
    ami.sendall(b"Action: Login\r\nUsername: agent\r\nSecret: secret\r\n\r\n")
    tail = b""
    while chunk := ami.recv(1 << 18):
        *messages, tail = (tail + chunk).split(b"\r\n\r\n")
        for message in messages:
            fields = dict(
                line.split(": ", 1) for line in message.decode(errors="replace").split("\r\n") if ": " in line
            )
            if "Event" not in fields:
                continue
            name = fields["Event"]
            headers = [
                *(("entity_id", b"52:54:00:ab:cd:ef"), ("system_name", b"pbx-01"), ("asterisk_version", b"22.10.1")),
                *(("event_type", name.encode()), ("event_category", fields.get("Privilege", "").encode())),
                *(("format", b"json"), ("timestamp", str(int(time.time())).encode()), ("hostname", b"host")),
            ]
            value = json.dumps(
                {"Event": name, "EntityID": "52:54:00:ab:cd:ef", **fields}, separators=(",", ":")
            ).encode()
            while True:
                try:
                    producer.produce(topic, value, name.encode(), headers=headers)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.poll(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])

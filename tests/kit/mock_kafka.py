"""librdkafka's own mock cluster with its switches: brokers down and up, errors on request, topics that are not there.

It lives in this process behind real sockets; any client may connect to `brokers`. The switches are librdkafka's C
functions (rdkafka_mock.h), reached in the very library confluent-kafka has loaded.
"""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import confluent_kafka

from tests.kit.wait import until

PRODUCE = 0
METADATA = 3

_BUNDLED = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
_lib = ctypes.CDLL(str(next(_BUNDLED.glob("librdkafka-*"))))
_pointer = ctypes.c_void_p
for _name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
    getattr(_lib, _name).restype = _pointer
_lib.rd_kafka_conf_set.argtypes = (_pointer, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
_lib.rd_kafka_conf_set_log_cb.argtypes = (_pointer, _pointer)
_lib.rd_kafka_new.argtypes = (ctypes.c_int, _pointer, ctypes.c_char_p, ctypes.c_size_t)
_lib.rd_kafka_mock_cluster_new.argtypes = (_pointer, ctypes.c_int)
_lib.rd_kafka_mock_cluster_bootstraps.argtypes = (_pointer,)
_lib.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
_lib.rd_kafka_mock_cluster_destroy.argtypes = (_pointer,)
_lib.rd_kafka_destroy.argtypes = (_pointer,)
_lib.rd_kafka_mock_topic_create.argtypes = (_pointer, ctypes.c_char_p, ctypes.c_int, ctypes.c_int)
_lib.rd_kafka_mock_topic_set_error.argtypes = (_pointer, ctypes.c_char_p, ctypes.c_int)
_lib.rd_kafka_mock_broker_set_down.argtypes = (_pointer, ctypes.c_int32)
_lib.rd_kafka_mock_broker_set_up.argtypes = (_pointer, ctypes.c_int32)
_lib.rd_kafka_mock_broker_set_rtt.argtypes = (_pointer, ctypes.c_int32, ctypes.c_int)
_lib.rd_kafka_mock_push_request_errors_array.argtypes = (
    _pointer,
    ctypes.c_int16,
    ctypes.c_size_t,
    ctypes.POINTER(ctypes.c_int),
)


class Message(NamedTuple):
    """One record as a consumer sees it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


class MockKafka:
    """A cluster from construction to `close`. Topics come into being when asked for, with four partitions."""

    def __init__(self, brokers: int = 1) -> None:
        error = ctypes.create_string_buffer(512)
        conf = _lib.rd_kafka_conf_new()
        _lib.rd_kafka_conf_set_log_cb(conf, None)
        self._handle = _lib.rd_kafka_new(0, conf, error, len(error))
        self._cluster = _lib.rd_kafka_mock_cluster_new(self._handle, brokers)
        self._count = brokers
        self.brokers: str = _lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def close(self) -> None:
        _lib.rd_kafka_mock_cluster_destroy(self._cluster)
        _lib.rd_kafka_destroy(self._handle)

    def down(self) -> None:
        """Nobody answers any more; connections break."""
        for broker in range(1, self._count + 1):
            _lib.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def up(self) -> None:
        for broker in range(1, self._count + 1):
            _lib.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def slow(self, milliseconds: int) -> None:
        """Every answer takes so long."""
        for broker in range(1, self._count + 1):
            _lib.rd_kafka_mock_broker_set_rtt(self._cluster, broker, milliseconds)

    def fail(self, request: int, *errors: int) -> None:
        """The next answers to this request are these errors (KafkaError codes)."""
        _lib.rd_kafka_mock_push_request_errors_array(
            self._cluster, request, len(errors), (ctypes.c_int * len(errors))(*errors)
        )

    def create(self, topic: str, partitions: int) -> None:
        _lib.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1)

    def break_topic(self, topic: str, error: int) -> None:
        """Metadata of the topic says this error; 0 mends it."""
        _lib.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), error)

    def consume(self, topic: str, count: int, seconds: float = 20.0) -> list[Message]:
        """Reads until `count` records are there (AssertionError when they do not come), then once more for surplus."""
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self.brokers,
                "group.id": "test",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        partitions = until(lambda: consumer.list_topics(topic, timeout=10).topics[topic].partitions, what="the topic")
        consumer.assign([confluent_kafka.TopicPartition(topic, p, 0) for p in partitions])
        messages: list[Message] = []
        deadline = time.monotonic() + seconds
        while True:
            enough = len(messages) >= count
            found: list[Any] = consumer.consume(1000, timeout=0.3 if enough else 1.0)
            messages += [
                Message(m.partition(), m.offset(), m.key(), m.value(), m.headers()) for m in found if not m.error()
            ]
            if enough and not found:
                break
            assert time.monotonic() < deadline, f"{len(messages)} of {count} records came"
        consumer.close()
        return messages


if __name__ == "__main__":
    # A cluster for other processes, with one topic of four partitions; says its address, lives until its input ends.
    cluster = MockKafka()
    cluster.create(sys.argv[1], 4)
    print(cluster.brokers, flush=True)
    sys.stdin.read()

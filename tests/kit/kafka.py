"""Real Apache Kafka (KRaft) from its published jars: one broker or several, plain, TLS and SCRAM listeners.

Each broker listens on its own address: 9092 plain, 9093 controller, 9094 TLS, 9095 SCRAM-SHA-512, 9096 SCRAM over TLS.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.kit.cache import CannotRun, cached
from tests.kit.server import Server, program
from tests.kit.wait import until

POM = Path(__file__).parent / "kafka" / "pom.xml"
PORTS = {"plain": 9092, "controller": 9093, "tls": 9094, "scram": 9095, "scram_tls": 9096}
PROTOCOLS = {
    "plain": "PLAINTEXT",
    "controller": "PLAINTEXT",
    "tls": "SSL",
    "scram": "SASL_PLAINTEXT",
    "scram_tls": "SASL_SSL",
}
USER, PASSWORD = "alice", "bench-secret"
FRUGAL = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
QUIET: dict[str, Any] = {"log_level": 0}


def jars() -> Path:
    """The folder with Kafka's jars, fetched when it is not there (45 jars, 43 MB, about 50 s). Raises CannotRun."""

    def build(folder: Path) -> None:
        maven = program("mvn", "Kafka")
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}", "-DincludeScope=runtime"]
        done = subprocess.run([maven, "-q", "-B", "-f", str(POM), *goal], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            why = "; ".join(line for line in done.stdout.splitlines() if "ERROR" in line)[:600]
            raise CannotRun("Kafka", f"its jars cannot be had (is Maven's central repository reachable?): {why}.")

    return cached("kafka", POM.read_text(), build)


class Broker(Server):
    """One broker of a cluster; the cluster writes its `server.properties`."""

    def __init__(self) -> None:
        self._java = program("java", "Kafka")
        self._classes = f"{jars()}/*"
        super().__init__()

    def format(self, cluster: str) -> None:
        """Prepares the data folder, with the SCRAM user in it."""
        user = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        # With `=`: an id may begin with a dash.
        words = ["format", f"--cluster-id={cluster}", "-c", str(self.home / "server.properties"), "--add-scram", user]
        self.prepare([self._java, *FRUGAL, "-cp", self._classes, "kafka.tools.StorageTool", *words])

    def start(self) -> None:
        self.begin()
        until(self.serves, within=90, what="the broker serves")

    def begin(self) -> None:
        """Starts it and does not wait: the brokers of a cluster need each other to serve."""
        properties = str(self.home / "server.properties")
        self.launch([self._java, "-Xmx256m", *FRUGAL, "-cp", self._classes, "kafka.Kafka", properties])

    def serves(self) -> bool:
        """True when it answers; raises when the process ended."""
        if not self.running:
            raise RuntimeError(f"Kafka ended at once:\n{self.console[-2000:]}")
        return self.sees() > 0

    def sees(self) -> int:
        """How many brokers of the cluster it knows; 0 while it does not answer."""
        client = AdminClient({"bootstrap.servers": f"{self.address}:{PORTS['plain']}", **QUIET})
        try:
            return len(client.list_topics(timeout=2).brokers)
        except KafkaException:
            return 0


class Kafka:
    """A cluster of `size` brokers. `settings` go into each `server.properties`."""

    def __init__(self, size: int = 1, settings: Mapping[str, str | int] | None = None) -> None:
        self.brokers = [Broker() for _ in range(size)]
        try:
            self._prepare(settings or {})
        except BaseException:
            self.close()
            raise

    def _prepare(self, settings: Mapping[str, str | int]) -> None:
        size = len(self.brokers)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self.ca = self.brokers[0].home / "ca.pem"
        _certificates([broker.address for broker in self.brokers], [broker.home for broker in self.brokers])
        replicas = min(size, 3)
        common: dict[str, str | int] = {
            "process.roles": "broker,controller",
            "controller.quorum.voters": ",".join(
                f"{number}@{broker.address}:{PORTS['controller']}" for number, broker in enumerate(self.brokers, 1)
            ),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAIN",
            "listener.security.protocol.map": ",".join(f"{name.upper()}:{PROTOCOLS[name]}" for name in PORTS),
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "ssl.keystore.type": "PEM",
            "num.partitions": 3,
            "default.replication.factor": replicas,
            "min.insync.replicas": max(1, replicas - 1),
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": 3,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # A broker that is killed or frozen is noticed within seconds, not half a minute.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            "replica.lag.time.max.ms": 3000,
            "controlled.shutdown.enable": str(size > 1).lower(),
        }
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        for name in ("scram", "scram_tls"):
            common[f"listener.name.{name}.scram-sha-512.sasl.jaas.config"] = login
        for number, broker in enumerate(self.brokers, 1):
            listeners = {name: f"{name.upper()}://{broker.address}:{port}" for name, port in PORTS.items()}
            properties = {
                **common,
                "node.id": number,
                "listeners": ",".join(listeners.values()),
                "advertised.listeners": ",".join(url for name, url in listeners.items() if name != "controller"),
                "log.dirs": broker.home / "data",
                "ssl.keystore.location": broker.home / "keystore.pem",
                **settings,
            }
            text = "".join(f"{key}={value}\n" for key, value in properties.items())
            (broker.home / "server.properties").write_text(text)
            broker.format(cluster)

    def start(self) -> None:
        """Starts every broker and returns when all of them serve."""
        for broker in self.brokers:
            broker.begin()
        for broker in self.brokers:
            until(broker.serves, within=90, what="the broker serves")
        admin = AdminClient(self.client() | QUIET)
        until(
            lambda: len(admin.list_topics(timeout=5).brokers) == len(self.brokers), within=60, what="all brokers joined"
        )

    def stop(self) -> None:
        """Stops every broker, the last one first."""
        for broker in reversed(self.brokers):
            broker.stop()

    def close(self) -> None:
        """Ends it for good."""
        for broker in reversed(self.brokers):
            broker.kill()
            broker.close()

    def __enter__(self) -> Kafka:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def client(self, listener: str = "plain") -> dict[str, Any]:
        """librdkafka's properties for a listener: `plain`, `tls`, `scram` or `scram_tls`."""
        properties: dict[str, Any] = {
            "bootstrap.servers": ",".join(f"{broker.address}:{PORTS[listener]}" for broker in self.brokers),
            "security.protocol": PROTOCOLS[listener],
        }
        if "tls" in listener:
            properties["ssl.ca.location"] = str(self.ca)
        if "scram" in listener:
            properties |= {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": USER, "sasl.password": PASSWORD}
        return properties

    def create_topic(self, name: str, partitions: int = 3) -> None:
        """Creates a topic on all brokers and returns when it is there."""
        admin = AdminClient(self.client() | QUIET)
        topic = NewTopic(name, num_partitions=partitions, replication_factor=min(3, len(self.brokers)))
        admin.create_topics([topic])[name].result(30)
        until(
            lambda: len(admin.list_topics(name, timeout=5).topics[name].partitions) == partitions, what=f"topic {name}"
        )

    def consume(self, topic: str, at_least: int = 0, within: float = 30) -> list[Message]:
        """Every record of a topic from its beginning, in order per partition.

        Waits until there are `at_least` so many, then reads to the end as it is then.
        """
        consumer = Consumer(self.client() | QUIET | {"group.id": uuid.uuid4().hex, "enable.auto.commit": False})
        try:
            deadline = time.monotonic() + within
            partitions = sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            records: list[Message] = []
            while len(records) < at_least or not self._read_to_end(consumer, topic, partitions, records):
                for record in consumer.consume(10_000, timeout=0.2):
                    if record.error():
                        raise KafkaException(record.error())
                    records.append(record)
                if time.monotonic() > deadline:
                    raise AssertionError(f"{len(records)} records of {topic} within {within} s, wanted {at_least}")
            return records
        finally:
            consumer.close()

    @staticmethod
    def _read_to_end(consumer: Consumer, topic: str, partitions: list[int], records: list[Message]) -> bool:
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10) for number in partitions]
        return sum(high - low for low, high in ends) <= len(records)

    def produce(self, topic: str, values: list[bytes], listener: str = "plain") -> None:
        """Produces records, acknowledged by all replicas; raises when one is not."""
        producer = Producer(self.client(listener) | QUIET | {"acks": "all", "message.timeout.ms": 30_000})
        failed: list[Any] = []
        for value in values:
            producer.produce(topic, value, on_delivery=lambda error, _: failed.append(error) if error else None)
        left = producer.flush(35)
        if left or failed:
            raise AssertionError(f"{left} records unsent, {len(failed)} refused: {failed[:1]}")


def _certificates(addresses: list[str], homes: list[Path]) -> None:
    """A certificate authority and, signed by it, one certificate with key for each broker (PEM)."""
    openssl = program("openssl", "Kafka's TLS")
    ca, ca_key = homes[0] / "ca.pem", homes[0] / "ca.key"
    new = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "2"]
    _run([*new, "-subj", "/CN=bench CA", "-keyout", str(ca_key), "-out", str(ca)])
    for address, home in zip(addresses, homes, strict=True):
        key, certificate = home / "broker.key", home / "broker.pem"
        names = ["-addext", f"subjectAltName=IP:{address}", "-addext", "basicConstraints=critical,CA:FALSE"]
        signed = ["-CA", str(ca), "-CAkey", str(ca_key), "-keyout", str(key), "-out", str(certificate)]
        _run([*new, "-subj", f"/CN={address}", *names, *signed])
        (home / "keystore.pem").write_text(key.read_text() + certificate.read_text() + ca.read_text())
        if home != homes[0]:
            shutil.copy(ca, home / "ca.pem")


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)

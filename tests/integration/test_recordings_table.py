"""Recordings that a table lists, on real databases: each on its call, also when its row comes after the call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.agent_process import AgentProcess
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

TABLE = """CREATE TABLE recordings (id {serial} PRIMARY KEY, filename varchar(255), file_path varchar(255),
file_size int, created_at timestamp, linkedid varchar(150), uniqueid varchar(150))"""
SERIAL = {"mariadb": "int AUTO_INCREMENT", "postgresql": "serial"}


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_recordings_of_a_table_are_on_their_calls_also_when_they_come_late(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = request.getfixturevalue(kind)
    database = server.create(f"recordings_{kind}")
    server.query(TABLE.format(serial=SERIAL[kind]), database)
    early, late = NumberedCall(1), NumberedCall(2)
    cel, told = tmp_path / "cel.csv", tmp_path / "calls.jsonl"
    table = {
        "driver": "mysql" if kind == "mariadb" else "postgresql",
        "host": database.host,
        "port": database.port,
        "user": database.reader,
        "password": database.password,
        "database": database.name,
        "table": "recordings",
        "poll_interval": "500ms",
    }
    settings: dict[str, Any] = {
        "start_at": "beginning",
        "sources": {"cel_csv": [{"path": str(cel)}], "recordings": {"paths": [], "table": table}},
        "calls": {"settle": "1s", "file": {"path": str(told)}},
    }

    def insert(call: NumberedCall) -> None:
        server.query(
            "INSERT INTO recordings (filename, file_path, file_size, created_at, linkedid) VALUES "
            f"('{call.number}.wav', '/audio/{call.number}.wav', 32044, CURRENT_TIMESTAMP, '{call.linkedid}')",
            database,
        )

    def latest() -> dict[str, dict[str, Any]]:
        lines = told.read_text().splitlines() if told.exists() else []
        return {document["call_id"]: document for document in map(json.loads, lines)}

    def recorded(call: NumberedCall) -> list[str]:
        return [r["path"] for r in latest().get(call.linkedid, {}).get("recordings", [])]

    with AgentProcess(tmp_path, settings) as agent:
        agent.wait_said("reading recordings_table:")
        insert(early)
        with cel.open("ab") as file:
            for call in (early, late):
                file.write(b"".join(row + b"\n" for _, row in call.rows()))
        until(lambda: late.linkedid in latest() and recorded(early), 20, f"both calls\n{agent.said}")
        assert recorded(early) == ["/audio/1.wav"]
        assert recorded(late) == []
        insert(late)
        until(lambda: recorded(late) == ["/audio/2.wav"], 20, f"the late recording\n{agent.said}")
        assert latest()[late.linkedid]["revision"] == 2

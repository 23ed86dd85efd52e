"""What CONTRIBUTING shows, done as it stands there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asterisk_connector.cli.main import main

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"


def test_the_pasted_table_of_the_page_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, shown = PAGE.read_text().partition("$ cat ticket-4711.txt\n")
    table, _, command = shown.partition("$ asterisk-connector ")
    ticket = tmp_path / "ticket-4711.txt"
    ticket.write_text(table)
    words = command.splitlines()[0].replace("ticket-4711.txt", str(ticket)).split()
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["call_id"] == "1795289858.2041"
    assert told["complete"] is True

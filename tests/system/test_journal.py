"""What the service says, as a real journald keeps it: by fields, whole, and when its own socket cannot be had."""

from __future__ import annotations

import json
from typing import Any

from tests.kit.call_api import Answer
from tests.kit.operator import ETC, Operator
from tests.kit.package import NAME
from tests.kit.wait import until

NO_SOCKET = "[Service]\nInaccessiblePaths=/run/systemd/journal/socket\n"


def entries(operator: Operator, *matches: str) -> list[dict[str, Any]]:
    """What journald has of the service, oldest first, every field whole."""
    said = operator.host.said("journalctl", "--all", "--no-pager", "--output=json", "--unit", NAME, *matches)
    return [json.loads(line) for line in said.splitlines()]


def test_the_story_of_a_call_is_found_by_its_fields(running: Operator) -> None:
    running.api.script = lambda _: Answer(status=503)
    linkedid = running.write_call()
    match = f"ASTERISK_LINKEDID={linkedid}"
    until(lambda: len(entries(running, match)) >= 2, 20, f"the first attempt:\n{running.journal()[-2000:]}")
    running.api.script = lambda _: Answer()
    running.arrived(linkedid)
    until(lambda: "delivered" in entries(running, match)[-1]["MESSAGE"], 10, "the delivery in the journal")
    ended, *deferred, delivered = entries(running, match)
    assert ended["MESSAGE"].endswith("; owed to call_api")
    assert ended["PRIORITY"] == delivered["PRIORITY"] == "6"
    assert ended["CALL_REVISION"] == delivered["CALL_REVISION"] == "1"
    assert linkedid in ended["ASTERISK_UNIQUEID"]
    assert delivered["SINK"] == "call_api"
    assert [line["ERROR_CODE"] for line in deferred] == ["AC-DELIVERY-DEFERRED"]
    assert deferred[0]["PRIORITY"] == "4"
    assert {line["_TRANSPORT"] for line in (ended, *deferred, delivered)} == {"journal"}
    other = next(uniqueid for uniqueid in ended["ASTERISK_UNIQUEID"] if uniqueid != linkedid)
    assert entries(running, f"ASTERISK_UNIQUEID={other}") == [ended]


def test_a_message_of_300_kb_is_kept_whole(running: Operator) -> None:
    """Larger than a datagram: a configuration in which thousands of keys are wrong."""
    keys = [f"unknown_setting_{number:04}" for number in range(4000)]
    running.configure("".join(f"{key}: 1\n" for key in keys))
    running.host.run("systemctl", "kill", "--kill-whom=main", "--signal=HUP", NAME)
    match = "ERROR_CODE=AC-CONFIG-REFUSED"
    until(lambda: entries(running, match), 20, "the refusal in the journal")
    (refused,) = entries(running, match)
    assert len(refused["MESSAGE"]) > 300_000
    assert refused["MESSAGE"].endswith("[AC-CONFIG-REFUSED]")
    assert [key for key in keys if key not in refused["MESSAGE"]] == []
    assert refused["_TRANSPORT"] == "journal"


def test_without_the_journals_own_socket_lines_keep_their_priority(running: Operator) -> None:
    running.drop_in(NO_SOCKET)
    before = running.cursor()
    running.host.file(f"{ETC}/config.yaml").write_text("api: [\n")
    running.host.run("systemctl", "kill", "--kill-whom=main", "--signal=HUP", NAME)

    def told() -> list[dict[str, Any]]:
        return [line for line in entries(running, before) if "the old one stays" in line["MESSAGE"]]

    until(told, 20, f"the refusal in the journal:\n{running.journal(before)}")
    assert {(line["_TRANSPORT"], line["PRIORITY"]) for line in told()} == {("stdout", "3")}


def test_a_call_is_told_in_two_lines(running: Operator) -> None:
    before = running.cursor()
    calls = [running.write_call() for _ in range(5)]
    running.arrived(*calls)
    until(lambda: running.journal(before).count("delivered to call_api") == len(calls), 10, "every delivery")
    lines = [line for line in running.journal(before).splitlines() if any(call in line for call in calls)]
    assert len(lines) == 2 * len(calls)

"""Command lines worth knowing, for the manual page and docs/commands.md; a test runs each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EXAMPLES: Final[Mapping[str, str]] = {
    "asterisk-connector check": "what keeps the service from running, before it is started",
    "asterisk-connector status": "how everything is, and what is wrong",
    "asterisk-connector status --wait 60": "after a restart: waits until it is healthy, or says why not",
    "asterisk-connector top": "the same, live, with rates",
    "asterisk-connector calls list --limit 10": "the newest calls",
    "asterisk-connector calls show 1795289858.2041 --explain": "one call, and the rows it was read from",
    "asterisk-connector outbox list --dead": "calls that a receiver refused, with the reason",
    "asterisk-connector outbox export > dead-letters.jsonl": "all of them with request and answer, to keep",
    "asterisk-connector outbox retry --all --sink call_api": "once the receiver is mended: offers them again",
    "asterisk-connector outbox drop 17 --yes": "gives one up for good, without asking",
    "asterisk-connector reconcile --since 24h": "whether every call of a day is accounted for",
    "asterisk-connector support": "one file for somebody who helps, without secrets; sent nowhere",
}
"""What is typed, and what it is for."""

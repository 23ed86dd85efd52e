"""Times of which no event can be had, told to the consumers as an event of their own: `ConnectorGap`.

Written as Asterisk would write an event, so that it takes the same way as all others; filters do not apply to it.
Lines: `From`, `Until` (RFC 3339, UTC), `Seconds`, `Reason`, `Restarted` (yes, no, unknown: whether Asterisk started
anew), where known `CallsProcessed` (calls Asterisk counted between the last answered ping and the new session) and
`EventsDropped` (read by the agent, then lost to a bound). Pure.
"""

from __future__ import annotations

from asterisk_connector.ami.handshake import Answers
from asterisk_connector.call import rfc3339
from asterisk_connector.records import Micros
from asterisk_connector.relay.journal import Dropped, Life


def restarted(life: Life, answers: Answers) -> bool | None:
    """Whether Asterisk is another process than when it was last heard; None where one of both did not say."""
    if life.startup is None or answers.startup is None:
        return None
    return life.startup != answers.startup


def session_gap(life: Life, answers: Answers, until: Micros) -> bytes:
    """The record of a time without a session."""
    anew = restarted(life, answers)
    lines = [("Restarted", {True: "yes", False: "no", None: "unknown"}[anew])]
    if anew is False and life.calls is not None and answers.calls is not None:
        lines.append(("CallsProcessed", str(answers.calls - life.calls)))
    return _body(life.heard, until, life.reason, lines)


def dropped_gap(dropped: Dropped) -> bytes:
    """The record of events that were read and then lost to a bound."""
    return _body(dropped.start, dropped.end, dropped.reason, [("EventsDropped", str(dropped.events))])


def _body(start: Micros, end: Micros, reason: str, lines: list[tuple[str, str]]) -> bytes:
    told = [
        ("Event", "ConnectorGap"),
        ("Privilege", "system,all"),
        ("From", rfc3339(start)),
        ("Until", rfc3339(end)),
        ("Seconds", f"{max(0, end - start) / 1e6:.3f}"),
        ("Reason", " ".join(reason.split())),
        *lines,
    ]
    return ("".join(f"{name}: {text}\r\n" for name, text in told) + "\r\n").encode()

"""The page about the journal, made from the table of codes: `python -m tests.kit.journal_page` writes it."""

from __future__ import annotations

from asterisk_connector.telemetry.codes import CODES
from asterisk_connector.telemetry.journal import CALL_LINES, QUIET_SECONDS
from asterisk_connector.telemetry.masking import masked
from tests.kit.document_page import DOCS

PAGE = DOCS / "journal.md"
_CALLER = masked("+14165550137")

_HEAD = f"""\
# The journal

What the service says goes to the journal, one sentence a line: what, where and, when somebody has to act, what to do.
Under systemd it speaks the journal's native protocol, so that each line carries fields to search by; elsewhere, and
when the journal cannot be reached, lines go to standard error, with their priority (`<4>`) where the journal reads it.

```sh
journalctl -u asterisk-connector -f                               # as it happens
journalctl -u asterisk-connector -p warning --since today         # trouble only
journalctl ASTERISK_LINKEDID=1795289858.2041                      # the story of one call
journalctl ERROR_CODE=AC-SINK-DOWN SINK=call_api                  # every outage of the call API
journalctl ASTERISK_UNIQUEID=1795289860.2043 -o json              # the call of a channel, with all fields
```

## The story of a call

At `log.level: info` a call is one line at its end and one for each sink that took it:

```
call 1795289858.2041 ended: {_CALLER} called 200, who answered (inbound, answered, 95 s); owed to call_api
call 1795289858.2041 delivered to call_api (complete, revision 1), 0.08 s
```

| what happens to it | weight |
|---|---|
| it began; it goes on and was told so; a recording was found for it | debug |
| it ended, or was closed as incomplete by a rule; later evidence made a new revision | info |
| a sink took it, at which attempt and how long after it was owed | info |
| a sink did not take it, with the reason and the next try; a step of telling it failed | warning |
| it became a dead letter | error |

**How much is told.** A busy PBX with 50 calls a second and one sink says 100 such lines a second, about a third of what
the journal takes from a service by default. Of single calls at most {CALL_LINES} lines that went well and as many of
dead letters are told in {QUIET_SECONDS:.0f} s, so that catching up with a backlog never drives out a line of trouble;
how many were not told is said (`AC-LOG-HELD`). In an outage each cause is told once in {QUIET_SECONDS:.0f} s, with the
number of lines held back: of many calls that wait for the same reason only some have a line of their own that says so.
The line of delivery tells of each how long it was owed and at which attempt it got through. At `debug` nothing is held
back; for more than a few minutes of that on a busy host raise the journal's own bound (`LogRateLimitBurst=` in a
drop-in). At `warning` a call that went well says nothing. `systemctl reload asterisk-connector` puts a new level in
force.

**Numbers of people** are masked as on the status page: `{_CALLER}`; names of recordings, which are full of numbers, are
left out, and what looks like a number in texts of others (answers, errors) is masked too. `log.show_numbers: true`
shows all of it. Extensions of up to four digits are shown. Ids of calls are not masked.

## Fields

| field | holds |
|---|---|
| `MESSAGE`, `PRIORITY`, `SYSLOG_IDENTIFIER` | the sentence, its weight as in syslog(3), `asterisk-connector` |
| `ASTERISK_LINKEDID` | the id of the call, which is its oldest linkedid; at its end all its linkedids |
| `ASTERISK_UNIQUEID` | uniqueids of the channels of the call, at its end, at most 50; the channel of a recording |
| `CALL_REVISION` | the revision of the call that is told or delivered |
| `SINK` | whom it is delivered to: `call_api`, `recording_api`, … |
| `SOURCE` | what is read: `cel_csv:/var/log/asterisk/cel-custom/Master.csv`, … |
| `KAFKA_TOPIC`, `AMI_PEER` | of AMI events: where they go, where they come from |
| `ERROR_CODE` | the kind of trouble, as below; it also ends the line |
| `TRACEBACK` | where in the program, when something happened that nobody expected |

## Codes

Codes are stable: they are added, never renamed or given another meaning.

| code | what happened | what to do |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(f"| `{code}` | {told.meaning} | {told.action} |\n" for code, told in CODES.items())


if __name__ == "__main__":
    PAGE.write_text(page())

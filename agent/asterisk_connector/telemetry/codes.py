"""The stable short name of every kind of trouble, with what it means and what to do about it.

- A code is part of what operators search for and build alerts on: it may be added, never renamed or given another
  meaning. In the journal it is the field `ERROR_CODE`; it also ends the line it belongs to.
- docs/journal.md is made from this table, and a test holds that every line of weight `warning` or above has its code.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """`meaning` is what happened, `action` what an operator does about it."""

    meaning: str
    action: str


_WAIT = "Nothing: it is tried again by itself."

CODES: dict[str, Code] = {
    "AC-SOURCE-FAILED": Code(
        "A source cannot be read. What it holds waits there; the other sources go on.",
        "The line names the reason. `asterisk-connector check` says what is missing: rights, file, table, password.",
    ),
    "AC-ROW-SET-ASIDE": Code(
        "A row is of no known form. It is kept apart and the rows behind it went on.",
        "`asterisk-connector set-aside` shows it. A changed mapping in cel_custom.conf is the usual cause.",
    ),
    "AC-FILE-MISSING": Code(
        "A file to be followed does not exist (yet).",
        "Nothing if no call was made yet: the first makes it. Else compare the path with what Asterisk writes.",
    ),
    "AC-FILE-TRUNCATED": Code(
        "A followed file was cut before it had been read, and no copy of the rest was found.",
        "Rotate by renaming, or with `delaycompress`. `asterisk-connector reconcile` says what is missing.",
    ),
    "AC-WATCH-OVERFLOW": Code("The kernel dropped file events; everything was looked at again.", "Nothing."),
    "AC-WATCH-REFUSED": Code(
        "The kernel gives no (more) watches; files and directories are polled instead, which is slower.",
        "Raise the sysctl that the line names.",
    ),
    "AC-TABLE-RESTARTED": Code(
        "A polled table was truncated, restored or swapped; it is read again so that nothing new in it is missed.",
        "Nothing, unless nobody meant to.",
    ),
    "AC-TABLE-ZONE": Code(
        "The times of a table agree with its uniqueids in another zone than the one that is used.",
        "Set `zone` of that source.",
    ),
    "AC-CEL-UNSEEN": Code(
        "The manager session stands and calls pass, but no CEL events of them are seen.",
        "Enable CEL over AMI in cel.conf and give the account the class `call`; `asterisk-connector check` shows both.",
    ),
    "AC-CALL-INCOMPLETE": Code(
        "A call was closed by a rule, because its end never came: Asterisk was restarted, or nothing more was heard.",
        "Nothing for a single one. Many of them: rows are missing, see `asterisk-connector check`.",
    ),
    "AC-EVIDENCE-LATE": Code(
        "Rows of a call came after its other rows had left the state; the call stays as it was told.",
        "Raise `store.keep_rows` if rows regularly come that late.",
    ),
    "AC-ENRICHMENT": Code(
        "One step of telling a call failed; the call went on without it.",
        "Please report it, with the output of `asterisk-connector calls show ID --explain`.",
    ),
    "AC-DELIVERY-DEFERRED": Code("A sink did not take a call this time; the reason is in the line.", _WAIT),
    "AC-DELIVERY-REFUSED": Code(
        "A sink will never take this one call. It is kept as a dead letter with request and answer.",
        "`asterisk-connector outbox list --dead`; put the cause right, then `asterisk-connector outbox retry`.",
    ),
    "AC-DELIVERY-EXPIRED": Code(
        "Nobody took a call for `shipping.retry_for`. It is kept as a dead letter.",
        "When the sink is back: `asterisk-connector outbox retry --all`.",
    ),
    "AC-SINK-DOWN": Code(
        "A sink takes nothing: an outage there, or on the way. Calls are kept, for 48 h by default.",
        f"{_WAIT} `asterisk-connector check` tries the way there.",
    ),
    "AC-SINK-CONFIG": Code(
        "A sink refuses us as a whole: a wrong or revoked key, or a wrong address. Calls are kept.",
        "Put the key right and `systemctl reload asterisk-connector`.",
    ),
    "AC-STATE-BLOCKED": Code(
        "The state cannot be written. Reading pauses; nothing is lost while Asterisk itself can write.",
        "Make room: `df /var/lib/asterisk-connector`. It goes on by itself.",
    ),
    "AC-STATE-REPAIRED": Code(
        "A damaged file of the state was set aside, what could be saved was, and sources are read again.",
        "Look at the disk (`dmesg`). `asterisk-connector reconcile` says whether anything is missing.",
    ),
    "AC-STATE-TRIMMED": Code(
        "Rows left the state before their time, because it had reached its bound or the disk was full.",
        "Raise `store.max_size` or make room.",
    ),
    "AC-CONFIG-REFUSED": Code(
        "A reload was asked for, but the new configuration has problems; the old one stays in force.",
        "Mend what the line names and reload again.",
    ),
    "AC-CONFIG-WARNING": Code(
        "The configuration is in force, but something in it is probably not what was meant.",
        "The line names the setting; `asterisk-connector check` names all of them.",
    ),
    "AC-CLOCK-STEPPED": Code(
        "The clock of this host was set. Waiting and retrying are not disturbed; times of calls are Asterisk's.",
        "Nothing, once. Repeated: mend NTP.",
    ),
    "AC-AMI-LOST": Code("A manager session that stood is over.", _WAIT),
    "AC-AMI-DOWN": Code("No manager session could be had: Asterisk is down, or the network.", _WAIT),
    "AC-AMI-REFUSED": Code(
        "Asterisk refuses the manager session: user, secret, `permit` or TLS.",
        "What the hint says, in manager.conf or in `ami`.",
    ),
    "AC-AMI-DAMAGED": Code(
        "Bytes of the manager session were no whole message.", "Nothing. Repeated: please report it."
    ),
    "AC-AMI-GAP": Code(
        "There was no manager session for a while. What Asterisk said then cannot be had; the hole is published as a "
        "`ConnectorGap`.",
        "Calls of that time come whole from files and tables; see `asterisk-connector reconcile`.",
    ),
    "AC-EVENTS-DROPPED": Code(
        "AMI events were lost here, because a bound was reached.",
        "Kafka or the disk was away for too long. Raise `events.journal.max_size` or `max_age`.",
    ),
    "AC-EVENT-REFUSED": Code(
        "Kafka will never take this one event, mostly because it is too large. It is kept apart.",
        "Raise `message.max.bytes` of the topic.",
    ),
    "AC-KAFKA-DOWN": Code("No events reach Kafka. They wait in the journal on disk.", _WAIT),
    "AC-KAFKA-CONFIG": Code(
        "Kafka refuses our events as a whole: unknown topic, no rights, wrong credentials. They wait in the journal.",
        "What the hint says.",
    ),
    "AC-HOST-RENAMED": Code(
        "This host publishes events under the entity id of a host of another name.",
        "After a renaming: nothing. For a clone: set `events.entity_id`.",
    ),
    "AC-CONTROL-DOWN": Code(
        "Commands cannot ask the running service; they read its state alone. Calls go on.",
        "What the hint says; the default needs the unit's RuntimeDirectory.",
    ),
    "AC-HTTP-DOWN": Code(
        "Status page and metrics cannot be served, mostly because the port is in use. Calls go on.",
        "Choose another port in `http.listen`, or `off`.",
    ),
    "AC-PART-STUCK": Code(
        "A part of the agent gave no sign of life; systemd's watchdog restarts the service if it stays so.",
        "Please report it with `asterisk-connector support`.",
    ),
    "AC-BUG": Code(
        "A part met an error nobody expected and started again. What it was doing is still owed.",
        "Please report it with `asterisk-connector support`; the field `TRACEBACK` says where.",
    ),
    "AC-LOG-HELD": Code(
        "More lines of single calls than 100 a second; those above are counted, not told.",
        "Nothing. `log.level: debug` tells every line.",
    ),
    "AC-LOG-LOST": Code(
        "Lines came faster than the journal took them, and some are lost. No call is.",
        "Nothing, once. Repeated: the disk of the journal is too slow.",
    ),
}

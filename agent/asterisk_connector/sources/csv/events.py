"""The names of CEL events: what an event is called, and which of them a user made up.

- Names and numbers are those of `include/asterisk/cel.h`; the 1.8 numbering still printed in `cel_odbc.conf.sample` is
  wrong for every supported version.
- Names removed at Asterisk 12 stay as they are: old tables hold them.
"""

from __future__ import annotations

USER_DEFINED = "USER_DEFINED"

BY_NUMBER = {
    "1": "CHAN_START",
    "2": "CHAN_END",
    "3": "HANGUP",
    "4": "ANSWER",
    "5": "APP_START",
    "6": "APP_END",
    "7": "BRIDGE_ENTER",
    "8": "BRIDGE_EXIT",
    "9": "PARK_START",
    "10": "PARK_END",
    "11": "BLINDTRANSFER",
    "12": "ATTENDEDTRANSFER",
    "13": USER_DEFINED,
    "14": "LINKEDID_END",
    "15": "PICKUP",
    "16": "FORWARD",
    "17": "LOCAL_OPTIMIZE",
    "18": "LOCAL_OPTIMIZE_BEGIN",
    "19": "STREAM_BEGIN",
    "20": "STREAM_END",
    "21": "DTMF",
}
"""cel.h's numbers as a table that stores integers prints them."""

REMOVED = frozenset(
    {
        "BRIDGE_START", "BRIDGE_END", "BRIDGE_UPDATE", "CONF_ENTER", "CONF_EXIT", "CONF_START", "CONF_END",
        "PARK", "HOOKFLASH", "3WAY_START", "3WAY_END", "TRANSFER",
    }
)  # fmt: skip
"""Events of Asterisk 1.8 to 11."""

KNOWN = frozenset(BY_NUMBER.values()) | REMOVED


def name_event(written: str, enum: str, user_defined: str, app_name: str) -> tuple[str, str]:
    """The event's type and its `userdeftype`, from the columns eventtype, eventenum, userdeftype and appname.

    Without `show_user_defined=yes` the `eventtype` column holds the name a user gave to CELGenUserEvent. It is a user's
    event when one of these says so: eventenum (or eventtype) is USER_DEFINED; userdeftype is the same name again, even
    if that is HANGUP; the mapping lost both columns and the application is CELGenUserEvent (measured on the README
    mapping). A userdeftype that differs is no proof: Asterisk 22 writes `FILE_STREAM_BEGIN` or `Received` there beside
    STREAM_BEGIN and DTMF (measured). Any other unknown name is a newer or patched Asterisk's and is carried as it is.
    """
    if USER_DEFINED in {enum, written}:
        return USER_DEFINED, user_defined or ("" if written == USER_DEFINED else written)
    if user_defined and user_defined == written:
        return USER_DEFINED, user_defined
    if written in KNOWN:
        return written, user_defined
    if written.isdigit():
        return BY_NUMBER.get(written, written), user_defined
    if app_name == "CELGenUserEvent" and not enum and not user_defined:
        return USER_DEFINED, written
    return written or enum, user_defined

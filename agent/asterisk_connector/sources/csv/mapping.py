"""Which column of a row is which field of an event: told, read from cel_custom.conf, or found by looking.

- A mapping is a tuple of `CelEvent` field names and `""` for columns that say nothing to us (literals, unknown names).
- Detection goes by content: the event's name, its time, and the pair of uniqueid and linkedid are the anchors; where
  the columns between them are as many as the stock mapping has, they are the stock mapping's.
- What cannot be told apart stays empty: a missing field is better than a wrong one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter

from asterisk_connector.errors import Misconfigured
from asterisk_connector.records import CelEvent
from asterisk_connector.sources.csv.events import BY_NUMBER, KNOWN
from asterisk_connector.sources.csv.times import is_time, is_uniqueid

ENUM = "enum"
"""The `eventenum` column, which no field of a CelEvent keeps."""

_FIELDS = CelEvent.__struct_fields__
_TEXT_FIELDS = (*(name for name in _FIELDS if name not in {"at", "resolution"}), ENUM)

_ALIASES = {
    "eventtype": "type", "type": "type", "eventname": "type", "eventenum": ENUM, "enum": ENUM,
    "eventtime": "at", "at": "at", "timestamp": "at",
    "uniqueid": "uniqueid", "linkedid": "linkedid",
    "channame": "channel", "channel": "channel",
    "cidname": "cid_name", "name": "cid_name", "calleridname": "cid_name",
    "cidnum": "cid_num", "num": "cid_num", "number": "cid_num", "calleridnum": "cid_num",
    "cidani": "cid_ani", "ani": "cid_ani", "calleridani": "cid_ani",
    "cidrdnis": "cid_rdnis", "rdnis": "cid_rdnis", "calleridrdnis": "cid_rdnis",
    "ciddnid": "cid_dnid", "dnid": "cid_dnid", "calleriddnid": "cid_dnid",
    "exten": "exten", "extension": "exten", "context": "context",
    "appname": "app_name", "application": "app_name", "app": "app_name", "appdata": "app_data",
    "accountcode": "account_code", "acctcode": "account_code",
    "peeraccount": "peer_account", "peeracct": "peer_account",
    "userfield": "user_field", "userdeftype": "user_defined_type", "usereventname": "user_defined_type",
    "userdefinedtype": "user_defined_type",
    "peer": "peer", "bridgepeer": "peer", "extra": "extra", "eventextra": "extra",
    "amaflags": "ama_flags", "tenantid": "tenant_id",
}  # fmt: skip

_MIDDLE = (
    "cid_name", "cid_num", "cid_ani", "cid_rdnis", "cid_dnid", "exten", "context", "channel", "app_name", "app_data",
    "ama_flags", "account_code",
)  # fmt: skip
_ENDINGS: dict[int, tuple[str, ...]] = {
    0: (),
    1: ("peer",),
    2: ("peer", "extra"),
    3: ("peer", "user_defined_type", "extra"),
    4: ("peer", "user_field", "user_defined_type", "extra"),
}
"""Columns after linkedid: stock has four, both SIPSTACK spellings three."""

_BEFORE_CHANNEL: dict[int, tuple[str, ...]] = {7: _MIDDLE[:7], 4: ("cid_name", "cid_num", "exten", "context")}
_CHANNEL = re.compile(r"[A-Za-z0-9_]+/\S+")
_AMA = frozenset({"0", "1", "2", "3", "OMIT", "BILLING", "DOCUMENTATION", "Unknown"})
_NAME = re.compile(r"[\w.\- ]{1,64}")


class Mapping:
    """Columns by position, ready to pick a row apart."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self.size = len(self.columns)
        missing = [name for name in ("at", "uniqueid", "linkedid") if name not in self.columns]
        if "type" not in self.columns and ENUM not in self.columns:
            missing.insert(0, "type")
        if missing:
            raise Misconfigured(
                f"the CEL mapping has no column for {', '.join(missing)}",
                hint="a call cannot be put together without eventtype, eventtime, uniqueid and linkedid",
            )
        # One itemgetter call per row; index `size` is the empty string that `pick` appends for absent columns.
        self._order = itemgetter(*(self._index(name) for name in ("at", *_TEXT_FIELDS)))

    def pick(self, row: list[str]) -> tuple[str, ...]:
        """The time's text, then type, uniqueid, … enum in the order of `CelEvent`; the row must have `size` columns."""
        picked: tuple[str, ...] = self._order([*row, ""])
        return picked

    def _index(self, name: str) -> int:
        return self.columns.index(name) if name in self.columns else self.size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and self.columns == other.columns

    def __hash__(self) -> int:
        return hash(self.columns)

    def __repr__(self) -> str:
        return f"Mapping({self.columns!r})"


@lru_cache(1024)
def field_name(written: str) -> str:
    """The `CelEvent` field (or ENUM) that Asterisk, a table or a header calls so; empty for a stranger."""
    return _ALIASES.get(re.sub(r"[^a-z]", "", written.lower()), "")


def from_names(names: Sequence[str]) -> Mapping:
    """The mapping told as column names in any of Asterisk's spellings. Raises Misconfigured without the needed ones."""
    return Mapping([field_name(name) for name in names])


def is_header(row: Sequence[str]) -> bool:
    """Whether a row names columns instead of filling them."""
    names = {field_name(cell) for cell in row}
    return {"at", "uniqueid", "linkedid"} <= names and ("type" in names or ENUM in names)


STOCK = Mapping(("type", "at", *_MIDDLE, "uniqueid", "linkedid", *_ENDINGS[4]))
"""The 20 columns of `cel_custom.conf.sample`."""
SIPSTACK = Mapping(("type", "at", *_MIDDLE, "uniqueid", "linkedid", *_ENDINGS[3]))
"""The 19 columns of SIPSTACK's instructions, in both their spellings."""


def detect_mapping(row: Sequence[str]) -> Mapping | None:
    """The mapping of a row, found by its content; None where an anchor is missing."""
    uid = next((i for i in range(len(row) - 1) if is_uniqueid(row[i]) and is_uniqueid(row[i + 1])), None)
    if uid is None:
        return None
    time = next((i for i in range(min(uid, 5)) if is_time(row[i])), None)
    if time is None:
        return None
    named = next((i for i in range(time) if row[i] in KNOWN), None)
    if named is None:
        named = next((i for i in range(time) if row[i] in BY_NUMBER or not row[i].isdigit()), None)
    if named is None or not _NAME.fullmatch(row[named]):
        return None
    columns = [""] * len(row)
    columns[named], columns[time], columns[uid], columns[uid + 1] = "type", "at", "uniqueid", "linkedid"
    _name_user_event_columns(row, columns, named, time)
    _name_middle(row, columns, time, uid)
    _name_ending(row, columns, uid + 2)
    return Mapping(columns)


def _name_user_event_columns(row: Sequence[str], columns: list[str], named: int, time: int) -> None:
    """`eventtype, eventenum, eventtime`: two names of the same event side by side."""
    if time == named + 2 and row[named + 1] in KNOWN:
        columns[named + 1] = ENUM


def _name_middle(row: Sequence[str], columns: list[str], time: int, uid: int) -> None:
    if uid - time - 1 == len(_MIDDLE):
        columns[time + 1 : uid] = _MIDDLE
        return
    channel = next((i for i in range(uid - 1, time, -1) if _CHANNEL.fullmatch(row[i])), None)
    if channel is None:
        return
    columns[channel] = "channel"
    before = _BEFORE_CHANNEL.get(channel - time - 1)
    if before:
        columns[time + 1 : channel] = before
    between = uid - channel - 1
    if between == 4:
        columns[channel + 1 : uid] = _MIDDLE[8:]
    elif between == 1 and row[channel + 1] in _AMA:
        columns[channel + 1] = "ama_flags"


def _name_ending(row: Sequence[str], columns: list[str], begin: int) -> None:
    ending = _ENDINGS.get(len(row) - begin, ())
    json = next((i for i in range(len(row) - 1, begin - 1, -1) if row[i].startswith('{"')), None)
    if "app_data" in columns and ending and (json is None or ending[json - begin] == "extra"):
        columns[begin:] = ending
        return
    # An order of its own: the peer comes first in all that are known, the extra is the one that looks like JSON.
    if begin < len(row):
        columns[begin] = "peer"
    if json is not None:
        columns[json] = "extra"

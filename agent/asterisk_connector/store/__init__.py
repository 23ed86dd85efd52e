"""The durable middle: one SQLite file, and everything in it committed with the position that brought it."""

from asterisk_connector.store.store import Store
from asterisk_connector.store.words import (
    Appended,
    Backlog,
    Counts,
    DeadLetter,
    KnownCall,
    Letter,
    Limits,
    Owed,
    Settlement,
    Unreadable,
)

__all__ = [
    "Appended",
    "Backlog",
    "Counts",
    "DeadLetter",
    "KnownCall",
    "Letter",
    "Limits",
    "Owed",
    "Settlement",
    "Store",
    "Unreadable",
]

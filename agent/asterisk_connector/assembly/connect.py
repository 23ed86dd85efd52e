"""Which records belong to one call: connected components over the names they carry.

- The rule is `records.connection_keys`; the store keeps the same components as rows come, this is for whole files.
- Order of arrival is kept within a group; groups come in order of their oldest linkedid.
"""

from __future__ import annotations

from collections.abc import Iterable

from asterisk_connector.assembly.channels import age
from asterisk_connector.records import Record, connection_keys


def connect(records: Iterable[Record]) -> list[list[Record]]:
    """Groups of records, one for each call. A record that names nothing (a recording without ids) is left out."""
    joined: dict[str, str] = {}
    kept: list[tuple[str, Record]] = []
    for record in records:
        keys = connection_keys(record)
        if not keys:
            continue
        roots = [_root(joined, key) for key in keys]
        for root in roots[1:]:
            joined[root] = roots[0]
            roots[0] = _root(joined, roots[0])
        kept.append((keys[0], record))
    groups: dict[str, list[Record]] = {}
    for key, record in kept:
        groups.setdefault(_root(joined, key), []).append(record)
    return sorted(groups.values(), key=lambda group: min(age(name) for name in map(_name, group)))


def _name(record: Record) -> str:
    return record.linkedid or record.uniqueid


def _root(joined: dict[str, str], key: str) -> str:
    root = joined.setdefault(key, key)
    while root != joined[root]:
        root = joined[root]
    while joined[key] != root:
        joined[key], key = root, joined[key]
    return root

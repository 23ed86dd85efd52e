"""Recordings that wait for their call: tried when they come, whenever a call is told, and among calls told before.

- The rules are `enrichment.attach_recordings`; here is only who is asked, and when.
- A recording is linked in the store, where it becomes a row of its call; until then it is listed as unlinked there.
  Memory holds those that wait, filed under what their names say, at most WAITING of them.
- One thread uses it: the assembler's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from asterisk_connector.call import Call, Recording, decode
from asterisk_connector.clock import Clock
from asterisk_connector.enrichment.attach_recordings import RULES, RecordingRules, file_keys, keys, link_of
from asterisk_connector.enrichment.file_names import read_name
from asterisk_connector.records import Micros, RecordingFile
from asterisk_connector.store.store import Store

WAITING = 20_000
PATIENCE: Micros = 15_000_000
"""How long a recording waits for its call to be told before calls told earlier are searched."""
_SEARCHED = 2000
_PAGE = 200
_EARLIER: Micros = 3600_000_000


class Linker:
    """Finds the calls of recordings."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: OrderedDict[str, RecordingFile] = OrderedDict()
        self._filed: dict[str, set[str]] = {}
        self.search_at: Micros | None = None
        """When `search` is due."""

    def remember(self, rules: RecordingRules) -> None:
        """Takes up what waits in the store, as after a restart; it is searched for soon."""
        self._waiting.clear()
        self._filed.clear()
        for file in self._store.unlinked_recordings(WAITING):
            self._wait(file, rules)

    def take(self, files: Iterable[RecordingFile], rules: RecordingRules) -> list[int]:
        """New recordings: linked by what they replace or by the uniqueid in their name, else they wait. The calls
        that have a new row."""
        touched = []
        for file in files:
            call = self._named(file, rules)
            if call is not None and self._store.link_recording(file.path, call):
                touched.append(call)
            else:
                self._wait(file, rules)
        return touched

    def claim(self, call: int, told: Call, rules: RecordingRules) -> bool:
        """Links what waits for this call, which was just told; whether it has new rows."""
        linked = False
        for path in self._candidates(told, rules):
            linked = self._link(path, call, rules) or linked
        return linked

    def search(self, rules: RecordingRules) -> list[int]:
        """Looks for the calls of those who wait among calls told before; the calls with new rows."""
        self.search_at = None
        touched = []
        for path, file in list(self._waiting.items()):
            call = self._named(file, rules)
            if call is not None and self._link(path, call, rules):
                touched.append(call)
        oldest = min((f.started_at or f.ended_at or 0 for f in self._waiting.values()), default=0) - _EARLIER
        found: dict[str, list[tuple[int, int]]] = {}
        before = None
        for _ in range(_SEARCHED // _PAGE if self._waiting else 0):
            page = self._store.calls(_PAGE, before=before)
            for each in page:
                told = self._told(each.call)
                for path, rule in self._candidates(told, rules).items() if told else ():
                    found.setdefault(path, []).append((RULES.index(rule), each.call))
            if len(page) < _PAGE or page[-1].touched_at < oldest:
                break
            before = page[-1].call
        for path, calls in found.items():
            rank, call = min(calls)
            certain = RULES[rank] != "guess" or len(calls) == 1
            if certain and self._link(path, call, rules):
                touched.append(call)
        return touched

    def _candidates(self, told: Call, rules: RecordingRules) -> dict[str, str]:
        """Of those who wait, the recordings of this call, each with the rule that says so."""
        if not self._waiting:
            return {}
        filed = {path for key in keys(told) for path in self._filed.get(key, ())}
        links = {path: link_of(told, _recording(self._waiting[path]), rules) for path in sorted(filed)}
        return {path: link.rule for path, link in links.items() if link is not None}

    def _told(self, call: int) -> Call | None:
        try:
            body = self._store.known(call).body
        except LookupError:  # merged into an older call meanwhile
            return None
        return decode(body) if body else None

    def _link(self, path: str, call: int, rules: RecordingRules) -> bool:
        self._leave(path, rules)
        return self._store.link_recording(path, call)

    def _named(self, file: RecordingFile, rules: RecordingRules) -> int | None:
        if file.replaces and (call := self._store.recorded(file.replaces)) is not None:
            return call
        for uniqueid in read_name(file.path, rules.names).candidates():
            found = self._store.find(uniqueid)
            if found is not None:
                return found.call
        return None

    def _wait(self, file: RecordingFile, rules: RecordingRules) -> None:
        self._waiting[file.path] = file
        self._waiting.move_to_end(file.path)
        for key in file_keys(_recording(file), rules):
            self._filed.setdefault(key, set()).add(file.path)
        if self.search_at is None:
            self.search_at = self._clock.now() + PATIENCE
        if len(self._waiting) > WAITING:
            self._leave(next(iter(self._waiting)), rules)

    def _leave(self, path: str, rules: RecordingRules) -> None:
        file = self._waiting.pop(path)
        for key in file_keys(_recording(file), rules):
            filed = self._filed.get(key, set())
            filed.discard(path)
            if not filed:
                self._filed.pop(key, None)


def _recording(file: RecordingFile) -> Recording:
    return Recording(
        file.path, file.size, file.duration, file.format or None, file.started_at, file.ended_at, file.uniqueid or None
    )

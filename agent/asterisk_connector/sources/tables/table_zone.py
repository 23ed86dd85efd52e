"""The zone a table's times are in: configured, or found out from the rows.

- A configured zone is used as it is; when the rows' uniqueids contradict it, that is told once.
- Without one, candidates are this host's zone, the database's and UTC; the first stands until enough channels speak for
  another. A mere offset that fits none of them is used but told, because it will be wrong after the next change of
  clocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from asterisk_connector.notices import Notify, ZoneDoubtful
from asterisk_connector.sources.tables.zones import Sample, Zone, agreement, host_zone, likely_zone

_CHANNELS_NEEDED = 3
_CHANNELS_LOOKED_AT = 100


class TableZone:
    """`used` is the zone to read times with now; `judge` may change it."""

    def __init__(self, source: str, configured: tzinfo | None, notify: Notify) -> None:
        self._source = source
        self._configured = configured
        self._notify = notify
        self._candidates: list[tzinfo] = [configured or host_zone(), UTC]
        self._settled = False
        self._told = False
        self.used = Zone(self._candidates[0])

    def candidates(self, session: str, *, needed: bool) -> None:
        """Takes in the database's own zone; `needed` is false when every time column names instants."""
        first = self._configured or host_zone()
        self._candidates = [first, *(z for z in (named(session), UTC) if z is not None)]
        self._settled = self._settled or not needed

    def judge(self, samples: Iterable[Sample | None]) -> Zone:
        """The zone for these rows, after hearing what they say of it."""
        if self._settled:
            return self.used
        channels: dict[int, Sample] = {}
        for sample in samples:
            if sample is not None and len(channels) < _CHANNELS_LOOKED_AT:
                known = channels.setdefault(sample.epoch, sample)
                if sample.local < known.local:
                    channels[sample.epoch] = sample
        heard = list(channels.values())
        if len(heard) < _CHANNELS_NEEDED:
            return self.used
        if agreement(self.used, heard) * 2 >= len(heard):
            self._settled = isinstance(self.used.tz, ZoneInfo)
            return self.used
        likely = likely_zone(heard, self._candidates)
        if likely is not None:
            self._learn(likely)
        return self.used

    def _learn(self, likely: Zone) -> None:
        mere_offset = isinstance(likely.tz, timezone) and likely.tz is not UTC
        if (self._configured or mere_offset) and not self._told:
            hint = f"set `zone` of {self._source} to the zone Asterisk writes in; its uniqueids speak for {likely}"
            self._notify(ZoneDoubtful(self._source, str(self.used), str(likely), hint))
            self._told = True
        if self._configured is None:
            self.used = likely


def named(name: str) -> tzinfo | None:
    """A zone as databases name it: IANA, or `+02:00`."""
    try:
        if name[:1] in {"+", "-"}:
            offset = datetime.strptime(name, "%z").utcoffset()
            return timezone(offset or timedelta(0))
        return ZoneInfo(name) if name else None
    except (ValueError, KeyError, OSError):
        return None

"""The CDR rows that cdr_csv or cdr_custom append to a file, followed through rotation as CEL files are.

- Following, history, positions and identities are those of `cel_csv`; only what a row means differs (`csv.cdr`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from pathlib import Path

from asterisk_connector.clock import Clock
from asterisk_connector.notices import Notify
from asterisk_connector.sources.cel_csv import CelCsvSource, StartAt
from asterisk_connector.sources.csv.cdr import CdrDialect, CdrRows


class CdrCsvSource(CelCsvSource):
    """Follows one CDR file. `fields` names its columns (`csv.cdr.named_fields`, `read_cdr_custom`); None: by content.

    cdr_csv writes local times without a zone: `zone` is Asterisk's.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        notify: Notify,
        clock: Clock,
        start_at: StartAt = "now",
        lookback_bytes: int = 8 << 20,
        fields: Sequence[str] | None = None,
        dialect: CdrDialect | None = None,
        zone: tzinfo = UTC,
    ) -> None:
        dialect = dialect or CdrDialect()
        super().__init__(
            name,
            path,
            notify=notify,
            clock=clock,
            start_at=start_at,
            lookback_bytes=lookback_bytes,
            dialect=dialect,
            rows=lambda: CdrRows(dialect, fields, zone),
        )

"""How a call stands with the agent: what became of it, by any of its names. Reads the state, changes nothing."""

from __future__ import annotations

from enum import StrEnum

from asterisk_connector.delivery.courier import GIVEN_UP
from asterisk_connector.store.store import Store


class Standing(StrEnum):
    """What became of a call.

    `shipped`: every sink took its latest revision. `owed`: at least one has not taken it yet. `open`: it has not ended,
    or is still being put together. `refused`, `expired`: a dead letter, of a sink that did not want it or did not take
    it in time. `history`: there before the agent's first start, and so never shipped. `unknown`: never seen.
    """

    SHIPPED = "shipped"
    OWED = "owed"
    OPEN = "open"
    REFUSED = "refused"
    EXPIRED = "expired"
    HISTORY = "history"
    UNKNOWN = "unknown"

    @property
    def accounted(self) -> bool:
        """Whether somebody has the call, or will, or said no."""
        return self not in (Standing.HISTORY, Standing.UNKNOWN)


def standing(store: Store, name: str) -> Standing:
    """Of the call with this linkedid or uniqueid."""
    known = store.find(name)
    if known is None:
        return Standing.UNKNOWN
    if known.phase is None:
        return {"open": Standing.OPEN, "history": Standing.HISTORY}.get(known.state, Standing.UNKNOWN)
    left = [each for each in store.left(known.call_id) if each.state == "pending" or each.revision == known.revision]
    if any(each.state == "pending" for each in left):
        return Standing.OWED
    if left:
        late = all(each.reason.startswith(GIVEN_UP) for each in left)
        return Standing.EXPIRED if late else Standing.REFUSED
    return Standing.OPEN if known.state == "open" else Standing.SHIPPED

"""What the running service answers questions from: its agent, as it is at the moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from asterisk_connector.agent import Agent
from asterisk_connector.call import Call
from asterisk_connector.clock import Clock
from asterisk_connector.config import reference
from asterisk_connector.control.answers import Desk, Running
from asterisk_connector.errors import Transient
from asterisk_connector.records import Record
from asterisk_connector.store.store import Store


def desk(agent: Agent, clock: Clock, *, status: Callable[[], object], metrics: Callable[[], bytes]) -> Desk:
    """`status` gives the status document, `metrics` what Prometheus reads."""

    def store() -> Store:
        # Opened by `start`, and anew after damage.
        opened: Store | None = getattr(agent, "store", None)
        if opened is None:
            raise Transient("the service is starting: its state is not open yet")
        return opened

    def tell(rows: Sequence[Record]) -> Call:
        return agent.assembler.rules.tell(rows, None, clock.now())

    running = Running(metrics=metrics, configuration=lambda: reference.show(agent.settings))
    return Desk(store=store, status=status, tell=tell, owed=agent.owed, running=running)

"""Many short calls at once on a real Asterisk, each with numbers of its own, so that an oracle can count them."""

from __future__ import annotations

import threading
import time

from tests.kit.asterisk import Asterisk
from tests.kit.calls import Told, talk
from tests.kit.office import Office
from tests.kit.sip_phone import answers
from tests.kit.wait import until


def burst(office: Office, count: int, seconds: float = 0.2, each: float = 0.02, first: int = 5145560000) -> list[Told]:
    """Many outside callers, each with a number of its own, reach 101; every `each` seconds another one starts."""
    office.behave(p101=answers(0.05))
    told: list[Told] = []
    noting = threading.Lock()

    def one(number: str) -> None:
        call = office.outside_calls("5551000", number, f"Caller {number}").wait_answered(30)
        talk(seconds)
        call.bye()
        said = call.when("hung up") - call.when("answered")
        mine = Told(
            "inbound",
            number,
            "5551000",
            "answered",
            "101",
            "101",
            ((number, "101", said),),
            trunk="trunka",
            ended_by=number,
        )
        with noting:
            told.append(mine)

    callers = [threading.Thread(target=one, args=(str(first + n),), name=f"caller {n}") for n in range(count)]
    for caller in callers:
        caller.start()
        time.sleep(each)
    for caller in callers:
        caller.join(60)
    office.over()
    assert len(told) == count, f"{count - len(told)} of {count} callers were not answered"
    return told


def local_calls(asterisk: Asterisk, count: int, seconds: float = 0.2, first: int = 7000000) -> list[tuple[str, str]]:
    """Many short calls without phones (Local channels, AMI Originate): (caller, dialled) of each, all numbers unique.

    Returns when all of them are over.
    """
    pairs = [(str(first + 2 * n), str(first + 2 * n + 1)) for n in range(count)]
    with asterisk.manager() as manager:
        for caller, dialled in pairs:
            manager.action(
                "Originate",
                Channel=f"Local/{caller}@bulk-caller/n",
                Exten=dialled,
                Context="bulk",
                Priority=1,
                CallerID=f'"Bulk" <{caller}>',
                Variable=f"__TALK={seconds}",
                Async="true",
            )
        until(
            lambda: sum(event.get("Event") == "OriginateResponse" for event in tuple(manager.events)) == count,
            within=30 + count * 0.1,
            what=f"{count} calls are under way",
        )
    asterisk.wait_idle(30 + count * 0.1 + seconds)
    return pairs

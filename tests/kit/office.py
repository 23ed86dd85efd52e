"""An office around one Asterisk: five people with phones (100 Alice … 104 Erin), two trunks, one who watches by AMI."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from tests.kit.asterisk import Asterisk, Manager
from tests.kit.sip_phone import Call, SipPhone

OUTSIDE = "5145550001"


@dataclass
class Office:
    """Five phones and two trunks around one Asterisk, and an AMI session of the person who watches."""

    asterisk: Asterisk
    phones: dict[str, SipPhone] = field(init=False)
    manager: Manager = field(init=False)

    def __post_init__(self) -> None:
        address = self.asterisk.address
        self.phones = {str(100 + n): SipPhone(str(100 + n), address, 6001 + n) for n in range(5)}
        for port, trunk in ((6101, "trunka"), (6102, "trunkb")):
            self.phones[trunk] = SipPhone(trunk, address, port, (f"X-Trunk: {trunk}",))
        self.manager = Manager.login(self.asterisk.address, "tester", "tester")

    def __getitem__(self, user: str) -> SipPhone:
        return self.phones[user]

    def __enter__(self) -> Office:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Everybody goes home."""
        for phone in self.phones.values():
            phone.close()
        self.manager.close()

    def behave(self, **behaviours: Any) -> None:
        """A quiet office again, then what each phone does when called: `behave(p101=rings())`, `behave(trunka=…)`."""
        for phone in self.phones.values():
            phone.forget()
        for name, behaviour in behaviours.items():
            self.phones[name.removeprefix("p")].behaviour = behaviour

    def outside_calls(self, number: str, caller: str = OUTSIDE, name: str = "John Caller") -> Call:
        """Somebody from outside calls a number of ours through trunk A."""
        return self["trunka"].dial(number, caller, name)

    def over(self) -> None:
        """Waits until no channel lives any more."""
        self.asterisk.wait_idle(30)

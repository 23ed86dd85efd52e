"""One channel as its own rows tell it: life, names, applications, stays in bridges, music, digits.

- A channel is known by its uniqueid; names come back after a restart of Asterisk (call semantics §1.1).
- Only the order of a channel's own rows is trusted. Between channels there is time, and within a tick of time nothing:
  that makes a call independent of how the rows of its channels were interleaved (law 4).
- Times of a channel never run backwards; a clock that was set back shortens, it never makes a negative time.
- `Local` halves and helper channels of Asterisk are wires: they carry sound, nobody sits on them.
"""

from __future__ import annotations

from asterisk_connector.records import Micros

WIRES = frozenset(
    {
        "Local",
        "CBAnn",
        "CBRec",
        "Announcer",
        "Recorder",
        "Snoop",
        "Surrogate",
        "AsyncGoto",
        "Message",
        "MulticastRTP",
        "UnicastRTP",
        "Bridge",
    }
)
NOWHERE = frozenset({"", "s", "h", "t", "i", "T", "e", "o", "a", "failed", "hang"})
"""Extensions that are places of a dial plan, not numbers somebody dialled."""

Age = tuple[int, int, str]
Span = list[int | None]
"""[begin, end]; end None while it lasts."""


def age(ident: str) -> Age:
    """Sorts uniqueids and linkedids by when they were made: epoch, then counter, with or without `systemname-` before.

    What is no Asterisk id sorts after everything, by its text.
    """
    number = ident.rpartition("-")[2]
    epoch, dot, counter = number.partition(".")
    if dot and epoch.isdigit() and counter.isdigit():
        return (int(epoch), int(counter), ident)
    return (1 << 62, 0, ident)


class Stay:
    """One stay of one channel in one bridge."""

    __slots__ = ("app", "bridge", "channel", "entered", "holding", "left", "peers", "softmix")

    def __init__(self, channel: Channel, bridge: str, entered: Micros, app: str) -> None:
        self.channel = channel
        self.bridge = bridge
        self.entered = entered
        self.left: Micros | None = None
        self.app = app
        self.holding = False
        self.softmix = False
        self.peers: list[tuple[Micros, str]] = []


class Channel:
    """What the rows of one uniqueid say; filled by `interpret`, read by everybody else."""

    __slots__ = (
        "account",
        "age",
        "answered",
        "apps",
        "bridged_early",
        "cause",
        "context",
        "dialstatus",
        "digits",
        "ended",
        "endpoint",
        "exten",
        "half",
        "hung_up",
        "last",
        "linkedid",
        "music",
        "name",
        "num",
        "num_later",
        "pair",
        "person",
        "person_name",
        "places",
        "rdnis",
        "source",
        "started",
        "stays",
        "tech",
        "uniqueid",
    )

    def __init__(self, uniqueid: str, linkedid: str, name: str, at: Micros) -> None:
        self.uniqueid = uniqueid
        self.linkedid = linkedid
        self.age = age(uniqueid)
        self.name = name
        self.tech, _, rest = name.partition("/")
        self.half = rest[-1] if rest[-2:] in (";1", ";2") else ""
        self.pair = rest[:-2] if self.half else ""
        self.endpoint = _endpoint(self.tech, rest)
        self.person = self.tech not in WIRES
        self.started = at
        self.last = at
        self.answered: Micros | None = None
        self.hung_up: Micros | None = None
        self.ended: Micros | None = None
        self.cause: int | None = None
        self.source: str | None = None
        self.dialstatus = ""
        self.bridged_early = False
        self.context = ""
        self.exten = ""
        self.num = ""
        self.num_later = ""
        self.person_name = ""
        self.rdnis = ""
        self.account = ""
        self.apps: list[tuple[Micros, str, str]] = []
        self.places: list[tuple[Micros, str, str]] = []
        self.stays: list[Stay] = []
        self.music: list[Span] = []
        self.digits: list[tuple[Micros, str]] = []

    @property
    def over(self) -> Micros | None:
        """When the channel ended, by the best row there is."""
        return self.ended if self.ended is not None else self.hung_up

    @property
    def own(self) -> bool:
        """Did this channel begin a call of its own, rather than being made for an older one?"""
        return self.linkedid == self.uniqueid

    def app_at(self, at: Micros) -> tuple[str, str]:
        """The application that ran at an instant, with its data."""
        found = ("", "")
        for since, app, data in self.apps:
            if since > at:
                break
            found = (app, data)
        return found

    def place_at(self, at: Micros) -> str:
        """The last dialled number or extension this channel was at; places of the dial plan do not count."""
        found = ""
        for since, exten, _ in self.places:
            if since > at:
                break
            if exten not in NOWHERE:
                found = exten
        return found

    def ran(self, *apps: str) -> bool:
        """Did one of these applications ever run on this channel?"""
        return any(app in apps for _, app, _ in self.apps)

    def app_spans(self, app: str) -> list[tuple[Micros, Micros | None, str]]:
        """From when until when an application ran, with its data; None: until now. Its own calls to others count in."""
        spans: list[tuple[Micros, Micros | None, str]] = []
        for index, (since, name, data) in enumerate(self.apps):
            if name != app:
                continue
            until = self.apps[index + 1][0] if index + 1 < len(self.apps) else self.over
            if spans and spans[-1][2] == data and spans[-1][1] == since:
                spans[-1] = (spans[-1][0], until, data)
            else:
                spans.append((since, until, data))
        return spans


def _endpoint(tech: str, rest: str) -> str:
    """`PJSIP/trunk-acme-0000002a` → `trunk-acme`; `Local/101@agents-00000007;1` → `101`; `DAHDI/i1/555-3` → `i1`."""
    if tech == "Local":
        return rest.partition("@")[0]
    name = rest.rpartition("-")[0] or rest
    return name.partition("/")[0]

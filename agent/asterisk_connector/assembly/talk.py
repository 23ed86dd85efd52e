"""How long people talked: contacts cut where one of them was put away for good, hold counted apart.

- Music on hold that ends with the contact, because the other was transferred or consulted somebody else, is no talk;
  music after which the two talk on is hold inside one stretch.
- Without STREAM rows (Asterisk before 20.16, 21.11 and 22.6) a consultation on a second line tells that the first was
  on hold; that is inferred.
- Digits of a feature code (`#1 102`, `*2 102`, `#72`) right before a transfer are not talk (DTMF rows).
"""

from __future__ import annotations

from asterisk_connector.assembly.bridges import SEAM, Contact
from asterisk_connector.assembly.channels import Channel
from asterisk_connector.assembly.parking import Park
from asterisk_connector.assembly.parties import Cast
from asterisk_connector.assembly.transfers import Move
from asterisk_connector.call import Talk
from asterisk_connector.records import Micros

LAST_DIGIT = 1_500_000
"""Between the last digit of a feature code and what it does, at most (featuredigittimeout is 1 s)."""
BETWEEN_DIGITS = 3_000_000
"""Between two digits of a feature code and its number, at most (transferdigittimeout is 3 s)."""
TRAIL = 100_000
"""Music may stop so long before or after the channel leaves the bridge."""


class Hold:
    """What was taken off the contacts: seconds on hold, and whether that had to be inferred."""

    def __init__(self) -> None:
        self.micros = 0
        self.seen = False
        self.inferred = False


def settle(cast: Cast, met: list[Contact], moves: list[Move], parks: list[Park]) -> Hold:
    """Cuts the contacts to what was talk and sums up hold."""
    hold = Hold()
    heard: set[tuple[Channel, Micros]] = set()
    cut: set[Contact] = set()
    if any(c.music for c in cast.scene.channels.values()):
        for contact in met:
            if _cut_by_music(contact, heard, hold):
                cut.add(contact)
    for move in moves:
        if move.main is not None and move.main not in cut and move.dialled_at is not None:
            begin = max(move.dialled_at, move.main.begin)
            if begin < move.main.end:
                hold.micros += move.main.end - begin
                hold.inferred = True
                move.main.end = begin
    for by, main, left in [(m.by, m.main, m.left) for m in moves] + [(p.by, p.main, p.at) for p in parks]:
        if by is not None and main is not None and by.digits:
            _cut_by_digits(by, main, min(left, main.end))
    return hold


def stretches(cast: Cast, met: list[Contact]) -> tuple[Talk, ...]:
    """Who talked with whom, once per stretch; moves between bridges make no new one."""
    runs: dict[tuple[str, str], list[Talk]] = {}
    for contact in met:
        a, b = cast.label[contact.a], cast.label[contact.b]
        if a == b:
            continue
        seconds = (contact.end - contact.begin) / 1e6
        pair = (a, b) if a <= b else (b, a)
        run = runs.setdefault(pair, [])
        if run and contact.begin - (run[-1].start + int(run[-1].seconds * 1e6)) <= SEAM:
            last = run[-1]
            until = max(last.start + int(last.seconds * 1e6), contact.end)
            run[-1] = Talk(last.a, last.b, (until - last.start) / 1e6, last.start)
        else:
            run.append(Talk(a, b, seconds, contact.begin))
    return tuple(sorted((t for run in runs.values() for t in run), key=lambda t: (t.start, t.a, t.b)))


def union(spans: list[tuple[Micros, Micros]]) -> int:
    """The length of time covered by at least one of the spans."""
    total, reached = 0, 0
    for begin, end in sorted(spans):
        if end > max(begin, reached):
            total += end - max(begin, reached)
            reached = end
    return total


def _cut_by_music(contact: Contact, heard: set[tuple[Channel, Micros]], hold: Hold) -> bool:
    begin, end = contact.begin, contact.end
    cut = False
    for channel in (contact.a, contact.b, *contact.via):
        for span in channel.music:
            since = span[0]
            if since is None or not begin <= since < end:
                continue
            until = span[1] if span[1] is not None else end
            if (channel, since) not in heard:
                heard.add((channel, since))
                hold.seen = True
                hold.micros += until - since
            if until >= end - TRAIL:
                contact.end = min(contact.end, since)
                cut = True
            else:
                contact.held += until - since
    return cut


def _cut_by_digits(by: Channel, main: Contact, until: Micros) -> None:
    run: Micros | None = None
    code = False
    for at, digit in reversed(by.digits):
        if at > until or at < main.begin:
            continue
        if run is None and until - at > LAST_DIGIT:
            return
        if run is not None and run - at > BETWEEN_DIGITS:
            break
        run, code = at, digit in "*#"
    if run is not None and code:
        main.end = min(main.end, run)

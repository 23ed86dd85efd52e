"""The status document as one screen for people: `status` prints it, `top` repeats it with rates.

- As wide as the terminal; where that is narrow, columns of less weight go first and the last one is cut.
- Colour never says anything that the words do not say too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from asterisk_connector.telemetry.status import EventsStatus, Problem, SinkStatus, SourceStatus, Status

NARROW = 100
"""Columns of a terminal below which some of ours are left out."""
_PROBLEMS = 6
_CALLS = 5
_GOOD, _BAD, _SO_SO, _DIM = "green", "bold red", "yellow", "dim"
_STYLES = {
    **dict.fromkeys(("ready", "up", "reading"), _GOOD),
    **dict.fromkeys(("blocked", "down", "failing", "error"), _BAD),
    **dict.fromkeys(("starting", "degraded", "stopping", "waiting", "paused", "warning"), _SO_SO),
}


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second between two documents of one process: rows by source, deliveries by sink, calls, events."""

    sources: Mapping[str, float] = field(default_factory=dict)
    sinks: Mapping[str, float] = field(default_factory=dict)
    calls: float = 0.0
    read: float = 0.0
    published: float = 0.0


def rates(before: Status, now: Status) -> Rates | None:
    """None where the two are not of one process, or of one moment."""
    seconds = (now.at - before.at).total_seconds()
    if seconds <= 0 or before.service.pid != now.service.pid:
        return None
    rows = {source.name: source.rows for source in before.sources}
    sent = {sink.name: sink.delivered for sink in before.sinks}
    was, is_ = before.events, now.events
    return Rates(
        {each.name: max(0, each.rows - rows.get(each.name, 0)) / seconds for each in now.sources},
        {each.name: max(0, each.delivered - sent.get(each.name, 0)) / seconds for each in now.sinks},
        max(0, now.calls.completed - before.calls.completed) / seconds,
        max(0, is_.read - was.read) / seconds if was and is_ else 0.0,
        max(0, is_.delivered - was.delivered) / seconds if was and is_ else 0.0,
    )


def screen(status: Status, width: int, rate: Rates | None = None) -> RenderableType:
    """The document, `width` columns wide."""
    return Group(*_parts(status, width, rate))


def _parts(status: Status, width: int, rate: Rates | None) -> Iterator[RenderableType]:
    wide = width >= NARROW
    yield _head(status, wide)
    yield from _problems(status.problems)
    if status.sources:
        yield Text()
        yield _sources(status.sources, width, rate)
    if status.sinks:
        yield Text()
        yield _sinks(status.sinks, wide, rate)
    yield Text()
    yield from _lines(status, rate)
    if status.recent_calls:
        yield Text()
        yield _recent(status, wide)


def _head(status: Status, wide: bool) -> Text:
    service = status.service
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(service.host, "bold").append(": ").append(service.state, _STYLES.get(service.state, ""))
    if service.uptime is not None:
        head.append(f", running for {span(service.uptime)}")
    if service.ready and not status.problems:
        head.append(", everything gets through", _GOOD)
    if wide:
        head.append(f"  (asterisk-connector {service.version}, {service.config_file})", _DIM)
    return head


def _problems(problems: Sequence[Problem]) -> Iterator[Text]:
    for problem in problems[:_PROBLEMS]:
        line = Text().append(f"{problem.severity}: ", _STYLES[problem.severity])
        line.append(f"{problem.part}: {problem.text}")
        if problem.since is not None:
            line.append(f" (since {clock(problem.since)})", _DIM)
        yield line
        if problem.hint:
            yield Text(f"  {problem.hint}", _DIM)
    if len(problems) > _PROBLEMS:
        yield Text(f"… and {len(problems) - _PROBLEMS} more: status --json")


def _sources(sources: Sequence[SourceStatus], width: int, rate: Rates | None) -> Table:
    wide = width >= NARROW
    head = ["state", "rows", "behind", "set aside", "newest"] if wide else ["state", "rows", "behind"]
    table = _table("source", [*head, *(["rows/s"] if rate else [])])
    for each in sources:
        cells = [_word(each.state), Text(f"{each.rows}"), Text(_behind(each))]
        if wide:
            cells += [Text(f"{each.set_aside}"), Text(clock(each.newest_at))]
        if rate:
            cells.append(Text(f"{rate.sources.get(each.name, 0):.1f}"))
        table.add_row(Text(_short(each.name, width // 3)), *cells)
    return table


def _short(name: str, longest: int) -> str:
    """A long name without its middle: the kind of a source is at its beginning, its file at its end."""
    if len(name) <= longest:
        return name
    kind = name.partition(":")[0][: longest // 2]
    return f"{kind}:…{name[len(kind) + 2 - longest :]}"


def _behind(source: SourceStatus) -> str:
    if source.lag_seconds is None and source.lag_bytes is None:
        return "?"
    if not source.lag_seconds and not source.lag_bytes:
        return "-"
    parts = [span(source.lag_seconds)] if source.lag_seconds else []
    return ", ".join([*parts, size(source.lag_bytes)] if source.lag_bytes else parts)


def _sinks(sinks: Sequence[SinkStatus], wide: bool, rate: Rates | None) -> Table:
    head = ["state", "delivered", "owed", "oldest", "dead"] + (["p50", "p99"] if wide else [])
    table = _table("sink", [*head, *(["taken/s"] if rate else [])])
    for each in sinks:
        dead = Text(count(each.dead), _SO_SO if each.dead else "")
        cells = [
            _word(each.state),
            Text(f"{each.delivered}"),
            Text(count(each.pending)),
            Text(span(each.oldest_unsent)),
            dead,
        ]
        if wide:
            cells += [Text(span(each.latency.p50)), Text(span(each.latency.p99))]
        if rate:
            cells.append(Text(f"{rate.sinks.get(each.name, 0):.1f}"))
        table.add_row(Text(each.name), *cells)
    return table


def _lines(status: Status, rate: Rates | None) -> Iterator[Text]:
    calls, state = status.calls, status.state
    completed = f"{calls.completed} completed ({calls.incomplete} incomplete)"
    line = _line("calls", f"{count(calls.open)} open, {completed}, {calls.revised} revised")
    if calls.unaccounted:
        line.append(f", {calls.unaccounted} unaccounted", _BAD)
    if rate:
        line.append(f", {rate.calls:.1f}/s")
    yield line
    if status.events is not None:
        yield _events(status.events, rate)
    yield _line("state", f"{state.directory}, {size(state.bytes)} used, {size(state.free_bytes)} free")
    kept = [
        f"{words}: {number}"
        for number, words in ((state.set_aside, "rows set aside"), (state.unlinked_recordings, "recordings of no call"))
        if number
    ]
    if status.log_lines_dropped:
        kept.append(f"lines the journal did not take: {status.log_lines_dropped}")
    if kept:
        yield _line("kept", ", ".join(kept))


def _events(events: EventsStatus, rate: Rates | None) -> Text:
    line = _line("events", "session ").append_text(_word(events.session))
    version = f", Asterisk {events.asterisk_version}" if events.asterisk_version else ""
    line.append(f"{version}, {events.read} read")
    if events.publishing is not None:
        line.append(", publishing ").append_text(_word(events.publishing))
        waiting = events.journal.events if events.journal else 0
        line.append(f", {events.delivered} delivered, {waiting} waiting")
    if rate:
        line.append(f", {rate.read:.1f} read/s")
        if events.publishing is not None:
            line.append(f", {rate.published:.1f} delivered/s")
    if events.gaps:
        line.append(f", {events.gaps} gaps of {span(events.gap_seconds)}", _SO_SO)
    if events.dropped:
        line.append(f", {events.dropped} dropped", _BAD)
    return line


def _recent(status: Status, wide: bool) -> Table:
    table = _table(
        "last calls", ["from", "to", "outcome", "took", "delivered"] + (["call"] if wide else []), right=False
    )
    for each in status.recent_calls[:_CALLS]:
        cells = [each.caller or "?", each.called or "?", each.outcome or "?", span(each.duration)]
        cells += ["yes" if each.delivered else "no"] + ([each.id] if wide else [])
        table.add_row(Text(clock(each.at)), *map(Text, cells))
    return table


def _table(first: str, others: Sequence[str], *, right: bool = True) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=_DIM, expand=False)
    table.add_column(first, no_wrap=True, overflow="ellipsis")
    for name in others:
        number = right and name != "state"
        table.add_column(name, no_wrap=True, overflow="ellipsis", justify="right" if number else "left")
    return table


def _line(name: str, said: str) -> Text:
    return Text(no_wrap=True, overflow="ellipsis").append(f"{name:<7}", _DIM).append(said)


def _word(word: str) -> Text:
    return Text(word, _STYLES.get(word, ""))


def count(number: int | None) -> str:
    """`?` for what is not known."""
    return "?" if number is None else str(number)


def span(seconds: float | None) -> str:
    """`250 ms`, `45 s`, `12 min`, `3 h 12 min`, `2 d 4 h`; `-` for none."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def size(number: int | None) -> str:
    """`512 bytes`, `3.4 MiB`; `?` for what is not known."""
    if number is None:
        return "?"
    for unit, bytes_ in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= bytes_:
            return f"{number / bytes_:.1f} {unit}"
    return f"{number} bytes"


def clock(at: datetime | None) -> str:
    """In this host's time zone: the time of day, with its date unless that is today."""
    if at is None:
        return "-"
    here = at.astimezone()
    today = here.date() == datetime.now().astimezone().date()
    return f"{here:%H:%M:%S}" if today else f"{here:%Y-%m-%d %H:%M}"

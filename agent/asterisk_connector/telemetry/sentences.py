"""What each notice says to a person: one sentence, a priority, and the fields by which a journal finds it again.

- A sentence names what, where and, when someone has to act, what to do; `code` names the kind of trouble (`codes`).
- `cause` groups sentences that would repeat in an outage; the journal prints each cause at most once in a while.
- A call's story at INFO is one line at its end and one for each sink that took it; what else happened is DEBUG, trouble
  is WARNING. Calls are named by their id, people's numbers are masked unless they shall be shown.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from asterisk_connector import notices as n
from asterisk_connector.notices import CallNews, Notice, RecordingLinked
from asterisk_connector.telemetry.masking import masked

ERROR, WARNING, NOTICE, INFO, DEBUG = 3, 4, 5, 6, 7
"""Priorities of syslog(3)."""

_LOGGING_ERROR = 40
_AUDIO = "recording_api"
"""The sink that takes recordings, not calls."""

_NUMBER = re.compile(r"(?<![\d.])\+?\d{7,}(?![\d]*\.\d)")
"""What may be somebody's number, and is no uniqueid (1795289858.2041)."""

LEVELS = {"error": ERROR, "warning": WARNING, "info": INFO, "debug": DEBUG}
"""The configuration's `log.level`: the least important priority that is told."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One line to be told."""

    priority: int
    text: str
    fields: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    cause: str = ""
    code: str = ""

    @property
    def of_call(self) -> bool:
        """Whether it is one of the many lines of single calls, each a story of its own."""
        return not self.cause and "ASTERISK_LINKEDID" in self.fields


def say(notice: Notice, *, show_numbers: bool = False) -> Sentence | None:
    """The sentence for a notice, None for those that are only counted."""
    telling = _TELLINGS.get(type(notice))
    if telling is None:
        return None
    return telling(notice if show_numbers else _masked(notice))


def _masked(notice: Notice) -> Notice:
    if isinstance(notice, CallNews):
        return replace(
            notice,
            caller=masked(notice.caller),
            called=masked(notice.called),
            answered_by=masked(notice.answered_by),
        )
    if isinstance(notice, RecordingLinked):
        return replace(notice, path="")  # names of recordings are full of numbers
    reason = getattr(notice, "reason", "")
    return replace(notice, reason=_hidden(reason)) if _NUMBER.search(reason) else notice  # type: ignore[call-arg]


def _hidden(text: str) -> str:
    """A text of others (an answer, an error, a file's name) with what may be somebody's number in it masked."""
    return _NUMBER.sub(lambda found: masked(found[0]), text)


def _kind(reason: str) -> str:
    """The reason without what differs each time: error numbers, ports, sizes."""
    return re.sub(r"\d+", "#", reason)


def _with_hint(text: str, hint: str) -> str:
    return f"{text}. {hint}" if hint else text


def _source_opened(x: n.SourceOpened) -> Sentence:
    return Sentence(INFO, f"reading {x.source}", {"SOURCE": x.source})


def _source_failed(x: n.SourceFailed) -> Sentence:
    text = _with_hint(f"cannot read {x.source}: {x.reason}; trying again in {x.retry_in:.0f} s", x.hint)
    return Sentence(
        WARNING, text, {"SOURCE": x.source}, f"source-failed:{x.source}:{_kind(x.reason)}", code="AC-SOURCE-FAILED"
    )


def _row_set_aside(x: n.RowSetAside) -> Sentence:
    text = f"a row of {x.source} could not be understood ({x.reason}); it is kept, see `asterisk-connector set-aside`"
    return Sentence(WARNING, text, {"SOURCE": x.source}, f"set-aside:{x.source}", code="AC-ROW-SET-ASIDE")


def _file_rotated(x: n.FileRotated) -> Sentence:
    return Sentence(INFO, f"{x.path} was rotated and read to its end", {"SOURCE": x.source})


def _file_truncated(x: n.FileTruncated) -> Sentence:
    if x.unread:
        text = f"{x.path} was truncated before {x.unread} bytes could be read; no copy of them was found"
        return Sentence(WARNING, text, {"SOURCE": x.source}, code="AC-FILE-TRUNCATED")
    return Sentence(INFO, f"{x.path} was truncated; nothing was lost", {"SOURCE": x.source})


def _file_missing(x: n.FileMissing) -> Sentence:
    return Sentence(
        WARNING,
        f"{x.path} does not exist yet; waiting for it",
        {"SOURCE": x.source},
        f"missing:{x.path}",
        code="AC-FILE-MISSING",
    )


def _watch_overflow(x: n.WatchOverflow) -> Sentence:
    text = f"{x.source}: the kernel dropped file events; looking at everything again"
    return Sentence(NOTICE, text, {"SOURCE": x.source}, f"overflow:{x.source}", code="AC-WATCH-OVERFLOW")


def _watch_refused(x: n.WatchRefused) -> Sentence:
    text = _with_hint(f"{x.source}: no file events ({x.reason}); polling instead", x.hint)
    return Sentence(WARNING, text, {"SOURCE": x.source}, f"watch:{x.source}", code="AC-WATCH-REFUSED")


def _call_opened(x: n.CallOpened) -> Sentence:
    return Sentence(DEBUG, f"call {x.call_id} began", {"ASTERISK_LINKEDID": x.call_id})


def _call_updated(x: n.CallUpdated) -> Sentence:
    return Sentence(DEBUG, f"call {x.call_id} goes on: {_story(x)}", _call_fields(x))


def _call_completed(x: n.CallCompleted) -> Sentence:
    if x.complete:
        return Sentence(INFO, f"call {x.call_id} ended: {_story(x)}", _call_fields(x))
    text = f"call {x.call_id} closed as incomplete ({x.reason}): {_story(x)}"
    return Sentence(INFO, text, _call_fields(x), code="AC-CALL-INCOMPLETE")


def _call_revised(x: n.CallRevised) -> Sentence:
    return Sentence(INFO, f"call {x.call_id}: later evidence made revision {x.revision}: {_story(x)}", _call_fields(x))


def _story(x: CallNews) -> str:
    """Who with whom, what came of it, how long, what is owed to whom."""
    who = f"{x.caller or 'somebody unknown'} called {x.called or 'no number'}"
    if x.answered_by:
        who += f", {'who' if x.answered_by == x.called else x.answered_by} answered"
    lasted = [] if x.seconds is None else [f"{x.seconds:.0f} s"]
    talked = [f"talked {x.talk_seconds:.0f} s"] if x.talk_seconds else []
    recorded = [f"{x.recordings} recording{'s' if x.recordings > 1 else ''}"] if x.recordings else []
    told = [x.direction or "unknown direction", x.outcome or "unknown outcome", *lasted, *talked, *recorded]
    owed = f"; owed to {', '.join(x.sinks)}" if x.sinks else ""
    return f"{who} ({', '.join(told)}){owed}"


def _call_fields(x: CallNews) -> dict[str, str | tuple[str, ...]]:
    return {
        "ASTERISK_LINKEDID": tuple(dict.fromkeys((x.call_id, *x.linkedids))),
        "ASTERISK_UNIQUEID": x.uniqueids,
        "CALL_REVISION": str(x.revision),
    }


def _recording_linked(x: n.RecordingLinked) -> Sentence:
    fields: dict[str, str | tuple[str, ...]] = {"ASTERISK_LINKEDID": x.call_id}
    if x.uniqueid:
        fields["ASTERISK_UNIQUEID"] = x.uniqueid
    which = f": {x.path}" if x.path else ""
    return Sentence(DEBUG, f"call {x.call_id}: a recording was found, by rule {x.rule}{which}", fields)


def _evidence_too_late(x: n.EvidenceTooLate) -> Sentence:
    text = f"call {x.call_id}: rows arrived after its others had left the state (store.keep_rows); it stays as told"
    return Sentence(WARNING, text, {"ASTERISK_LINKEDID": x.call_id}, "too-late", code="AC-EVIDENCE-LATE")


def _enrichment_failed(x: n.EnrichmentFailed) -> Sentence:
    text = f"call {x.call_id}: step {x.step} failed ({x.reason}); the call goes on without it"
    return Sentence(ERROR, text, {"ASTERISK_LINKEDID": x.call_id}, f"enrichment:{x.step}", code="AC-ENRICHMENT")


def _delivered(x: n.Delivered) -> Sentence:
    what = "recordings of call" if x.sink == _AUDIO else "call"
    tries = f", at attempt {x.attempts}" if x.attempts > 1 else ""
    text = f"{what} {x.call_id} delivered to {x.sink} ({x.phase}, revision {x.revision}), {x.latency:.2f} s{tries}"
    return Sentence(INFO, text, _delivery_fields(x))


def _delivery_deferred(x: n.DeliveryDeferred) -> Sentence:
    text = f"{x.sink} did not take call {x.call_id}: {x.reason}; trying again in {x.retry_in:.0f} s"
    return Sentence(WARNING, text, _delivery_fields(x), f"deferred:{x.sink}:{x.reason}", "AC-DELIVERY-DEFERRED")


def _delivery_buried(x: n.DeliveryBuried) -> Sentence:
    did = "did" if x.expired else "will"
    text = (
        f"{x.sink} {did} not take call {x.call_id}: {x.reason}; kept as a dead letter, "
        "see `asterisk-connector outbox list --dead`"
    )
    code = "AC-DELIVERY-EXPIRED" if x.expired else "AC-DELIVERY-REFUSED"
    return Sentence(ERROR, text, _delivery_fields(x), code=code)


def _delivery_fields(x: n.Delivered | n.DeliveryDeferred | n.DeliveryBuried) -> dict[str, str | tuple[str, ...]]:
    return {"ASTERISK_LINKEDID": x.call_id, "SINK": x.sink, "CALL_REVISION": str(x.revision)}


def _sink_down(x: n.SinkDown) -> Sentence:
    text = f"{x.sink} is down: {x.reason}; calls are kept, next try in {x.retry_in:.0f} s"
    return Sentence(WARNING, text, {"SINK": x.sink}, f"down:{x.sink}", code="AC-SINK-DOWN")


def _sink_up(x: n.SinkUp) -> Sentence:
    return Sentence(NOTICE, f"{x.sink} takes calls again after {x.outage:.0f} s", {"SINK": x.sink})


def _sink_misconfigured(x: n.SinkMisconfigured) -> Sentence:
    text = _with_hint(f"{x.sink} refuses us: {x.reason}; calls are kept", x.hint)
    return Sentence(ERROR, text, {"SINK": x.sink}, f"misconfigured:{x.sink}", code="AC-SINK-CONFIG")


def _store_blocked(x: n.StoreBlocked) -> Sentence:
    return Sentence(
        ERROR,
        _with_hint(f"state cannot be written: {x.reason}; reading pauses", x.hint),
        {},
        "blocked",
        code="AC-STATE-BLOCKED",
    )


def _store_unblocked(x: n.StoreUnblocked) -> Sentence:
    return Sentence(NOTICE, f"state can be written again after {x.blocked:.0f} s; reading goes on")


def _store_repaired(x: n.StoreRepaired) -> Sentence:
    text = f"{x.path} was damaged ({x.reason}); set aside as {x.set_aside_as}, {x.kept} rows saved, sources read again"
    return Sentence(ERROR, text, code="AC-STATE-REPAIRED")


def _store_trimmed(x: n.StoreTrimmed) -> Sentence:
    why = {"age": "are old enough to go", "space": "made room for new ones"}.get(x.reason, f"were over the {x.reason}")
    text, cause = f"{x.rows} {x.table} rows in the state {why}", f"trim:{x.table}:{x.reason}"
    if x.reason == "age":
        return Sentence(INFO, text, {}, cause)
    return Sentence(WARNING, text, {}, cause, "AC-STATE-TRIMMED")


def _config_reloaded(x: n.ConfigReloaded) -> Sentence:
    return Sentence(NOTICE, f"configuration reloaded; restarted: {', '.join(x.changed) or 'nothing'}")


def _config_refused(x: n.ConfigRefused) -> Sentence:
    return Sentence(
        ERROR, "new configuration refused, the old one stays: " + "; ".join(x.problems), code="AC-CONFIG-REFUSED"
    )


def _worker_failed(x: n.WorkerFailed) -> Sentence:
    trace = _hidden("".join(traceback.format_exception(x.error)).rstrip())
    text = (
        f"{x.worker} met an error nobody expected ({x.reason}) and starts again in {x.retry_in:.0f} s; please report it"
    )
    return Sentence(ERROR, text, {"TRACEBACK": trace}, f"worker:{x.worker}:{_kind(x.reason)}", code="AC-BUG")


def _clock_stepped(x: n.ClockStepped) -> Sentence:
    return Sentence(
        WARNING, f"the clock of this host was stepped by {x.seconds:+.1f} s", {}, "clock", code="AC-CLOCK-STEPPED"
    )


def _ami_connected(x: n.AmiConnected) -> Sentence:
    version = f", Asterisk {x.asterisk_version}" if x.asterisk_version else ""
    return Sentence(INFO, f"manager session with {x.peer} stands{version}", {"AMI_PEER": x.peer})


def _ami_lost(x: n.AmiLost) -> Sentence:
    text = f"manager session with {x.peer} is over after {x.lasted:.0f} s: {x.reason}; next try in {x.retry_in:.1f} s"
    return Sentence(WARNING, text, {"AMI_PEER": x.peer}, f"ami-lost:{_kind(x.reason)}", code="AC-AMI-LOST")


def _ami_unavailable(x: n.AmiUnavailable) -> Sentence:
    text = _with_hint(f"no manager session with {x.peer}: {x.reason}; next try in {x.retry_in:.0f} s", x.hint)
    fields, cause = {"AMI_PEER": x.peer}, f"ami-unavailable:{_kind(x.reason)}"
    if x.hint:
        return Sentence(ERROR, text, fields, cause, "AC-AMI-REFUSED")
    return Sentence(WARNING, text, fields, cause, "AC-AMI-DOWN")


def _ami_damaged(x: n.AmiDamaged) -> Sentence:
    text = f"{x.size} bytes of the manager session with {x.peer} were no whole message ({x.reason})"
    return Sentence(WARNING, text, {"AMI_PEER": x.peer}, f"ami-damaged:{_kind(x.reason)}", code="AC-AMI-DAMAGED")


def _ami_gap(x: n.AmiGap) -> Sentence:
    seconds = (x.end - x.start) / 1_000_000
    more = ", Asterisk was started anew" if x.restarted else ""
    return Sentence(
        WARNING,
        f"no manager session for {seconds:.1f} s ({x.reason}{more}); events of that time are lost",
        code="AC-AMI-GAP",
    )


def _host_renamed(x: n.HostRenamed) -> Sentence:
    text = f"this host is {x.now}, but entity id {x.entity_id} and what is kept here come from {x.before}"
    hint = f"if {x.before} still runs, this is a clone whose events look like its own: set events.entity_id here"
    return Sentence(WARNING, _with_hint(text, hint), code="AC-HOST-RENAMED")


def _events_dropped(x: n.EventsDropped) -> Sentence:
    return Sentence(
        ERROR,
        f"{x.events} AMI events were dropped by {x.where}: {x.reason}",
        {},
        f"dropped:{x.where}",
        code="AC-EVENTS-DROPPED",
    )


def _event_refused(x: n.EventRefused) -> Sentence:
    text = f"Kafka topic {x.topic} will never take one {x.type} event of {x.size} bytes: {x.reason}; it is kept apart"
    return Sentence(
        ERROR, text, {"KAFKA_TOPIC": x.topic}, f"refused:{x.topic}:{_kind(x.reason)}", code="AC-EVENT-REFUSED"
    )


def _publishing_paused(x: n.PublishingPaused) -> Sentence:
    text = _with_hint(f"nothing reaches Kafka topic {x.topic}: {x.reason}; events are kept in the journal", x.hint)
    fields, cause = {"KAFKA_TOPIC": x.topic}, f"paused:{x.topic}:{_kind(x.reason)}"
    if x.hint:
        return Sentence(ERROR, text, fields, cause, "AC-KAFKA-CONFIG")
    return Sentence(WARNING, text, fields, cause, "AC-KAFKA-DOWN")


def _publishing_resumed(x: n.PublishingResumed) -> Sentence:
    return Sentence(
        NOTICE, f"Kafka topic {x.topic} takes events again after {x.paused:.0f} s", {"KAFKA_TOPIC": x.topic}
    )


def _kafka_said(x: n.KafkaSaid) -> Sentence:
    text = f"librdkafka ({x.connection}): {x.facility}: {x.text}"
    return Sentence(DEBUG if x.level < _LOGGING_ERROR else INFO, text, {}, f"rdkafka:{x.connection}:{x.facility}")


def _table_restarted(x: n.TableRestarted) -> Sentence:
    text = f"table {x.table} was truncated, restored or swapped; it is read again so that nothing new in it is missed"
    return Sentence(WARNING, text, {"SOURCE": x.source}, code="AC-TABLE-RESTARTED")


def _zone_doubtful(x: n.ZoneDoubtful) -> Sentence:
    text = _with_hint(f"times of {x.source} do not agree with their uniqueids in {x.used}, but in {x.likely}", x.hint)
    return Sentence(WARNING, text, {"SOURCE": x.source}, f"zone:{x.source}", code="AC-TABLE-ZONE")


def _cel_unseen(x: n.CelUnseen) -> Sentence:
    return Sentence(WARNING, _with_hint(f"CEL over AMI: {x.reason}", x.hint), {}, "cel-unseen", code="AC-CEL-UNSEEN")


def _control_opened(x: n.ControlOpened) -> Sentence:
    return Sentence(DEBUG, f"commands are answered at {x.path}")


def _control_unavailable(x: n.ControlUnavailable) -> Sentence:
    text = f"commands cannot ask this service at {x.path}: {x.reason}; trying again in {x.retry_in:.0f} s"
    return Sentence(WARNING, _with_hint(text, x.hint), {}, f"control:{x.path}:{_kind(x.reason)}", "AC-CONTROL-DOWN")


def _outbox_changed(x: n.OutboxChanged) -> Sentence:
    how = {"retried": "owed again", "dropped": "deleted for good"}.get(x.what, x.what)
    text = f"{x.letters} dead letters were {how}, as {x.who} asked (pid {x.pid})"
    return Sentence(NOTICE, text, {"PEER": x.who, "PEER_PID": str(x.pid)})


def _http_listening(x: n.HttpListening) -> Sentence:
    return Sentence(INFO, f"status page and metrics at {x.address}")


def _http_unavailable(x: n.HttpUnavailable) -> Sentence:
    text = f"status page and metrics cannot be served at {x.address}: {x.reason}; trying again in {x.retry_in:.0f} s"
    return Sentence(WARNING, text, {}, f"http:{x.address}:{_kind(x.reason)}", "AC-HTTP-DOWN")


_TELLINGS: dict[type[Notice], Callable[[Any], Sentence]] = {
    n.SourceOpened: _source_opened,
    n.SourceFailed: _source_failed,
    n.RowSetAside: _row_set_aside,
    n.FileRotated: _file_rotated,
    n.FileTruncated: _file_truncated,
    n.FileMissing: _file_missing,
    n.WatchOverflow: _watch_overflow,
    n.WatchRefused: _watch_refused,
    n.CallOpened: _call_opened,
    n.CallUpdated: _call_updated,
    n.CallCompleted: _call_completed,
    n.CallRevised: _call_revised,
    n.RecordingLinked: _recording_linked,
    n.EvidenceTooLate: _evidence_too_late,
    n.EnrichmentFailed: _enrichment_failed,
    n.Delivered: _delivered,
    n.DeliveryDeferred: _delivery_deferred,
    n.DeliveryBuried: _delivery_buried,
    n.SinkDown: _sink_down,
    n.SinkUp: _sink_up,
    n.SinkMisconfigured: _sink_misconfigured,
    n.StoreBlocked: _store_blocked,
    n.StoreUnblocked: _store_unblocked,
    n.StoreRepaired: _store_repaired,
    n.StoreTrimmed: _store_trimmed,
    n.ConfigReloaded: _config_reloaded,
    n.ConfigRefused: _config_refused,
    n.WorkerFailed: _worker_failed,
    n.ClockStepped: _clock_stepped,
    n.AmiConnected: _ami_connected,
    n.AmiLost: _ami_lost,
    n.AmiUnavailable: _ami_unavailable,
    n.AmiDamaged: _ami_damaged,
    n.AmiGap: _ami_gap,
    n.HostRenamed: _host_renamed,
    n.EventsDropped: _events_dropped,
    n.EventRefused: _event_refused,
    n.PublishingPaused: _publishing_paused,
    n.PublishingResumed: _publishing_resumed,
    n.KafkaSaid: _kafka_said,
    n.TableRestarted: _table_restarted,
    n.ZoneDoubtful: _zone_doubtful,
    n.CelUnseen: _cel_unseen,
    n.ControlOpened: _control_opened,
    n.ControlUnavailable: _control_unavailable,
    n.OutboxChanged: _outbox_changed,
    n.HttpListening: _http_listening,
    n.HttpUnavailable: _http_unavailable,
}

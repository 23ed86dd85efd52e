"""Where nobody sits: menus, mailboxes, conference rooms, paging.

- Seen by the application on the channel's rows, menus also by the name of their context: `apps=` of cel.conf may leave
  every APP row out (call semantics §1.2).
- Chosen digits need DTMF rows (Asterisk 20.16, 21.11, 22.6 and newer); without them a choice is known only where the
  menu's own context shows it as extension on some row.
"""

from __future__ import annotations

from bisect import bisect_right

from asterisk_connector.assembly.channels import NOWHERE, Channel
from asterisk_connector.assembly.interpret import ROOMS
from asterisk_connector.assembly.parties import Cast
from asterisk_connector.call import Conference, Ivr, Voicemail
from asterisk_connector.plan import Plan
from asterisk_connector.records import Micros

MENUS = frozenset({"BackGround", "Background", "WaitExten", "BackgroundDetect", "Read"})


def menu(channel: Channel, plan: Plan) -> Ivr | None:
    """The menus a caller went through."""
    windows: list[tuple[Micros, Micros, str]] = []
    places = channel.places
    end = channel.over if channel.over is not None else channel.last
    begun = [since for since, _, _ in places]
    playing = {bisect_right(begun, at) - 1 for at, app, _ in channel.apps if app in MENUS}
    for index, (since, exten, context) in enumerate(places):
        until = begun[index + 1] if index + 1 < len(places) else end
        if exten != "h" and (index in playing or plan.ivr(context)):
            windows.append((since, until, context))
    if not windows:
        return None
    choices = []
    for since, until, _ in windows:
        pressed = "".join(digit for at, digit in channel.digits if since <= at <= until)
        if pressed:
            choices.append(pressed)
    if not channel.digits:
        choices = [exten for _, exten, context in places[1:] if plan.ivr(context) and exten not in NOWHERE]
    return Ivr(windows[0][2] or None, tuple(choices))


def mailbox(channel: Channel, until: Micros) -> tuple[Voicemail, Micros] | None:
    """The mailbox that took a call, and since when."""
    for since, left, data in channel.app_spans("VoiceMail"):
        box = data.partition(",")[0].partition("&")[0].partition("@")[0]
        return Voicemail(box or None, max(0, (until if left is None else left) - since) / 1e6), since
    return None


def room(cast: Cast) -> tuple[Conference, list[Channel], bool] | None:
    """The conference of a call, the channels in it, and whether it was an announcement to called telephones (Page)."""
    inside: list[tuple[Micros, Channel]] = []
    name: str | None = None
    paging = False
    for channel in cast.people:
        paging = paging or channel.ran("Page")
        data = next((d for _, app, d in channel.apps if app in ROOMS and app != "Page"), None)
        stay = next((s for s in channel.stays if s.softmix), None)
        if stay is None and data is None:
            continue
        inside.append((stay.entered if stay else channel.started, channel))
        if data and name is None:
            name = data.partition(",")[0]
    if not inside:
        return None
    inside.sort(key=lambda entry: (entry[0], entry[1].age))
    labels = tuple(dict.fromkeys(cast.label[c] for _, c in inside))
    return Conference(None if paging else name, labels), [c for _, c in inside], paging

"""How commands end; the numbers of sysexits.h, and 1 for a comparison that failed; no others are used.

A reader that closes our output early (`| head`) makes click end with 1, silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OK: Final = 0
DIFFERENT: Final = 1
USAGE: Final = 64
BUG: Final = 70
TRY_AGAIN: Final = 75
CONFIGURATION: Final = 78
INTERRUPTED: Final = 130

MEANINGS: Final[Mapping[int, str]] = {
    OK: "Done; what was asked for is as it should be.",
    DIFFERENT: "Not as it should be: `status` (running, not ready), `reconcile` (something is not accounted for).",
    USAGE: "The command was not understood, or what it names does not exist.",
    BUG: "A bug; please report it.",
    TRY_AGAIN: "Try again: the service runs already, or does not run where it is asked, or something is away for now.",
    CONFIGURATION: "A setting, a credential or a permission is wrong; `check` names it. systemd does not restart then.",
    INTERRUPTED: "Ctrl-C.",
}
"""Every exit code, for the manual page and docs/commands.md."""

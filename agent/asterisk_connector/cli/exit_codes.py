"""How commands end; the numbers of sysexits.h, and 1 for a comparison that failed; no others are used.

A reader that closes our output early (`| head`) makes click end with 1, silently.
"""

from __future__ import annotations

from typing import Final

OK: Final = 0
DIFFERENT: Final = 1
"""What was compared is not the same (`reconcile`)."""
USAGE: Final = 64
"""The command line is wrong."""
BUG: Final = 70
"""Something nobody expected; a traceback is printed."""
TRY_AGAIN: Final = 75
"""It may work later: a second instance runs, something is not reachable."""
CONFIGURATION: Final = 78
"""A setting, a credential or a permission is wrong; systemd does not restart the service."""
INTERRUPTED: Final = 130
"""Ctrl-C, as shells say it."""

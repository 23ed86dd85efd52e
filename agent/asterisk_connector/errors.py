"""What went wrong, sorted by who has to act.

ConnectorError
├── Transient(retry_after)   nobody: wait and try again (an outage, a lost connection, a full disk)
├── Misconfigured(hint)      the operator: a setting, a credential or a permission is wrong
├── Corrupt(hint)            the repair: a file of ours is damaged
├── AlreadyRunning(hint)     the operator: another instance holds the state directory; exit 75
├── NotRunning(hint)         the operator: only the running service knows, and nobody answers for it; exit 75
└── Stopping                 nobody: the service is going down

The message says what and where; `hint` says what to do, often as a command.
"""

from __future__ import annotations


class ConnectorError(Exception):
    """Root of everything this agent raises on purpose."""


class Transient(ConnectorError):
    """It may work later. `retry_after` is the other side's own word, in seconds, when it gave one."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Misconfigured(ConnectorError):
    """Only the operator can mend this."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Corrupt(ConnectorError):
    """A file of ours is damaged."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class AlreadyRunning(ConnectorError):
    """Another instance holds the state directory (F54); its pid is in the message."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotRunning(ConnectorError):
    """What was asked only a running service knows, and none answers."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Stopping(ConnectorError):
    """The service is stopping; what was asked was not done."""

"""One database of the bench and how to log in to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Database:
    """`user` owns it, `reader` may only SELECT; both have the same password. `socket`: a Unix socket or its folder."""

    kind: str
    host: str
    port: int
    name: str
    user: str
    reader: str
    socket: str
    password: str = "bench"

    @property
    def odbc(self) -> dict[str, str | int]:
        """The keys of an ODBC data source, as the drivers of MariaDB and PostgreSQL both know them."""
        keys: dict[str, str | int] = {"PORT": self.port, "DATABASE": self.name, "UID": self.user, "PWD": self.password}
        return {"SERVERNAME" if self.kind == "postgresql" else "SERVER": self.host, **keys}

"""TLS to both databases: the certificate and its name are verified, and what is wrong is the operator's to mend."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asterisk_connector.errors import Misconfigured
from asterisk_connector.sources.tables.database import Server, Tls, connect
from tests.kit.mariadb import MariaDB
from tests.kit.postgresql import PostgreSQL

NEW_KEY = ("-newkey", "rsa:2048", "-nodes")


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def issue(folder: Path, address: str) -> None:
    """A CA (`ca.pem`), another one nobody asked for (`other.pem`), and a server certificate for an address."""
    for name in ("ca", "other"):
        key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
        openssl("req", "-x509", *NEW_KEY, "-keyout", key, "-out", certificate, "-subj", f"/CN={name}", "-days", "2")
    (folder / "names").write_text(f"subjectAltName=IP:{address}\n")
    openssl("req", *NEW_KEY, "-keyout", folder / "server.key", "-out", folder / "server.csr", "-subj", f"/CN={address}")
    openssl(
        "x509", "-req", "-in", folder / "server.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
        "-CAcreateserial", "-out", folder / "server.pem", "-days", "2", "-extfile", folder / "names",
    )  # fmt: skip


@pytest.fixture(params=["mariadb", "postgresql"])
def secured(request: pytest.FixtureRequest) -> Iterator[Any]:
    request.getfixturevalue(request.param)  # says why where it cannot run
    server: MariaDB | PostgreSQL = MariaDB() if request.param == "mariadb" else PostgreSQL()
    folder = server.home
    issue(folder, server.address)
    for file in folder.iterdir():
        _give(file, server)
    if isinstance(server, MariaDB):
        server._options = tuple(f"--ssl-{what}={file}" for what, file in _files(folder).items())
    else:
        server._settings = {"ssl": "on"} | {f"ssl_{what}_file": file for what, file in _files(folder).items()}
    with server:
        yield server


def _files(folder: Path) -> dict[str, str]:
    return {
        what: f"{folder}/{name}" for what, name in (("cert", "server.pem"), ("key", "server.key"), ("ca", "ca.pem"))
    }


def _give(file: Path, server: MariaDB | PostgreSQL) -> None:
    if server.unprivileged:
        shutil.chown(file, server.unprivileged, server.unprivileged)
    file.chmod(0o600 if file.suffix == ".key" else 0o644)


def place(server: Any, **how: Any) -> Server:
    database = server.create("secured")
    driver = "mysql" if database.kind == "mariadb" else "postgresql"
    return Server(
        driver=driver, host=database.host, port=database.port, database=database.name, user=database.reader,
        password=database.password, **how,
    )  # fmt: skip


def encrypted(server: Server) -> bool:
    connection = connect(server)
    try:
        if server.driver == "mysql":
            return bool(connection.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1])
        return connection.query("SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [("true",)]
    finally:
        connection.close()


def test_a_certificate_of_the_trusted_authority_is_taken_and_another_is_refused(secured: Any) -> None:
    assert encrypted(place(secured, tls=Tls(ca_file=str(secured.home / "ca.pem"))))
    with pytest.raises(Misconfigured) as caught:
        connect(place(secured, tls=Tls(ca_file=str(secured.home / "other.pem"))))
    assert "certificate" in caught.value.hint


def test_a_server_without_tls_is_refused_where_tls_is_asked_for(request: pytest.FixtureRequest) -> None:
    postgresql = request.getfixturevalue("postgresql")
    with pytest.raises(Misconfigured) as caught:
        connect(place(postgresql, tls=Tls()))
    assert "tls" in caught.value.hint.lower()

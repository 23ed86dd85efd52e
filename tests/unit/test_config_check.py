"""The tiers of `check`: what each looks at, and what it says."""

import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from asterisk_connector.config import asterisk_files, host, reach
from asterisk_connector.config.check import check
from asterisk_connector.config.finding import Finding
from asterisk_connector.config.load import loads
from asterisk_connector.config.model import Settings


@pytest.fixture
def pbx(tmp_path: Path) -> Path:
    """A host in a folder: state, a CEL file, Asterisk's configuration, and config.yaml naming them."""
    (tmp_path / "state").mkdir()
    (tmp_path / "cel").mkdir()
    (tmp_path / "cel" / "Master.csv").write_text("")
    (tmp_path / "etc").mkdir()
    config = tmp_path / "config.yaml"
    config.write_text(
        "api: {key: sk}\n"
        f"sources: {{cel_csv: [{{path: {tmp_path}/cel/Master.csv}}]}}\n"
        f"store: {{directory: {tmp_path}/state, reserve: 1MiB}}\n"
    )
    config.chmod(0o600)
    return tmp_path


def settings_of(pbx: Path) -> Settings:
    settings = loads((pbx / "config.yaml").read_text()).settings
    assert settings is not None
    return settings


def of_host(pbx: Path) -> dict[str, tuple[str, str]]:
    return {finding.path: (finding.level, finding.message) for finding in host.findings(settings_of(pbx), pbx / "etc")}


def nothing(_: Settings) -> list[Finding]:
    return []


def test_a_good_configuration_passes_all_tiers(pbx: Path) -> None:
    report = check(pbx / "config.yaml", environ={}, etc=pbx / "etc", checks={"api": nothing})
    assert report.good, report.findings
    assert report.looked_at == ("syntax", "meaning", "host", "reach")


def test_host_and_network_are_not_asked_about_settings_that_do_not_hold(pbx: Path) -> None:
    def must_not_run(_: Settings) -> list[Finding]:
        raise AssertionError

    (pbx / "config.yaml").write_text("api: {key: sk}\n")
    report = check(pbx / "config.yaml", environ={}, etc=pbx / "etc", checks={"api": must_not_run})
    assert not report.good
    assert report.looked_at == ("syntax", "meaning")


def test_a_tier_leaves_out_what_later_tiers_would_say(pbx: Path) -> None:
    (pbx / "config.yaml").write_text("api: {key: sk}\n")
    report = check(pbx / "config.yaml", "syntax", environ={})
    assert [finding for finding in report.findings if finding.tier != "syntax"] == []
    assert report.good


def test_a_finding_of_the_host_has_the_line_of_its_setting(pbx: Path) -> None:
    shutil.rmtree(pbx / "state")
    report = check(pbx / "config.yaml", "host", environ={}, etc=pbx / "etc")
    (error,) = [finding for finding in report.findings if finding.level == "error"]
    assert error.place == f"{pbx}/config.yaml:3"
    assert "install -d" in error.hint


def test_a_finding_of_reach_has_its_tier_and_line(pbx: Path) -> None:
    def down(_: Settings) -> list[Finding]:
        return [Finding("error", "api", "is down")]

    report = check(pbx / "config.yaml", environ={}, etc=pbx / "etc", checks={"api": down})
    assert (report.findings[-1].tier, report.findings[-1].place) == ("reach", f"{pbx}/config.yaml:1")


# Host


def test_a_file_that_is_not_there_yet_is_a_warning(pbx: Path) -> None:
    (pbx / "cel" / "Master.csv").unlink()
    level, message = of_host(pbx)["sources.cel_csv[0].path"]
    assert level == "warning"
    assert "does not exist (yet)" in message


def test_a_folder_in_place_of_the_file_is_an_error(pbx: Path) -> None:
    (pbx / "cel" / "Master.csv").unlink()
    (pbx / "cel" / "Master.csv").mkdir()
    assert of_host(pbx)["sources.cel_csv[0].path"][0] == "error"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")
def test_a_file_that_may_not_be_read_is_an_error_with_the_group_to_join(pbx: Path) -> None:
    (pbx / "cel" / "Master.csv").chmod(0o640)
    folder: Path = pbx
    while folder != Path("/tmp"):
        folder.chmod(0o755)
        folder = folder.parent
    settings = settings_of(pbx)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            found = [finding for finding in host.findings(settings, pbx / "etc") if finding.level == "error"]
            os.write(write, "\n".join(f"{finding.message} {finding.hint}" for finding in found).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    assert "Master.csv may not be read by this user usermod -aG asterisk" in said
    assert "state may not be written by this user" in said


def test_a_disk_with_less_than_the_reserve_is_an_error(pbx: Path) -> None:
    text = (pbx / "config.yaml").read_text().replace("1MiB", "900TiB")
    (pbx / "config.yaml").write_text(text)
    level, message = of_host(pbx)["store.directory"]
    assert level == "error"
    assert "less than store.reserve" in message


def test_a_certificate_that_is_not_there_is_an_error(pbx: Path) -> None:
    text = (pbx / "config.yaml").read_text().replace("{key: sk}", "{key: sk, ca_file: /nowhere/ca.pem}")
    (pbx / "config.yaml").write_text(text)
    assert of_host(pbx)["api.ca_file"] == ("error", "/nowhere/ca.pem does not exist")


def test_more_folders_than_watches_is_a_warning_that_names_the_sysctl(
    pbx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = pbx / "inotify"
    limits.mkdir()
    (limits / "max_user_watches").write_text("5\n")
    monkeypatch.setattr(host, "_INOTIFY", limits)
    for day in range(8):
        (pbx / "rec" / str(day)).mkdir(parents=True)
    text = (pbx / "config.yaml").read_text().replace("]}", f"], recordings: {{paths: [{pbx}/rec]}}}}")
    (pbx / "config.yaml").write_text(text)
    found = [finding for finding in host.findings(settings_of(pbx), pbx / "etc") if "inotify" in finding.hint]
    assert [finding.level for finding in found] == ["warning"]
    assert "fs.inotify.max_user_watches" in found[0].hint


# Asterisk's files


def hints(pbx: Path, name: str, text: str) -> list[tuple[str, str]]:
    (pbx / "etc" / name).write_text(text)
    found = list(asterisk_files.hints(settings_of(pbx), pbx / "etc"))
    return [(finding.level, finding.message) for finding in found if name in finding.message]


GOOD_CEL = "[general]\nenable=yes\napps=dial,queue ; some\nevents=ALL\n"


def test_a_good_cel_conf_is_silent(pbx: Path) -> None:
    assert hints(pbx, "cel.conf", GOOD_CEL) == []


def test_cel_switched_off_is_an_error(pbx: Path) -> None:
    assert [level for level, _ in hints(pbx, "cel.conf", "[general]\nenable=no\n")] == ["error"]


def test_missing_events_are_named(pbx: Path) -> None:
    text = GOOD_CEL.replace("ALL", "CHAN_START,CHAN_END,ANSWER,HANGUP,BRIDGE_ENTER,BRIDGE_EXIT,LINKEDID_END")
    ((level, message),) = hints(pbx, "cel.conf", text)
    assert level == "warning"
    assert "BLINDTRANSFER, ATTENDEDTRANSFER" in message
    assert "CHAN_START" not in message


def test_missing_apps_are_a_warning(pbx: Path) -> None:
    ((level, message),) = hints(pbx, "cel.conf", "[general]\nenable=yes\nevents=all\n")
    assert level == "warning"
    assert "apps=" in message


@pytest.mark.parametrize(("form", "warned"), [("%F %T", True), ("%F %T.%3q", False), ("%F %T.%q", False)])
def test_whole_seconds_in_a_file_are_a_warning(pbx: Path, form: str, warned: bool) -> None:
    assert bool(hints(pbx, "cel.conf", GOOD_CEL + f"dateformat = {form}\n")) == warned


def test_a_mapping_for_the_file_is_found_or_missed(pbx: Path) -> None:
    ((level, _),) = hints(pbx, "cel_custom.conf", "[mappings]\nMaster.csv => ${CSV_QUOTE(${eventtype})}\n")
    assert level == "ok"
    ((level, _),) = hints(pbx, "cel_custom.conf", "[mappings]\nOther.csv => x\n")
    assert level == "warning"


def test_a_batch_longer_than_we_wait_for_is_a_warning(pbx: Path) -> None:
    (pbx / "config.yaml").write_text("api: {key: sk}\nsources: {cdr_table: {database: d, batch_time: 1m}}\n")
    ((level, message),) = hints(pbx, "cdr.conf", "[general]\nbatch=yes\ntime=300\n")
    assert level == "warning"
    assert "300 s" in message


def test_no_asterisk_on_this_host_is_no_finding(pbx: Path) -> None:
    assert list(asterisk_files.hints(settings_of(pbx), pbx / "nowhere")) == []


# Reach: the API


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost, key in the same file."""
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", f"{file}.key", "-out", f"{file}.crt", "-days", "30", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text(Path(f"{file}.key").read_text() + Path(f"{file}.crt").read_text())
    return file


@pytest.fixture
def server(certificate: Path) -> Iterator[tuple[int, list[bytes]]]:
    """A TLS server on localhost: its port, and what it was sent."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    received: list[bytes] = []
    listener = socket.create_server(("localhost", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as secured:
                    received.append(secured.recv(100))
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1], received
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def reached(url: str, ca_file: Path | None = None) -> Finding:
    ca = f", ca_file: {ca_file}" if ca_file else ""
    settings = loads(
        f"api: {{key: sk, url: '{url}', connect_timeout: 5s{ca}}}\nsources: {{cel_csv: [{{path: /c}}]}}\n"
    ).settings
    assert settings is not None
    (finding,) = reach.api(settings)
    return finding


def test_the_api_is_greeted_and_sent_nothing(server: tuple[int, list[bytes]], certificate: Path) -> None:
    port, received = server
    finding = reached(f"https://localhost:{port}/calls", certificate)
    assert finding.level == "ok", finding
    assert "trusted certificate" in finding.message
    assert [text for text in received if text] == []


def test_a_certificate_that_is_not_trusted_names_the_setting_that_helps(server: tuple[int, list[bytes]]) -> None:
    finding = reached(f"https://localhost:{server[0]}/calls")
    assert finding.level == "error"
    assert "api.ca_file" in finding.hint


def test_a_closed_port_is_an_error_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    finding = reached(f"http://127.0.0.1:{port}/")
    assert finding.level == "error"
    assert "cannot be reached" in finding.message


def test_an_unknown_name_is_an_error() -> None:
    assert "is not known" in reached("https://no-such-host.invalid/").message

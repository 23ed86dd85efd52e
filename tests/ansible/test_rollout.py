"""The role and its playbooks on a fleet of booted hosts: two of Debian 12, one of Debian 13, reached by ssh.

The first rollout is made once and kept; every test starts from there.
"""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import BROKEN, FIRST, MIGRATING, SECOND, Releases
from tests.conftest import saying_why
from tests.kit.ansible import Playbooks, Run
from tests.kit.call_api import PATH, Answer, CallApi, take
from tests.kit.fleet import CEL, Fleet
from tests.kit.host import Host
from tests.kit.mariadb import MariaDB
from tests.kit.oracle import Writer, judge
from tests.kit.package import NAME, Repository
from tests.kit.traffic import NumberedCall
from tests.kit.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(900)]

CANARY, *OTHERS = "pbx1", "pbx2", "pbx3"
API_PORT = 8443
API_KEY = "sk_" + "c4" * 16
PASSWORD = "not-for-anybodys-eyes"
ETC = Path(f"/etc/{NAME}")
NOW = int(time.time())


@dataclass
class Site:
    """A fleet, what rolls it out, and how the first rollouts went."""

    fleet: Fleet
    playbooks: Playbooks
    repository: Repository
    tried: Run
    first: Run
    second: Run


def calls_of(name: str, count: int, first: int = 1) -> list[NumberedCall]:
    """Numbered calls of a host; no two hosts have the same."""
    return [NumberedCall(number, base=base(name)) for number in range(first, first + count)]


def base(name: str) -> int:
    """When the first call of a host starts: a little while ago, so that those in progress are no long calls yet."""
    return NOW + [CANARY, *OTHERS].index(name)


def write(host: Host, calls: Sequence[NumberedCall]) -> None:
    with host.file(CEL).open("ab") as file:
        file.write(b"".join(row + b"\n" for call in calls for _, row in call.rows()))


def version(host: Host) -> str:
    return host.said("dpkg-query", "--show", "--showformat=${Version}", NAME).partition("-")[0]


def show(host: Host, what: str) -> str:
    return host.said("systemctl", "show", "--property", what, "--value", NAME)


def starts(host: Host) -> int:
    """How often the service was started since the host booted."""
    said = host.said("journalctl", "--boot", "--no-pager", "--output=cat", "--unit", NAME, "JOB_TYPE=start")
    again = host.said("journalctl", "--boot", "--no-pager", "--output=cat", "--unit", NAME, "JOB_TYPE=restart")
    return sum(line.startswith("Started ") for line in [*said.splitlines(), *again.splitlines()])


def untouched(host: Host) -> tuple[str, str, str]:
    """What stays the same on a host whose service nobody disturbed."""
    return version(host), show(host, "MainPID"), host.file(str(ETC / "config.yaml")).read_text()


def delivers(host: Host, api: CallApi, calls: Sequence[NumberedCall]) -> None:
    """A host that works: calls that end on it arrive."""
    write(host, calls)
    wanted = {call.linkedid for call in calls}
    until(lambda: wanted <= api.calls.keys(), 30, f"the calls of {host.said('hostname')}\n{journal(host)}")


def journal(host: Host) -> str:
    return host.said("journalctl", "--no-pager", "--output=cat", "--unit", NAME, "--lines=60")


def config(api_address: str, **sources: Any) -> dict[str, Any]:
    return {
        "start_at": "beginning",
        "api": {"url": f"http://{api_address}:{API_PORT}{PATH}"},
        "sources": {"cel_csv": [{"path": CEL}], **sources},
        "calls": {"settle": "200ms"},
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, release: Releases) -> Iterator[Site]:
    """Three hosts with the first release, rolled out in front of a call API; one has a foreign repository, broken."""
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack, saying_why():
        fleet = stack.enter_context(Fleet(pbx1="bookworm", pbx2="bookworm", pbx3="trixie"))
        repository = stack.enter_context(Repository(folder, fleet.address))
        repository.publish(*(release(suite, FIRST) for suite in ("bookworm", "trixie")))
        foreign = fleet["pbx2"].file("/etc/apt/sources.list.d/foreign.list")
        foreign.write_text(f"deb [trusted=yes] {repository.url}/nothing-here stable main\n")
        variables = {
            "asterisk_connector_version": FIRST,
            "asterisk_connector_repository_url": repository.url,
            "asterisk_connector_repository_key": str(repository.key),
            "asterisk_connector_config": config(fleet.address),
            "asterisk_connector_settle": 1,
            "asterisk_connector_health_timeout": 20,
        }
        hosts = {name: fleet.reached(name) for name in fleet}
        secrets = {"asterisk_connector_secrets": {"api.key": API_KEY}}
        playbooks = stack.enter_context(Playbooks(hosts, variables, secrets))
        with CallApi(address=fleet.address, port=API_PORT):
            tried = playbooks.run("deploy", "--check", "--diff", "--limit=pbx3")
            bare = [fleet[name].file(f"/usr/bin/{NAME}").exists() for name in fleet]
            assert not any(bare), tried.said
            first = playbooks.run("deploy", "--diff").succeeded()
            second = playbooks.run("deploy", "--diff", "--limit=pbx3").succeeded()
        repository.publish(*(release(suite, SECOND) for suite in ("bookworm", "trixie")))
        fleet.keep()
        yield Site(fleet, playbooks, repository, tried, first, second)


@pytest.fixture
def api(site: Site) -> Iterator[CallApi]:
    with CallApi(address=site.fleet.address, port=API_PORT) as api:
        yield api


@pytest.fixture
def fleet(site: Site, api: CallApi) -> Fleet:
    """The fleet as the first rollout left it, at work."""
    site.fleet.reset()
    for name in site.fleet:
        until(lambda name=name: show(site.fleet[name], "ActiveState") == "active", 30, f"the service of {name}")  # type: ignore[misc]
    return site.fleet


def test_a_bare_host_shows_what_would_be_done(site: Site) -> None:
    site.tried.succeeded()
    assert all(recap.changed for recap in site.tried.recap.values())


def test_a_fresh_rollout_puts_every_host_to_work(site: Site, fleet: Fleet, api: CallApi) -> None:
    assert sorted(site.first.recap) == [CANARY, *OTHERS]
    for name in fleet:
        assert version(fleet[name]) == FIRST
        delivers(fleet[name], api, calls_of(name, 3))
    keys = {request.headers.get("authorization", "") + request.headers.get("x-api-key", "") for request in api.requests}
    assert all(API_KEY in key for key in keys)


def test_a_second_rollout_changes_nothing(site: Site) -> None:
    assert {name: recap.changed for name, recap in site.second.recap.items()} == {"pbx3": 0}


def test_no_secret_is_said_or_left_readable(site: Site, fleet: Fleet) -> None:
    for run in (site.tried, site.first, site.second):
        assert API_KEY not in run.said
    for name in fleet:
        holding = fleet[name].said(
            "grep", "--recursive", "--files-with-matches", API_KEY, "/etc", "/root", "/tmp", "/var"
        )
        assert holding.split()
        for path in holding.split():
            mode = fleet[name].file(path).stat()
            assert (mode.st_uid, stat.S_IMODE(mode.st_mode) & 0o077) == (0, 0), path
        listed = fleet[name].said("stat", "--format=%a %U:%G", str(ETC), str(ETC / "config.yaml"))
        assert listed.splitlines() == [f"750 root:{NAME}", f"640 root:{NAME}"]
        assert fleet[name].run("runuser", "-u", "nobody", "cat", str(ETC / "config.yaml"), check=False).returncode != 0


def test_an_upgrade_with_calls_flowing_and_a_backlog_loses_none_and_can_be_rolled_back(
    site: Site, fleet: Fleet, api: CallApi
) -> None:
    api.script = lambda _: Answer(503)
    owed = {name: calls_of(name, 40, first=1000) for name in fleet}
    for name in fleet:
        write(fleet[name], owed[name])
    until(lambda: len(api.requests) > 3, 30, "calls that are refused for now")
    back = time.monotonic() + 30  # in the midst of the rollout
    api.script = lambda request: Answer(503 if request.at < back else 202)
    pids = {name: show(fleet[name], "MainPID") for name in fleet}
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                Writer(fleet[name].file(CEL), 200, seconds=600, base=int(time.time()) + base(name) - NOW)
            )
            for name in fleet
        ]
        site.playbooks.run("deploy", asterisk_connector_version=SECOND).succeeded()
        assert all(writer.writing for writer in writers), "traffic ended before the rollout"
        for writer in writers:
            writer.hurry()
    told = [call for calls in (*owed.values(), *(writer.calls for writer in writers)) for call in calls]
    api.script = take
    judge(api, told, 120, lambda: journal(fleet[CANARY]))
    for name in fleet:
        assert version(fleet[name]) == SECOND
        assert show(fleet[name], "MainPID") != pids[name]
        assert starts(fleet[name]) == 2, "once at boot, once for the upgrade"
    site.playbooks.run("rollback", f"--limit={CANARY}").succeeded()
    assert {name: version(fleet[name]) for name in fleet} == {CANARY: FIRST, **dict.fromkeys(OTHERS, SECOND)}
    fresh = calls_of(CANARY, 3, first=2000)
    write(fleet[CANARY], fresh)
    judge(api, [*told, *fresh], 60, lambda: journal(fleet[CANARY]))


@pytest.mark.parametrize("bad", [pytest.param(BROKEN, marks=pytest.mark.prove), MIGRATING])
def test_a_release_that_cannot_start_is_taken_back_at_the_canary(
    site: Site, fleet: Fleet, api: CallApi, release: Releases, bad: str
) -> None:
    """One that ends at once, and one that ends when it has brought the state to a schema the old one cannot read."""
    before = {name: untouched(fleet[name]) for name in OTHERS}
    api.script = lambda _: Answer(503)
    owed = calls_of(CANARY, 5)
    write(fleet[CANARY], owed)
    until(lambda: len(api.requests) > 0, 30, "a call that is refused for now")
    site.repository.publish(release("bookworm", bad))
    run = site.playbooks.run("deploy", asterisk_connector_version=bad)
    assert run.code != 0
    assert f"{bad}-1~deb12 did not work on {CANARY}. It is back at {FIRST}" in run.said
    assert run.recap.keys() == {CANARY}
    assert version(fleet[CANARY]) == FIRST
    assert {name: untouched(fleet[name]) for name in OTHERS} == before
    api.script = take
    fresh = calls_of(CANARY, 3, first=10)
    write(fleet[CANARY], fresh)
    judge(api, [*owed, *fresh], 60, lambda: journal(fleet[CANARY]))


def test_a_configuration_that_is_wrong_never_reaches_the_service(site: Site, fleet: Fleet, api: CallApi) -> None:
    before = {name: untouched(fleet[name]) for name in fleet}
    wrong = config(site.fleet.address) | {"calls": {"settle": "soon"}}
    run = site.playbooks.run("deploy", asterisk_connector_config=wrong)
    assert run.code != 0
    assert "calls.settle" in run.said
    assert run.recap.keys() == {CANARY}
    assert {name: untouched(fleet[name]) for name in fleet} == before
    delivers(fleet[CANARY], api, calls_of(CANARY, 3))


def test_a_wrong_account_of_the_database_is_taken_back_at_the_canary(site: Site, fleet: Fleet, api: CallApi) -> None:
    before = {name: untouched(fleet[name]) for name in OTHERS}
    old = fleet[CANARY].file(str(ETC / "config.yaml")).read_text()
    with MariaDB(f"--bind-address={fleet.address}") as server:
        server.create("asteriskcdrdb")
        table = {"driver": "mysql", "host": fleet.address, "user": "asteriskcdrdb_reader", "database": "asteriskcdrdb"}
        run = site.playbooks.run(
            "deploy",
            "--diff",
            "-vvv",
            asterisk_connector_config=config(fleet.address, cel_table=table),
            asterisk_connector_secrets={"api.key": API_KEY, "sources.cel_table.password": PASSWORD},
        )
    assert run.code != 0
    assert "Access denied" in run.said
    assert PASSWORD not in run.said
    assert API_KEY not in run.said
    assert run.recap.keys() == {CANARY}
    assert fleet[CANARY].file(str(ETC / "config.yaml")).read_text() == old
    delivers(fleet[CANARY], api, calls_of(CANARY, 3))
    assert {name: untouched(fleet[name]) for name in OTHERS} == before


def test_the_fleet_is_seen_in_one_table(site: Site, fleet: Fleet) -> None:
    run = site.playbooks.run("status").succeeded()
    for name in fleet:
        assert re.search(rf"{name} +{re.escape(FIRST)} +ready +0 ", run.said), run.said
    fleet["pbx2"].run("systemctl", "stop", NAME)
    fleet["pbx3"].power_off()
    try:
        run = site.playbooks.run("status", "--timeout=2")
    finally:
        fleet["pbx3"].boot()
    assert run.code != 0
    assert "not healthy: pbx2, pbx3" in run.said
    assert re.search(r"pbx2 .*off", run.said)
    assert re.search(r"pbx3 .*unreachable", run.said)


def test_calls_of_a_night_that_nobody_was_told_of_are_shipped_on_request(
    site: Site, fleet: Fleet, api: CallApi
) -> None:
    host, only = fleet[CANARY], f"--limit={CANARY}"
    calls = [NumberedCall(number, base=int(time.time()) - 7200) for number in range(5)]
    host.run("systemctl", "stop", NAME)
    write(host, calls)
    host.run("sh", "-c", f"rm -r /var/lib/{NAME}/* && sed -i s/beginning/now/ {ETC}/config.yaml")
    host.run("systemctl", "start", NAME)
    previewed = site.playbooks.run("backfill", only, asterisk_connector_since="4h").succeeded()
    assert "5 calls" in previewed.said
    assert not api.calls
    site.playbooks.run("backfill", only, asterisk_connector_since="4h", asterisk_connector_apply=True).succeeded()
    judge(api, calls, 30, lambda: journal(host))

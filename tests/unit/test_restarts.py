from __future__ import annotations

import pytest

from asterisk_connector.assembly.restarts import PROOF_SECONDS, Restarts

SECOND = 1_000_000


def seen(*uniqueids: str) -> Restarts:
    restarts = Restarts()
    for uniqueid in uniqueids:
        restarts.observe(uniqueid, 0)
    return restarts


def proven(restarts: Restarts) -> int | None:
    return restarts.proven((PROOF_SECONDS + 1) * SECOND)


def test_a_later_channel_with_a_smaller_number_is_a_new_process() -> None:
    restarts = seen("1000.500", "1001.501", "1010.0", "1011.1")
    assert restarts.proven(0) is None
    assert restarts.look_again() == PROOF_SECONDS * SECOND
    assert proven(restarts) == 1010 * SECOND
    assert proven(restarts) is None


def test_a_process_that_had_made_few_channels_is_missed_too() -> None:
    assert proven(seen("1000.0", "1000.1", "1003.0", "1003.1", "1004.2", "1005.3")) == 1003 * SECOND


@pytest.mark.parametrize(
    "uniqueids",
    [
        ("1000.10", "1001.12", "1000.11", "1001.13"),  # two threads of one process
        ("1000.5", "1001.4"),
        ("1000.1", "1000.2", "2000.3"),
        ("no-number", "1.x", ""),
    ],
)
def test_one_process_is_no_restart(uniqueids: tuple[str, ...]) -> None:
    assert proven(seen(*uniqueids)) is None


def test_two_asterisks_in_one_table_are_no_restart() -> None:
    assert proven(seen("1000.500", "1010.3", "1011.501", "1020.4", "1025.502")) is None


def test_system_names_tell_two_asterisks_apart() -> None:
    assert proven(seen("a-1000.500", "b-1010.3", "a-1011.501", "b-1020.4")) is None
    assert proven(seen("a-1000.500", "b-1010.3", "a-1030.0")) == 1030 * SECOND


def test_a_crash_loop_is_a_restart_each_time() -> None:
    assert proven(seen("1000.40", "1010.0", "1010.1", "1020.0")) == 1020 * SECOND

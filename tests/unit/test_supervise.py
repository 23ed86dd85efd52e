from __future__ import annotations

import threading

from asterisk_connector.clock import SystemClock
from asterisk_connector.errors import Corrupt, Stopping
from asterisk_connector.notices import Notice, WorkerFailed
from asterisk_connector.supervise import Worker
from tests.kit.wait import until


def test_rounds_go_on_until_the_worker_is_stopped() -> None:
    rounds: list[int] = []
    woken = threading.Event()
    closed: list[bool] = []

    def round_() -> None:
        rounds.append(1)
        woken.wait(5)

    worker = Worker(
        "w", round_, wake=woken.set, clock=SystemClock(), notify=lambda _: None, close=lambda: closed.append(True)
    )
    worker.start()
    until(lambda: rounds)
    worker.stop()
    assert worker.join(5)
    assert closed == [True]
    assert worker.silent_for == 0.0


def test_an_unexpected_error_is_told_and_the_worker_begins_anew() -> None:
    heard: list[Notice] = []
    resets: list[int] = []
    failed = threading.Event()

    def round_() -> None:
        failed.set()
        raise ZeroDivisionError("by nothing")

    worker = Worker(
        "w", round_, wake=lambda: None, clock=SystemClock(), notify=heard.append, reset=lambda: resets.append(1)
    )
    worker.start()
    until(lambda: len(resets) >= 2, within=5)
    worker.stop()
    assert worker.join(5)
    assert isinstance(heard[0], WorkerFailed)
    assert "by nothing" in heard[0].reason


def test_stopping_inside_a_round_ends_the_thread_quietly() -> None:
    heard: list[Notice] = []

    def round_() -> None:
        raise Stopping("store is closed")

    worker = Worker("w", round_, wake=lambda: None, clock=SystemClock(), notify=heard.append)
    worker.start()
    assert worker.join(5)
    assert heard == []


def test_damaged_state_is_not_told_as_an_error_nobody_expected() -> None:
    heard: list[Notice] = []
    rounds: list[int] = []

    def round_() -> None:
        rounds.append(1)
        raise Corrupt("calls.db was deleted")

    worker = Worker("w", round_, wake=lambda: None, clock=SystemClock(), notify=heard.append)
    worker.start()
    until(lambda: len(rounds) >= 2, within=5)
    worker.stop()
    assert worker.join(5)
    assert heard == []

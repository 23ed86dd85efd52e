from asterisk_connector.delivery.breaker import Breaker, BreakerPolicy, State
from asterisk_connector.delivery.pace import Pace


def breaker() -> Breaker:
    return Breaker(BreakerPolicy(threshold=3, base=1.0, cap=60.0, pause=60.0))


def fail(it: Breaker, now: float, item: int = 1, *, outage: bool = False, after: float = 0.0) -> bool:
    return it.failed(now, item, outage=outage, after=after, chance=1.0)


def test_an_outage_opens_at_once() -> None:
    it = breaker()
    assert fail(it, 10.0, outage=True)
    assert it.state is State.OPEN
    assert it.until == 11.0


def test_one_item_failing_for_ever_leaves_the_road_open_for_the_others() -> None:
    it = breaker()
    assert not any(fail(it, n, item=7) for n in range(50))
    assert it.state is State.CLOSED


def test_three_different_items_failing_in_a_row_open_it() -> None:
    it = breaker()
    assert [fail(it, 0.0, item=n) for n in range(3)] == [False, False, True]


def test_an_answer_between_failures_starts_the_row_anew() -> None:
    it = breaker()
    fail(it, 0.0, item=1)
    fail(it, 0.0, item=2)
    assert it.succeeded(0.0) is None
    assert not fail(it, 0.0, item=3)


def test_only_one_probe_is_admitted_and_only_when_the_wait_is_over() -> None:
    it = breaker()
    fail(it, 0.0, outage=True)
    assert not it.ready(0.9)
    assert it.ready(1.0)
    it.probe()
    assert not it.ready(100.0)


def test_waits_between_probes_double_up_to_the_cap() -> None:
    it, now, waits = breaker(), 0.0, []
    fail(it, now, outage=True)
    for _ in range(8):
        waits.append(it.until - now)
        now = it.until
        it.probe()
        assert not fail(it, now, outage=True)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_success_closes_it_and_tells_how_long_the_outage_was() -> None:
    it = breaker()
    fail(it, 5.0, outage=True)
    it.probe()
    assert it.succeeded(30.0) == 25.0
    assert it.state is State.CLOSED


def test_a_wish_of_the_other_side_outlasts_the_own_wait() -> None:
    it = breaker()
    fail(it, 0.0, outage=True, after=120.0)
    assert not it.ready(119.9)
    assert it.ready(120.0)


def test_late_failures_of_what_was_in_flight_do_not_lengthen_the_wait() -> None:
    it = breaker()
    fail(it, 0.0, item=1, outage=True)
    until = it.until
    assert not fail(it, 0.5, item=2, outage=True)
    assert it.until == until


def test_a_paused_sink_is_probed_rarely_until_somebody_acts() -> None:
    it = breaker()
    it.pause(0.0)
    assert (it.paused, it.ready(59.0), it.ready(60.0)) == (True, False, True)
    it.pause(60.0)
    it.hurry(61.0)
    assert it.ready(61.0)


def test_an_idle_pace_limits_nothing() -> None:
    assert Pace(10).room(0.0, 500) == 500


def test_a_pace_without_a_rate_never_limits() -> None:
    pace = Pace(0)
    pace.begin(0.0)
    assert pace.room(0.0, 500) == 500


def test_a_pace_ends_with_the_backlog() -> None:
    pace = Pace(10)
    pace.begin(0.0)
    assert pace.room(0.0, 500) == 1
    pace.end()
    assert pace.room(0.0, 500) == 500

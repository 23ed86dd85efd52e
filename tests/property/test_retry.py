"""Laws of the retry policy and of the breaker that stands before it."""

from hypothesis import given
from hypothesis import strategies as st

from asterisk_connector.delivery.breaker import Breaker, BreakerPolicy, State
from asterisk_connector.delivery.pace import Pace
from asterisk_connector.delivery.retry import SECOND, Again, GiveUp, RetryPolicy, after_failure, age, ceiling

INSTANTS = st.integers(-(10**17), 10**17)
CHANCES = st.floats(0, 1, exclude_max=True)
POLICIES = st.builds(
    RetryPolicy,
    base=st.floats(0.001, 100),
    cap=st.floats(0.001, 10_000),
    longest_wish=st.floats(0, 100_000),
    give_up_after=st.floats(1, 1e6),
)
ATTEMPTS = st.integers(0, 10_000)
WISHES = st.none() | st.floats(-1e9, 1e12)


@given(created_at=INSTANTS, now=INSTANTS, attempts=ATTEMPTS, after=WISHES, chance=CHANCES, policy=POLICIES)
def test_no_wait_is_negative_early_or_longer_than_the_policy_allows(
    created_at: int, now: int, attempts: int, after: float | None, chance: float, policy: RetryPolicy
) -> None:
    verdict = after_failure(
        created_at=created_at, attempts=attempts, now=now, after=after, chance=chance, policy=policy
    )
    if isinstance(verdict, GiveUp):
        assert verdict.age >= policy.give_up_after
        return
    wished = min(max(after or 0.0, 0.0), policy.longest_wish)
    assert wished <= verdict.wait <= wished + max(policy.base, ceiling(attempts, policy.base, policy.cap))
    assert verdict.due_at - now >= wished * SECOND - 1


@given(created_at=INSTANTS, now=INSTANTS, steps=st.lists(st.integers(-(10**15), 10**15)))
def test_age_is_never_negative_whatever_the_clock_does(created_at: int, now: int, steps: list[int]) -> None:
    for step in steps:
        now += step
        assert age(created_at, now) >= 0


@given(attempts=ATTEMPTS, base=st.floats(0.001, 100), cap=st.floats(0.001, 10_000))
def test_the_ceiling_never_falls_with_attempts_and_never_passes_the_cap(attempts: int, base: float, cap: float) -> None:
    here, next_one = ceiling(attempts, base, cap), ceiling(attempts + 1, base, cap)
    assert 0 < here <= next_one <= cap


@given(now=INSTANTS, younger=st.integers(1, 10**12), chance=CHANCES, after=WISHES, policy=POLICIES)
def test_nothing_younger_than_the_limit_is_given_up(
    now: int, younger: int, chance: float, after: float | None, policy: RetryPolicy
) -> None:
    created_at = now - round(policy.give_up_after * SECOND) + younger + 1
    verdict = after_failure(created_at=created_at, attempts=0, now=now, after=after, chance=chance, policy=policy)
    assert isinstance(verdict, Again)


FAILURES = st.tuples(
    st.just("failed"), st.floats(0, 100), st.integers(1, 5), st.booleans(), st.sampled_from([0.0, 5.0]), CHANCES
)
STEPS = st.lists(FAILURES | st.tuples(st.sampled_from(["succeeded", "pause", "probe", "hurry"]), st.floats(0, 100)))


@given(steps=STEPS)
def test_a_breaker_never_waits_longer_than_it_may_and_any_success_closes_it(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    policy = BreakerPolicy(threshold=3, base=1, cap=60, pause=60)
    breaker, now = Breaker(policy), 0.0
    for what, passed, *rest in steps:
        now += passed
        if what == "failed":
            item, outage, after, chance = rest
            was = breaker.state
            opened = breaker.failed(now, item, outage=outage, after=after, chance=chance)
            assert opened == (was is State.CLOSED and breaker.state is State.OPEN)
            assert not (outage and breaker.state is State.CLOSED)
        elif what == "succeeded":
            was = breaker.state
            assert (breaker.succeeded(now) is None) == (was is State.CLOSED)
            assert breaker.state is State.CLOSED
            assert not breaker.paused
        elif what == "pause":
            breaker.pause(now)
            assert breaker.paused
        elif what == "probe" and breaker.ready(now):
            breaker.probe()
        elif what == "hurry":
            breaker.hurry(now)
            assert breaker.state is not State.OPEN or breaker.ready(now)
        assert breaker.until <= now + 60
        assert breaker.state is not State.HALF_OPEN or not breaker.ready(now)


@given(rate=st.floats(0.5, 1000), looks=st.lists(st.floats(0, 2), max_size=60))
def test_a_pace_lets_no_more_through_than_its_rate_and_one_portion(rate: float, looks: list[float]) -> None:
    pace, now, sent = Pace(rate), 0.0, 0
    pace.begin(now)
    for passed in looks:
        now += passed
        room = pace.room(now, 10_000)
        pace.spend(room)
        sent += room
        assert sent <= 1 + now * rate + max(1.0, rate * 0.2) + 1e-6

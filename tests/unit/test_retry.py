from asterisk_connector.delivery.retry import SECOND, Again, GiveUp, RetryPolicy, after_failure

NOW = 1_800_000_000 * SECOND
POLICY = RetryPolicy(base=2, cap=600, longest_wish=3600, give_up_after=48 * 3600)


def failure(
    *,
    attempts: int = 0,
    after: float | None = None,
    chance: float = 0.5,
    age: float = 0.0,
    policy: RetryPolicy = POLICY,
) -> Again | GiveUp:
    return after_failure(
        created_at=NOW - round(age * SECOND), attempts=attempts, now=NOW, after=after, chance=chance, policy=policy
    )


def test_the_first_wait_lies_under_the_base() -> None:
    assert failure(attempts=0, chance=0.5) == Again(NOW + SECOND, 1.0)


def test_the_ceiling_doubles_with_each_attempt_up_to_the_cap() -> None:
    waits = [again.wait for n in range(12) if isinstance(again := failure(attempts=n, chance=1.0), Again)]
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]


def test_an_endless_row_of_attempts_does_not_overflow() -> None:
    assert failure(attempts=10**9, chance=1.0) == Again(NOW + 600 * SECOND, 600.0)


def test_nothing_is_offered_before_the_wished_time() -> None:
    assert failure(after=120, chance=0.0) == Again(NOW + 120 * SECOND, 120.0)


def test_a_wish_for_years_counts_as_the_longest_wish() -> None:
    again = failure(after=1e12, chance=0.0)
    assert again == Again(NOW + 3600 * SECOND, 3600.0)


def test_an_item_of_48_hours_is_given_up_by_its_next_failure() -> None:
    assert failure(age=48 * 3600) == GiveUp(48 * 3600.0)


def test_an_item_a_second_younger_is_not() -> None:
    assert isinstance(failure(age=48 * 3600 - 1), Again)


def test_an_item_from_the_future_is_young() -> None:
    assert isinstance(failure(age=-10 * 365 * 86400), Again)

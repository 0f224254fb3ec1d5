"""How long successes usually take, and which calls that were cut off were overdue: the pure part."""

import pytest

from recloser._core.usual import FIRST_SAMPLES, GROUP_SIZE, SAMPLE_EVERY, UsualDuration
from tests.core.driver import Driver, S

LEAST, WITHOUT_SUCCESS = 0.010, 0.1


def knowing(*seconds: float) -> UsualDuration:
    usual = UsualDuration()
    for sample in seconds:
        usual.learn(sample)
    return usual


def test_a_call_is_overdue_when_it_has_been_awaited_for_longer_than_the_slowest_success() -> None:
    usual = knowing(0.03, 0.2, 0.1)
    assert usual.slowest == 0.2
    assert [usual.is_overdue(waited, by_deadline=False) for waited in (0.19, 0.2, 0.21)] == [False, False, True]


@pytest.mark.parametrize("by_deadline", [True, False])
def test_no_call_is_overdue_within_ten_milliseconds(*, by_deadline: bool) -> None:
    usual = knowing(0.0001)
    assert [usual.is_overdue(waited, by_deadline=by_deadline) for waited in (LEAST, LEAST + 0.001)] == [False, True]


def test_where_no_success_is_known_only_a_deadline_counts_and_only_a_long_one() -> None:
    usual = knowing()
    assert usual.slowest is None
    assert [usual.is_overdue(waited, by_deadline=True) for waited in (0.099, WITHOUT_SUCCESS)] == [False, True]
    assert not usual.is_overdue(3600.0, by_deadline=False)


def test_a_slow_success_is_forgotten_after_some_groups_of_samples() -> None:
    usual = knowing(9.0)
    for _ in range(2 * GROUP_SIZE - 1):
        usual.learn(0.1)
        assert usual.slowest == 9.0
    usual.learn(0.1)
    assert usual.slowest == 0.1


def test_the_latest_sample_may_turn_out_to_be_slower() -> None:
    usual = knowing(9.0, *[0.1] * GROUP_SIZE)
    usual.learn_more(0.4)
    usual.learn_more(0.2)
    for _ in range(GROUP_SIZE):
        usual.learn(0.1)
    assert usual.slowest == 0.4


def test_a_clock_that_went_back_makes_a_sample_of_no_duration() -> None:
    assert knowing(-1.0).slowest == 0.0


def test_an_overdue_call_is_telling_where_few_calls_are_overdue() -> None:
    usual = knowing(0.1)
    assert [usual.count_overdue().is_telling(successes) for successes in (100, 100, 200, 400)] == [True] * 4


def test_where_calls_are_often_overdue_although_the_dependency_answers_only_some_in_a_row_are_telling() -> None:
    usual = knowing(0.1)
    for successes in range(1, 200):
        usual.count_overdue().is_telling(successes)  # each second call seems overdue
    run = [usual.count_overdue().is_telling(200) for _ in range(12)]
    assert run == [False] * 4 + [True] + [False] * 4 + [True] + [False] * 2  # 0.5 ** 5 < 0.05


def test_how_often_calls_were_overdue_is_forgotten_after_some_thousand_calls() -> None:
    usual = knowing(0.1)
    for successes in range(1, 200):
        usual.count_overdue().is_telling(successes)
    assert not usual.count_overdue().is_telling(200)
    for thousands in range(1, 12):
        usual.count_overdue().is_telling(200 + thousands * 4_000)
    assert usual.count_overdue().is_telling(60_000)


def test_a_run_that_a_change_of_the_state_has_ended_says_nothing_about_healthy_times() -> None:
    usual = knowing(0.1)
    for _ in range(50):
        usual.count_overdue().is_telling(10)
    usual.count_overdue().end_run(10)
    assert usual.count_overdue().is_telling(20)
    assert usual.count_overdue().is_telling(20)


def test_a_run_that_a_success_has_ended_before_the_state_changed_was_no_outage() -> None:
    usual = knowing(0.1)
    for _ in range(50):
        usual.count_overdue().is_telling(10)
    usual.count_overdue().end_run(11)
    assert not usual.count_overdue().is_telling(11)


def test_samples_are_the_first_calls_of_a_generation_and_then_one_in_some_hundred() -> None:
    driver = Driver()
    for _ in range(2):
        epoch, due = driver.machine.epoch, []
        first = epoch.successes
        for _ in range(FIRST_SAMPLES + 2 * SAMPLE_EVERY + 1):
            epoch.successes += 1
            if epoch.successes >= epoch.sample_at:
                due.append(epoch.successes - first)
                epoch.schedule_sample(epoch.successes)
        assert due == [*range(1, FIRST_SAMPLES + 1), FIRST_SAMPLES + SAMPLE_EVERY, FIRST_SAMPLES + 2 * SAMPLE_EVERY]
        driver.open()
        driver.wait_out()
        driver.settle(driver.admit(), S, 0.0)

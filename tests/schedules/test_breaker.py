"""The real breaker, compared with the model call by call, under thousands of schedules."""

from recloser.testing.explorer import explore
from tests.schedules.plan import share
from tests.schedules.scenarios import calls, control_by_hand, one_loop_after_another, streams

LOOPS_IN_A_ROW = 20


def test_every_call_agrees_with_the_model() -> None:
    explore(calls, schedules=share(0.34))


def test_every_call_agrees_with_the_model_in_one_loop_after_another() -> None:
    for first in range(0, share(0.1), LOOPS_IN_A_ROW):
        explore(one_loop_after_another(), schedules=LOOPS_IN_A_ROW, seed=first)


def test_every_call_agrees_with_the_model_while_the_breaker_is_changed_by_hand() -> None:
    explore(control_by_hand, schedules=share(0.22))


def test_readers_receive_every_event_or_the_number_they_missed() -> None:
    explore(streams, schedules=share(0.09))

import pytest

from recloser.cli.demo.lane import AnswerSource, Call
from recloser.cli.demo.series import Bins, Span, lost_seconds, phase_spans, state_spans
from tests.cli.demo.stage import FAILING, HEALTHY, Rehearsal, script


def test_rates_are_per_second_and_what_comes_after_the_last_bin_is_left_out() -> None:
    bins = Bins(width_seconds=0.5, count=3)
    assert bins.edges == [0.0, 0.5, 1.0, 1.5]
    assert bins.rates([0.0, 0.49, 0.5, 1.49, 1.5, 9.0]) == [4.0, 2.0, 2.0]


def test_lost_time_adds_up_over_failures_only() -> None:
    calls = [
        Call(1.0, AnswerSource.FAILURE, 0.5),
        Call(2.0, AnswerSource.SERVICE, 9.0),
        Call(3.0, AnswerSource.FAILURE, 1.0),
    ]
    assert lost_seconds(calls, 4.0) == ([0.0, 1.0, 3.0, 4.0], [0.0, 0.5, 1.5, 1.5])


def test_nothing_lost_is_a_flat_line() -> None:
    assert lost_seconds([], 4.0) == ([0.0, 4.0], [0.0, 0.0])


def test_phases_and_states_fill_the_whole_script() -> None:
    rehearsal = Rehearsal(script(HEALTHY, FAILING))
    rehearsal.clock.set(0.01)
    rehearsal.experiment.enter(HEALTHY)
    rehearsal.clock.set(0.3)
    rehearsal.experiment.enter(FAILING)
    assert phase_spans(rehearsal.experiment) == [Span("healthy", 0.0, 0.3), Span("failing", 0.3, 0.5)]
    assert state_spans(rehearsal.experiment) == [Span("closed", 0.0, 0.5)]


@pytest.mark.anyio
async def test_a_transition_ends_a_state_and_begins_the_next() -> None:
    rehearsal = Rehearsal(script(HEALTHY, FAILING))
    rehearsal.clock.set(0.25)
    rehearsal.experiment.breaker.force_open("maintenance")
    assert state_spans(rehearsal.experiment) == [Span("closed", 0.0, 0.25), Span("forced_open", 0.25, 0.5)]

from collections import deque
from itertools import product
from random import Random

import pytest

from recloser._core.machine import BreakerMachine
from recloser._core.settings import Settings
from recloser._core.states import TRANSITIONS, CircuitState, Trigger
from tests.core.driver import Driver

BY_HAND = {Trigger.FORCED_OPEN, Trigger.DISABLED, Trigger.RESET}
ROWS = [(state, trigger, new) for state, row in TRANSITIONS.items() for trigger, new in row.items()]
HOLES = [(state, trigger) for state, trigger in product(CircuitState, Trigger) if trigger not in TRANSITIONS[state]]


def way_to(target: CircuitState) -> list[Trigger]:
    """Returns the shortest row of triggers that leads from closed to a state."""
    queue: deque[tuple[CircuitState, list[Trigger]]] = deque([(CircuitState.CLOSED, [])])
    seen = {CircuitState.CLOSED}
    while queue:
        state, way = queue.popleft()
        if state is target:
            return way
        for trigger, new in TRANSITIONS[state].items():
            if new not in seen:
                seen.add(new)
                queue.append((new, [*way, trigger]))
    pytest.fail(f"{target} cannot be reached")


def machine_in(state: CircuitState) -> BreakerMachine:
    machine = BreakerMachine(Settings(), Random(0), 0.0)
    for trigger in way_to(state):
        machine.transition(trigger, 0.0)
    return machine


def test_states_and_their_values_are_the_documented_ones() -> None:
    assert [str(state) for state in CircuitState] == ["closed", "open", "half_open", "forced_open", "disabled"]


def test_a_state_equals_its_text() -> None:
    assert CircuitState.HALF_OPEN == "half_open"
    assert f"{CircuitState.HALF_OPEN}" == "half_open"


def test_the_table_has_a_row_for_every_state() -> None:
    assert set(TRANSITIONS) == set(CircuitState)


def test_every_trigger_is_in_the_table() -> None:
    assert {trigger for _, trigger, _ in ROWS} == set(Trigger)


def test_the_table_holds_what_the_design_says_and_nothing_else() -> None:
    without_hands = {(state, trigger, new) for state, trigger, new in ROWS if trigger not in BY_HAND}
    assert without_hands == {
        (CircuitState.CLOSED, Trigger.TRIPPED, CircuitState.OPEN),
        (CircuitState.OPEN, Trigger.WAIT_ELAPSED, CircuitState.HALF_OPEN),
        (CircuitState.DISABLED, Trigger.DISABLE_ENDED, CircuitState.CLOSED),
        (CircuitState.FORCED_OPEN, Trigger.WAIT_ELAPSED, CircuitState.HALF_OPEN),
        (CircuitState.HALF_OPEN, Trigger.PROBES_PASSED, CircuitState.CLOSED),
        (CircuitState.HALF_OPEN, Trigger.PROBE_FAILED, CircuitState.OPEN),
        (CircuitState.HALF_OPEN, Trigger.PROBE_TIMED_OUT, CircuitState.OPEN),
        (CircuitState.OPEN, Trigger.PROBE_PASSED_LATE, CircuitState.CLOSED),
        (CircuitState.HALF_OPEN, Trigger.PROBE_PASSED_LATE, CircuitState.CLOSED),
        (CircuitState.CLOSED, Trigger.FLEET_OPENED, CircuitState.OPEN),
        (CircuitState.HALF_OPEN, Trigger.FLEET_OPENED, CircuitState.OPEN),
        (CircuitState.OPEN, Trigger.FLEET_PROBING, CircuitState.HALF_OPEN),
        (CircuitState.FORCED_OPEN, Trigger.FLEET_PROBING, CircuitState.HALF_OPEN),
        (CircuitState.OPEN, Trigger.FLEET_CLOSED, CircuitState.CLOSED),
        (CircuitState.HALF_OPEN, Trigger.FLEET_CLOSED, CircuitState.CLOSED),
    }


@pytest.mark.parametrize("state", CircuitState)
def test_every_state_can_be_left_by_hand(state: CircuitState) -> None:
    assert {trigger: TRANSITIONS[state][trigger] for trigger in BY_HAND} == {
        Trigger.FORCED_OPEN: CircuitState.FORCED_OPEN,
        Trigger.DISABLED: CircuitState.DISABLED,
        Trigger.RESET: CircuitState.CLOSED,
    }


@pytest.mark.parametrize("trigger", Trigger)
def test_closed_never_becomes_half_open(trigger: Trigger) -> None:
    assert TRANSITIONS[CircuitState.CLOSED].get(trigger) is not CircuitState.HALF_OPEN


@pytest.mark.parametrize("state", CircuitState)
def test_every_state_can_be_reached(state: CircuitState) -> None:
    assert machine_in(state).state is state


@pytest.mark.parametrize(("state", "trigger", "new"), ROWS)
def test_the_machine_goes_where_the_table_says(state: CircuitState, trigger: Trigger, new: CircuitState) -> None:
    machine = machine_in(state)
    generation = machine.epoch.generation
    transition = machine.transition(trigger, 1.0)
    assert machine.state is new
    assert (transition.old, transition.new, transition.cause.trigger) == (state, new, trigger)
    assert machine.epoch.generation == generation + 1


@pytest.mark.parametrize(("state", "trigger"), HOLES)
def test_the_machine_refuses_what_the_table_does_not_hold(state: CircuitState, trigger: Trigger) -> None:
    machine = machine_in(state)
    before = machine.snapshot(1.0)
    with pytest.raises(KeyError):
        machine.transition(trigger, 1.0)
    assert machine.snapshot(1.0) == before


def test_nobody_can_change_the_table() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[CircuitState.CLOSED] = {}  # type: ignore[index]
    with pytest.raises(TypeError):
        TRANSITIONS[CircuitState.CLOSED][Trigger.WAIT_ELAPSED] = CircuitState.HALF_OPEN  # type: ignore[index]


def test_the_driver_starts_closed_in_the_first_generation() -> None:
    driver = Driver()
    assert (driver.state, driver.snapshot.generation) == (CircuitState.CLOSED, 1)

"""The states of the last thirty minutes: from transitions, in bounded memory."""

import sys
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from recloser import BreakerRegistry
from recloser.dashboard import _history
from recloser.dashboard._history import SLOT_SECONDS, SLOTS, StateHistory
from recloser.events import StateChanged
from recloser.testing import ManualClock

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC).timestamp()


class Play:
    """A registry whose clock and wall clock go on together, and its history."""

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self.clock = ManualClock()
        self.registry = BreakerRegistry(clock=self.clock, failure_threshold=1)
        self.history = StateHistory()
        self.registry.subscribe(self.history, kinds=StateChanged)
        self._traveller = traveller
        self.now = NOON

    def advance(self, slots: float) -> None:
        self.clock.advance(max(0, slots) * SLOT_SECONDS)
        self.now += slots * SLOT_SECONDS
        self._traveller.move_to(self.now)

    def states(self, name: str = "a") -> Any:  # noqa: ANN401 - run lengths as JSON
        return self.history.fields(self.now)["breakers"].get(name)


@pytest.fixture
def play() -> Generator[Play]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield Play(traveller)


def test_a_breaker_that_stays_closed_keeps_nothing(play: Play) -> None:
    play.registry.breaker("a")
    play.advance(SLOTS)
    assert play.states() is None


def test_the_states_are_told_as_run_lengths_and_go_on_by_themselves(play: Play) -> None:
    breaker = play.registry.breaker("a")
    play.advance(10)
    breaker.force_open("a test")
    play.advance(20)
    assert play.states() == [[None, 89], ["closed", 10], ["forced_open", 21]]
    breaker.reset()
    play.advance(5)
    assert play.states() == [[None, 84], ["closed", 10], ["forced_open", 21], ["closed", 5]]


def test_a_slot_shows_the_worst_state_in_it(play: Play) -> None:
    breaker = play.registry.breaker("a")
    play.advance(SLOTS)
    breaker.force_open("a test")
    breaker.reset()
    breaker.disable()
    assert play.states() == [["closed", 119], ["forced_open", 1]]
    play.advance(1)
    assert play.states() == [["closed", 118], ["forced_open", 1], ["disabled", 1]]


def test_a_breaker_that_has_not_changed_for_thirty_minutes_is_forgotten(play: Play) -> None:
    breaker = play.registry.breaker("a")
    breaker.force_open("a test")
    breaker.reset()
    play.advance(SLOTS - 1)
    assert play.states() == [["forced_open", 1], ["closed", 119]]
    play.advance(1)
    assert play.states() is None


def test_a_clock_that_is_set_back_changes_the_latest_slot(play: Play) -> None:
    breaker = play.registry.breaker("a")
    play.advance(SLOTS)
    breaker.force_open("a test")
    play.advance(-3)
    breaker.reset()
    assert play.states() == [["closed", 119], ["forced_open", 1]]


def test_only_the_latest_breakers_are_kept(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_history, "MOST_BREAKERS", 3)
    for name in "abcd":
        play.registry.breaker(name).force_open("a test")
    play.registry.breaker("b").reset()
    play.registry.breaker("e").force_open("a test")
    assert set(play.history.fields(play.now)["breakers"]) == {"b", "d", "e"}


def test_more_breakers_that_flap_than_are_kept_stay_within_two_megabytes(play: Play) -> None:
    for number in range(_history.MOST_BREAKERS + 100):
        breaker = play.registry.breaker(f"host-{number}")
        breaker.force_open("a test")
        breaker.reset()
    rings = vars(play.history)["_rings"]
    size = sys.getsizeof(rings) + sum(
        sys.getsizeof(name) + sys.getsizeof(ring) + sys.getsizeof(ring.slots) for name, ring in rings.items()
    )
    assert len(rings) == _history.MOST_BREAKERS
    assert size < 2_000_000


def test_a_breaker_that_flaps_keeps_no_more_than_others(play: Play) -> None:
    breaker = play.registry.breaker("a")
    for _ in range(200):
        breaker.force_open("a test")
        breaker.reset()
        play.advance(SLOTS / 200)
    assert sum(count for _, count in play.states()) == SLOTS
    assert {state for state, _ in play.states()} <= {"closed", "forced_open"}

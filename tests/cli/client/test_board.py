import math

import pytest

from recloser import CircuitBreaker
from recloser.cli.client.board import Board
from recloser.cli.client.breaker import Rates
from recloser.cli.client.errors import ForeignError
from recloser.cli.client.messages import FleetEntry
from recloser.cli.client.sentences import next_step, time_in_state, why
from recloser.cli.client.states import urgency
from recloser.testing import ManualClock
from tests.cli.client.messages import NOON, at, cause, entry, snapshot, transition, update


@pytest.fixture
def board(clock: ManualClock) -> Board:
    return Board(clock)


def test_the_whole_state_is_taken_over(board: Board) -> None:
    board.replace(
        snapshot({"a": entry(), "b": entry("open")}, transitions=[transition("b")], fleet={"connected": True})
    )
    assert board.counts == {"open": 1, "closed": 1}
    assert [each.breaker for each in board.transitions] == ["b"]
    assert (board.fleet, board.about.quiet_seconds) == (FleetEntry(connected=True, problem=None, probes={}), 15.0)
    assert (board.breakers["b"].since, board.breakers["b"].probe_at) == (NOON - 2, NOON + 8)


def test_the_health_of_a_registry_is_enough(board: Board) -> None:
    health = CircuitBreaker("a").health()
    breakers = {"closed": health, "disabled": {"state": "disabled"}, "half open": {"state": "half_open"}}
    board.replace({"timestamp": at(), "breakers": breakers})
    assert board.counts == {"half_open": 1, "disabled": 1, "closed": 1}
    of_closed = "0 failures counted; opens at 5 consecutive failures"
    assert [why(breaker) for breaker in board.ordered()] == ["", "", of_closed]
    assert next_step(board.breakers["half open"], board.now) == "a probe decides"
    assert (board.about.quiet_seconds, board.fleet) == (math.inf, None)


def test_a_time_that_the_server_cannot_say_counts_from_the_first_message(board: Board, clock: ManualClock) -> None:
    board.replace(snapshot({"a": entry("open", time_in_state_seconds=None)}))
    clock.advance(3)
    assert time_in_state(board.breakers["a"], board.now) == "for 3 s"


def test_what_has_changed_is_merged_into_what_is_known(board: Board) -> None:
    board.replace(snapshot({"a": entry(), "b": entry(), "c": entry()}))
    new = board.update(
        update(
            {"a": {"state": "open", "retry_after": None}, "d": entry()}, removed=["b"], transitions=[transition("a")]
        )
    )
    assert sorted(board.breakers) == ["a", "c", "d"]
    assert (board.breakers["a"].state, board.breakers["a"].probe_at) == ("open", None)
    assert board.breakers["a"].since == NOON - 2
    assert new == list(board.transitions)


def test_the_servers_time_goes_on_by_the_own_clock_and_is_corrected_by_messages_that_were_less_late(
    board: Board, clock: ManualClock
) -> None:
    board.replace(snapshot({}, seconds=0))
    clock.advance(5)
    assert board.now == NOON + 5
    board.update(update({}, seconds=7))
    assert board.now == NOON + 7
    clock.advance(1)
    board.update(update({}, seconds=5))  # three seconds late
    assert board.now == NOON + 8


@pytest.mark.parametrize("step", [-3_600.0, 3_600.0])
def test_when_the_servers_clock_is_set_what_is_known_goes_on_as_it_was(
    board: Board, clock: ManualClock, step: float
) -> None:
    board.replace(snapshot({"a": entry("open"), "b": entry("forced_open", retry_after=None)}))
    clock.advance(3)
    board.update(update({"a": {"failure_total": 6}}, seconds=3))
    clock.advance(1)
    board.update(update({"b": {"rejected_total": 1}}, seconds=4 + step))
    a = board.breakers["a"]
    assert board.now == NOON + 4 + step
    assert (board.now - a.since, a.probe_at and a.probe_at - board.now) == (6, 4)
    assert board.breakers["b"].probe_at is None
    assert board.rates(a) == Rates(1.5, 1.5, 0.0)


def test_rates_are_what_totals_grew_by(board: Board, clock: ManualClock) -> None:
    board.replace(snapshot({"a": entry(success_total=100)}))
    assert board.rates(board.breakers["a"]) is None
    for second in range(1, 31):
        clock.advance(1)
        changed = {"success_total": 100 + 4 * second, "failure_total": 2 * second, "rejected_total": second}
        board.update(update({"a": changed}, seconds=second))
    assert board.rates(board.breakers["a"]) == Rates(6.0, 2.0, 1.0)
    assert len(board.breakers["a"].growth) == 10
    clock.advance(5)
    assert board.rates(board.breakers["a"]) == Rates(3.0, 1.0, 0.5)
    clock.advance(5)
    assert board.rates(board.breakers["a"]) == Rates(0.0, 0.0, 0.0)


def test_a_total_that_went_back_counts_from_zero(board: Board, clock: ManualClock) -> None:
    board.replace(snapshot({"a": entry(failure_total=100)}))
    clock.advance(2)
    board.update(update({"a": {"failure_total": 8}}, seconds=2))
    assert board.rates(board.breakers["a"]) == Rates(4.0, 4.0, 0.0)


def test_rates_of_thousands_are_taken_over_the_time_in_which_all_are_read_twice(
    board: Board, clock: ManualClock
) -> None:
    board.replace(snapshot({f"b{number}": entry() for number in range(10_000)}))
    clock.advance(20)
    board.update(update({"b1": {"success_total": 40}}, seconds=20))
    assert board.rates(board.breakers["b1"]) == Rates(2.0, 0.0, 0.0)
    clock.advance(15)
    assert board.rates(board.breakers["b1"]) == Rates(2.0, 0.0, 0.0)


def test_updates_that_were_missed_are_counted_for_each_run_of_the_server(board: Board) -> None:
    board.replace(snapshot({}, dropped=0))
    board.replace(snapshot({}, dropped=3))
    board.replace(snapshot({}, dropped=2))
    assert board.missed_updates == 5
    board.replace(snapshot({}, dashboard={"version": 2, "run": "b"}))
    assert board.missed_updates == 0


def test_the_most_urgent_come_first_unless_one_asks_otherwise(board: Board, clock: ManualClock) -> None:
    states = {"e": "closed", "d": "half_open", "c": "unheard_of", "b": "open", "a": "forced_open", "f": "disabled"}
    board.replace(snapshot({name: entry(state) for name, state in states.items()}))
    clock.advance(2)
    board.update(update({"e": {"failure_total": 2}, "c": {"failure_total": 4}}, seconds=2))
    assert [breaker.name for breaker in board.ordered()] == ["b", "a", "d", "f", "e", "c"]
    assert [breaker.name for breaker in board.ordered(sort="name")] == ["a", "b", "c", "d", "e", "f"]
    assert [breaker.name for breaker in board.ordered(sort="failures")][:3] == ["c", "e", "a"]
    assert urgency("unheard_of") > urgency("closed")


def test_a_breaker_in_shadow_mode_is_as_urgent_as_it_rejects_and_in_no_other_count(board: Board) -> None:
    shadow = {"would_reject": 5}
    states = {"a": entry("open", shadow=shadow), "b": entry("disabled"), "c": entry(shadow=shadow), "d": entry("open")}
    board.replace(snapshot(states))
    assert [breaker.name for breaker in board.ordered()] == ["d", "b", "a", "c"]
    assert board.counts == {"open": 1, "disabled": 1, "in shadow mode": 1, "closed": 1}


def test_breakers_whose_rates_are_not_known_come_last(board: Board, clock: ManualClock) -> None:
    board.replace(snapshot({"old": entry()}))
    clock.advance(2)
    board.update(update({"a new one": entry()}, seconds=2))
    assert [breaker.name for breaker in board.ordered(sort="rejections")] == ["old", "a new one"]


def test_a_text_is_looked_for_in_names_and_causes(board: Board) -> None:
    board.replace(snapshot({"Payments": entry(), "b": entry(cause=cause(last_error="OSError")), "c": entry()}))
    assert [breaker.name for breaker in board.ordered("PAY")] == ["Payments"]
    assert [breaker.name for breaker in board.ordered("oserror")] == ["b"]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"timestamp": at(), "breakers": []},
        {"timestamp": at(), "breakers": {"a": {}}},
        {"timestamp": at(), "breakers": {"a": {"state": 5}}},
        {"timestamp": at(), "breakers": {"a": {"state": ["open"]}}},
        {"timestamp": at(), "breakers": {"a": 5}},
        {"timestamp": "yesterday", "breakers": {}},
        {"timestamp": 5, "breakers": {}},
        snapshot({"a": entry(retry_after="soon")}),
        snapshot({"a": entry(retry_after=True)}),
        snapshot({"a": entry(time_in_state_seconds=math.nan)}),
        snapshot({"a": entry(failure_total=math.inf)}),
        snapshot({"a": entry(shadow=True)}),
        snapshot({}, dashboard=[1]),
        snapshot({}, dashboard={"version": 2, "quiet_seconds": "x"}),
        snapshot({}, dashboard={"version": 2, "run": 5}),
        snapshot({"a": entry(rule=None)}),
        snapshot({"a": entry(cause="5 failures")}),
        snapshot({"a": entry(cause={})}),
        snapshot({"a": entry(cause=cause(observed=None))}),
        snapshot({"a": entry(cause=cause(observed="5"))}),
        snapshot({"a": entry(cause=cause(kind="failure_rate"))}),
        snapshot({"a": entry(cause=cause(kind="failure_count"))}),
        snapshot({"a": entry(cause=cause(kind="failure_count", window={}))}),
        snapshot({"a": entry(cause=cause(kind="failure_count", window={"calls": "x"}))}),
        snapshot({"a": entry(cause=cause(trigger="probes_passed", kind=None, threshold=None))}),
        snapshot({}, transitions=[{"at": at()}]),
        snapshot({}, transitions=[{**transition(), "cause": None}]),
        snapshot({}, dropped="x"),
        snapshot({}, fleet="x"),
        snapshot({}, fleet={"connected": 1}),
        snapshot({}, fleet={"connected": True, "probes": [1, 2]}),
        snapshot({}, fleet={"connected": True, "probes": {"x": 5}}),
    ],
)
def test_what_is_no_state_of_breakers_is_refused_and_changes_nothing(board: Board, data: dict[str, object]) -> None:
    board.replace(snapshot({"known": entry()}, fleet={"connected": True}, transitions=[transition()]))
    with pytest.raises(ForeignError, match="it sent what is no state of circuit breakers"):
        board.replace(data)
    assert (list(board.breakers), len(board.transitions), board.missed_updates) == (["known"], 1, 0)


@pytest.mark.parametrize("about", [{"breakers_per_update": 1e-320}, {"interval_seconds": -5}, {"quiet_seconds": 0}])
def test_figures_that_are_out_of_all_ranges_do_no_harm(
    board: Board, clock: ManualClock, about: dict[str, float]
) -> None:
    board.replace(snapshot({"a": entry()}, dashboard={"version": 2, **about}))
    clock.advance(20)
    assert board.rates(board.breakers["a"]) == Rates(0.0, 0.0, 0.0)
    assert board.about.quiet_seconds >= 1


def test_another_version_is_refused_by_its_number(board: Board) -> None:
    with pytest.raises(ForeignError, match="it speaks version 3, and this recloser 2: update it"):
        board.replace(snapshot({}, dashboard={"version": 3}))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({"timestamp": at()}, "KeyError: 'changed'"),
        (update({"new": {"failure_total": 1}}), "KeyError: 'state'"),
        (update({"known": {"state": ["a"]}}), "TypeError: \\['a'\\] is no text"),
    ],
)
def test_an_update_that_is_none_is_refused_and_leaves_no_breaker_by_halves(
    board: Board, data: dict[str, object], what: str
) -> None:
    board.replace(snapshot({"known": entry()}))
    with pytest.raises(ForeignError, match=rf"\({what}\)"):
        board.update(data)
    assert [breaker.state for breaker in board.ordered()] == ["closed"]

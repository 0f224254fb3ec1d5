"""The values that go to a store: each refuses invalid fields, and says why."""

import dataclasses
import pickle
import re

import pytest

from recloser import CircuitState
from recloser.fleet import FleetError, FleetStoreError
from recloser.fleet.store import (
    Acquire,
    Action,
    Control,
    FleetPolicy,
    FleetRule,
    ProbeResult,
    Renew,
    Report,
    Result,
    SharedState,
    Sync,
    Vote,
    microseconds,
    new_worker_id,
)

NAMED = {"name": "x", "policy": FleetPolicy()}
RULE = FleetRule(window_us=60_000_000)
REPORT = {**NAMED, "worker": "ada", "rule": RULE, "sequence": 1, "hits": 1, "total": 2}
YEARS = 10 * 366 * 24 * 3_600 * 1_000_000


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (SharedState, {"state": "melted"}, "'melted' is not a valid CircuitState"),
        (SharedState, {"generation": -1}, "generation must be an integer from 0 to"),
        (SharedState, {"generation": 2**53 - 1}, "generation must be an integer from 0 to"),
        (SharedState, {"state": "open", "remaining_us": -1}, "remaining_us must be an integer from 0 to"),
        (SharedState, {"state": "open", "remaining_us": YEARS + 1}, "remaining_us must be an integer from 0 to"),
        (SharedState, {"state": "open", "remaining_us": None}, "remaining_us must be given unless the state is manual"),
        (SharedState, {"remaining_us": 1}, "remaining_us must be 0 in closed"),
        (SharedState, {"trips": 1_001}, "trips must be an integer from 0 to 1000"),
        (SharedState, {"passed": -1}, "passed must be an integer from 0 to"),
        (FleetPolicy, {"open_us": -1}, "open_us must be an integer from 0 to"),
        (FleetPolicy, {"open_us": 2, "max_open_us": 1}, "max_open_us must be an integer from 2 to"),
        (FleetPolicy, {"multiplier": 0.9}, "multiplier must be a finite number >= 1"),
        (FleetPolicy, {"multiplier": float("nan")}, "multiplier must be a finite number >= 1"),
        (FleetPolicy, {"lease_us": 0}, "lease_us must be an integer from 1 to"),
        (FleetPolicy, {"quorum": 0}, "quorum must be an integer from 1 to 100"),
        (FleetPolicy, {"quorum": 101}, "quorum must be an integer from 1 to 100"),
        (FleetPolicy, {"success_threshold": 0}, "success_threshold must be an integer from 1 to"),
        (FleetRule, {"window_us": 9}, "window_us must be an integer from 10 to"),
        (FleetRule, {"window_us": 10**6, "buckets": 101}, "buckets must be an integer from 1 to 100"),
        (FleetRule, {"window_us": 10**6, "minimum_calls": 0}, "minimum_calls must be an integer from 1 to"),
        (FleetRule, {"window_us": 10**6, "count": 0}, "count must be an integer from 1 to"),
        (FleetRule, {"window_us": 10**6, "rate": 1.1}, "rate must be a fraction with 0 <= fraction <= 1"),
        (FleetRule, {"window_us": 10**6, "hit_kind": "z"}, "'z' is not a valid HitKind"),
        (Sync, {"name": ""}, "name must be 1 to 200 bytes of UTF-8, not 0"),
        (Sync, {"name": "ä" * 101}, "name must be 1 to 200 bytes of UTF-8, not 202"),
        (Sync, {"name": "\udc80"}, "name must be text that UTF-8 can encode"),
        (Acquire, {**NAMED, "not_after_us": -1}, "not_after_us must be an integer from 0 to"),
        (Vote, {**NAMED, "worker": ""}, "worker must be 1 to 32 letters"),
        (Vote, {**NAMED, "worker": "a b"}, "worker must be 1 to 32 letters"),
        (Vote, {**NAMED, "worker": "a\n"}, "worker must be 1 to 32 letters"),
        (Vote, {**NAMED, "worker": "a" * 33}, "worker must be 1 to 32 letters"),
        (Vote, {**NAMED, "worker": "a", "closed_generation": -1}, "closed_generation must be an integer"),
        (Report, {**REPORT, "sequence": 0}, "sequence must be an integer from 1 to"),
        (Report, {**REPORT, "total": -1}, "total must be an integer from 0 to"),
        (Report, {**REPORT, "hits": 3}, "hits must be an integer from 0 to 2"),
        (Renew, {**NAMED, "token": 0}, "token must be an integer from 1 to"),
        (Result, {**NAMED, "token": 0, "result": "ok"}, "token must be an integer from 1 to"),
        (Result, {**NAMED, "token": 1, "result": "?"}, "'?' is not a valid ProbeResult"),
        (Control, {"name": "x", "action": "?"}, "'?' is not a valid Action"),
        (Control, {"name": "x", "action": "disabled", "for_us": 0}, "for_us must be an integer from 1 to"),
        (Control, {"name": "x", "action": "closed", "for_us": 1}, "for_us must be None for a reset"),
    ],
)
def test_a_value_out_of_its_range_is_refused(kind: type, fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        kind(**fields)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (SharedState, {"generation": 1.5}, "generation must be an integer"),
        (SharedState, {"reason": 7}, "reason must be a string"),
        (SharedState, {"author": None}, "author must be a string"),
        (Sync, {"name": 7}, "name must be a str"),
        (Sync, {"name": "x", "known": None}, "known must be a SharedState"),
        (Sync, {"name": "x", "policy": None}, "policy must be a FleetPolicy"),
        (Vote, {**NAMED, "worker": 7}, "worker must be a str"),
        (Report, {**REPORT, "rule": 5}, "rule must be a FleetRule"),
        (Report, {**REPORT, "total": True}, "total must be an integer"),
        (Control, {"name": "x", "action": "closed", "reason": 7}, "reason must be a string"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(kind: type, fields: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(message)}"):
        kind(**fields)


def test_texts_may_stand_for_the_words_of_the_protocol() -> None:
    assert SharedState("open").state is CircuitState.OPEN
    assert Result(**NAMED, token=1, result="ok").result is ProbeResult.SUCCEEDED
    assert Control(name="x", action="closed").action is Action.RESET


def test_long_reasons_are_cut_and_unspeakable_ones_replaced() -> None:
    control = Control(name="x", action=Action.DISABLE, reason="é" * 300, author="a\udc80")
    assert (control.reason, control.author) == ("é" * 200, "a?")


def test_time_passes_for_what_is_known() -> None:
    known = SharedState(CircuitState.OPEN, 5, 1_000)
    assert [known.later(elapsed).remaining_us for elapsed in (0, 400, 1_000, 5_000)] == [1_000, 600, 0, 0]
    endless = SharedState(CircuitState.DISABLED, 5, None)
    assert endless.later(10**15) is endless


def test_seconds_become_microseconds_within_what_can_be_stored() -> None:
    assert [microseconds(seconds) for seconds in (0, 0.1, 1.000_000_4, 1e12)] == [0, 100_000, 1_000_000, YEARS]


def test_no_two_workers_have_one_name() -> None:
    names = {new_worker_id() for _ in range(1_000)}
    assert len(names) == 1_000
    assert all(Vote(**NAMED, worker=name) for name in names)


def test_rules_that_count_differently_are_kept_apart() -> None:
    rules = [RULE, FleetRule(window_us=60_000_000, buckets=6), FleetRule(window_us=10**6), FleetRule(**fields())]
    assert len({rule.tag for rule in rules}) == len(rules)
    assert FleetRule(window_us=60_000_000, rate=0.3, minimum_calls=7).tag == RULE.tag


def fields() -> dict[str, object]:
    return {**dataclasses.asdict(RULE), "hit_kind": "s"}


def test_the_error_of_a_store_is_one_of_the_fleet_and_pickles() -> None:
    error = pickle.loads(pickle.dumps(FleetStoreError("down")))  # noqa: S301 - our own bytes
    assert isinstance(error, FleetError)
    assert (error.reason, str(error)) == ("down", "down")

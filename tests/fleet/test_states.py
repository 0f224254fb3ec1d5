"""The table of a membership's states: what it holds, and that no sequence of events leaves a membership stuck."""

from itertools import product

import pytest

from recloser.fleet._states import (
    AUTHORITY,
    IN_FLIGHT,
    LEASE,
    RECORD,
    TRANSITIONS,
    MembershipState,
    MembershipTrigger,
    after,
)

S, T = MembershipState, MembershipTrigger
ROWS = [(state, trigger, new) for state, row in TRANSITIONS.items() for trigger, new in row.items()]
Triple = tuple[MembershipState, ...]
"""The three states that a membership is in."""
REGIONS = (AUTHORITY, RECORD, LEASE)
TRIPLES = [*product(*REGIONS)]
INITIAL = (S.FOLLOWING, S.READABLE, S.IDLE)
WITHOUT_CALLERS = set(T) - {T.ASKED, T.SENT, T.PROOF_SENT, T.OVERRIDE, T.RESET, T.UNUSABLE}
"""Events that need no caller, no person and no damage to the store's record."""


def all_after(triple: Triple, trigger: MembershipTrigger) -> Triple:
    return tuple(after(state, trigger) for state in triple)


def reachable(start: Triple, triggers: set[MembershipTrigger]) -> set[Triple]:
    found, queue = {start}, [start]
    for triple in queue:
        for trigger in triggers:
            new = all_after(triple, trigger)
            if new not in found:
                found.add(new)
                queue.append(new)
    return found


def test_every_state_is_in_one_region_and_has_a_row() -> None:
    assert sorted((*AUTHORITY, *RECORD, *LEASE)) == sorted(S)
    assert set(TRANSITIONS) == set(S)


def test_every_trigger_is_in_the_table_and_belongs_to_one_region() -> None:
    of_regions = [trigger for region in REGIONS for trigger in {t for state in region for t in TRANSITIONS[state]}]
    assert sorted(of_regions) == sorted(T)


@pytest.mark.parametrize("region", REGIONS)
def test_no_transition_leaves_its_region(region: tuple[MembershipState, ...]) -> None:
    assert {new for state in region for new in TRANSITIONS[state].values()} <= set(region)


def test_the_table_holds_what_the_design_says_and_nothing_else() -> None:
    by_hand = {(old, T.OVERRIDE, S.OVERRIDDEN) for old in (S.FOLLOWING, S.REALIGNING)}
    by_reset = {(old, T.RESET, S.REALIGNING) for old in (S.FOLLOWING, S.OVERRIDDEN)}
    replies = {
        (old, trigger, new)
        for old in IN_FLIGHT
        for trigger, new in ((T.ACQUIRED, S.GRANTED), (T.REFUSED, S.IDLE), (T.UNREACHABLE, S.IDLE))
    }
    assert set(ROWS) == by_hand | by_reset | replies | {
        (S.REALIGNING, T.REALIGNED, S.FOLLOWING),
        (S.READABLE, T.UNUSABLE, S.DAMAGED),
        (S.DAMAGED, T.USABLE, S.READABLE),
        (S.IDLE, T.ASKED, S.ASKING),
        (S.IDLE, T.PROOF_SENT, S.PROVING),
        (S.ASKING, T.SENT, S.ACQUIRING),
        (S.ASKING, T.GAVE_UP, S.IDLE),
        (S.ASKING, T.UNREACHABLE, S.IDLE),
        (S.ACQUIRING, T.GAVE_UP, S.ABANDONED),
        (S.GRANTED, T.ENDED, S.IDLE),
        (S.GRANTED, T.FENCED, S.IDLE),
    }


def test_every_combination_of_states_can_be_reached() -> None:
    assert reachable(INITIAL, set(T)) == set(TRIPLES)


@pytest.mark.parametrize(("state", "trigger"), [*product(S, T)])
def test_a_trigger_without_a_row_changes_nothing(state: MembershipState, trigger: MembershipTrigger) -> None:
    assert after(state, trigger) is TRANSITIONS[state].get(trigger, state)


@pytest.mark.parametrize("triple", TRIPLES)
def test_from_everywhere_there_is_a_way_back_to_the_beginning(triple: Triple) -> None:
    assert INITIAL in reachable(triple, set(T))


@pytest.mark.parametrize("triple", TRIPLES)
def test_replies_and_outages_alone_free_the_lease_of_a_caller_that_is_gone(triple: Triple) -> None:
    freed = {all_after(at, T.UNREACHABLE)[2] for at in reachable(triple, WITHOUT_CALLERS)}
    assert S.IDLE in freed
    assert freed <= {S.IDLE, S.GRANTED}


@pytest.mark.parametrize("state", LEASE)
@pytest.mark.parametrize("trigger", [trigger for trigger in T if trigger is not T.ACQUIRED])
def test_a_lease_is_held_only_after_the_store_has_granted_it(
    state: MembershipState, trigger: MembershipTrigger
) -> None:
    assert (after(state, trigger) is S.GRANTED) <= (state is S.GRANTED)


@pytest.mark.parametrize("triple", TRIPLES)
def test_what_a_person_did_to_a_breaker_alone_ends_by_a_reset_only(triple: Triple) -> None:
    overridden = all_after(triple, T.OVERRIDE)
    assert {authority for authority, *_ in reachable(overridden, set(T) - {T.RESET})} == {S.OVERRIDDEN}
    assert all_after(overridden, T.RESET)[0] is S.REALIGNING


def test_a_request_is_in_flight_between_its_sending_and_its_reply() -> None:
    assert set(LEASE) - IN_FLIGHT == {S.IDLE, S.ASKING, S.GRANTED}


def test_nobody_can_change_the_table() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[S.IDLE] = {}  # type: ignore[index]
    with pytest.raises(TypeError):
        TRANSITIONS[S.IDLE][T.ENDED] = S.GRANTED  # type: ignore[index]

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recloser._core.windows import CountRing, CountWindow, TimeWindow, WindowTotals
from tests.core.rings import CountList

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("other"), st.integers(1, 12)),
        st.tuples(st.just("hit"), st.integers(1, 4)),
        st.tuples(st.sampled_from(["settle", "clear"]), st.none()),
        st.tuples(st.just("adopt"), st.integers(1, 9)),
    ),
    max_size=40,
)


def insides(ring: CountRing) -> list[Any]:
    values = [getattr(ring, name) for name in CountRing.__slots__]
    return [bytes(value) if isinstance(value, bytearray) else value for value in values]


@given(size=st.integers(1, 9), start=st.integers(0, 5), steps=STEPS)
@settings(deadline=None)
def test_a_count_ring_agrees_with_a_list_of_the_latest_calls(
    size: int, start: int, steps: list[tuple[str, int | None]]
) -> None:
    others = start
    ring, calls = CountRing(size, others), CountList(size)
    for step, number in steps:
        if step == "other":
            others += number or 0
            for _ in range(number or 0):
                calls.add(hit=False)
        elif step == "hit":
            for _ in range(number or 0):
                calls.add(hit=True)
                assert ring.hit(others, 0.0) == calls.totals()
        elif step == "settle":
            assert ring.settle(others, 0.0) == calls.totals()
        elif step == "clear":
            ring.clear(others)
            calls = CountList(calls.size)
        else:
            old, calls = ring, calls.resized(number or 1)
            ring = CountRing(calls.size, others)
            ring.adopt(old, others, 0.0)
        before = insides(ring)
        assert ring.peek(others, 0.0) == calls.totals()
        assert insides(ring) == before, "peek changed the ring"


def test_other_calls_from_before_the_ring_was_made_are_not_in_it() -> None:
    ring = CountRing(3, 1000)
    assert ring.peek(1000, 0.0) == WindowTotals(0, 0)
    assert ring.settle(1001, 0.0) == WindowTotals(1, 0)


def test_other_calls_push_out_hits_without_being_recorded_one_by_one() -> None:
    ring = CountRing(3, 0)
    for _ in range(3):
        ring.hit(0, 0.0)
    assert ring.peek(1, 0.0) == WindowTotals(3, 2)
    assert ring.peek(3, 0.0) == WindowTotals(3, 0)
    assert ring.settle(10**9, 0.0) == WindowTotals(3, 0)


def test_a_ring_of_one_holds_the_latest_call() -> None:
    ring = CountRing(1, 0)
    assert ring.hit(0, 0.0) == WindowTotals(1, 1)
    assert ring.hit(0, 0.0) == WindowTotals(1, 1)
    assert ring.settle(1, 0.0) == WindowTotals(1, 0)


def test_a_ring_takes_no_memory_for_its_calls_before_the_first_hit() -> None:
    ring = CountRing(10**9, 0)
    ring.settle(10**6, 0.0)
    assert ring.peek(10**6, 0.0) == WindowTotals(10**6, 0)
    assert ring.slots is None


def test_clearing_forgets_all_calls() -> None:
    ring = CountRing(5, 0)
    ring.hit(2, 0.0)
    ring.clear(7)
    assert ring.peek(7, 0.0) == WindowTotals(0, 0)
    assert ring.hit(8, 0.0) == WindowTotals(2, 1)


@pytest.mark.parametrize(
    ("size", "kept"),
    [(1, WindowTotals(1, 1)), (2, WindowTotals(2, 1)), (3, WindowTotals(3, 2)), (9, WindowTotals(4, 2))],
)
def test_a_ring_of_another_size_keeps_the_latest_calls(size: int, kept: WindowTotals) -> None:
    old, new = CountRing(4, 0), CountRing(size, 5)
    old.hit(0, 0.0)
    old.hit(1, 0.0)
    old.hit(2, 0.0)
    old.hit(3, 0.0)
    assert old.peek(3, 0.0) == WindowTotals(4, 2)
    new.adopt(old, 3, 0.0)
    assert new.peek(3, 0.0) == kept


def test_a_grown_ring_goes_on_where_the_old_one_was() -> None:
    old = CountRing(2, 0)
    old.hit(1, 0.0)
    new = CountRing(4, 1)
    new.adopt(old, 1, 0.0)
    assert new.settle(2, 0.0) == WindowTotals(3, 1)
    assert new.hit(2, 0.0) == WindowTotals(4, 2)
    assert new.settle(3, 0.0) == WindowTotals(4, 2)
    assert new.settle(4, 0.0) == WindowTotals(4, 1)


def test_a_ring_of_another_kind_leaves_nothing() -> None:
    ring = CountWindow(4).ring(3)
    other = TimeWindow(60).ring(0)
    other.hit(3, 0.0)
    ring.adopt(other, 3, 0.0)
    assert ring.peek(3, 0.0) == WindowTotals(0, 0)
    assert ring.peek(4, 0.0) == WindowTotals(1, 0)


def test_the_ring_that_is_adopted_last_replaces_what_came_before() -> None:
    with_hit, without = CountRing(4, 0), CountRing(4, 0)
    with_hit.hit(0, 0.0)
    ring = CountRing(4, 1)
    ring.adopt(with_hit, 1, 0.0)
    ring.adopt(without, 1, 0.0)
    assert ring.peek(1, 0.0) == WindowTotals(1, 0)

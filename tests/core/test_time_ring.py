from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recloser._core.windows import ALWAYS, CountWindow, TimeRing, TimeWindow, WindowTotals
from tests.core.rings import TimeList, bucket_of

WIDTHS = [0.1, 0.3, 1 / 3, 1.0, 0.7, 6.0, 1e-6]

Step = tuple[str, float]

GAPS = st.one_of(
    st.sampled_from([0.0, 0.5, 1.0, 1.0, 2.0, 3.0]),
    st.floats(0, 2, allow_subnormal=False),
    st.integers(0, 30).map(float),
    st.floats(-3, 0, allow_subnormal=False),
)
"""Steps of the clock in buckets: onto an edge, between edges, over an idle gap, and back."""

STEPS = st.lists(
    st.tuples(st.sampled_from(["other", "other", "other", "hit", "hit", "clear", "adopt", "peek"]), GAPS), max_size=40
)


class Watched:
    """A time ring that sees the other calls only when their bucket is over, beside a list that knows all calls."""

    def __init__(self, width: float, buckets: int, start: float) -> None:
        self.now = self.latest = start
        self.others = 3
        self.ring = TimeRing(width * buckets, buckets, self.others)
        self.ring.width = width
        self.list = TimeList(self.ring.width, buckets)

    def step(self, what: str, gap: float) -> None:
        self.now += gap * self.list.width
        self.latest = max(self.latest, self.now)
        if what == "other":
            self.others += 1
            self.list.add(self.now, hit=False)
            if self.now >= self.ring.edge:
                assert self.ring.settle(self.others, self.now) == self.list.totals(self.now)
        elif what == "hit":
            self.list.add(self.now, hit=True)
            assert self.ring.hit(self.others, self.now) == self.list.totals(self.now)
        elif what == "clear":
            self.ring.clear(self.others)
            self.list = TimeList(self.list.width, self.list.buckets)
        elif what == "adopt":
            self.now = max(self.now, self.latest)
            self.adopt(1 + int(abs(gap) * 5) % 9)
        self.peek(self.now)

    def adopt(self, buckets: int) -> None:
        width = self.list.width
        old, self.list = self.ring, self.list.rescaled(self.now, buckets)
        self.ring = TimeRing(width * buckets, buckets, self.others)
        self.ring.width = width
        self.ring.adopt(old, self.others, self.now)

    def peek(self, now: float) -> None:
        before = insides(self.ring)
        assert self.ring.peek(self.others, now) == self.list.totals(now)
        assert insides(self.ring) == before, "peek changed the ring"


def insides(ring: TimeRing) -> list[Any]:
    values = [getattr(ring, name) for name in TimeRing.__slots__]
    return [
        value.tobytes() if name == "_bases" and value else value
        for name, value in zip(ring.__slots__, values, strict=True)
    ]


@given(
    width=st.sampled_from(WIDTHS),
    buckets=st.integers(1, 7),
    start=st.sampled_from([0.0, -1.0, 0.3, 12345.6]),
    steps=STEPS,
    ahead=st.integers(0, 9),
)
@example(width=0.1, buckets=3, start=0.0, steps=[("hit", 1.0)] * 20, ahead=2)
@settings(deadline=None)
def test_a_time_ring_agrees_with_a_list_of_all_calls(
    width: float, buckets: int, start: float, steps: list[Step], ahead: int
) -> None:
    watched = Watched(width, buckets, start)
    for step in steps:
        watched.step(*step)
        watched.peek(watched.now + ahead * width)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_edges_of_buckets_are_the_products_of_their_number_and_width(width: float) -> None:
    ring = TimeRing(width * 2, 2, 0)
    assert ring.width == width
    for bucket in range(1, 200):
        ring.clear(0)
        ring.hit(0, bucket * width)
        assert ring.edge == (bucket + 1) * width
        assert bucket_of(bucket * width, width) == bucket


def test_a_call_exactly_as_old_as_the_window_is_out() -> None:
    ring = TimeWindow(10, 10).ring(0)
    ring.hit(0, 0.0)
    assert ring.peek(0, 9.999) == WindowTotals(1, 1)
    assert ring.peek(0, 10.0) == WindowTotals(0, 0)


def test_a_call_leaves_with_its_bucket_at_most_one_width_early() -> None:
    ring = TimeWindow(10, 10).ring(0)
    ring.hit(0, 0.999)
    assert ring.peek(0, 9.999) == WindowTotals(1, 1)
    assert ring.peek(0, 10.0) == WindowTotals(0, 0)


def test_a_single_bucket_is_emptied_at_its_edge() -> None:
    ring = TimeWindow(10, 1).ring(0)
    ring.hit(0, 9.0)
    assert ring.peek(0, 9.999) == WindowTotals(1, 1)
    assert ring.hit(0, 10.0) == WindowTotals(1, 1)


@pytest.mark.parametrize("gap", [10.0, 11.0, 1e3, 1e9])
def test_an_idle_gap_empties_the_window_fully(gap: float) -> None:
    ring = TimeWindow(10, 10).ring(0)
    for second in range(10):
        ring.hit(second, float(second))
    assert ring.peek(9, 9.0) == WindowTotals(19, 10)
    assert ring.peek(9, 9.0 + gap) == WindowTotals(0, 0)
    assert ring.hit(9, 9.0 + gap) == WindowTotals(1, 1)


def test_a_clock_that_steps_back_leaves_calls_in_the_current_bucket() -> None:
    ring = TimeWindow(10, 10).ring(0)
    ring.hit(0, 100.0)
    assert ring.hit(0, 3.0) == WindowTotals(2, 2)
    assert ring.peek(0, 3.0) == WindowTotals(2, 2)
    assert ring.peek(0, 109.9) == WindowTotals(2, 2)
    assert ring.peek(0, 110.0) == WindowTotals(0, 0)


def test_time_may_be_negative() -> None:
    ring = TimeWindow(10, 10).ring(0)
    ring.hit(0, -3.5)
    assert ring.edge == -3.0
    assert ring.peek(0, 5.9) == WindowTotals(1, 1)
    assert ring.peek(0, 6.0) == WindowTotals(0, 0)


def test_other_calls_belong_to_the_bucket_that_was_current_when_they_were_made() -> None:
    ring = TimeWindow(10, 10).ring(0)
    assert ring.settle(1, 0.5) == WindowTotals(1, 0)
    assert ring.settle(6, 1.5) == WindowTotals(6, 0)
    assert ring.peek(6, 9.9) == WindowTotals(6, 0)
    assert ring.peek(6, 10.0) == WindowTotals(1, 0), "five were made in the first bucket, the sixth in the second"


def test_a_ring_without_a_call_has_no_edge_and_takes_no_memory() -> None:
    ring = TimeWindow(10, 10**6).ring(5)
    assert ring.edge == ALWAYS
    assert ring.peek(5, 3.0) == WindowTotals(0, 0)
    assert ring.bases is None


def test_clearing_forgets_all_calls() -> None:
    ring = TimeWindow(10, 10).ring(0)
    ring.hit(4, 0.0)
    ring.clear(9)
    assert ring.edge == ALWAYS
    assert ring.peek(9, 0.0) == WindowTotals(0, 0)
    assert ring.settle(10, 0.0) == WindowTotals(1, 0)


def filled(window: TimeWindow) -> TimeRing:
    """Returns a ring with one hit and one other call per second, from 0 to 9."""
    ring = window.ring(0)
    for second in range(10):
        ring.settle(second + 1, float(second))
        ring.hit(second + 1, float(second))
    return ring


@pytest.mark.parametrize(
    ("window", "calls"),
    [(TimeWindow(5, 5), 10), (TimeWindow(1, 1), 2), (TimeWindow(20, 20), 20), (TimeWindow(10, 2), 20)],
)
def test_a_ring_of_another_length_keeps_the_latest_buckets(window: TimeWindow, calls: int) -> None:
    new = window.ring(10)
    new.adopt(filled(TimeWindow(10, 10)), 10, 9.0)
    assert new.peek(10, 9.0) == WindowTotals(calls, calls // 2)


def test_a_grown_ring_lets_the_old_calls_go_when_their_time_is_over() -> None:
    new = TimeWindow(20, 20).ring(10)
    new.adopt(filled(TimeWindow(10, 10)), 10, 9.0)
    assert new.peek(10, 19.0) == WindowTotals(20, 10)
    assert new.peek(10, 20.0) == WindowTotals(18, 9)
    assert new.hit(10, 28.0) == WindowTotals(3, 2)
    assert new.peek(10, 29.0) == WindowTotals(1, 1)


def test_finer_buckets_date_calls_no_earlier_than_they_were() -> None:
    new = TimeWindow(10, 20).ring(10)
    new.adopt(filled(TimeWindow(10, 5)), 10, 9.0)
    assert new.peek(10, 9.0) == WindowTotals(20, 10)
    assert new.peek(10, 18.0).calls == 2 * 2, "the two seconds of the last coarse bucket"


def test_a_ring_adopted_after_an_idle_gap_is_empty() -> None:
    new = TimeWindow(5, 5).ring(10)
    new.adopt(filled(TimeWindow(10, 10)), 10, 100.0)
    assert new.peek(10, 100.0) == WindowTotals(0, 0)
    assert new.settle(11, 100.0) == WindowTotals(1, 0)


@pytest.mark.parametrize("other", [TimeWindow(10).ring(0), CountWindow(10).ring(0)])
def test_a_ring_without_calls_or_of_another_kind_leaves_nothing(other: Any) -> None:  # noqa: ANN401 - rings
    other.clear(3)
    ring = TimeWindow(10).ring(3)
    ring.adopt(other, 3, 0.0)
    assert ring.peek(3, 0.0) == WindowTotals(0, 0)
    assert ring.settle(4, 0.0) == WindowTotals(1, 0)


def test_the_ring_that_is_adopted_last_replaces_what_came_before() -> None:
    ring = TimeWindow(10, 10).ring(10)
    ring.adopt(filled(TimeWindow(10, 10)), 10, 9.0)
    ring.adopt(TimeWindow(10, 10).ring(10), 10, 9.0)
    assert ring.peek(10, 9.0) == WindowTotals(0, 0)
    assert ring.settle(11, 9.0) == WindowTotals(1, 0)

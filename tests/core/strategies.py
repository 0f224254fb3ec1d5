"""Settings of breakers, drawn small so that everything happens within a few steps, with times whose sums are exact."""

from typing import Any

from hypothesis import strategies as st

from recloser._core.backoff import ExponentialBackoff
from recloser._core.trip import ConsecutiveFailures, FailureCount, FailureRate, SlowCallRate, TripRule
from recloser._core.windows import CountWindow, TimeWindow

TICK = 1 / 64

WINDOWS = st.sampled_from(
    [
        CountWindow(3),
        CountWindow(4),
        CountWindow(6),
        TimeWindow(1, 1),
        TimeWindow(2, 2),
        TimeWindow(4, 4),
        TimeWindow(8, 8),
    ]
)
"""All time windows have buckets of one second, so that one can take over what another holds without loss."""

FRACTIONS = st.sampled_from([0.25, 0.5, 0.6, 0.75, 1.0])
FEW = st.integers(1, 3)

SIMPLE_RULES: st.SearchStrategy[TripRule] = st.one_of(
    st.builds(ConsecutiveFailures, FEW),
    st.builds(ConsecutiveFailures, FEW, within_seconds=st.sampled_from([0.5, 3.0])),
    st.builds(FailureRate, FRACTIONS, window=WINDOWS, minimum_calls=FEW),
    st.builds(FailureCount, st.integers(1, 2), window=WINDOWS),
    st.builds(SlowCallRate, FRACTIONS, slow_call_seconds=st.just(1.0), window=WINDOWS, minimum_calls=FEW),
    st.builds(SlowCallRate, FRACTIONS, slow_call_seconds=st.just(2.0), window=WINDOWS, minimum_calls=FEW),
)
RULES: st.SearchStrategy[TripRule] = st.one_of(
    SIMPLE_RULES,
    SIMPLE_RULES,
    st.builds(lambda a, b: a | b, SIMPLE_RULES, SIMPLE_RULES),
    st.builds(lambda a, b, c: a | b | c, SIMPLE_RULES, SIMPLE_RULES, SIMPLE_RULES),
)

RESET_TIMEOUTS = st.sampled_from(
    [
        0,
        1,
        8,
        90,
        ExponentialBackoff(initial_seconds=1, multiplier=2, maximum_seconds=100, jitter=0),
        ExponentialBackoff(initial_seconds=2, multiplier=4, maximum_seconds=100, jitter=0.25),
    ]
)

OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "trip_when": RULES,
    "reset_timeout_seconds": RESET_TIMEOUTS,
    "success_threshold": FEW,
    "max_probes": FEW,
    "probe_timeout_seconds": st.sampled_from([None, 2, 8, 100]),
}
SETTINGS = st.fixed_dictionaries(OPTIONS)
CHANGES = st.fixed_dictionaries({}, optional=OPTIONS)

SECONDS = st.sampled_from([0.5, 1.0, 1 + TICK, 2.0, 2 + TICK])
"""How long calls take: at the limits of slow calls, and just longer."""

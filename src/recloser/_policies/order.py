"""Orders of policies that have a known drawback, each with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

AGAINST = {
    ("breaker", "retry"): (
        "the breaker sees one outcome for all attempts: retries hide failures from it and continue while it should be "
        "open; put the retry outside the breaker"
    ),
    ("breaker", "fallback"): (
        "the breaker sees the fallback's answer as a success and never opens; put the fallback outside the breaker"
    ),
    ("retry", "fallback"): (
        "the fallback answers after the first failure, so nothing is retried; put the fallback outside the retry"
    ),
    ("bulkhead", "retry"): (
        "a call keeps its place while it waits between its attempts; put the bulkhead inside the retry"
    ),
    ("rate_limit", "retry"): "the limit does not count further attempts; put the rate limit inside the retry",
    ("retry", "retry"): "the attempts of the two multiply; use one retry with all the attempts",
    ("breaker", "hedge"): (
        "the breaker sees one outcome for all attempts: the hedge hides slow and failed ones from it; put the breaker "
        "inside the hedge"
    ),
    ("timeout", "fallback"): (
        "the deadline cancels the fallback too, so it cannot answer; put the fallback outside the timeout"
    ),
    ("hedge", "retry"): ("each hedge makes all attempts, so one call becomes many; put the hedge inside the retry"),
}
"""By the kinds of the outer and the inner policy: the reason."""

TIMEOUT_OUTSIDE = (
    "the breaker sees a cancellation, not a failure, and has to infer from it that the dependency was too slow; put a "
    "timeout inside the breaker, instead or as well"
)
TWICE = "a call needs two of its permits at once, and the inner policy finds none if the outer one took the last"


def objections(kinds: Sequence[str]) -> Iterator[str]:
    """Iterate over the objections to an order of policies.

    Args:
        kinds: The kinds of the policies, outermost first.
    """
    for (outer, inner), reason in AGAINST.items():
        if outer in kinds and inner in kinds[kinds.index(outer) + 1 :]:
            yield f"{inner} inside {outer}: {reason}"
    if "breaker" in kinds:
        inside = kinds[kinds.index("breaker") + 1 :]
        if "timeout" in kinds and "timeout" not in inside:
            yield f"timeout outside breaker: {TIMEOUT_OUTSIDE}"

"""Orders of policies that the field warns against, each with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

AGAINST = {
    ("breaker", "retry"): (
        "the breaker sees one outcome for all attempts, so that retries hide failures from it, and they go on while it "
        "would be open: put the retry outside the breaker"
    ),
    ("breaker", "fallback"): (
        "the breaker sees the fallback's answer as a success and never opens: put the fallback outside the breaker"
    ),
    ("retry", "fallback"): (
        "the fallback answers the first failure, so that nothing is tried again: put the fallback outside the retry"
    ),
    ("bulkhead", "retry"): (
        "a call holds its place while it waits between its attempts: put the bulkhead inside the retry"
    ),
    ("rate_limit", "retry"): ("further attempts pass the limit uncounted: put the rate limit inside the retry"),
    ("retry", "retry"): "the attempts of the two multiply: give one of them all the attempts",
    ("breaker", "hedge"): (
        "the breaker sees one outcome for all attempts, so that a hedge hides slow and failed ones from it: put the "
        "breaker inside the hedge"
    ),
    ("timeout", "fallback"): (
        "when the deadline runs out, the fallback is cancelled with all the rest and answers nothing: put the fallback "
        "outside the timeout"
    ),
    ("hedge", "retry"): (
        "each hedge makes all attempts, so that one call becomes many: put the hedge inside the retry"
    ),
}
"""By kinds, outer and inner: why not."""

TIMEOUT_OUTSIDE = (
    "the breaker sees its call cancelled, not failed, and has to tell from the cancellation that the dependency was "
    "too slow: put a timeout inside the breaker, instead or as well"
)
TWICE = "a call needs two of its permits at once, and the inner one finds none when the outer one took the last"


def objections(kinds: Sequence[str]) -> Iterator[str]:
    """Say what is wrong with an order of policies.

    Args:
        kinds: What they are, outermost first.
    """
    for (outer, inner), reason in AGAINST.items():
        if outer in kinds and inner in kinds[kinds.index(outer) + 1 :]:
            yield f"{inner} inside {outer}: {reason}"
    if "breaker" in kinds:
        inside = kinds[kinds.index("breaker") + 1 :]
        if "timeout" in kinds and "timeout" not in inside:
            yield f"timeout outside breaker: {TIMEOUT_OUTSIDE}"

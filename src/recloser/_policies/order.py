"""Orders of policies that have a known drawback, each with the reason.

The usual order is `fallback > retry > bulkhead, rate limit > breaker > timeout`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
    ("hedge", "retry"): (
        "each hedge makes all attempts of the retry, and its budget pays for one; put the hedge inside the retry"
    ),
}
"""By the kinds of the outer and the inner policy: the reason."""

WAITING = {"bulkhead": "bulkhead with a queue", "rate_limit": "rate_limit that waits"}
"""By the kind of a policy: what to call it if calls may wait in it."""

WAITS_IN_BREAKER = (
    "a call that waits has passed the breaker already, and reaches the dependency although the breaker has opened in "
    "the meantime; put it outside the breaker"
)
WAITS_IN_TIMEOUT = (
    "the wait counts towards the deadline, so calls that wait fail although the dependency is healthy; put a timeout "
    "inside it, instead or as well"
)
TIMEOUT_OUTSIDE = (
    "the breaker sees a cancellation, not a failure, and has to infer from it that the dependency was too slow; put a "
    "timeout inside the breaker, instead or as well"
)
TWICE = {
    "breaker": "each success counts twice",
    "bulkhead": "a call needs two of its places at once, and the inner one finds none if the outer one took the last",
}
"""By the kind of a policy: why it should be in a pipeline once only."""


class Layer(NamedTuple):
    """A policy as the order sees it.

    Attributes:
        kind: The kind of the policy.
        may_wait: Whether a call may wait in it to be admitted.
    """

    kind: str
    may_wait: bool = False


def objections(layers: Sequence[Layer]) -> Iterator[str]:
    """Iterate over the objections to an order of policies.

    Args:
        layers: The policies, outermost first.
    """
    kinds = [layer.kind for layer in layers]
    for (outer, inner), reason in AGAINST.items():
        if outer in kinds and inner in kinds[kinds.index(outer) + 1 :]:
            yield f"{inner} inside {outer}: {reason}"
    if "breaker" in kinds:
        inside = kinds[kinds.index("breaker") + 1 :]
        if "timeout" in kinds and "timeout" not in inside:
            yield f"timeout outside breaker: {TIMEOUT_OUTSIDE}"
    for number, layer in enumerate(layers):
        if layer.may_wait and layer.kind in WAITING:
            yield from _waits_inside(WAITING[layer.kind], kinds[:number], kinds[number + 1 :])


def _waits_inside(waiting: str, outside: Sequence[str], inside: Sequence[str]) -> Iterator[str]:
    if "breaker" in outside:
        yield f"{waiting} inside breaker: {WAITS_IN_BREAKER}"
    if "timeout" in outside and "timeout" not in inside:
        yield f"{waiting} inside timeout: {WAITS_IN_TIMEOUT}"

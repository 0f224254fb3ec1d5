"""The metrics of policies, read from their `health()`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from recloser.telemetry._definitions import MetricDefinition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Health: TypeAlias = Mapping[str, Any]
    Healths: TypeAlias = Mapping[str, list[tuple[str, Health]]]
    """The names and the health of the policies of each kind."""
    Values: TypeAlias = Iterable[tuple[tuple[str, ...], float]]

KINDS = ("retry", "bulkhead", "rate_limit", "hedge", "fallback")

_WANTED = "policies must be an iterable of Retry, Bulkhead, RateLimit, Hedge, Fallback and Pipeline objects"


class CountedPolicy(Protocol):
    """A policy that counts what becomes of its calls, or a function that a `Fallback` has decorated."""

    def health(self) -> Mapping[str, object]:
        """Return the counts."""
        ...


class ReportingPolicy(NamedTuple):
    """A policy that has metrics.

    Attributes:
        kind: What it is, such as "retry".
        name: The name of its series.
        policy: The policy itself, or a function that a `Fallback` protects.
    """

    kind: str
    name: str
    policy: Any


class Policies:
    """The policies that have metrics.

    Args:
        policies: Policies, functions that a `Fallback` has decorated, and pipelines, which stand for their policies.
            One that occurs several times is there once.

    Raises:
        TypeError: The argument is no iterable of such objects.
        ValueError: Two policies have the same kind and name.
    """

    def __init__(self, policies: object) -> None:
        if isinstance(policies, str) or not isinstance(policies, Iterable):
            raise TypeError(f"{_WANTED}, not {policies!r}")
        found: dict[tuple[str, str], ReportingPolicy] = {}
        for each in (part for policy in policies for part in _parts(policy)):
            known = found.setdefault((each.kind, each.name), each)
            if known.policy is not each.policy:
                raise ValueError(
                    f"policies of one kind must have different names, but two of kind {each.kind} are named "
                    f"{each.name!r}: give one of them another name"
                )
        self.reporting: tuple[ReportingPolicy, ...] = tuple(found.values())
        kinds = {each.kind for each in self.reporting}
        self.metrics: list[MetricDefinition[Healths]] = [metric for metric in POLICY_METRICS if metric.subject in kinds]

    def read(self) -> Healths:
        """Return what the policies have counted."""
        healths: dict[str, list[tuple[str, Health]]] = {kind: [] for kind in KINDS}
        for kind, name, policy in self.reporting:
            healths[kind].append((name, policy.health()))
        return healths


def _parts(policy: Any) -> Iterator[ReportingPolicy]:  # noqa: ANN401 - to be checked
    """Iterate over the policies that an object stands for."""
    if getattr(policy, "kind", None) == "pipeline":
        for inner in policy.policies:
            if getattr(inner, "kind", None) in KINDS:  # others, like timeouts, count nothing
                yield ReportingPolicy(inner.kind, inner.name, inner)
    elif callable(getattr(policy, "health", None)) and getattr(policy, "kind", None) in KINDS:
        yield ReportingPolicy(policy.kind, policy.name, policy)
    elif callable(getattr(policy, "health", None)) and hasattr(policy, "sources"):
        yield ReportingPolicy("fallback", policy.__qualname__, policy)
    else:
        raise TypeError(f"{_WANTED}, not with {policy!r}")


def _total(key: str) -> Callable[[Health], Values]:
    return lambda health: [((), health[key])]


def _outcomes(health: Health) -> Values:
    for outcome, key in RETRY_OUTCOMES.items():
        yield (outcome,), health[key]


def _of_links(key: str) -> Callable[[Health], Values]:
    return lambda health: (((source,), counts[key]) for source, counts in health["links"].items())


def _define(
    name: str,
    kind: Literal["counter", "sum"],
    unit: str,
    help_text: str,
    values: Callable[[Health], Values],
    *labels: str,
) -> MetricDefinition[Healths]:
    subject = next(subject for subject in KINDS if name.startswith(f"{subject}_"))

    def read(healths: Healths) -> Iterator[tuple[tuple[str, ...], float]]:
        for policy, health in healths[subject]:
            for rest, value in values(health):
                yield (policy, *rest), value

    return MetricDefinition(subject, name, kind, unit, help_text, ("name", *labels), read)


RETRY_OUTCOMES = {
    "success": "succeeded_first_total",
    "success_after_retry": "succeeded_retried_total",
    "failure": "failed_total",
    "exhausted": "exhausted_total",
    "budget_refused": "budget_refused_total",
}

POLICY_METRICS = (
    _define("retry_calls", "counter", "{call}", "Calls, by how they ended.", _outcomes, "outcome"),
    _define("retry_retries", "counter", "{retry}", "Attempts after the first one of a call.", _total("retries_total")),
    _define("bulkhead_calls_running", "sum", "{call}", "Calls that are running.", _total("running")),
    _define("bulkhead_calls_waiting", "sum", "{call}", "Calls that are waiting for a place.", _total("waiting")),
    _define("bulkhead_max_concurrent", "sum", "{call}", "Calls that may run at once.", _total("max_concurrent")),
    _define("bulkhead_max_queue", "sum", "{call}", "Calls that may wait for a place.", _total("max_queue")),
    _define(
        "bulkhead_admissions",
        "counter",
        "{admission}",
        "Calls that got a place, at once or after a wait.",
        _total("admitted_total"),
    ),
    _define(
        "bulkhead_rejections",
        "counter",
        "{rejection}",
        "Calls that found the queue full, or waited too long.",
        _total("rejected_total"),
    ),
    _define(
        "rate_limit_admissions",
        "counter",
        "{admission}",
        "Calls that got a token, at once or after a wait.",
        _total("admitted_total"),
    ),
    _define(
        "rate_limit_delays", "counter", "{delay}", "Admitted calls that waited for a token.", _total("delayed_total")
    ),
    _define(
        "rate_limit_rejections",
        "counter",
        "{rejection}",
        "Calls that would have had to wait too long.",
        _total("rejected_total"),
    ),
    _define("hedge_calls", "counter", "{call}", "Calls that were started.", _total("calls_total")),
    _define("hedge_hedges", "counter", "{hedge}", "Attempts beside the first one of a call.", _total("hedges_total")),
    _define(
        "hedge_wins",
        "counter",
        "{win}",
        "Calls that were answered by an attempt beside the first one.",
        _total("won_by_hedge_total"),
    ),
    _define("hedge_failures", "counter", "{failure}", "Calls that ended with an exception.", _total("failed_total")),
    _define(
        "fallback_answers",
        "counter",
        "{answer}",
        "Calls that were answered, by the link that did.",
        _of_links("answers_total"),
        "source",
    ),
    _define(
        "fallback_errors",
        "counter",
        "{error}",
        "Calls that a link could not answer, by the link.",
        _of_links("errors_total"),
        "source",
    ),
    _define(
        "fallback_exhaustions",
        "counter",
        "{exhaustion}",
        "Calls that no link could answer.",
        _total("exhausted_total"),
    ),
)

"""What the demo observed, as plain values: answers, states, and the requests that arrived."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Ask", "BreakerHealth", "Exchange", "Health", "Kind", "Probe", "Report", "Step"]


class Kind(StrEnum):
    """Where an answer comes from."""

    ANSWER = "answer"
    ERROR = "error"
    REJECTED = "rejected"
    CACHED = "cached"
    STAND_IN = "stand-in"


@dataclass(frozen=True, slots=True)
class BreakerHealth:
    """What the resource `health://circuit-breakers` reports about one breaker.

    Attributes:
        state: Its state.
        retry_after: Seconds until it admits a probe; None while this is unknown.
        probes: Probes so far.
        admitted: Calls so far that it admitted, and that have ended.
    """

    state: str
    retry_after: float | None = 0.0
    probes: int = 0
    admitted: int = 0


Health = dict[str, BreakerHealth]


@dataclass(frozen=True, slots=True)
class Ask:
    """Calls of one tool, and the answer that each expects.

    Attributes:
        tool: The tool.
        arguments: Its arguments.
        kind: Where the answer should come from.
        begins: How the answer, or the text of the error, should begin.
        times: How many calls there are.
    """

    tool: str
    arguments: dict[str, object]
    kind: Kind
    begins: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Step:
    """Some calls, one after the other.

    Attributes:
        asks: The calls.
        reach: How many calls should reach each dependency meanwhile; none should reach the others.
        states: The states that breakers should have afterwards, as far as they change.
        breaks: The dependencies that fail from now on.
    """

    asks: tuple[Ask, ...]
    reach: dict[str, int] = field(default_factory=dict[str, int])
    states: dict[str, str] = field(default_factory=dict[str, str])
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """Calls of breakers whose reset timeout has elapsed: one call each is admitted, and held while others arrive.

    Attributes:
        held: For each dependency, the call that is its probe.
        meanwhile: The calls that arrive while the probes are held.
    """

    held: dict[str, Ask]
    meanwhile: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """Calls, and the answers that the client got.

    Attributes:
        ask: The calls.
        answers: Each different answer, with how often it came in a row.
        note: Shown in place of an answer while there is none.
    """

    ask: Ask
    answers: tuple[tuple[str, int], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a step.

    Attributes:
        exchanges: The calls, and the answers that the client got.
        before: The health before the step.
        after: The health after it.
        reached: How many calls reached each dependency meanwhile; None while some are on their way.
        broken: The dependencies that began to fail with this step.
        problems: What was not as expected, one sentence each.
    """

    exchanges: tuple[Exchange, ...]
    before: Health
    after: Health
    reached: Counter[str] | None
    broken: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

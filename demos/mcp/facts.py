"""What the demo saw: answers, states, and the requests that arrived, as plain values."""

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
    """What the resource `health://circuit-breakers` says of one breaker.

    Attributes:
        state: Its state.
        retry_after: Seconds until it admits a probe; None while that is not known.
        probes: Probes so far.
        admitted: Calls so far that it let through, and that have ended.
    """

    state: str
    retry_after: float | None = 0.0
    probes: int = 0
    admitted: int = 0


Health = dict[str, BreakerHealth]


@dataclass(frozen=True, slots=True)
class Ask:
    """Calls of one tool, and what is to come of each.

    Attributes:
        tool: The tool.
        arguments: Its arguments.
        kind: Where the answer is to come from.
        begins: What the answer, or the text of the error, is to begin with.
        times: How often it is asked.
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
        reach: What is to reach each dependency meanwhile; nothing is to reach the others.
        states: The states that breakers are to have afterwards, as far as they change.
        breaks: The dependencies that fail from now on.
    """

    asks: tuple[Ask, ...]
    reach: dict[str, int] = field(default_factory=dict[str, int])
    states: dict[str, str] = field(default_factory=dict[str, str])
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """Calls of breakers whose time has come: one each is let through, and kept waiting while others come.

    Attributes:
        held: For each dependency, the call that is its probe.
        meanwhile: The calls that come while these are on their way.
    """

    held: dict[str, Ask]
    meanwhile: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked, and what the client saw.

    Attributes:
        ask: The calls.
        answers: Each different answer, with the number of times that it came in a row.
        note: Said in place of the answers of calls that have none yet.
    """

    ask: Ask
    answers: tuple[tuple[str, int], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a step.

    Attributes:
        exchanges: What the client saw.
        before: What health said before.
        after: What it said afterwards.
        reached: What reached each dependency meanwhile; None while that is not over.
        broken: The dependencies that had just begun to fail.
        problems: What is not as it should be, one sentence each.
    """

    exchanges: tuple[Exchange, ...]
    before: Health
    after: Health
    reached: Counter[str] | None
    broken: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

"""What a call of a scripted dependency can come to: the steps that a `FaultPlan` is made of.

Steps are immutable values; `times` says for how many calls in a row a step of a script stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from recloser.lowlevel import checks

UNSET: Final[Any] = object()


@dataclass(frozen=True, slots=True)
class Succeed:
    """The call succeeds.

    Args:
        result: What it returns; by default what the wrapped function returns, None if nothing is wrapped.
        times: For how many calls in a row, >= 1.
    """

    result: Any = UNSET
    times: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what lies outside its range."""
        checks.count("times", self.times)


@dataclass(frozen=True, slots=True)
class Fail:
    """The call raises; the wrapped function is not called.

    Args:
        error: An exception, raised as it is each time, or a type, of which each call raises a new one.
        times: For how many calls in a row, >= 1.
    """

    error: BaseException | type[BaseException]
    times: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what can't be raised."""
        is_type = isinstance(self.error, type) and issubclass(self.error, BaseException)
        if not is_type and not isinstance(self.error, BaseException):
            raise TypeError(f"error must be an exception or a type of exceptions, not {self.error!r}")
        checks.count("times", self.times)


@dataclass(frozen=True, slots=True)
class Hang:
    """The call does not end, until it is cancelled; the wrapped function is not called.

    Args:
        times: For how many calls in a row, >= 1.
    """

    times: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what lies outside its range."""
        checks.count("times", self.times)


@dataclass(frozen=True, slots=True)
class Slow:
    """The call takes its time, and then does what another step says.

    Args:
        seconds: How long (finite, >= 0). If the plan has a `ManualClock` it is moved on, and nothing sleeps.
        then: What follows.
        times: For how many calls in a row, >= 1.
    """

    seconds: float
    then: Step = field(default_factory=Succeed)
    times: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what lies outside its range."""
        checks.seconds("seconds", self.seconds, zero=True)
        check_step("then", self.then)
        checks.count("times", self.times)


@dataclass(frozen=True, slots=True)
class Chance:
    """One of two steps, drawn for each call from the plan's seed.

    Args:
        rate: How often it is the first one, from 0 to 1.
        step: The one.
        otherwise: The other.
        times: For how many calls in a row, >= 1.
    """

    rate: float
    step: Step
    otherwise: Step = field(default_factory=Succeed)
    times: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what lies outside its range."""
        checks.rate("rate", self.rate, zero=True)
        check_step("step", self.step)
        check_step("otherwise", self.otherwise)
        checks.count("times", self.times)


@dataclass(frozen=True, slots=True)
class During:
    """One of two steps, by the time since the plan was made.

    Args:
        start_seconds: From when it is the first one (finite, >= 0).
        end_seconds: From when it is no more (above `start_seconds`; infinity is allowed).
        step: The one.
        otherwise: The other.
        times: For how many calls in a row, >= 1.
    """

    start_seconds: float
    end_seconds: float
    step: Step
    otherwise: Step = field(default_factory=Succeed)
    times: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what lies outside its range."""
        checks.seconds("start_seconds", self.start_seconds, zero=True)
        if self.end_seconds != math.inf:
            checks.seconds("end_seconds", self.end_seconds, zero=True)
        if self.end_seconds <= self.start_seconds:
            raise ValueError(
                f"end_seconds must be above start_seconds={self.start_seconds!r}, not {self.end_seconds!r}"
            )
        check_step("step", self.step)
        check_step("otherwise", self.otherwise)
        checks.count("times", self.times)


Step: TypeAlias = Succeed | Fail | Hang | Slow | Chance | During


def check_step(argument: str, step: object) -> None:
    """Refuse what is no step."""
    if not isinstance(step, Succeed | Fail | Hang | Slow | Chance | During):
        hint = ", as Fail(...)" if isinstance(step, BaseException | type) else ""
        raise TypeError(f"{argument} must be a step of a fault plan{hint}, not {step!r}")

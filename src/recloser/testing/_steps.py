"""The steps of a `FaultPlan`: what a call of a scripted dependency does.

Steps are immutable values. `times` is the number of consecutive calls that take a step of the script.
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
        result: The result; by default that of the wrapped function, or None without one.
        times: The number of consecutive calls, >= 1.
    """

    result: Any = UNSET
    times: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Check the arguments."""
        checks.count("times", self.times)


@dataclass(frozen=True, slots=True)
class Fail:
    """The call raises; the wrapped function is not called.

    Args:
        error: An exception, which each call raises, or a type, of which each call raises a new instance.
        times: The number of consecutive calls, >= 1.
    """

    error: BaseException | type[BaseException]
    times: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Check the arguments."""
        is_type = isinstance(self.error, type) and issubclass(self.error, BaseException)
        if not is_type and not isinstance(self.error, BaseException):
            raise TypeError(f"error must be an exception or a type of exceptions, not {self.error!r}")
        checks.count("times", self.times)


@dataclass(frozen=True, slots=True)
class Hang:
    """The call does not end until it is cancelled; the wrapped function is not called.

    Args:
        times: The number of consecutive calls, >= 1.
    """

    times: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Check the arguments."""
        checks.count("times", self.times)


@dataclass(frozen=True, slots=True)
class Slow:
    """The call takes some time, and then takes another step.

    Args:
        seconds: How long (finite, >= 0). If the clock of the plan is a `ManualClock`, it is moved and nothing sleeps.
        then: The step that follows.
        times: The number of consecutive calls, >= 1.
    """

    seconds: float
    then: Step = field(default_factory=Succeed)
    times: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Check the arguments."""
        checks.seconds("seconds", self.seconds, zero=True)
        check_step("then", self.then)
        checks.count("times", self.times)


@dataclass(frozen=True, slots=True)
class Chance:
    """One of two steps, drawn for each call from the seed of the plan.

    Args:
        rate: How often the first step is drawn, from 0 to 1.
        step: The first step.
        otherwise: The second step.
        times: The number of consecutive calls, >= 1.
    """

    rate: float
    step: Step
    otherwise: Step = field(default_factory=Succeed)
    times: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Check the arguments."""
        checks.rate("rate", self.rate, zero=True)
        check_step("step", self.step)
        check_step("otherwise", self.otherwise)
        checks.count("times", self.times)


@dataclass(frozen=True, slots=True)
class During:
    """One of two steps, by the time since the plan was created.

    Args:
        start_seconds: The time from which calls take the first step (finite, >= 0).
        end_seconds: The time from which they no longer do (above `start_seconds`; infinity is allowed).
        step: The first step.
        otherwise: The second step.
        times: The number of consecutive calls, >= 1.
    """

    start_seconds: float
    end_seconds: float
    step: Step
    otherwise: Step = field(default_factory=Succeed)
    times: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Check the arguments."""
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
    """Check that an argument is a step.

    Raises:
        TypeError: It is no step.
    """
    if not isinstance(step, Succeed | Fail | Hang | Slow | Chance | During):
        hint = ", as Fail(...)" if isinstance(step, BaseException | type) else ""
        raise TypeError(f"{argument} must be a step of a fault plan{hint}, not {step!r}")

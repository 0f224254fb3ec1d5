"""A breaker's settings as one validated value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from recloser._core import checks
from recloser._core.defaults import ConsecutiveFailures, ConstantBackoff, ResetTimeout, Rule
from recloser._core.slots import check_synchronous
from recloser._core.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._core.backoff import Backoff
    from recloser._core.outcomes import ExceptionSpec
    from recloser._core.trip import TripRule

    DescribeError = Callable[[BaseException], str] | Literal["type"] | None

DEFAULT_RULE = ConsecutiveFailures(5)
DEFAULT_BACKOFF = ConstantBackoff(60)
TYPE_ONLY = "type"
"""The `describe_error` that describes an exception by its type only."""
SHORTEST_DEFAULT_PROBE_TIMEOUT_SECONDS = 60.0


class Options(TypedDict, total=False):
    """The settings of `CircuitBreaker`, as the arguments of its constructor and of `reconfigure()`."""

    failure_threshold: int | None
    reset_timeout_seconds: float | Backoff
    expected_exception: ExceptionSpec
    ignored_exception: ExceptionSpec
    failed_result: Callable[[Any], object] | None
    trip_when: TripRule | None
    success_threshold: int
    max_probes: int
    probe_timeout_seconds: float | None
    overdue_after_seconds: float | None
    shadow: bool
    describe_error: DescribeError


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Settings(Value):
    """The settings of a breaker; `CircuitBreaker` describes each field."""

    trip_when: TripRule = DEFAULT_RULE
    backoff: Backoff = DEFAULT_BACKOFF
    expected_exception: ExceptionSpec = Exception
    ignored_exception: ExceptionSpec = ()
    failed_result: Callable[[Any], object] | None = None
    success_threshold: int = 1
    max_probes: int = 1
    probe_timeout_seconds: float | None = None
    overdue_after_seconds: float | None = None
    shadow: bool = False
    describe_error: DescribeError = None

    def __post_init__(self) -> None:
        """Check all values."""
        if not isinstance(self.trip_when, Rule):
            hint = "; join several with |" if isinstance(self.trip_when, list | tuple | set) else ""
            raise TypeError(f"trip_when must be a trip rule such as FailureRate(0.5), not {self.trip_when!r}{hint}")
        check_exceptions("expected_exception", self.expected_exception)
        check_exceptions("ignored_exception", self.ignored_exception)
        if self.failed_result is not None and not callable(self.failed_result):
            raise TypeError(f"failed_result must be a predicate on the result or None, not {self.failed_result!r}")
        check_synchronous("failed_result", self.failed_result, "predicate")
        object.__setattr__(self, "success_threshold", checks.count("success_threshold", self.success_threshold))
        object.__setattr__(self, "max_probes", checks.count("max_probes", self.max_probes))
        self._check("probe_timeout_seconds", checks.seconds)
        self._check("overdue_after_seconds", checks.limit)
        checks.flag("shadow", self.shadow)
        _check_description(self.describe_error)

    def probe_limit(self, open_seconds: float) -> float:
        """Return how many seconds a probe can take after the given reset timeout."""
        if self.probe_timeout_seconds is not None:
            return self.probe_timeout_seconds
        return max(open_seconds, SHORTEST_DEFAULT_PROBE_TIMEOUT_SECONDS)

    def changed(self, options: dict[str, Any]) -> Settings:
        """Return these settings, changed by the given options of `CircuitBreaker`.

        Raises:
            TypeError: An option is unknown, or a value is of the wrong type.
            ValueError: A value is out of range, or `trip_when` and `failure_threshold` are both given.
        """
        unknown = options.keys() - OPTIONS
        if unknown:
            raise TypeError(f"unknown setting {', '.join(sorted(unknown))}; known are {', '.join(sorted(OPTIONS))}")
        fields = {name: value for name, value in options.items() if name != "trip_when" or value is not None}
        threshold = fields.pop("failure_threshold", None)
        if threshold is not None:
            if "trip_when" in fields:
                raise ValueError(
                    f"trip_when={fields['trip_when']} and failure_threshold={threshold!r} exclude each other: "
                    "give the threshold to the rule"
                )
            fields["trip_when"] = ConsecutiveFailures(checks.count("failure_threshold", threshold))
        if "reset_timeout_seconds" in fields:
            fields["backoff"] = _backoff(fields.pop("reset_timeout_seconds"))
        return replace(self, **fields)

    def _check(self, argument: str, check: Callable[[str, object], float]) -> None:
        """Check a duration that may be None."""
        value = getattr(self, argument)
        if value is not None:
            object.__setattr__(self, argument, check(argument, value))


def _check_description(describe_error: object) -> None:
    if describe_error is None or (isinstance(describe_error, str) and describe_error == TYPE_ONLY):
        return
    if isinstance(describe_error, type) or not callable(describe_error):
        wanted = f"a function that returns an exception as text, {TYPE_ONLY!r} or None"
        kind = ValueError if isinstance(describe_error, str) else TypeError
        raise kind(f"describe_error must be {wanted}, not {describe_error!r}")
    check_synchronous("describe_error", describe_error, "function that returns an exception as text")


OPTIONS = frozenset(Settings.__slots__) - {"backoff"} | {"failure_threshold", "reset_timeout_seconds"}
"""The names of the settings, as arguments of `CircuitBreaker` and `reconfigure()`."""


def _backoff(value: object) -> Backoff:
    if isinstance(value, ResetTimeout):
        return cast("Backoff", value)
    try:
        return ConstantBackoff(checks.seconds("reset_timeout_seconds", value, zero=True))
    except TypeError:
        wanted = "a finite number of seconds >= 0 or an ExponentialBackoff"
        raise TypeError(f"reset_timeout_seconds must be {wanted}, not {value!r}") from None


def check_exceptions(argument: str, spec: object) -> None:
    types = spec if isinstance(spec, tuple) else (spec,)
    refuse_breaker(argument, spec)
    check_synchronous(argument, spec, "predicate")
    if all(isinstance(item, type) and issubclass(item, BaseException) for item in types):
        return
    if isinstance(spec, type | tuple) or not callable(spec):
        raise TypeError(
            f"{argument} must be an exception type, a tuple of exception types, or a predicate on the exception, "
            f"not {spec!r}"
        )


def refuse_breaker(argument: str, spec: object) -> None:
    """Refuse a breaker where a predicate on exceptions is wanted: a breaker can be called, too."""
    if callable(getattr(spec, "is_failure", None)):
        raise TypeError(f"{argument} must be a predicate, not {spec!r}; write {argument}=breaker.is_failure")


DEFAULTS = Settings()
"""What holds where nothing else is given."""

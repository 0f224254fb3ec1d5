from typing import Any

import pytest

from recloser._core.backoff import ExponentialBackoff
from recloser._core.defaults import ConstantBackoff
from recloser._core.settings import OPTIONS, SHORTEST_DEFAULT_PROBE_TIMEOUT_SECONDS, Settings
from recloser._core.trip import ConsecutiveFailures, FailureRate

NAN = float("nan")
INF = float("inf")


def changed(**options: Any) -> Settings:  # noqa: ANN401 - settings
    return Settings().changed(options)


def test_defaults_are_the_documented_ones() -> None:
    settings = Settings()
    assert settings.trip_when == ConsecutiveFailures(5)
    assert settings.backoff == ConstantBackoff(60)
    assert settings.expected_exception is Exception
    assert settings.ignored_exception == ()
    assert settings.failed_result is None
    assert (settings.success_threshold, settings.max_probes) == (1, 1)
    assert settings.probe_timeout_seconds is None
    assert settings.overdue_after_seconds is None
    assert settings.shadow is False


def test_settings_are_a_value() -> None:
    assert Settings() == Settings()
    with pytest.raises(AttributeError):
        Settings().max_probes = 2  # type: ignore[misc]


def test_options_are_named_as_the_breaker_takes_them() -> None:
    assert sorted(OPTIONS) == [
        "describe_error",
        "expected_exception",
        "failed_result",
        "failure_threshold",
        "ignored_exception",
        "max_probes",
        "overdue_after_seconds",
        "probe_timeout_seconds",
        "reset_timeout_seconds",
        "shadow",
        "success_threshold",
        "trip_when",
    ]


def test_a_changed_copy_differs_only_in_what_was_named() -> None:
    before = changed(failure_threshold=3, success_threshold=2)
    after = before.changed({"max_probes": 4})
    assert (after.trip_when, after.success_threshold, after.max_probes) == (ConsecutiveFailures(3), 2, 4)
    assert before.max_probes == 1
    assert before.changed({}) == before


def test_a_failure_threshold_is_short_for_consecutive_failures() -> None:
    assert changed(failure_threshold=7).trip_when == ConsecutiveFailures(7)


def test_none_leaves_the_rule_as_it_is() -> None:
    before = changed(failure_threshold=3)
    assert before.changed({"trip_when": None, "failure_threshold": None}) == before
    assert before.changed({"trip_when": None, "failure_threshold": 4}).trip_when == ConsecutiveFailures(4)
    assert before.changed({"trip_when": FailureRate(0.5), "failure_threshold": None}).trip_when == FailureRate(0.5)


def test_a_rule_and_a_failure_threshold_exclude_each_other() -> None:
    text = "^trip_when=.* and failure_threshold=3 exclude each other: give the threshold to the rule$"
    with pytest.raises(ValueError, match=text):
        changed(trip_when=FailureRate(0.5), failure_threshold=3)


@pytest.mark.parametrize(
    ("value", "backoff"),
    [
        (0, ConstantBackoff(0)),
        (2.5, ConstantBackoff(2.5)),
        (ConstantBackoff(3), ConstantBackoff(3)),
        (ExponentialBackoff(jitter=0), ExponentialBackoff(jitter=0)),
    ],
)
def test_a_reset_timeout_is_a_number_or_a_backoff(value: object, backoff: object) -> None:
    assert changed(reset_timeout_seconds=value).backoff == backoff


def test_unknown_names_are_refused_with_those_that_are_known() -> None:
    with pytest.raises(TypeError) as caught:
        changed(max_probe=2, backoff=3, max_probes=2)
    assert str(caught.value) == f"unknown setting backoff, max_probe; known are {', '.join(sorted(OPTIONS))}"


@pytest.mark.parametrize("value", [5, "rule", ConsecutiveFailures, lambda: True])
def test_a_rule_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"^trip_when must be a trip rule such as FailureRate\(0\.5\), not "):
        changed(trip_when=value)


def test_nothing_is_no_rule() -> None:
    with pytest.raises(TypeError, match="^trip_when must be a trip rule"):
        Settings(trip_when=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("argument", ["expected_exception", "ignored_exception"])
@pytest.mark.parametrize(
    "spec", [Exception, KeyboardInterrupt, ExceptionGroup, (), (ValueError, OSError), lambda exc: exc, str.istitle]
)
def test_exceptions_are_named_by_type_tuple_or_predicate(argument: str, spec: object) -> None:
    assert getattr(changed(**{argument: spec}), argument) is spec


@pytest.mark.parametrize("argument", ["expected_exception", "ignored_exception"])
@pytest.mark.parametrize(
    "spec",
    [None, 5, "ValueError", int, object, ValueError(), [ValueError], (ValueError, int), (ValueError, (OSError,))],
)
def test_what_names_no_exceptions_is_refused(argument: str, spec: object) -> None:
    with pytest.raises(TypeError) as caught:
        changed(**{argument: spec})
    wanted = "an exception type, a tuple of exception types, or a predicate on the exception"
    assert str(caught.value) == f"{argument} must be {wanted}, not {spec!r}"


def test_a_tuple_cannot_hold_a_predicate() -> None:
    with pytest.raises(TypeError, match="^expected_exception must be an exception type, "):
        changed(expected_exception=(ValueError, lambda exc: exc))


class AsyncPredicate:
    async def __call__(self, what: object) -> object:
        return what


async def ask(what: object) -> object:
    return what


@pytest.mark.parametrize("argument", ["expected_exception", "ignored_exception", "failed_result"])
@pytest.mark.parametrize("predicate", [ask, AsyncPredicate()])
def test_a_predicate_is_synchronous(argument: str, predicate: object) -> None:
    with pytest.raises(TypeError) as caught:
        changed(**{argument: predicate})
    assert str(caught.value) == f"{argument} must be a synchronous predicate, {predicate!r} is asynchronous"


def test_a_predicate_on_results_is_callable_or_nothing() -> None:
    assert changed(failed_result=bool).failed_result is bool
    assert changed(failed_result=None).failed_result is None
    with pytest.raises(TypeError, match="^failed_result must be a predicate on the result or None, not 5$"):
        changed(failed_result=5)


@pytest.mark.parametrize("argument", ["failure_threshold", "success_threshold", "max_probes"])
@pytest.mark.parametrize(
    ("value", "error"),
    [(0, ValueError), (-2, ValueError), (1.0, TypeError), (True, TypeError), ("1", TypeError), (NAN, TypeError)],
)
def test_counts_are_integers_from_one_on(argument: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"^{argument} must be an integer >= 1, not {value!r}$"):
        changed(**{argument: value})


@pytest.mark.parametrize(
    ("argument", "sign"),
    [("reset_timeout_seconds", ">="), ("probe_timeout_seconds", ">")],
)
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-1, ValueError),
        (NAN, ValueError),
        (INF, ValueError),
        (10**400, ValueError),
        (True, TypeError),
        ("1", TypeError),
    ],
)
def test_durations_are_finite_and_not_negative(argument: str, sign: str, value: object, error: type[Exception]) -> None:
    other = " or an ExponentialBackoff" if argument == "reset_timeout_seconds" and error is TypeError else ""
    with pytest.raises(error, match=f"^{argument} must be a finite number of seconds {sign} 0{other}, not {value!r}$"):
        changed(**{argument: value})


@pytest.mark.parametrize(
    ("value", "error"),
    [(-1, ValueError), (NAN, ValueError), (10**400, ValueError), (True, TypeError), ("1", TypeError)],
)
def test_a_limit_is_not_negative(value: object, error: type[Exception]) -> None:
    wanted = f"^overdue_after_seconds must be a number of seconds >= 0, or math.inf, not {value!r}$"
    with pytest.raises(error, match=wanted):
        changed(overdue_after_seconds=value)


def test_a_limit_may_be_infinite() -> None:
    assert changed(overdue_after_seconds=INF).overdue_after_seconds == INF


def test_only_a_probe_timeout_may_not_be_zero() -> None:
    settings = changed(reset_timeout_seconds=0, overdue_after_seconds=0)
    assert (settings.backoff, settings.overdue_after_seconds) == (ConstantBackoff(0), 0.0)
    with pytest.raises(ValueError, match="^probe_timeout_seconds must be a finite number of seconds > 0, not 0$"):
        changed(probe_timeout_seconds=0)


def test_a_reset_timeout_cannot_be_nothing() -> None:
    with pytest.raises(
        TypeError, match="^reset_timeout_seconds must be a finite .* or an ExponentialBackoff, not None$"
    ):
        changed(reset_timeout_seconds=None)


def test_durations_are_kept_as_floats() -> None:
    settings = changed(probe_timeout_seconds=3, overdue_after_seconds=4)
    assert [type(settings.probe_timeout_seconds), type(settings.overdue_after_seconds)] == [float, float]


@pytest.mark.parametrize("value", [1, 0, None, "yes"])
def test_shadow_is_a_flag(value: object) -> None:
    with pytest.raises(TypeError, match=f"^shadow must be True or False, not {value!r}$"):
        changed(shadow=value)


def test_a_probe_may_take_as_long_as_the_breaker_was_open_and_at_least_a_minute() -> None:
    assert Settings().probe_limit(5) == SHORTEST_DEFAULT_PROBE_TIMEOUT_SECONDS == 60
    assert Settings().probe_limit(300) == 300


def test_a_given_probe_timeout_holds_whatever_the_open_time() -> None:
    assert changed(probe_timeout_seconds=2).probe_limit(300) == 2
    assert changed(probe_timeout_seconds=500).probe_limit(1) == 500

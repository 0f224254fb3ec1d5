import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import pytest

from recloser._core import checks

INF = float("inf")
NAN = float("nan")
HUGE = 10**400

Check = Callable[[str, Any], object]

SECONDS: Check = checks.seconds
SECONDS_OR_ZERO: Check = partial(checks.seconds, zero=True)
RATE_OR_ZERO: Check = partial(checks.rate, zero=True)
FROM_TWO: Check = partial(checks.number_at_least, least=2)

RANGES: list[tuple[Check, str]] = [
    (SECONDS, "a finite number of seconds > 0"),
    (SECONDS_OR_ZERO, "a finite number of seconds >= 0"),
    (checks.seconds_or_none, "a finite number of seconds > 0, or None"),
    (checks.rate, "a rate with 0 < rate <= 1"),
    (RATE_OR_ZERO, "a rate with 0 <= rate <= 1"),
    (checks.fraction, "a fraction with 0 <= fraction <= 1"),
    (FROM_TWO, "a finite number >= 2"),
    (checks.count, "an integer >= 1"),
]
UNBOUNDED: list[tuple[Check, str]] = [(checks.instant, "a finite number of seconds"), (checks.integer, "an integer")]


@pytest.mark.parametrize(("check", "wanted"), [*RANGES, *UNBOUNDED])
@pytest.mark.parametrize("value", [True, False, "1", Decimal(1), [1], 1j])
def test_what_is_no_number_is_a_type_error(check: Check, wanted: str, value: object) -> None:
    with pytest.raises(TypeError) as caught:
        check("dose", value)
    assert str(caught.value) == f"dose must be {wanted}, not {value!r}"


@pytest.mark.parametrize(("check", "wanted"), [row for row in [*RANGES, *UNBOUNDED] if "None" not in row[1]])
def test_none_is_a_type_error(check: Check, wanted: str) -> None:
    with pytest.raises(TypeError, match=f"^dose must be {wanted}, not None$"):
        check("dose", None)


def test_none_passes_where_it_is_allowed() -> None:
    assert checks.seconds_or_none("dose", None) is None


@pytest.mark.parametrize(("check", "wanted"), [row for row in RANGES if row[0] is not checks.count])
@pytest.mark.parametrize("value", [NAN, INF, -INF, -1, -1e-9, HUGE, -HUGE])
def test_what_is_not_finite_or_negative_is_a_value_error(check: Check, wanted: str, value: object) -> None:
    with pytest.raises(ValueError, match="^dose must be ") as caught:
        check("dose", value)
    assert str(caught.value) == f"dose must be {wanted}, not {value!r}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (SECONDS, 0),
        (SECONDS, 0.0),
        (SECONDS, -0.0),
        (checks.rate, 0),
        (checks.rate, 1.0000001),
        (checks.rate, Fraction(1, HUGE)),
        (RATE_OR_ZERO, 1.0000001),
        (checks.fraction, 1.0000001),
        (FROM_TWO, 1.9999999),
        (checks.count, 0),
        (checks.count, -3),
    ],
)
def test_what_lies_just_outside_the_range_is_a_value_error(check: Check, value: object) -> None:
    with pytest.raises(ValueError, match="^dose must be "):
        check("dose", value)


@pytest.mark.parametrize("value", [NAN, INF, -INF, HUGE, -HUGE])
def test_an_instant_is_finite(value: float) -> None:
    with pytest.raises(ValueError, match="^dose must be a finite number of seconds, not ") as caught:
        checks.instant("dose", value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("value", [1.0, 1.5, NAN, INF])
def test_a_float_is_no_count(value: float) -> None:
    with pytest.raises(TypeError, match="^dose must be an integer >= 1, not "):
        checks.count("dose", value)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (SECONDS, 5e-324),
        (SECONDS, 1e300),
        (SECONDS_OR_ZERO, 0),
        (checks.seconds_or_none, 0.5),
        (checks.rate, 5e-324),
        (checks.rate, 1),
        (RATE_OR_ZERO, 0),
        (checks.fraction, 0),
        (checks.fraction, 1),
        (FROM_TWO, 2),
        (SECONDS, Fraction(1, 2)),
        (checks.instant, -1e300),
        (checks.instant, 0),
    ],
)
def test_what_lies_in_the_range_is_returned_as_a_float(check: Check, value: float) -> None:
    checked = check("dose", value)
    assert checked == value
    assert type(checked) is float


def test_a_count_is_returned_as_an_int() -> None:
    assert checks.count("dose", 10**30) == 10**30
    assert checks.count("dose", 1) == 1


@pytest.mark.parametrize("value", [0, -3, HUGE])
def test_an_integer_has_no_bounds(value: int) -> None:
    assert checks.integer("dose", value) == value


@pytest.mark.parametrize("value", [True, False])
def test_a_flag_is_a_bool(value: bool) -> None:  # noqa: FBT001 - it is the value under test
    assert checks.flag("dose", value) is value


@pytest.mark.parametrize("value", [0, 1, None, "yes"])
def test_nothing_else_is_a_flag(value: object) -> None:
    with pytest.raises(TypeError, match=f"^dose must be True or False, not {value!r}$"):
        checks.flag("dose", value)


def test_a_line_has_no_line_ends_and_no_runs_of_white_space() -> None:
    assert checks.one_line("dose", " two\n\tspoons  of it ") == "two spoons of it"


@pytest.mark.parametrize("value", [None, 5, b"two"])
def test_nothing_else_is_a_line(value: object) -> None:
    with pytest.raises(TypeError, match=re.escape(f"dose must be a string, not {value!r}")):
        checks.one_line("dose", value)


BOUNDS = "a sequence of bounds in seconds, each finite, > 0 and above the last"


@pytest.mark.parametrize("value", [(), [], (0.5,), [1, 2.5, Fraction(7, 2)], range(1, 4)])
def test_bounds_are_returned_as_floats(value: Sequence[float]) -> None:
    checked = checks.bounds("dose", value)
    assert checked == tuple(value)
    assert all(type(bound) is float for bound in checked)


@pytest.mark.parametrize("value", [(0,), (-1, 1), (1, 1), (2, 1), (1, INF), (NAN,), (1, NAN, 2)])
def test_bounds_ascend_from_zero_and_are_finite(value: Sequence[float]) -> None:
    with pytest.raises(ValueError, match=f"^dose must be {BOUNDS}, not "):
        checks.bounds("dose", value)


@pytest.mark.parametrize("value", ["12", 1.0, None, {1.0, 2.0}, (1, "2"), (True, 2)])
def test_nothing_else_is_bounds(value: object) -> None:
    with pytest.raises(TypeError, match=f"^dose must be {BOUNDS}, not "):
        checks.bounds("dose", value)

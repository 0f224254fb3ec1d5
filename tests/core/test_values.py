"""What the immutable values of the core share."""

from dataclasses import dataclass

import pytest

from recloser._core.values import Value


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Point(Value):
    x: float
    y: float = 0.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NamedPoint(Point):
    name: str = "a"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pixel(Value):
    x: float
    y: float


def test_values_with_equal_fields_are_equal_and_have_equal_hashes() -> None:
    assert Point(1.0) == Point(1, 0)
    assert hash(Point(1.0)) == hash(Point(1, 0))


def test_values_that_differ_in_a_field_are_not_equal() -> None:
    assert Point(1) != Point(1, 2)
    assert NamedPoint(1) != NamedPoint(1, name="b")


def test_values_of_different_classes_are_not_equal() -> None:
    assert Point(1, 2) != Pixel(1, 2)
    assert Point(1) != NamedPoint(1)
    assert Point(1) != (1, 0)


def test_a_value_that_contains_what_has_no_hash_has_none() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point([]))  # type: ignore[arg-type]


def test_a_value_is_shown_as_the_call_that_makes_it() -> None:
    assert repr(NamedPoint(1, name="b")) == "NamedPoint(x=1, y=0.0, name='b')"

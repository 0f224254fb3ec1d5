"""What the immutable values of the core share: comparing, hashing and showing them by their fields.

A dataclass compiles these methods for every class. That takes a third of the time to make the class, and dataclasses
take half of the time to import recloser. So the values inherit the methods, and are made with
`@dataclass(frozen=True, slots=True, eq=False, repr=False)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from dataclasses import Field


class Value:
    """The base class of dataclasses that are equal if they are of one class and all their fields are equal."""

    __slots__ = ()

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __eq__(self, other: object) -> bool:
        """Return whether the other one is of the same class and has equal fields."""
        return _fields(self) == _fields(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        """Return a hash of all fields."""
        return hash(_fields(self))

    def __repr__(self) -> str:
        """Return the class and all fields, as a call that makes an equal value."""
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__)
        return f"{type(self).__qualname__}({fields})"


def _fields(value: Value) -> tuple[object, ...]:
    return tuple([getattr(value, name) for name in value.__dataclass_fields__])

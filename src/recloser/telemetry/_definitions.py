"""How a metric is defined, once for both exporters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class MetricDefinition(Generic[S]):
    """A metric that is read from what is counted anyway.

    Attributes:
        subject: What it is about: both names and the names of the attributes begin with it.
        name: Its name in Prometheus, without the `_total` of a counter; it ends with the unit, if that is no number of
            things.
        kind: A counter never decreases. The values of a sum can be added up over labels, those of a gauge can't.
        unit: Its unit in UCUM: `s`, `1` for a ratio, or what it counts in braces.
        help: One sentence that describes it.
        labels: The names of its labels in Prometheus.
        read: Iterates over the values of the labels and the value of each series.
    """

    subject: str
    name: str
    kind: Literal["counter", "sum", "gauge"]
    unit: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[S], Iterable[tuple[tuple[str, ...], float]]]

    @property
    def dotted_name(self) -> str:
        """The name in OpenTelemetry, where units of time are not part of names."""
        return f"{self.subject}.{self.name.removeprefix(f'{self.subject}_').removesuffix('_seconds')}"

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names of its labels in OpenTelemetry."""
        return tuple(f"{self.subject}.{label}" for label in self.labels)

"""What `instrument()` has set up, and which registries report already."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import ExitStack
    from types import TracebackType
    from typing import Self

    from recloser import BreakerRegistry
    from recloser.telemetry._policy_metrics import ReportingPolicy


class Instrumentation:
    """The reporting that `instrument()` has set up; a context manager that stops it."""

    def __init__(self, cleanup: ExitStack) -> None:
        self._cleanup = cleanup

    def close(self) -> None:
        """Stop reporting. Closing again changes nothing."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        """Return the instrumentation itself."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop reporting."""
        self.close()


class Targets:
    """Where registries and policies report, so that none reports to one place twice, which would count it twice.

    Args:
        what: What they report to, for the error.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._of: WeakKeyDictionary[object, list[tuple[object, str]]] = WeakKeyDictionary()

    def claim(
        self,
        cleanup: ExitStack,
        registry: BreakerRegistry,
        policies: Iterable[ReportingPolicy],
        place: object,
        naming: str = "",
    ) -> None:
        """Note that a registry and policies report to a place, until the cleanup.

        Args:
            cleanup: Ends it.
            registry: The registry, which may report to one place by several namings.
            policies: The policies.
            place: What they report to; None for the default one.
            naming: The names that the registry reports by.

        Raises:
            ValueError: One of them reports there already.
        """
        where = None if place is None else ref(place)
        cleanup.callback(self._add("registry", registry, (where, naming)))
        for each in policies:
            cleanup.callback(self._add(f"the {each.kind} policy {each.name!r}", each.policy, (where, "")))

    def _add(self, name: str, reporter: object, target: tuple[object, str]) -> Callable[[], None]:
        taken = self._of.setdefault(reporter, [])
        if target in taken:
            raise ValueError(
                f"{name} reports to this {self._what} already: pass it to one call of instrument() only, or close() "
                "the Instrumentation that the first call returned"
            )
        taken.append(target)
        return lambda: taken.remove(target)

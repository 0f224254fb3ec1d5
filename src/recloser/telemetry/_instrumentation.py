"""What `instrument()` has set up, and which registries report already."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from types import TracebackType
    from typing import Self

    from recloser import BreakerRegistry


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
    """Where registries report, so that none reports to one place twice, which would count everything twice.

    Args:
        what: What they report to, for the error.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._of: WeakKeyDictionary[BreakerRegistry, list[tuple[object, str]]] = WeakKeyDictionary()

    def add(self, registry: BreakerRegistry, place: object, detail: str = "") -> Callable[[], None]:
        """Note that a registry reports to a place, and return a function that strikes the note out.

        Args:
            registry: The registry.
            place: The object that it reports to; None for the default one.
            detail: What may differ between two reports to one place.

        Raises:
            ValueError: The registry reports there already.
        """
        taken = self._of.setdefault(registry, [])
        target = (None if place is None else ref(place), detail)
        if target in taken:
            raise ValueError(
                f"registry reports to this {self._what} already: call instrument() once, or close() the "
                "Instrumentation that it returned before you call it again"
            )
        taken.append(target)
        return lambda: taken.remove(target)

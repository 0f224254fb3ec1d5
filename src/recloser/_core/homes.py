"""The home of a public name: the module that users import it from.

Python sets `__module__` to the module that defines a class or a function. That module may be private and may change,
but its name appears in tracebacks, reprs, pickles and documentation. So each public package calls `publish()` at the
end of its `__init__`, which sets `__module__` to the name of the package.

This has a price: `inspect.getsource()` does not find a published class, although it finds its methods. And tools that
evaluate the annotations of a class look the names up in its home, so `publish()` evaluates what can be evaluated first.
"""

from __future__ import annotations

from contextlib import suppress
from inspect import get_annotations
from types import FunctionType
from typing import Any

SOURCES: dict[str, str] = {}
"""The modules that define published classes and functions, by public name; for tools that read source code."""


def publish(namespace: dict[str, Any], *, home: str | None = None) -> None:
    """Make a module the home of the classes and functions in its `__all__`.

    Those that already have another public home keep it. Names that the module imports on first use are left to the
    module that defines them.

    Args:
        namespace: The `globals()` of the module.
        home: The name of another module that exports them, if not that of this one.
    """
    place: str = namespace["__name__"] if home is None else home
    for name in namespace["__all__"]:
        value = namespace.get(name)
        if isinstance(value, type | FunctionType) and _is_inside(value.__module__, place):
            SOURCES[f"{place}.{name}"] = SOURCES.pop(f"{value.__module__}.{name}", value.__module__)
            if isinstance(value, type):
                _evaluate_annotations(value)
            value.__module__ = place


def _evaluate_annotations(cls: type) -> None:
    """Replace the text of a class's annotations by their values, unless it names what only type checkers import."""
    with suppress(NameError):
        cls.__annotations__ = get_annotations(cls, eval_str=True)


def _is_inside(module: str, home: str) -> bool:
    """Return whether a module is private, or below its home."""
    return "._" in module or module.startswith(f"{home}.")

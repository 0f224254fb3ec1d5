"""Other circuit breakers that protect coroutines: one adapter per file, named after the library.

None of them is required: the report names libraries that can't be imported. `nox -s bench` installs them.
"""

import importlib
from dataclasses import dataclass

from benchmarks.contender import Contender

ADAPTERS = (
    "circuitbreaker",
    "aiobreaker",
    "purgatory",
    "interlock_cb",
    "pyresilience",
    "aioresilience",
    "hyx",
)


@dataclass(frozen=True, slots=True)
class Peers:
    """The libraries that could be imported.

    Args:
        present: The libraries that take part.
        absent: The adapters of the missing libraries, each with the reason.
    """

    present: tuple[Contender, ...]
    absent: tuple[tuple[str, str], ...]


def find() -> Peers:
    """Imports every adapter whose library is installed."""
    present = []
    absent = []
    for adapter in ADAPTERS:
        try:
            module = importlib.import_module(f"{__name__}.{adapter}")
        except ImportError as error:
            absent.append((adapter, str(error)))
        else:
            present.append(module.CONTENDER)
    return Peers(tuple(present), tuple(absent))

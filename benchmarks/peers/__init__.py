"""Other circuit breakers that protect coroutines, one adapter a file, named after the library.

None of them is needed: what can't be imported is named in the report and left out. `nox -s bench` installs them.
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
    """What could be imported.

    Args:
        present: The libraries that take part.
        absent: The adapters of those that don't, each with the reason.
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

"""Other circuit breakers that protect coroutines: one adapter per file, named after the library.

Each library is used as its documentation says, in the fastest way of those that it offers.

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
    "nopanic",
    "fluxgate",
)


@dataclass(frozen=True, slots=True)
class Peers:
    """The libraries that could be imported.

    Args:
        present: The contenders that take part, one for each set of rules of a library.
        absent: The adapters of the missing libraries, each with the reason.
    """

    present: tuple[Contender, ...]
    absent: tuple[tuple[str, str], ...]


def find() -> Peers:
    """Imports every adapter whose library is installed."""
    present: list[Contender] = []
    absent = []
    for adapter in ADAPTERS:
        try:
            module = importlib.import_module(f"{__name__}.{adapter}")
        except ImportError as error:
            absent.append((adapter, str(error)))
        else:
            present += module.CONTENDERS
    return Peers(tuple(present), tuple(absent))

"""Which OSErrors are a database's: those that tell of a network, and came out of its driver.

A block that uses a database does other things as well. A file that is missing is an OSError too, and so is another
service that refuses connections. What a driver raised has been through the driver's code, which its traceback shows.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

NETWORK_ERRORS = (ConnectionError, TimeoutError, socket.gaierror)
NETWORK_ERRNOS = frozenset(
    {
        errno.EADDRNOTAVAIL,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENOTCONN,
    }
)


def is_network_error(exc: BaseException) -> bool:
    """Return whether an exception tells of a network, and not of files or permissions."""
    return isinstance(exc, NETWORK_ERRORS) or (isinstance(exc, OSError) and exc.errno in NETWORK_ERRNOS)


def is_network_error_of(packages: tuple[str, ...], exc: BaseException) -> bool:
    """Return whether an exception tells of a network, and came out of one of some packages."""
    return is_network_error(exc) and came_out_of(packages, exc)


def came_out_of(modules: tuple[str, ...], exc: BaseException) -> bool:
    """Return whether an exception went through one of some modules, or of packages.

    A TimeoutError that a block raised itself, by `fail_after()` or `asyncio.timeout()`, was made of a cancellation: it
    came out of where that struck.
    """
    names = (str(frame.f_globals.get("__name__")) for frame in frames_of(exc))
    return any(name == module or name.startswith(f"{module}.") for name in names for module in modules)


def frames_of(exc: BaseException) -> Iterator[FrameType]:
    """Iterate over the frames that an exception went through; of a TimeoutError as `came_out_of` says."""
    struck = exc.__cause__ or exc.__context__
    if isinstance(exc, TimeoutError) and struck is not None and not isinstance(struck, Exception):
        exc = struck
    step = exc.__traceback__
    while step is not None:
        yield step.tb_frame
        step = step.tb_next

"""Which OSErrors are a database's: those that are about the network and were raised in its driver.

A block that uses a database does other things as well. A missing file is an OSError too, and so is a refused connection
to some other service. The traceback of an exception shows which code it passed through.
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
    """Return whether an exception is about the network, and not about files or permissions."""
    return isinstance(exc, NETWORK_ERRORS) or (isinstance(exc, OSError) and exc.errno in NETWORK_ERRNOS)


def came_out_of(modules: tuple[str, ...], exc: BaseException) -> bool:
    """Return whether an exception passed through one of these modules or packages.

    A TimeoutError that `fail_after()` or `asyncio.timeout()` raises in the block replaces a cancellation: what counts
    is where that one was raised.
    """
    names = (str(frame.f_globals.get("__name__")) for frame in frames_of(exc))
    return any(name == module or name.startswith(f"{module}.") for name in names for module in modules)


def frames_of(exc: BaseException) -> Iterator[FrameType]:
    """Iterate over the frames that an exception passed through; for a TimeoutError see `came_out_of()`."""
    replaced = exc.__cause__ or exc.__context__
    if isinstance(exc, TimeoutError) and replaced is not None and not isinstance(replaced, Exception):
        exc = replaced
    step = exc.__traceback__
    while step is not None:
        yield step.tb_frame
        step = step.tb_next

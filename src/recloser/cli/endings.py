"""Unwraps the exceptions that end a run early from the groups that task groups put around them."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager

from recloser.lowlevel import leaves

__all__ = ["leaves", "unwrapped"]


@contextmanager
def unwrapped(*kinds: type[Exception]) -> Generator[None]:
    """Unwrap a Ctrl-C or a broken pipe from exception groups, however deeply they are nested.

    Args:
        *kinds: Other errors to unwrap; the first of them is raised.

    Yields:
        Nothing.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C in the block.
        BrokenPipeError: Nothing reads the output any more.
    """
    interrupted = unread = False
    others: list[BaseException] = []
    try:
        yield
    except* KeyboardInterrupt:
        interrupted = True
    except* BrokenPipeError:
        unread = True
    except* kinds as errors:
        others += leaves(errors)
    if interrupted:
        raise KeyboardInterrupt
    if unread:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    if others:
        raise others[0]

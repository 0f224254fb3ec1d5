"""Lets what ends a run early come out of the task groups as itself."""

import errno
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager

__all__ = ["INTERRUPTED", "leaves", "unwrapped"]

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it: 128 and the number of the signal."""


@contextmanager
def unwrapped(*kinds: type[Exception]) -> Generator[None]:
    """Unwrap Ctrl-C and a reader that is gone, which task groups wrap, however deep.

    Args:
        *kinds: What else is unwrapped: the first of these errors comes out.

    Yields:
        Nothing.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C in the block.
        BrokenPipeError: Nobody reads the output any more.
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


def leaves(errors: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Return the exceptions in a group, and in the groups within."""
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error

"""Turns a missing optional dependency into a message with the command that installs it."""

from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["MissingExtraError", "extra"]


class MissingExtraError(ImportError):
    """A command needs a library that only an extra installs."""


@contextmanager
def extra(name: str) -> Generator[None, None, None]:
    """Name the extra to install when an import in this block fails.

    Args:
        name: The extra that installs what the block imports.

    Yields:
        Nothing.

    Raises:
        MissingExtraError: A module outside recloser was not found.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library == "recloser":
            raise
        message = f"{library} is not installed; this needs: pip install 'recloser[{name}]'"
        raise MissingExtraError(message, name=error.name) from error

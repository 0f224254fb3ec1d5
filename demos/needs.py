"""Turns a missing library into a sentence that names the command which installs it."""

from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["installed_by"]

_OURS = ("demos", "examples", "recloser.")


@contextmanager
def installed_by(command: str) -> Generator[None]:
    """Name the command that installs everything when an import in this block fails.

    Args:
        command: The command that sets up and starts the demo.

    Yields:
        Nothing.

    Raises:
        SystemExit: A library is missing or too old; the message says which, and names the command.
    """
    try:
        yield
    except ImportError as error:
        module = error.name or ""
        if module.startswith(_OURS):
            raise
        library = module.partition(".")[0]
        raise SystemExit(f"{library} is missing or too old; `{command}` installs what this demo needs.") from error

"""Turns errors of a command into exit codes and messages."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import click

from recloser.cli.exit_codes import CANNOT_TELL, INTERRUPTED
from recloser.cli.extras import MissingExtraError

__all__ = ["CannotTellError", "concluded"]


class CannotTellError(click.ClickException):
    """The command could not do its work, so its exit code is none of those that mean a result."""

    exit_code = CANNOT_TELL


@contextmanager
def concluded() -> Generator[None]:
    """Turn whatever ends a command early into an exit code and a message.

    Yields:
        Nothing.

    Raises:
        BrokenPipeError: Nothing reads the output any more; click then ends quietly, as commands in a pipe do.
        SystemExit: The user pressed Ctrl-C.
        CannotTellError: A library is missing.
        click.ClickException: The system refused an operation.
    """
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        raise
    except MissingExtraError as error:
        raise CannotTellError(str(error)) from None
    except OSError as error:
        raise click.ClickException(str(error)) from None

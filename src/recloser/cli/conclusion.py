"""Turns errors of a command into exit codes and messages."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import click

from recloser.cli.endings import INTERRUPTED
from recloser.cli.extras import MissingExtraError

__all__ = ["concluded"]


@contextmanager
def concluded() -> Generator[None]:
    """Turn whatever ends a command early into an exit code and a message.

    Yields:
        Nothing.

    Raises:
        BrokenPipeError: Nothing reads the output any more; click then ends quietly, as commands in a pipe do.
        SystemExit: The user pressed Ctrl-C.
        click.ClickException: A library is missing, or the system refused an operation.
    """
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        raise
    except (MissingExtraError, OSError) as error:
        raise click.ClickException(str(error)) from None

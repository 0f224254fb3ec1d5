"""How the commands that show something end."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import click

from recloser.cli.endings import INTERRUPTED
from recloser.cli.extras import MissingExtraError

__all__ = ["concluded"]


@contextmanager
def concluded() -> Generator[None]:
    """Turn what ends a command early into its exit code and its message.

    Yields:
        Nothing.

    Raises:
        BrokenPipeError: Nobody reads the output any more; click ends quietly, as a command does when the next one in
            the pipe has had enough.
        SystemExit: The user pressed Ctrl-C.
        click.ClickException: A library is missing, or the system refused something.
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

"""The `recloser` command: `main` runs it and says which extra to install if one is missing."""

import sys

from recloser.cli.exit_codes import CANNOT_TELL, INTERRUPTED
from recloser.cli.extras import MissingExtraError, extra

__all__ = ["main"]


def main() -> None:
    """Run the `recloser` command with the arguments of this process.

    Raises:
        SystemExit: Always; `--help` of each command lists its exit codes.
    """
    try:
        with extra("cli"):
            from recloser.cli.app import app  # noqa: PLC0415 - click may be missing; main() says so
    except MissingExtraError as missing:
        sys.stderr.write(f"Error: {missing}\n")
        raise SystemExit(CANNOT_TELL) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    app(prog_name="recloser")

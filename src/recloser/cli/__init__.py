"""The `recloser` command: `main` runs it and says which extra to install if one is missing."""

from recloser.cli.endings import INTERRUPTED
from recloser.cli.extras import MissingExtraError, extra

__all__ = ["main"]


def main() -> None:
    """Run the `recloser` command with the arguments of this process.

    Raises:
        SystemExit: Always; 0 after success, 1 after a failure, 2 for a bad option, 130 after Ctrl-C.
    """
    try:
        with extra("cli"):
            from recloser.cli.app import app  # noqa: PLC0415 - click may be missing; main() says so
    except MissingExtraError as missing:
        raise SystemExit(f"recloser: {missing}") from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    app(prog_name="recloser")

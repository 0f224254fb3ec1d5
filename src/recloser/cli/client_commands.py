"""The command lines of `recloser top` and `recloser status`: their options, and what they do."""

import io
import os
import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from recloser.cli.client.errors import AddressError, EndedError, UnreachableError
from recloser.cli.client.formatting import printable
from recloser.cli.endings import INTERRUPTED, leaves
from recloser.cli.extras import MissingExtraError, extra

if TYPE_CHECKING:
    import httpx

__all__ = ["status", "top"]

_BY_SIGNAL = 128
_TROUBLE = 2
_LONGEST_SECONDS = 3600
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class _TroubleError(click.ClickException):
    """An error that leaves open whether all breakers are closed."""

    exit_code = _TROUBLE


Headers = list[tuple[str, str]]


def _headers(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> Headers:
    headers: Headers = []
    for header in given:
        name, colon, value = (part.strip() for part in header.partition(":"))
        if not colon:
            raise click.BadParameter("one has no colon between its name and its value")  # not shown: it may be a secret
        if not _NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise click.BadParameter(f"{name!r} can't be sent")
        headers.append((name, value))
    return headers


def _seconds(_context: click.Context, _parameter: click.Parameter, seconds: float) -> float:
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise click.BadParameter(f"{seconds:g} is not in the range 0<x<={_LONGEST_SECONDS}.")
    return seconds


def _where(command: Callable[..., None]) -> Callable[..., None]:
    """Add the URL of the dashboard, and the options of the connection, to a command."""
    header = click.option(
        "-H",
        "--header",
        "headers",
        multiple=True,
        metavar="NAME:VALUE",
        callback=_headers,
        help="A header to send, for a dashboard behind a login; can be repeated.",
    )
    timeout = click.option(
        "--timeout",
        "timeout_seconds",
        type=float,
        callback=_seconds,
        default=5.0,
        show_default=True,
        metavar="SECONDS",
        help="Longest wait to connect and to get the first answer.",
    )
    return click.argument("url")(header(timeout(command)))


@click.command(short_help="Check whether a service's breakers are closed.")
@_where
@click.option("--json", "as_json", is_flag=True, help="Print the dashboard's JSON document.")
def status(url: str, headers: Headers, timeout_seconds: float, *, as_json: bool) -> None:
    """Print the state of the breakers that the dashboard at URL shows.

    Exits with 0 if all of them are closed, with 1 if any is not, and with 2 if the dashboard can't be reached.
    """
    with _reading():
        from recloser.cli.status import look  # noqa: PLC0415 - its libraries may be missing

        code, text = look(_address(url), headers, timeout_seconds=timeout_seconds, as_json=as_json)
        _print(text)
    sys.exit(code)


def _print(text: str) -> None:
    try:
        click.echo(text)
    except BrokenPipeError:  # nothing reads the output; keep the exit code
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command(short_help="Watch a service's breakers, live.")
@_where
@click.option("--filter", "text", default="", metavar="TEXT", help="Only breakers with this in their name or cause.")
@click.option(
    "--sort",
    type=click.Choice(["state", "name", "failures", "rejections"]),
    default="state",
    show_default=True,
    help="The order; state puts breakers that are not closed first.",
)
@click.option("--plain", is_flag=True, help="Write one line per transition instead of a table, as in a pipe.")
def top(url: str, headers: Headers, timeout_seconds: float, *, text: str, sort: str, plain: bool) -> None:
    """Watch the breakers that the dashboard at URL shows, live, until Ctrl-C.

    Reconnects if the connection is lost. Exits with 2 if the dashboard can't be reached in the first place.
    """
    with _reading():
        from recloser.cli.top.watch import watch  # noqa: PLC0415 - its libraries may be missing

        watch(_address(url), headers, timeout_seconds=timeout_seconds, plain=plain, text=text, sort=sort)


def _address(url: str) -> "httpx.URL":
    from recloser.cli.client.address import read_address  # noqa: PLC0415 - as above

    try:
        return read_address(url)
    except AddressError as error:
        raise click.BadParameter(str(error), param_hint="'URL'") from None


@contextmanager
def _reading() -> Generator[None]:
    """Report an error and exit with 2 if the dashboard can't be read; 1 would mean that a breaker is not closed.

    Yields:
        Nothing.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with extra("cli"):
            yield
    except KeyboardInterrupt:
        click.echo(err=True)
        sys.exit(INTERRUPTED)
    except (click.ClickException, BrokenPipeError):
        raise
    except UnreachableError as error:
        raise _TroubleError(f"the dashboard can't be reached: {printable(str(error))}") from None
    except MissingExtraError as error:
        raise _TroubleError(str(error)) from None
    except EndedError as error:
        sys.exit(_BY_SIGNAL + error.number)
    except Exception as error:  # such as a bad setting in the environment, or a full disk
        first = next(leaves(error)) if isinstance(error, ExceptionGroup) else error
        raise _TroubleError(printable(f"{type(first).__name__}: {first}")) from error

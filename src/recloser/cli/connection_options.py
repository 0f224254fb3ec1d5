"""The argument and the options of all commands that read a dashboard, so that they are the same everywhere.

Headers and URLs may hold secrets: no error repeats a part of them.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from recloser.cli.client.errors import AddressError

if TYPE_CHECKING:
    import httpx

__all__ = ["Headers", "address_of", "reads_a_dashboard"]

Headers = list[tuple[str, str]]

_LONGEST_SECONDS = 3600
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_URL_VARIABLE = "RECLOSER_URL"


class _HeaderLine(click.types.StringParamType):
    """A header; in an environment variable, each line is one."""

    def split_envvar_value(self, rv: str) -> list[str]:
        return [line for line in rv.split("\n") if line.strip()]


def _headers(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> Headers:
    headers: Headers = []
    for number, header in enumerate(given, 1):
        name, colon, value = (part.strip() for part in header.partition(":"))
        if not colon:
            raise click.BadParameter(f"header {number} must be NAME:VALUE, and has no colon")
        if not _NAME.fullmatch(name):
            raise click.BadParameter(f"the name of header {number} must consist of letters, digits and hyphens")
        if not (value.isascii() and value.isprintable()):
            raise click.BadParameter(f"the value of header {number} must consist of printable ASCII characters")
        headers.append((name, value))
    return headers


def _seconds(_context: click.Context, _parameter: click.Parameter, seconds: float) -> float:
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise click.BadParameter(f"{seconds:g} is not in the range 0<x<={_LONGEST_SECONDS}.")
    return seconds


def _given(_context: click.Context, _parameter: click.Parameter, url: str | None) -> str:
    if url is None:
        raise click.UsageError(f"Missing argument 'URL': give the address of a dashboard, or set {_URL_VARIABLE}.")
    return url


_DECORATORS = (
    click.argument("url", required=False, envvar=_URL_VARIABLE, callback=_given),
    click.option(
        "-H",
        "--header",
        "headers",
        type=_HeaderLine(),
        multiple=True,
        metavar="NAME:VALUE",
        envvar="RECLOSER_HEADER",
        show_envvar=True,
        callback=_headers,
        help="A header to send, for a dashboard behind a login. Repeat the option for several headers; in the "
        "environment variable, write one header per line.",
    ),
    click.option(
        "--timeout",
        "timeout_seconds",
        type=float,
        callback=_seconds,
        default=5.0,
        show_default=True,
        metavar="SECONDS",
        help="Longest wait to connect and to get the first answer.",
    ),
    click.option(
        "--filter", "text", default="", metavar="TEXT", help="Only breakers with TEXT in their name or cause."
    ),
)


def reads_a_dashboard(command: Callable[..., None]) -> Callable[..., None]:
    """Add the URL of a dashboard, and the options of the connection, to a command."""
    for decorate in reversed(_DECORATORS):
        command = decorate(command)
    return command


def address_of(url: str) -> "httpx.URL":
    """Return the URL of a dashboard.

    Raises:
        click.BadParameter: It is no HTTP URL.
    """
    from recloser.cli.client.address import read_address  # noqa: PLC0415 - its libraries may be missing

    try:
        return read_address(url)
    except AddressError as error:
        raise click.BadParameter(str(error), param_hint=f"'URL' (env var: '{_URL_VARIABLE}')") from None

"""The command lines of `recloser top` and `recloser status`: their options, and what they do."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import click

from recloser.cli.client.errors import EndedError, UnreachableError
from recloser.cli.client.formatting import printable
from recloser.cli.command import DocumentedCommand
from recloser.cli.conclusion import CannotTellError
from recloser.cli.connection_options import Headers, address_of, reads_a_dashboard
from recloser.cli.endings import leaves
from recloser.cli.exit_codes import BY_HAND, BY_SIGNAL, CANNOT_TELL, INTERRUPTED, NOT_OK, OK, USAGE
from recloser.cli.extras import MissingExtraError, extra
from recloser.cli.output import spell_out_what_cannot_be_encoded, write

__all__ = ["status", "top"]

_UNKNOWN = "The dashboard is unreachable, something else answers, or a library is missing."


@click.command(
    cls=DocumentedCommand,
    short_help="Check whether a service's breakers are closed.",
    examples=[
        "recloser status http://shop.example/breakers/",
        "recloser status --json http://shop.example/breakers/ | jq .breakers",
        "RECLOSER_URL=http://shop.example/breakers/ recloser status",
    ],
    exit_codes={
        OK: "All breakers are closed.",
        NOT_OK: "A breaker is open or half-open.",
        USAGE: "An argument or an option is wrong.",
        CANNOT_TELL: _UNKNOWN,
        BY_HAND: "Breakers are forced open or disabled by hand, and all others are closed.",
    },
)
@reads_a_dashboard
@click.option("--json", "as_json", is_flag=True, help="Print the dashboard's JSON document instead.")
def status(url: str, headers: Headers, timeout_seconds: float, text: str, *, as_json: bool) -> None:
    """Print the state of the breakers that the dashboard at URL shows.

    URL defaults to the environment variable RECLOSER_URL. The exit code tells a script whether all breakers are
    closed. With --filter, only the breakers that it selects count. Breakers in shadow mode never count: they reject
    no call.
    """
    with _reading():
        from recloser.cli.status import look  # noqa: PLC0415 - its libraries may be missing

        code, output = look(address_of(url), headers, timeout_seconds=timeout_seconds, text=text, as_json=as_json)
        write(output)
    sys.exit(code)


@click.command(
    cls=DocumentedCommand,
    short_help="Watch a service's breakers, live.",
    examples=[
        "recloser top http://shop.example/breakers/",
        "recloser top -H 'Authorization: Bearer ...' http://shop.example/breakers/",
        "recloser top http://shop.example/breakers/ | tee breakers.log",
    ],
    exit_codes={
        USAGE: "An argument or an option is wrong.",
        CANNOT_TELL: _UNKNOWN,
    },
)
@reads_a_dashboard
@click.option(
    "--sort",
    type=click.Choice(["state", "name", "failures", "rejections"]),
    default="state",
    show_default=True,
    help="The order; state puts breakers that are not closed first.",
)
@click.option("--plain", is_flag=True, help="Write one line per transition instead of a table, as in a pipe.")
def top(url: str, headers: Headers, timeout_seconds: float, text: str, *, sort: str, plain: bool) -> None:
    """Watch the breakers that the dashboard at URL shows, live, until Ctrl-C.

    URL defaults to the environment variable RECLOSER_URL. If the connection is lost, the command reconnects.
    """
    with _reading():
        from recloser.cli.top.watch import watch  # noqa: PLC0415 - its libraries may be missing

        watch(address_of(url), headers, timeout_seconds=timeout_seconds, plain=plain, text=text, sort=sort)


@contextmanager
def _reading() -> Generator[None]:
    """Report an error, and exit with 3 if it leaves open whether all breakers are closed.

    Yields:
        Nothing.
    """
    spell_out_what_cannot_be_encoded()
    try:
        with extra("cli"):
            yield
    except KeyboardInterrupt:
        click.echo(err=True)
        sys.exit(INTERRUPTED)
    except (click.ClickException, BrokenPipeError):
        raise
    except UnreachableError as error:
        raise CannotTellError(f"the dashboard can't be reached: {printable(str(error))}") from None
    except MissingExtraError as error:
        raise CannotTellError(str(error)) from None
    except EndedError as error:
        sys.exit(BY_SIGNAL + error.number)
    except Exception as error:  # such as a bad setting in the environment, or a full disk
        first = next(leaves(error)) if isinstance(error, ExceptionGroup) else error
        raise CannotTellError(printable(f"{type(first).__name__}: {first}")) from error

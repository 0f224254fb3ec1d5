"""The command line of `recloser demo`: its options, and what they do.

This module only imports click, so `recloser --help` needs nothing else.
"""

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from recloser.cli.command import DocumentedCommand
from recloser.cli.conclusion import concluded
from recloser.cli.demo.plan import DEFAULT, FAST, Plan
from recloser.cli.exit_codes import CANNOT_TELL, NOT_OK, OK, USAGE
from recloser.cli.extras import extra

__all__ = ["demo"]

_CALLS_PER_SECOND = 150
_FORMATS = (".svg", ".png")


def _picture(_context: click.Context, _parameter: click.Parameter, path: Path) -> Path:
    if path.suffix not in _FORMATS:
        message = f"{path} ends neither in {' nor in '.join(_FORMATS)}"
        raise click.BadParameter(message)
    if not path.parent.is_dir():
        message = f"there is no directory {path.parent}"
        raise click.BadParameter(message)
    return path


def _only_in_a_clone(_context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        name = parameter.opts[0]
        raise click.UsageError(
            f"{name} starts a demo that is not part of the installed package. In a clone of the repository, run: "
            + " ".join(filter(None, ["python3 dev.py demo", name, value]))
        )


def _of_the_repository(name: str, usual: str = "") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add an option that only says how to start a demo of the repository."""
    return click.option(
        name,
        is_flag=False,
        flag_value=usual,
        hidden=True,
        is_eager=True,
        expose_value=False,
        callback=_only_in_a_clone,
    )


@click.command(
    cls=DocumentedCommand,
    examples=["recloser demo", "recloser demo --fast --timeline outage.png", "recloser demo --backend trio --plain"],
    exit_codes={
        OK: "The breaker opened, probed and closed as it should.",
        NOT_OK: "It did not, or the demo failed, for example because a port is taken.",
        USAGE: "An option is wrong.",
        CANNOT_TELL: "A library is missing.",
    },
)
@click.option("--fast", is_flag=True, help="Play the same script in about 4 seconds.")
@click.option(
    "--callers",
    type=click.IntRange(5, 500),
    default=DEFAULT.callers,
    show_default=True,
    help="Callers in each of the two groups.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the server.  [default: any free one]")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of everything that is random.")
@click.option(
    "--backend",
    type=click.Choice(["asyncio", "trio"]),
    default="asyncio",
    show_default=True,
    help="Event loop that the demo runs on.",
)
@click.option("--plain", is_flag=True, help="Write lines, as into a pipe, instead of a live table.")
@click.option(
    "--timeline",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    default=Path("recloser-demo.svg"),
    show_default=True,
    callback=_picture,
    help="Where to write the picture, SVG or PNG.",
)
@click.option("--no-timeline", is_flag=True, help="Write no picture.")
@_of_the_repository("--dashboard")
@_of_the_repository("--mcp")
@_of_the_repository("--fleet", "4")
def demo(
    *,
    fast: bool,
    callers: int,
    port: int,
    seed: int,
    backend: str,
    plain: bool,
    timeline: Path,
    no_timeline: bool,
) -> None:
    """Watch a breaker protect a real HTTP server during an outage.

    The server answers, fails, hangs and recovers while two groups of callers use it, one through a breaker and one
    without. Rejected calls get an earlier answer from memory or, once that is too old, a default. At the end, the demo
    shows what each group saw and what reached the server. It checks that the breaker opened and closed again, and that
    each half-open episode let exactly one request through.

    A clone of the repository has more demos: `python3 dev.py demo --dashboard`, `python3 dev.py demo --mcp` and
    `python3 dev.py demo --fleet 4`.
    """
    plan = _scaled(FAST if fast else DEFAULT, callers)
    picture = None if no_timeline else timeline
    with concluded():
        with extra(backend):
            importlib.import_module(backend)
        with extra("demo"):
            importlib.import_module("cachetools")  # LastKnownGood would only notice later that it is missing
            from recloser.cli.demo.perform import perform  # noqa: PLC0415 - what it needs may be missing
        sys.exit(perform(plan, seed=seed, port=port, backend=backend, plain=plain, picture=picture))


def _scaled(plan: Plan, callers: int) -> Plan:
    """Let many callers pause for longer, so that a single event loop can handle the load."""
    return replace(plan, callers=callers, pause_seconds=max(plan.pause_seconds, callers / _CALLS_PER_SECOND))

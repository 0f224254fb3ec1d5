"""The command line of `recloser demo`: its options, and what they do.

This module only imports click, so `recloser --help` needs nothing else.
"""

import importlib
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import click

from recloser.cli.conclusion import concluded
from recloser.cli.demo.plan import DEFAULT, FAST, Plan
from recloser.cli.extras import MissingExtraError, extra

__all__ = ["demo"]

_CALLS_PER_SECOND = 150
_FOR_MCP = {"mcp", "plain"}
_FOR_FLEETS = {"fleet", "fast"}
_FORMATS = (".svg", ".png")


def _picture(_context: click.Context, _parameter: click.Parameter, path: Path) -> Path:
    if path.suffix not in _FORMATS:
        message = f"{path} ends neither in {' nor in '.join(_FORMATS)}"
        raise click.BadParameter(message)
    if not path.parent.is_dir():
        message = f"there is no directory {path.parent}"
        raise click.BadParameter(message)
    return path


def _installed(_context: click.Context, _parameter: click.Parameter, backend: str) -> str:
    if importlib.util.find_spec(backend) is None:
        message = f"{backend} is not installed; this needs: pip install {backend}"
        raise click.BadParameter(message)
    return backend


@click.command()
@click.option("--mcp", is_flag=True, help="Show an MCP server and its client instead; goes with --plain alone.")
@click.option(
    "--fleet",
    type=click.IntRange(2, 16),
    metavar="N",
    help="Show N worker processes that share a breaker through Redis instead, 2 to 16; goes with --fast alone.",
)
@click.option("--fast", is_flag=True, help="Play the same script in about 4 seconds.")
@click.option(
    "--callers",
    type=click.IntRange(5, 500),
    default=DEFAULT.callers,
    show_default=True,
    help="In each of the two lanes.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the upstream.  [default: any that is free]")
@click.option("--seed", type=int, default=1, show_default=True, help="Of what is random in it.")
@click.option(
    "--backend", type=click.Choice(["asyncio", "trio"]), default="asyncio", show_default=True, callback=_installed
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
@click.pass_context
def demo(
    context: click.Context,
    *,
    mcp: bool,
    fleet: int | None,
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
    shows what each group saw and what reached the server. It exits with 1 if the breaker did not open or did not close
    again, or if a half-open episode did not let exactly one request through.

    With --mcp: a client asks every tool of an MCP server over stdio while what the tools depend on works, fails and
    recovers, and reads the health resource at each step. Exits with 1 if any of it is not as it should be.

    With --fleet N: so many worker processes share one breaker through a private Redis. One worker is sick, the upstream
    fails and recovers, Redis is killed and started again. Exits with 1 if any of it is not as it should be.
    """
    plan = _scaled(FAST if fast else DEFAULT, callers)
    picture = None if no_timeline else timeline
    with concluded():
        if mcp:
            _refuse_other_options(context, "--mcp", _FOR_MCP)
            sys.exit(_perform_mcp(plain=plain))
        if fleet is not None:
            _refuse_other_options(context, "--fleet", _FOR_FLEETS)
            sys.exit(_perform_fleet(fleet, fast=fast))
        with extra("demo"):
            importlib.import_module("cachetools")  # LastKnownGood would only notice later that it is missing
            from recloser.cli.demo.perform import perform  # noqa: PLC0415 - what it needs may be missing
        sys.exit(perform(plan, seed=seed, port=port, backend=backend, plain=plain, picture=picture))


def _scaled(plan: Plan, callers: int) -> Plan:
    """Let many callers pause for longer, so that a single event loop can handle the load."""
    return replace(plan, callers=callers, pause_seconds=max(plan.pause_seconds, callers / _CALLS_PER_SECOND))


def _refuse_other_options(context: click.Context, option: str, allowed: set[str]) -> None:
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
        if given and name not in allowed:
            message = f"{option} cannot be combined with {parameter.opts[0]}"
            raise click.UsageError(message)


def _perform_mcp(*, plain: bool) -> int:
    with extra("mcp"):
        sdk = importlib.import_module("mcp")
    if not hasattr(sdk, "Client"):
        message = "this needs mcp 2: pip install 'mcp>=2.3'"
        raise MissingExtraError(message)
    with extra("demo"):
        importlib.import_module("cachetools")  # only the server would miss these two
        importlib.import_module("httpx")
        from demos.mcp.perform import perform  # noqa: PLC0415 - what it needs may be missing
    return perform(plain=plain)


def _perform_fleet(workers: int, *, fast: bool) -> int:
    with extra("redis"):
        importlib.import_module("redis")
    with extra("demo"):
        importlib.import_module("httpx")  # only the workers would miss it
        from demos.fleet.perform import perform  # noqa: PLC0415 - what it needs may be missing
    return perform(workers, fast=fast)

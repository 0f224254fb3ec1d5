"""`recloser dashboard` on the command line: its options, and what they mean."""

import click

from recloser.cli.conclusion import concluded
from recloser.cli.extras import extra

__all__ = ["dashboard"]


@click.command(short_help="Look at a live dashboard in the browser.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="On loopback; 0: any.")
@click.option("--fast", is_flag=True, help="Let outages come and go within seconds.")
@click.option("--control", is_flag=True, help="Let the page act on breakers, with a token that is printed.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of what is random in it.")
def dashboard(*, port: int, fast: bool, control: bool, seed: int) -> None:
    """Look at the live dashboard of a service whose dependencies fall ill and recover, until Ctrl-C.

    The service and the HTTP servers that it calls run on loopback in this process. In your own application it is
    `recloser.dashboard.app(registry)` that you mount.
    """
    with concluded():
        with extra("demo-dashboard"):
            from demos.dashboard.perform import perform  # noqa: PLC0415 - what it needs may be missing
        perform(port=port, fast=fast, control=control, seed=seed)

"""The command line of the demo, which `python3 dev.py demo --dashboard` starts."""

from demos.needs import installed_by

with installed_by("python3 dev.py demo --dashboard"):
    import click

    from demos.dashboard.perform import perform
    from recloser.cli.conclusion import concluded

__all__ = ["main"]


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="Port of the dashboard; 0 takes any free one.",
)
@click.option("--fast", is_flag=True, help="Let outages come and go within seconds.")
@click.option("--control", is_flag=True, help="Let the page act on breakers, with a token that is printed.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of everything that is random.")
def main(*, port: int, fast: bool, control: bool, seed: int) -> None:
    """Look at the live dashboard of a service whose dependencies fail and recover, until Ctrl-C.

    The service and the HTTP servers that it calls run on loopback in this process. In your own application you mount
    `recloser.dashboard.Dashboard(registry)`.
    """
    with concluded():
        perform(port=port, fast=fast, control=control, seed=seed)


if __name__ == "__main__":
    main(prog_name="python3 dev.py demo --dashboard")

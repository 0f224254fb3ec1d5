"""The command line of the demo, which `python3 dev.py demo --fleet` starts."""

import importlib
import sys

from demos.needs import installed_by

with installed_by("python3 dev.py demo --fleet 4"):
    importlib.import_module("httpx")  # only the workers import it
    import click

    from demos.fleet.perform import perform
    from recloser.cli.conclusion import concluded

__all__ = ["main"]


@click.command()
@click.argument("workers", type=click.IntRange(2, 16), default=4)
@click.option("--fast", is_flag=True, help="Play the same script with shorter reset timeouts.")
def main(workers: int, *, fast: bool) -> None:
    """Watch worker processes share one breaker through a private Redis.

    One worker is sick, the upstream fails and recovers, Redis is killed and started again. WORKERS is the number of
    processes, 2 to 16; the default is 4. Exits with 1 if anything is not as expected.
    """
    with concluded():
        sys.exit(perform(workers, fast=fast))


if __name__ == "__main__":
    main(prog_name="python3 dev.py demo --fleet")

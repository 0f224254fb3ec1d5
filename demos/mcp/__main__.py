"""The command line of the demo, which `python3 dev.py demo --mcp` starts."""

import importlib
import sys

from demos.needs import installed_by

with installed_by("python3 dev.py demo --mcp"):
    importlib.import_module("cachetools")  # only the server imports these two
    importlib.import_module("httpx")
    import click

    from demos.mcp.perform import perform
    from recloser.cli.conclusion import concluded

__all__ = ["main"]


@click.command()
@click.option("--plain", is_flag=True, help="Write lines, as into a pipe, instead of a coloured view.")
def main(*, plain: bool) -> None:
    """Watch an MCP server through an outage, as its client sees it.

    A client calls every tool of an MCP server over stdio while what the tools depend on works, fails and recovers. It
    reads the health resource at each step. Exits with 1 if anything is not as expected.
    """
    with concluded():
        sys.exit(perform(plain=plain))


if __name__ == "__main__":
    main(prog_name="python3 dev.py demo --mcp")
